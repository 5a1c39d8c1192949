"""What was decoded of pictures, kept in a file: memory-mapped, and made anew where that is damaged."""

from __future__ import annotations

import hashlib
import json
import os
import uuid
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from aeda_core.datasets.base import DataError, file_sha256

Shape = tuple[int, int, int, int]


def images(path: Path, shape: Shape, decode: Callable[[np.ndarray], Any]) -> tuple[np.ndarray, Any]:
    """uint8 images of `shape` from `path`, memory-mapped, what is written into them lost; and what was noted of them.

    decode: where `path` is not, to the last bit, what was kept there, puts the images into the array that it is given,
            and returns what JSON is to be noted of them
    Raises DataError where they cannot be kept.
    """
    if (found := _kept(path, shape)) is None:
        try:
            _keep(path, shape, decode)
        except OSError as reason:
            raise DataError(
                f"what was decoded cannot be kept in '{path.parent}' ({reason.strerror}); make room, or give the right "
                "to write there."
            ) from reason
        found = _kept(path, shape)
    if found is None:
        raise DataError(f"what was decoded and kept in '{path.parent}' is damaged when it is read; look to the disk.")
    return found


def _kept(path: Path, shape: Shape) -> tuple[np.ndarray, Any] | None:
    try:
        said = json.loads(_beside(path).read_text(encoding="utf-8"))
        notes = said["notes"]
        if said["sha256"] != _checksum(path, notes):
            return None
        # copy on write: torch warns of memory that cannot be written
        found = np.load(path, mmap_mode="c")
    except (OSError, ValueError, LookupError, TypeError):
        return None
    return (found, notes) if (found.dtype, found.shape) == (np.uint8, shape) else None


def _keep(path: Path, shape: Shape, decode: Callable[[np.ndarray], Any]) -> None:
    """Whole or not at all."""
    path.parent.mkdir(parents=True, exist_ok=True)
    partial = path.with_name(f".{path.name}.{uuid.uuid4().hex}.partial")
    noted = partial.with_suffix(".noted")
    try:
        written = np.lib.format.open_memmap(partial, mode="w+", dtype=np.uint8, shape=shape)
        notes = decode(written)
        written.flush()
        del written
        noted.write_text(json.dumps({"sha256": _checksum(partial, notes), "notes": notes}), encoding="utf-8")
        os.replace(partial, path)
        os.replace(noted, _beside(path))
    finally:
        partial.unlink(missing_ok=True)
        noted.unlink(missing_ok=True)


def _checksum(path: Path, notes: Any) -> str:
    return hashlib.sha256((file_sha256(path) + json.dumps(notes)).encode()).hexdigest()


def _beside(path: Path) -> Path:
    return path.with_suffix(".json")
