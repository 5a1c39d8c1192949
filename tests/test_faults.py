"""What can go wrong with a machine does, and nothing is lost. `pytest -m faults` is the long form."""

import errno
import json
import os
import subprocess
import sys
import tempfile
import textwrap
import time
from contextlib import contextmanager
from pathlib import Path

import nbformat
import papermill
import psutil
import pytest
from hypothesis import given
from hypothesis import strategies as st
from made import with_damage

from aeda_core import runs, storage
from aeda_core.datasets.base import PROJECT
from aeda_core.errors import Problem
from aeda_core.runs import RunRecord, RunSpec
from aeda_core.storage import StorageError

ENVIRONMENT = os.environ | {"PYTHONPATH": str(PROJECT)}


def reliability(folder, *words):
    report = folder / "reliability.json"
    command = [sys.executable, "-m", "benchmarks.reliability", "--into", report, *words]
    done = subprocess.run(command, cwd=PROJECT, env=ENVIRONMENT, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr
    return json.loads(report.read_text())


@pytest.mark.slow
def test_killed_at_random_moments(tmp_path):
    """Three methods are killed (SIGKILL) at random moments, alone and as three processes on one store."""
    report = reliability(tmp_path, "--short")
    assert (report["lost"], report["resumed_exact"], report["trained_once"]) == (0, 3, True)


@pytest.mark.faults
def test_every_method_killed_at_random_moments(tmp_path):
    """Every method is killed at random moments, alone, as three processes on one store, and a worker of Dask."""
    report = reliability(tmp_path)
    assert report["lost"] == 0 and report["trained_once"]
    assert report["kills"] >= 30 and report["runs_on_dask"] >= 24


# --- disks --------------------------------------------------------------------------------------------------------


def write_into(folder, n):
    """Another process, which is not root, tries to write `n` bytes; what it says."""
    code = textwrap.dedent(f"""
        import os, resource
        from pathlib import Path
        from aeda_core.storage import StorageError, write
        if os.geteuid() == 0:
            os.seteuid(65534)
        resource.setrlimit(resource.RLIMIT_FSIZE, (4096, 4096))
        try:
            write(Path({str(folder / "kept")!r}), b"x" * {n})
        except StorageError as sentence:
            print(sentence)
    """)
    done = subprocess.run([sys.executable, "-c", code], env=ENVIRONMENT, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    return done.stdout.strip()


@pytest.fixture
def shared_folder():
    """A folder that everybody may reach and write to."""
    with tempfile.TemporaryDirectory() as folder:
        Path(folder).chmod(0o777)
        yield Path(folder)
        Path(folder).chmod(0o777)


def test_a_file_that_may_not_grow(shared_folder):
    """A file grows over its limit (RLIMIT_FSIZE) while it is written."""
    kept = shared_folder / "kept"
    kept.write_text("before")
    said = write_into(shared_folder, 10_000)
    assert "kept' cannot be written (File too large)" in said and said.endswith(".") and "\n" not in said
    assert kept.read_text() == "before"
    assert list(shared_folder.iterdir()) == [kept]


def test_a_store_that_is_read_only(shared_folder):
    """The store may not be written to."""
    shared_folder.chmod(0o555)
    assert "kept' cannot be written (Permission denied)" in write_into(shared_folder, 10)
    assert list(shared_folder.iterdir()) == []


@contextmanager
def small_disk(folder):
    """A tmpfs of a mebibyte in `folder`; only root may mount one."""
    if subprocess.run(["mount", "-t", "tmpfs", "-o", "size=1m", "tmpfs", folder], capture_output=True).returncode:
        pytest.skip("a small disk can be mounted by root alone, and only on Linux")
    try:
        yield
    finally:
        subprocess.run(["umount", folder], check=True)


def test_a_disk_that_is_full(tmp_path):
    """The disk is full (a tmpfs of 1 MiB)."""
    with small_disk(tmp_path):
        storage.write(tmp_path / "kept", b"before" * 100_000)
        with pytest.raises(StorageError, match="No space left on device"):
            storage.write(tmp_path / "kept", b"x" * 900_000)
        assert (tmp_path / "kept").read_bytes() == b"before" * 100_000
        assert [path.name for path in tmp_path.iterdir()] == ["kept"]


@pytest.fixture
def own_runs(tmp_path, monkeypatch):
    monkeypatch.setattr(runs, "RUNS", tmp_path / "runs")
    monkeypatch.setattr(runs, "CHECKPOINTS", tmp_path / "checkpoints")
    return tmp_path


@pytest.fixture
def spec():
    from benchmarks.reliability import grid

    return grid(1, ("original",))[0]


def test_a_disk_that_fills_up_while_a_run_is_trained(own_runs, spec, monkeypatch):
    """The disk fills up after a run's first epoch: a sentence, and the next call goes on from there."""
    fsync, calls = os.fsync, []

    def full(descriptor):
        calls.append(descriptor)
        if len(calls) > 6:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        fsync(descriptor)

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(StorageError, match="No space left on device"):
        runs.execute(spec, "embedded", profile="smoke")
    kept = sorted(path.suffix for path in (own_runs / "checkpoints").iterdir())
    assert kept == [".cost", ".safetensors"]
    assert not (own_runs / "runs").exists()
    monkeypatch.setattr(os, "fsync", fsync)
    resumed = runs.execute(spec, "embedded", profile="smoke")
    assert resumed.digest == runs.perform(spec, "embedded").digest


# --- damage -------------------------------------------------------------------------------------------------------


RECORD = RunRecord(
    spec=RunSpec(method="original", data={"name": "cmnist"}, model={}, plan={}, options={}, seed=0),
    epochs=[{"epoch": 1, "loss": 2.25, "bacc": 10.0, "bias": 0.5}],
    groups=[[5, 5], [5, 5]],
    confusion=[[[3, 2], [1, 4]], [[5, 0], [0, 5]]],
    provenance={"profile": "smoke"},
)
SEALED = RECORD.model_copy(update={"provenance": {"profile": "smoke", "results": RECORD.digest}})


@given(st.data())
def test_a_record_damaged_at_any_byte(data):
    """A bit of a record flips, or its end is lost, at any byte."""
    content = with_damage(data, SEALED.model_dump_json(exclude_none=True).encode())
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "record.json")
        path.write_bytes(content)
        try:
            found = runs._read(path, RECORD.spec)
        except Problem as sentence:
            assert str(path) in str(sentence) and str(sentence).endswith(".") and "\n" not in str(sentence)
        else:  # what is left is where the record is from
            assert (found.spec, found.digest) == (SEALED.spec, SEALED.digest)


@pytest.mark.parametrize("content", [b"", b"[1.0", b"\xff\xfe", b"null"])
def test_a_damaged_note_of_the_cost(own_runs, spec, content):
    """The note of what a run has cost is damaged: it is set aside, and the run goes on."""
    runs.CHECKPOINTS.mkdir()
    checkpoint = runs.checkpoint_of(spec)
    checkpoint.touch()
    cost = runs.provenance.Cost.beside(checkpoint)
    cost.write_bytes(content)
    assert runs.provenance.Cost(checkpoint).before == [0.0, 0.0]
    assert cost.with_name(f"{cost.name}.damaged").read_bytes() == content


# --- processes ----------------------------------------------------------------------------------------------------

NOTEBOOK = """
import os
from aeda_core import runs
from benchmarks.reliability import grid
if os.environ.get("DIE"):
    import threading, time, pathlib, signal
    def die():
        while not list(runs.CHECKPOINTS.glob("*.safetensors")):
            time.sleep(0.01)
        os.kill(os.getpid(), signal.SIGKILL)
    threading.Thread(target=die).start()
print([r.digest for r in runs.run_all(grid(1, ("aeda_pre", "original")), profile="smoke", data_root="embedded")])
"""


@pytest.mark.faults
def test_a_kernel_that_dies(tmp_path, monkeypatch):
    """The kernel of a chapter dies while papermill executes it."""
    monkeypatch.setenv("AEDA_RUNS", str(tmp_path))
    monkeypatch.setenv("PYTHONPATH", str(PROJECT))
    cells = [nbformat.v4.new_code_cell(NOTEBOOK)]
    kernel = {"kernelspec": {"name": "python3", "display_name": "Python 3", "language": "python"}}
    nbformat.write(nbformat.v4.new_notebook(cells=cells, metadata=kernel), tmp_path / "in.ipynb")
    before = {process.pid for process in psutil.process_iter()}

    def execute():
        papermill.execute_notebook(tmp_path / "in.ipynb", tmp_path / "out.ipynb", progress_bar=False)

    monkeypatch.setenv("DIE", "1")
    with pytest.raises(Exception, match="Kernel died"):
        execute()
    assert workers_left(before, seconds=30) == []
    monkeypatch.delenv("DIE")
    execute()
    shown = nbformat.read(tmp_path / "out.ipynb", as_version=4).cells[0].outputs[-1].text
    from benchmarks.reliability import grid

    alone = [runs.perform(spec, "embedded").digest for spec in grid(1, ("aeda_pre", "original"))]
    assert shown.strip() == str(alone)


def workers_left(before, seconds):
    """The worker processes of the dead kernel that are still there after so many seconds."""
    end = time.monotonic() + seconds
    while True:
        found = []
        for process in psutil.process_iter(["pid", "ppid", "cmdline", "environ"]):
            ours = (process.info["environ"] or {}).get("DIE") == "1"
            if process.pid not in before and ours and "spawn_main" in " ".join(process.info["cmdline"] or []):
                found.append(process.pid)
        if not found or time.monotonic() > end:
            return found
        time.sleep(0.2)


@pytest.mark.faults
def test_asked_to_end(tmp_path):
    """A sweep gets a SIGTERM: it ends with the epoch and says so, and the next one goes on from there."""
    code = textwrap.dedent("""
        import sys
        from aeda_core import runs
        from aeda_core.errors import Problem
        from benchmarks.reliability import grid
        if __name__ == "__main__":
            long = {"plan": {"epochs": 5000, "batch_size": 25}}
            specs = [spec.model_copy(update=long) for spec in grid(2, ("original",))]
            try:
                runs.run_all(specs, profile="smoke", data_root="embedded", workers=2)
            except Problem as sentence:
                sys.exit(str(sentence))
    """)
    script = tmp_path / "sweep.py"
    script.write_text(code)
    environment = ENVIRONMENT | {"AEDA_RUNS": str(tmp_path)}
    asked = {"env": environment, "stderr": subprocess.PIPE, "text": True, "cwd": PROJECT}
    with subprocess.Popen([sys.executable, script], **asked) as sweep:
        while len(list((tmp_path / "checkpoints").glob("*.safetensors"))) < 2:
            assert sweep.poll() is None
            time.sleep(0.1)
        sweep.terminate()
        _, said = sweep.communicate(timeout=60)
    assert sweep.returncode == 1
    assert said.strip().splitlines()[-1].startswith("asked to end (SIGTERM); what is recorded stays")
    assert not list((tmp_path / "checkpoints").glob("*.lease"))
    assert len(list((tmp_path / "checkpoints").glob("*.safetensors"))) == 2
