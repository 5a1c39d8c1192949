"""Who trains a run: one process at a time, on whatever machine that shares the disk, and none that has died."""

from __future__ import annotations

import json
import os
import socket
import threading
import time
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import psutil

from aeda_core import storage
from aeda_core.errors import Problem

BEAT = 5.0
"""Seconds between two signs of life of a lease."""

PATIENCE = 60.0
"""Seconds without one after which it is taken for dead."""


class Held(Problem):
    """Another process trains this run now."""


class Lease:
    """Being the one that works on something; `lost` where another took it over, for this process showed no life."""

    def __init__(self, path: Path) -> None:
        self.path, self.lost = path, False
        self._over = threading.Event()

    def require(self) -> None:
        """Raise Held if it is lost."""
        if self.lost:
            raise Held("another process took this run over, for this one showed no life; it is trained there.")

    def beat(self) -> None:
        """Show life until it is over: a new time on the file, whatever the clock says."""
        while not self._over.wait(BEAT):
            try:
                os.utime(self.path)
            except FileNotFoundError:
                self.lost = True
                return

    def end(self) -> None:
        self._over.set()
        self.path.unlink(missing_ok=True)


@contextmanager
def lease(folder: Path, name: str) -> Iterator[Lease]:
    """Be the only living process that is in such a block for `name`, among all that see `folder`.

    Each puts up a file of its own and holds the lease if it then sees no other that lives. A file's name is used
    once, so to remove a dead one's never hits another's. Two that begin at the same moment may both be refused.
    Raises Held if there is another, StorageError where nothing can be written.
    """
    mine = Lease(folder / f"{name}.{uuid.uuid4().hex}.lease")
    storage.write(mine.path, json.dumps({"host": socket.gethostname(), "system": _system(), "pid": os.getpid()}))
    try:
        for other in folder.glob(f"{name}.*.lease"):
            if other != mine.path and (holder := _living(other)):
                raise Held(f"{holder} trains this run; call again when it is done, and it will not be trained twice.")
        threading.Thread(target=mine.beat, daemon=True).start()
        yield mine
    finally:
        mine.end()


_seen: dict[Path, tuple[int, float]] = {}
"""The last sign of life of others' leases, and when it was first seen by the clock of this process that only goes on:
no two machines' clocks are compared."""


def _living(path: Path) -> str:
    """Who holds the lease `path`; empty, and it is removed, if that process has died."""
    try:
        sign, owner = path.stat().st_mtime_ns, json.loads(path.read_text())
    except FileNotFoundError:
        return ""
    now = time.monotonic()
    if _seen.get(path, (0, 0.0))[0] != sign:
        _seen[path] = sign, now
    ended = owner["system"] == _system() and not _runs(owner["pid"])
    if ended or now - _seen[path][1] > PATIENCE:
        path.unlink(missing_ok=True)
        return ""
    return f"process {owner['pid']} on {owner['host']}"


def _system() -> str:
    """What tells apart the systems that number processes each in their own way: hosts, boots, containers."""
    boot, numbers = Path("/proc/sys/kernel/random/boot_id"), Path("/proc/self/ns/pid")
    known = [socket.gethostname(), f"{uuid.getnode():x}"]
    if boot.exists() and numbers.exists():  # Linux
        known += [boot.read_text().strip(), os.readlink(numbers)]
    return " ".join(known)


def _runs(pid: int) -> bool:
    try:
        return bool(psutil.Process(pid).status() != psutil.STATUS_ZOMBIE)
    except psutil.NoSuchProcess:
        return False
