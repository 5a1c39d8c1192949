"""Processes for runs. None outlives its parent, and one that dies costs its own run an epoch and no other anything."""

from __future__ import annotations

import multiprocessing
import os
import signal
import threading
from collections.abc import Callable
from concurrent.futures import BrokenExecutor, Executor, Future, ProcessPoolExecutor, ThreadPoolExecutor
from typing import Any, TypeVar

import psutil

from aeda_core.errors import Problem

T = TypeVar("T")

TRIES = 3
"""How often a run is begun whose worker dies."""


class Stopped(Problem):
    """A process was asked to end (SIGTERM), and has kept what it had."""


class WorkerLost(Problem):
    """The worker processes of a run died again and again."""


class Workers(Executor):
    """Runs functions in `n` processes, a process at a time for each of `n` threads.

    What was begun in a process that dies is begun again in a new one, at most TRIES times; then the future has a
    WorkerLost. The processes stay for the next call, because they take seconds to start.
    """

    def __init__(self, n: int) -> None:
        self._threads = ThreadPoolExecutor(n)
        self._own = threading.local()
        self._processes: list[psutil.Process] = []
        self._ending = False

    def submit(self, fn: Callable[..., T], /, *args: Any, **kwargs: Any) -> Future[T]:
        return self._threads.submit(self._begin, fn, args, kwargs)

    def _begin(self, fn: Callable[..., T], args: tuple[Any, ...], kwargs: dict[str, Any]) -> T:
        for _ in range(TRIES):
            if self._ending:
                break
            try:
                if not hasattr(self._own, "pool"):
                    self._own.pool = self._new_process()
                result: T = self._own.pool.submit(fn, *args, **kwargs).result()
                return result
            except (BrokenExecutor, Stopped):  # killed, or asked to end by somebody else than this parent
                if hasattr(self._own, "pool"):
                    self._own.pool.shutdown()
                    del self._own.pool
        if self._ending:
            raise Stopped("the run was stopped; what it had trained is kept, and the next call goes on from there.")
        raise WorkerLost(
            f"its worker process died {TRIES} times, which happens where memory runs out; free some or take fewer "
            "--workers, and the next call goes on from the last epoch that was kept."
        )

    def _new_process(self) -> ProcessPoolExecutor:
        # With these, glibc keeps freed activations for the next step. By default it returns them to the system, which
        # then has to map and clear the same memory again at every step.
        for setting in ("MALLOC_MMAP_THRESHOLD_", "MALLOC_TRIM_THRESHOLD_"):
            os.environ.setdefault(setting, str(2**30))
        pool = ProcessPoolExecutor(1, multiprocessing.get_context("spawn"), initializer=_serve)
        process = psutil.Process(pool.submit(os.getpid).result())
        self._processes.append(process)
        if self._ending:  # `stop` has not seen this one
            process.kill()
        return pool

    def shutdown(self, wait: bool = True, *, cancel_futures: bool = False) -> None:
        self._threads.shutdown(wait=wait, cancel_futures=cancel_futures)

    def stop(self, *, at_once: bool) -> None:
        """Begin nothing more; what runs ends at the end of its epoch, or at once. Returns when it has ended."""
        self._ending = True
        for process in self._processes:
            if process.is_running():
                process.kill() if at_once else process.terminate()
        self._threads.shutdown(cancel_futures=True)


def _serve() -> None:
    """What a worker process does first: heed SIGTERM, and watch its parent."""
    heed_sigterm()
    threading.Thread(target=_leave_with_parent, daemon=True).start()


def _leave_with_parent() -> None:
    """End this process as soon as its parent has, in the midst of whatever it does: what it kept is whole."""
    parent = multiprocessing.parent_process()
    if parent is not None:
        parent.join()
        os._exit(1)


_asked = threading.Event()


def heed_sigterm() -> None:
    """From now on SIGTERM ends this process at the next `stop_if_asked`. Only the main thread may say so."""
    signal.signal(signal.SIGTERM, lambda *_: _asked.set())


def stop_if_asked() -> None:
    """Raise Stopped if this process got a SIGTERM since `heed_sigterm`."""
    if _asked.is_set():
        raise Stopped("asked to end (SIGTERM); what was trained is kept, and the next call goes on from there.")
