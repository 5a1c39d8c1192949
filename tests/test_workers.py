"""Worker processes: one that dies costs nobody else anything, and none outlives its parent."""

import os
import signal
import subprocess
import sys
import textwrap
import time
from concurrent.futures import wait

import psutil
import pytest

from aeda_core import workers
from aeda_core.workers import Stopped, WorkerLost, Workers


@pytest.fixture(scope="module")
def pool():
    pool = Workers(2)
    yield pool
    pool.stop(at_once=True)


def die_at_first(marker):
    """Dies as if memory had run out, the first time."""
    if not os.path.exists(marker):
        open(marker, "w").close()
        os.kill(os.getpid(), signal.SIGKILL)
    return "done"


def die():
    os.kill(os.getpid(), signal.SIGKILL)


def fail():
    raise KeyError("of the run's own")


def stop_at_next(seconds):
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        workers.stop_if_asked()
        time.sleep(0.01)


@pytest.mark.slow
def test_a_killed_worker_costs_its_own_run_alone(pool, tmp_path, refused):
    marker = str(tmp_path / "died")
    dies, always = pool.submit(die_at_first, marker), pool.submit(die)
    others = [pool.submit(time.sleep, 0.01) for _ in range(5)]
    wait([dies, always, *others])
    assert dies.result() == "done"
    assert [other.result() for other in others] == [None] * 5
    with refused(WorkerLost, f"died {workers.TRIES} times", "--workers"):
        always.result()


@pytest.mark.slow
def test_an_error_is_not_tried_again(pool):
    with pytest.raises(KeyError, match="of the run's own"):
        pool.submit(fail).result()


@pytest.mark.slow
@pytest.mark.parametrize("at_once", [True, False])
def test_stopped(at_once, refused):
    pool = Workers(1)
    runs = pool.submit(time.sleep, 60) if at_once else pool.submit(stop_at_next, 60)
    waits = pool.submit(time.sleep, 60)
    while not pool._processes:
        time.sleep(0.05)
    time.sleep(0.2)
    began = time.monotonic()
    pool.stop(at_once=at_once)
    assert time.monotonic() - began < 5
    with refused(Stopped, "goes on from there"):
        runs.result()
    assert waits.cancelled()
    assert not any(process.is_running() for process in pool._processes)


@pytest.mark.slow
def test_workers_end_within_seconds_of_a_killed_parent():
    """In the midst of what they do."""
    code = textwrap.dedent("""
        import os, time
        from aeda_core.workers import Workers
        if __name__ == "__main__":
            pool = Workers(2)
            for _ in range(2):
                pool.submit(time.sleep, 600)
            while len(pool._processes) < 2:
                time.sleep(0.05)
            print(*(process.pid for process in pool._processes), flush=True)
            time.sleep(600)
    """)
    with subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, text=True) as parent:
        children = [psutil.Process(int(pid)) for pid in parent.stdout.readline().split()]
        assert len(children) == 2
        parent.kill()
    _, alive = psutil.wait_procs(children, timeout=5)
    assert alive == []
