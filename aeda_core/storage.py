"""The one way in which files are written here: whole or not at all, also on a disk that several machines share."""

from __future__ import annotations

import os
import uuid
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import BinaryIO

from aeda_core.errors import Problem


class StorageError(Problem):
    """A file cannot be written, and what was there before is as it was."""


@contextmanager
def writing(path: Path) -> Iterator[BinaryIO]:
    """A new file that takes the place of `path` once the block has ended; if it fails, `path` is what it was.

    The content is on the disk before the name is. No two writers, on whatever machines, share an unfinished file.
    Raises StorageError where the disk is full or may not be written to.
    """
    partial = path.with_name(f".{path.name}.{uuid.uuid4().hex}.partial")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with partial.open("xb") as file:
            yield file
            file.flush()
            os.fsync(file.fileno())
        os.replace(partial, path)
        _sync(path.parent)
    except OSError as reason:
        raise StorageError(
            f"'{path}' cannot be written ({reason.strerror}); make room or give the right to write there, and call "
            "again: what was written before is kept."
        ) from reason
    finally:
        with suppress(OSError):  # of a disk that cannot be written to; the error above says so
            partial.unlink(missing_ok=True)


def write(path: Path, content: str | bytes) -> None:
    """`content` into `path`, text as UTF-8 (see `writing`)."""
    with writing(path) as file:
        file.write(content.encode() if isinstance(content, str) else content)


def clear_partials(path: Path) -> None:
    """Remove what killed writers of `path`, and of others that differ in their suffix alone, left unfinished. Nobody
    else may be writing them."""
    for partial in path.parent.glob(f".{path.stem}.*.partial"):
        partial.unlink(missing_ok=True)


def set_aside(path: Path) -> Path:
    """Rename a damaged file, so that it is no longer read and nothing of it is lost; returns its new place."""
    aside = path.with_name(f"{path.name}.damaged")
    os.replace(path, aside)
    return aside


def _sync(folder: Path) -> None:
    """The names in `folder` onto the disk, where the system can be asked to."""
    if hasattr(os, "O_DIRECTORY"):
        descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)
