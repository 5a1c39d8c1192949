"""Many runs at a time, on whatever takes functions: their results as they come, the others' and the failures."""

from __future__ import annotations

import builtins
import functools
import random
import signal
import sys
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import FIRST_COMPLETED, Executor, Future, wait
from contextlib import contextmanager
from dataclasses import dataclass
from types import FrameType
from typing import Any, Generic, TypeVar

from tqdm import tqdm

from aeda_core import parallel
from aeda_core.errors import Problem
from aeda_core.leases import Held
from aeda_core.workers import Stopped, Workers

Item = TypeVar("Item")
Result = TypeVar("Result")

LOOK = 0.5
"""Seconds between two looks at what is going on."""

NAMED = 3
"""Failures that a sentence names."""


class RunsFailed(Problem):
    """Some of several runs failed; the others are recorded."""


@functools.lru_cache(maxsize=1)
def pool(workers: int) -> Workers:
    """Worker processes on this machine, which stay for the next call."""
    return Workers(workers)


@dataclass(frozen=True)
class Job(Generic[Item]):
    """What there is to say of an item while it is worked on.

    name: what a sentence calls it
    size: how many epochs it takes
    done: how many of them are done
    """

    name: Callable[[Item], str]
    size: Callable[[Item], int]
    done: Callable[[Item], int]


def all_results(
    function: Callable[[Item], Result], items: Sequence[Item], executor: Executor, label: str, job: Job[Item]
) -> list[Result]:
    """What `function` makes of each of `items` on `executor`, in their order, under one progress bar.

    Raises, once all others are through, the error of an item that was alone, or else RunsFailed; and Stopped if this
    process gets a SIGTERM.
    """
    found: dict[int, Result] = {}
    failed: dict[str, Exception] = {}
    epochs = [0] * len(items)

    with progress(sum(map(job.size, items)), label) as bar:

        def look() -> None:
            for number, item in enumerate(items):
                if epochs[number] < job.size(item):
                    epochs[number] = job.done(item)
            bar.update(sum(epochs) - bar.n)

        for number, result in _results(lambda at: executor.submit(function, items[at]), len(items), executor, look):
            epochs[number] = job.size(items[number])
            if isinstance(result, Exception):
                failed[job.name(items[number])] = result
                bar.set_postfix_str(f"{len(failed)} failed, {job.name(items[number])} the last")
            else:
                found[number] = result
    if failed:
        raise _failure(failed, len(items))
    return [found[number] for number in range(len(items))]


def _results(
    submit: Callable[[int], Future[Result]], n: int, executor: Executor, look: Callable[[], None]
) -> Iterator[tuple[int, Result | Exception]]:
    """Each of 0..n-1 with the result that `submit` promises for it, or with the error it ended in, as they come.

    What another process holds (see `leases`) is asked for again later. `look` is called every LOOK seconds. If the
    caller stops, or this process gets a SIGTERM, nothing more is begun, and the pool's processes end.
    """
    pending: dict[Future[Result], int] = {}
    later: dict[int, float] = {}
    try:
        with _sigterm_raises():
            pending = {submit(number): number for number in range(n)}
            while pending or later:
                for future in wait(pending, LOOK, FIRST_COMPLETED).done if pending else _after_a_while():
                    number, error = pending.pop(future), future.exception()
                    if isinstance(error, Held):
                        later[number] = time.monotonic() + random.uniform(1, 2)
                    elif isinstance(error, Exception):
                        yield number, error
                    else:
                        yield number, future.result()
                for number in [number for number, due in later.items() if due <= time.monotonic()]:
                    del later[number]
                    pending[submit(number)] = number
                look()
    except BaseException as reason:
        for future in pending:
            future.cancel()
        if isinstance(executor, Workers):
            pool.cache_clear()
            executor.stop(at_once=not isinstance(reason, Stopped))
        raise


def _after_a_while() -> tuple[Future[Any], ...]:
    time.sleep(LOOK)
    return ()


@contextmanager
def _sigterm_raises() -> Iterator[None]:
    """SIGTERM raises Stopped in the block; only the main thread can see to it."""

    def stop(number: int, frame: FrameType | None) -> None:
        raise Stopped(
            "asked to end (SIGTERM); what is recorded stays, what was being trained is kept up to its last epoch, and "
            "the same command goes on from there."
        )

    if threading.current_thread() is not threading.main_thread():
        yield
        return
    before = signal.signal(signal.SIGTERM, stop)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)


def _failure(failed: Mapping[str, Exception], of: int) -> Exception:
    """What to raise for runs that failed, by name: the error of one that was alone, or a sentence that names some."""
    if of == 1:
        return next(iter(failed.values()))
    named = "; ".join(f"{name}: {_first_line(error)}" for name, error in list(failed.items())[:NAMED])
    more = f"; and {len(failed) - NAMED} more." if len(failed) > NAMED else ""
    failure = RunsFailed(f"{len(failed)} of {of} runs failed, and the others are recorded. {named}{more}")
    failure.__cause__ = next((error for error in failed.values() if not isinstance(error, Problem)), None)
    return failure


def _first_line(error: Exception) -> str:
    line = str(error).partition("\n")[0]
    return line if isinstance(error, Problem) else f"{type(error).__name__}: {line}"


@contextmanager
def progress(total: int, label: str) -> Iterator[tqdm]:
    """A bar in terminals and notebooks, which goes when it is done; nothing where output is collected in a file."""
    # IPython adds get_ipython to the builtins when it runs code. That it can be imported would not say so: it is
    # installed beside the library for the book's sake.
    shell: Any = getattr(builtins, "get_ipython", None)
    in_notebook = shell is not None and hasattr(shell(), "kernel")
    shown = in_notebook or (sys.stderr.isatty() and not parallel.rank())
    with tqdm(total=total, unit="epoch", desc=label, leave=not in_notebook, mininterval=1, disable=not shown) as bar:
        yield bar
    if in_notebook:
        shell().display_pub.clear_output()
