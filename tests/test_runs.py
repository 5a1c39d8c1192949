"""Specs and records: named by content, kept whole, the same however they were made."""

import json
import os
import signal
import subprocess
import sys
import textwrap

import pytest

from aeda_core import runs
from aeda_core.datasets import DataError
from aeda_core.datasets.base import PROJECT
from aeda_core.errors import Problem
from aeda_core.experiments import cmnist
from aeda_core.experiments.cmnist import CMNISTParameters
from aeda_core.runs import MissingRecord, RunRecord


@pytest.fixture
def own_runs(tmp_path, monkeypatch):
    """Records and checkpoints in a folder of the test's own."""
    monkeypatch.setattr(runs, "RUNS", tmp_path / "runs")
    monkeypatch.setattr(runs, "CHECKPOINTS", tmp_path / "checkpoints")
    return tmp_path


def smoke(methods=("original",), **changes):
    return cmnist.specs(CMNISTParameters.load("smoke", data_root="embedded", **changes), methods)


def result(record: RunRecord) -> dict:
    return record.model_dump(exclude={"provenance"})


def test_same_spec_same_record(own_runs):
    (spec,) = smoke(("aeda_robust",))
    first = runs.execute(spec, "embedded", profile="smoke")
    spec.path("live").unlink()
    assert result(runs.execute(spec, "embedded", profile="smoke")) == result(first)


def test_parallel_runs_are_the_runs_alone(tmp_path, monkeypatch):
    """The workers are processes of their own, so they record where the project does; the size is this test's alone."""
    specs = smoke(("original", "undersampling", "aeda_pre"), n_train=257)
    paths = [spec.path("live") for spec in specs]
    for path in paths:
        path.unlink(missing_ok=True)
    together = runs.run_all(specs, profile="smoke", data_root="embedded", workers=2)
    assert all(path.exists() for path in paths)
    for path in paths:
        path.unlink()
    assert [record.spec for record in together] == specs
    monkeypatch.setattr(runs, "RUNS", tmp_path / "runs")
    monkeypatch.setattr(runs, "CHECKPOINTS", tmp_path / "checkpoints")
    assert [result(runs.execute(spec, "embedded", profile="smoke")) for spec in specs] == [
        result(record) for record in together
    ]


def test_a_recorded_run_is_not_trained_again(own_runs, monkeypatch):
    (spec,) = smoke()
    record = runs.execute(spec, "embedded", profile="smoke")
    monkeypatch.setattr(runs, "_train", lambda missing, *_: pytest.fail(f"trained {missing}") if missing else ())
    assert runs.run_all([spec], profile="smoke", data_root="embedded") == [record]


def test_a_missing_record_names_the_command(own_runs):
    recorded = cmnist.specs(CMNISTParameters.load("recorded"))
    with pytest.raises(MissingRecord, match="make reproduce PROFILE=paper"):
        runs.run_all(recorded)


class TestStores:
    """Who reads what: records are made by hand, of the specs that chapter 05 and the smoke profile ask for."""

    @pytest.fixture
    def keep(self, own_runs):
        def write(spec, store, profile="paper"):
            record = RunRecord(spec=spec, provenance={"profile": profile})
            runs.write_atomically(spec.path(store), record.model_dump_json())
            return record

        return write

    @pytest.fixture
    def specs(self):
        """Two seeds of two methods by the full protocol."""
        return cmnist.specs(CMNISTParameters.load("recorded", seeds=2), ("original", "aeda_robust"))

    def test_the_same_training_has_one_record_whoever_asks(self):
        asked = {**CMNISTParameters.load("paper").model_dump(), "profile": "laptop", "data_root": "embedded"}
        fingerprint = {"fingerprint": cmnist.CMNIST.fingerprint}
        laptop = [
            spec.model_copy(update={"data": spec.data | fingerprint})
            for spec in cmnist.specs(CMNISTParameters.checked(**asked))
        ]
        assert laptop == cmnist.specs(CMNISTParameters.load("recorded"))

    @pytest.mark.parametrize(
        ("store", "readers"),
        [("paper", {"recorded", "paper", "laptop", "smoke"}), ("own", {"recorded", "paper", "laptop", "smoke"}),
         ("live", {"laptop", "smoke"})],
    )  # fmt: skip
    def test_what_was_trained_at_another_profile_never_passes_for_the_protocol(self, keep, specs, store, readers):
        keep(specs[0], store)
        profiles = ("recorded", "paper", "laptop", "smoke")
        assert {profile for profile in profiles if runs.kept(specs[:1], profile) != [None]} == readers

    def test_a_run_is_kept_where_its_profile_belongs(self, own_runs, monkeypatch):
        (spec,) = smoke()
        monkeypatch.setattr(
            runs, "perform", lambda spec, *given: RunRecord(spec=spec, provenance={"profile": given[-1]})
        )
        for profile, own, store in (("smoke", True, "live"), ("paper", True, "own"), ("paper", False, "paper")):
            assert runs.execute(spec, profile=profile, own=own).profile == profile
            assert list(own_runs.rglob("*.json")) == [spec.path(store)]
            spec.path(store).unlink()

    def test_bfloat16_stands_in_until_a_comparison_is_whole_in_float32(self, keep, specs):
        stand_ins = [keep(spec.in_bf16, "paper") for spec in specs]
        for spec in specs[:-1]:
            keep(spec, "paper")
        assert runs.recorded(specs) == stand_ins
        assert [record.spec for record in runs.recorded(specs[:2])] == specs[:2]
        keep(specs[-1], "paper")
        assert [record.spec for record in runs.recorded(specs)] == specs

    def test_a_run_without_a_stand_in_is_shown_as_it_is(self, keep, specs):
        keep(specs[0].in_bf16, "paper")
        keep(specs[1], "paper")
        precisions = [record and record.spec.model["precision"] for record in runs.recorded(specs)]
        assert precisions == ["bf16", "fp32", None, None]

    def test_where_runs_are_trained_nothing_stands_in(self, keep, specs):
        keep(specs[0].in_bf16, "paper")
        assert runs.kept(specs[:1], "paper") == [None]


