"""A run is trained by one living process at a time, whoever shares the disk."""

import json
import os
import subprocess
import sys
import threading
import time

import pytest

from aeda_core import leases
from aeda_core.leases import Held, lease


def put_up(folder, **owner):
    """Somebody else's lease."""
    told = {"host": "elsewhere", "system": "another", "pid": 1, **owner}
    path = folder / "run.0123.lease"
    path.write_text(json.dumps(told))
    return path


def test_one_at_a_time(tmp_path, refused):
    with lease(tmp_path, "run"):
        with lease(tmp_path, "another"):
            pass
        with refused(Held, f"process {os.getpid()} on ", "will not be trained twice"), lease(tmp_path, "run"):
            pass
    with lease(tmp_path, "run"):
        pass
    assert list(tmp_path.iterdir()) == []


def test_a_dead_process_loses_it_at_once(tmp_path):
    ended = subprocess.Popen([sys.executable, "-c", ""])
    ended.wait()
    path = put_up(tmp_path, system=leases._system(), pid=ended.pid)
    with lease(tmp_path, "run"):
        assert not path.exists()


def test_one_on_another_machine_loses_it_when_it_shows_no_life(tmp_path, monkeypatch):
    path = put_up(tmp_path)
    with pytest.raises(Held, match="process 1 on elsewhere"), lease(tmp_path, "run"):
        pass
    monkeypatch.setattr(leases, "PATIENCE", 0.05)
    time.sleep(0.1)
    with lease(tmp_path, "run"):
        assert not path.exists()


def test_signs_of_life_count_whatever_the_clocks_say(tmp_path, monkeypatch):
    """The other's clock is a day ahead, then a year behind; that it changes is what counts."""
    path = put_up(tmp_path)
    monkeypatch.setattr(leases, "PATIENCE", 0.05)
    for clock in (time.time() + 86400, time.time() - 3e7, 0):
        os.utime(path, (clock, clock))
        with pytest.raises(Held), lease(tmp_path, "run"):
            pass
        time.sleep(0.06)


def test_a_holder_shows_life_and_notices_that_it_lost(tmp_path, monkeypatch):
    monkeypatch.setattr(leases, "BEAT", 0.01)
    with lease(tmp_path, "run") as mine:
        before = mine.path.stat().st_mtime_ns
        until(lambda: mine.path.stat().st_mtime_ns != before)
        mine.path.unlink()
        until(lambda: mine.lost)


def until(true, seconds=10):
    end = time.monotonic() + seconds
    while not true():
        assert time.monotonic() < end
        time.sleep(0.01)


def test_of_many_that_begin_together_never_two_hold_it(tmp_path):
    inside, most, times = [], [], []

    def work():
        while len(times) < 40:
            try:
                with lease(tmp_path, "run"):
                    inside.append(1)
                    most.append(len(inside))
                    time.sleep(0.001)
                    inside.pop()
                    times.append(1)
            except Held:
                time.sleep(0.001)

    threads = [threading.Thread(target=work) for _ in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert max(most) == 1
