"""Runs on the machines of a cluster: an executor for `runs.run_all`, through Dask."""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import Executor
from contextlib import contextmanager

from aeda_core.errors import Problem

ANSWER = 30
"""Seconds in which a scheduler has to answer."""


@contextmanager
def dask(address: str, workers: int) -> Iterator[Executor]:
    """The workers of the scheduler at `address`, such as `tcp://host:8786`, or for `local` so many on this machine.

    The workers have to see the same checkout and the same data/, or the same folder AEDA_RUNS, as this process. One
    that dies is replaced, and its run goes on from its last epoch.
    Raises Problem where Dask is not installed or nobody answers.
    """
    try:
        from distributed import Client, LocalCluster
    except ModuleNotFoundError as missing:
        raise Problem(
            f"--dask needs {missing.name}, which is not installed; `pip install 'aeda-core[cluster]'` does it."
        ) from None
    if address == "local":
        with (
            LocalCluster(n_workers=workers, threads_per_worker=1, dashboard_address=None) as cluster,
            Client(cluster) as client,
        ):
            yield client.get_executor(pure=False)
        return
    try:
        connected = Client(address, timeout=ANSWER)
    except (OSError, ValueError) as reason:
        raise Problem(
            f"no Dask scheduler answers at '{address}' ({str(reason).partition(chr(10))[0]}); start one with `dask "
            "scheduler`, or give --dask local."
        ) from None
    with connected as client:
        yield client.get_executor(pure=False)