@pytest.mark.parametrize(
    "change",
    [{"epsilon": 0.1}, {"lambda_": 1.0}, {"steps": 3}, {"epochs": 3}, {"n_train": 300}, {"correlation": 0.9}],
)
def test_what_decides_the_result_is_in_the_id(change):
    assert smoke(("aeda_robust",))[0].id != smoke(("aeda_robust",), **change)[0].id


def test_what_a_method_does_not_use_is_not_in_its_id():
    """Otherwise a new ε would throw away every record of the plain classifier."""
    assert smoke(("original",))[0].id == smoke(("original",), epsilon=0.1, strength=3)[0].id


def test_a_new_results_version_is_a_new_run(monkeypatch):
    (before,) = smoke()
    assert before.model_copy(update={"results_version": runs.RESULTS_VERSION + 1}).id != before.id


def test_other_data_than_the_specs_is_refused(own_runs):
    (spec,) = smoke()
    other = spec.model_copy(update={"data": {**spec.data, "fingerprint": "0" * 64}})
    with pytest.raises(DataError, match="fingerprint 000000000000"):
        runs.execute(other, "embedded", profile="smoke")
    assert not list(own_runs.rglob("*.json"))


def test_a_record_edited_by_hand_is_found_out(own_runs):
    (spec,) = smoke()
    runs.execute(spec, "embedded", profile="smoke")
    content = json.loads(spec.path("live").read_text())
    content["spec"]["seed"] = 7
    spec.path("live").write_text(json.dumps(content))
    with pytest.raises(Problem, match="edited by hand"):
        runs.recorded([spec], "smoke")


def test_a_refusal_is_recorded_as_a_sentence(own_runs):
    for spec in smoke(("undersampling", "reweighting")):
        record = runs.execute(spec, "embedded", profile="smoke")
        assert "10 of its 20 groups are empty" in record.refused
        assert record.confusion is None


def test_provenance_says_where_it_came_from_and_nothing_private(own_runs):
    (spec,) = smoke()
    record = runs.execute(spec, "embedded", profile="smoke")
    assert {"date", "commit", "data", "device", "packages", "seconds", "peak_memory_mb"} <= record.provenance.keys()
    assert record.provenance["data"].startswith("stand-in")
    assert str(PROJECT) not in spec.path("live").read_text()


def test_killed_anywhere_nothing_is_lost(own_runs):
    """SIGKILL after the first epoch: no half-written record, and the next call goes on from the checkpoint."""
    (spec,) = smoke(epochs=6)
    code = textwrap.dedent(f"""
        import os, signal
        from pathlib import Path
        from aeda_core import runs
        runs.RUNS, runs.CHECKPOINTS = Path({str(own_runs / "runs")!r}), Path({str(own_runs / "checkpoints")!r})
        runs._tick = lambda _: os.kill(os.getpid(), signal.SIGKILL)
        runs.execute(runs.RunSpec.model_validate_json({spec.model_dump_json()!r}), "embedded", profile="smoke")
    """)
    killed = subprocess.run([sys.executable, "-c", code], env=os.environ | {"PYTHONPATH": str(PROJECT)})
    assert killed.returncode == -signal.SIGKILL
    assert not list(own_runs.rglob("*.json"))
    (checkpoint,) = (own_runs / "checkpoints").glob("*.pt")

    spent = checkpoint.with_suffix(".cost")
    assert min(json.loads(spent.read_text())) > 0
    spent.write_text("[1000.0, 2000.0]")  # as if that epoch had taken long

    resumed = runs.execute(spec, "embedded", profile="smoke")
    assert 1000 < resumed.provenance["seconds"] < 2000 < resumed.provenance["cpu_seconds"]
    assert not checkpoint.exists() and not spent.exists()
    spec.path("live").unlink()
    assert result(runs.execute(spec, "embedded", profile="smoke")) == result(resumed)


def test_a_worker_goes_when_nobody_waits_for_it(monkeypatch):
    class Gone:
        def is_alive(self):
            return False

    def leave(code):
        raise SystemExit(code)

    monkeypatch.setattr(runs.multiprocessing, "parent_process", Gone)
    monkeypatch.setattr(runs.os, "_exit", leave)
    with pytest.raises(SystemExit):
        runs._tick(None)
