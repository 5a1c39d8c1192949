"""What the gate must notice, each in its own way, and what it must let pass."""

import json
import re
from types import SimpleNamespace

import nbformat
import numpy as np
import pytest

from aeda_core import gate, provenance, runs
from aeda_core.experiments import CHAPTERS, cmnist
from aeda_core.findings import assumptions, scorecard
from aeda_core.profiles import Parameters
from aeda_core.runs import RunRecord


@pytest.fixture
def project(tmp_path, monkeypatch):
    """A project of one module, whose state is declared."""
    module = tmp_path / "aeda_core" / "attack.py"
    module.parent.mkdir()
    module.write_text('"""Words."""\n\n\ndef step(x):\n    """More words."""\n    return x + 1  # one\n')
    monkeypatch.setattr(provenance, "PROJECT", tmp_path)
    monkeypatch.setattr(provenance, "DECIDING", ("attack.py",))
    monkeypatch.setattr(gate, "LOCK", tmp_path / "modules.json")
    gate.accept()
    return module


class TestModules:
    def test_what_decides_results_is_noticed(self, project):
        project.write_text(project.read_text().replace("x + 1", "x + 2"))
        (sentence,) = gate.stale_modules()
        assert "aeda_core/attack.py" in sentence and "`aeda accept`" in sentence and "RESULTS_VERSION" in sentence
        gate.accept()
        assert gate.stale_modules() == []

    @pytest.mark.parametrize(
        ("old", "new"),
        [("# one", "# two"), ('"""Words."""', '"""Other words."""'), ('    """More words."""\n', ""), ("\n\n\n", "\n")],
    )
    def test_words_and_layout_decide_nothing(self, project, old, new):
        project.write_text(project.read_text().replace(old, new))
        assert gate.stale_modules() == []

    def test_every_module_that_decides_results_is_watched(self):
        assert set(provenance.modules()) == set(provenance.DECIDING)
        code = {path.name for path in (gate.PROJECT / "aeda_core").iterdir() if not path.name.startswith("__")}
        others = {"cli.py", "errors.py", "experiments", "gate.py", "profiles.py", "provenance.py", "registry.py"}
        assert code - set(provenance.DECIDING) == others | {"display", "findings"}


@pytest.fixture
def chapter(tmp_path, monkeypatch):
    """A chapter of one run, executed and stamped on its record."""
    spec = cmnist.specs(cmnist.CMNISTParameters.load("recorded"))[0]
    record = RunRecord(spec=spec, provenance={"cpu_seconds": 1.0})
    monkeypatch.setattr(runs, "RUNS", tmp_path / "runs")
    monkeypatch.setattr(gate, "PROJECT", tmp_path)
    runs.write_atomically(spec.path("paper"), record.model_dump_json() + "\n")
    made = gate.Chapter("chapter", "chapter.ipynb", Parameters, (lambda p: [spec],))
    notebook = nbformat.v4.new_notebook()
    output = nbformat.v4.new_output("execute_result", {"text/plain": "67.9"}, execution_count=1)
    notebook.cells = [nbformat.v4.new_code_cell("1 + 1", outputs=[output], execution_count=1)]
    gate.stamp(notebook, made)
    (tmp_path / "book").mkdir()
    nbformat.write(notebook, tmp_path / "book" / "chapter.ipynb")
    monkeypatch.setattr(gate, "CHAPTERS", {"chapter": made})
    return made, tmp_path / "book" / "chapter.ipynb", spec.path("paper")


class TestChapters:
    def test_as_executed_it_is_current(self, chapter):
        assert gate.stale_chapter(chapter[0]) == [] and gate.missing_records() == []

    def test_an_output_edited_by_hand_is_noticed(self, chapter):
        made, path, _ = chapter
        path.write_text(path.read_text().replace("67.9", "99.9"))
        (sentence,) = gate.stale_chapter(made)
        assert "outputs of book/chapter.ipynb were edited" in sentence and "`make chapters`" in sentence

    def test_another_record_is_noticed(self, chapter):
        made, _, record = chapter
        record.write_text(record.read_text().replace('"cpu_seconds":1.0', '"cpu_seconds":2.0'))
        (sentence,) = gate.stale_chapter(made)
        assert "executed on other records" in sentence and "`make chapters`" in sentence

    def test_a_hyper_parameter_without_new_records_is_noticed(self, chapter):
        """Which is what changing a default in `experiments/` does: the chapter asks for another spec."""
        made, _, _ = chapter
        spec = made.specs(None)[0]
        other = spec.model_copy(update={"plan": {**spec.plan, "epochs": spec.plan["epochs"] + 1}})
        gate.CHAPTERS["chapter"] = gate.Chapter("chapter", "chapter.ipynb", Parameters, (lambda p: [other],))
        (sentence,) = gate.problems()
        assert "chapter 'chapter' asks for 1 runs without a record" in sentence and "`aeda sweep chapter`" in sentence


def test_a_scorecard_edited_by_hand_is_noticed(tmp_path, monkeypatch):
    edited = tmp_path / "scorecard.json"
    edited.write_text(re.sub(r'"verdict": "[^"]*"', '"verdict": "edited"', scorecard.SCORECARD.read_text(), count=1))
    monkeypatch.setattr(scorecard, "SCORECARD", edited)
    monkeypatch.setattr(scorecard, "PROJECT", tmp_path)
    monkeypatch.setattr(scorecard, "PAGES", {})
    (sentence,) = gate.stale_claims()
    assert sentence == "scorecard.json no longer says what the records say; run `make scorecard`."


class TestVerify:
    @pytest.fixture
    def record(self, monkeypatch):
        spec = cmnist.specs(cmnist.CMNISTParameters.load("smoke", data_root="embedded", precision="fp32"))[0]
        return runs.perform(spec, "embedded")

    @pytest.fixture
    def seeds(self, record, monkeypatch):
        """Five records of the method, that one the first; their bACC and bias differ from seed to seed."""
        others = [
            record.model_copy(
                update={
                    "spec": record.spec.model_copy(update={"seed": seed}),
                    "confusion": (record.counts + [[[right]], [[0]]] * np.eye(10, dtype=int)).tolist(),
                }
            )
            for seed, right in ((1, 1), (2, 2), (3, 1), (4, 2))
        ]
        monkeypatch.setattr(gate, "committed", lambda: [record, *others])
        return [record, *others]

    def test_the_same_run_is_identical(self, record):
        assert gate.verify(record, "embedded").endswith("identical to its record, in the same environment")

    def test_another_result_in_the_same_environment_is_noticed(self, record):
        confusion = json.loads(json.dumps(record.confusion))
        confusion[0][0][0] += 1
        with pytest.raises(
            gate.Stale, match=r"original on cmnist, seed 0 .* different from its record .* RESULTS_VERSION"
        ):
            gate.verify(record.model_copy(update={"confusion": confusion}), "embedded")

    @pytest.mark.parametrize("name", ["device", "capability", "blas_threads"])
    def test_in_another_environment_the_spread_of_the_seeds_is_the_tolerance(self, record, seeds, name):
        elsewhere = record.model_copy(update={"provenance": {**record.provenance, name: "another"}})
        assert "in another environment" in gate.verify(elsewhere, "embedded")
        answers = np.eye(10, dtype=int) if record.bacc < 50 else np.roll(np.eye(10, dtype=int), 1, axis=1)
        other = answers * record.counts.sum(axis=2, keepdims=True)  # all right, or all wrong
        far = elsewhere.model_copy(update={"confusion": other.tolist()})
        with pytest.raises(gate.Stale, match=r"differs from its record by .* in (bacc|bias); the spread of its seeds"):
            gate.verify(far, "embedded")

    def test_the_tolerance_is_that_of_two_draws(self, monkeypatch):
        """bACC 90 to 94: standard deviation 1.581; t(4) at 99.5 % is 4.604, so 4.604 · √2 · 1.581 = 10.29."""
        made = [
            SimpleNamespace(spec=cmnist.specs(cmnist.CMNISTParameters.load("recorded"))[0], bacc=bacc, bias=0.1)
            for bacc in (90.0, 91.0, 92.0, 93.0, 94.0)
        ]
        monkeypatch.setattr(gate, "committed", lambda: made)
        assert gate.tolerance(made[0]) == {"bacc": pytest.approx(10.29, abs=0.01), "bias": gate.LEAST["bias"]}

    def test_without_other_seeds_there_is_nothing_to_judge_by(self, record, monkeypatch):
        monkeypatch.setattr(gate, "committed", lambda: [record])
        elsewhere = record.model_copy(update={"provenance": {**record.provenance, "device": "another"}})
        with pytest.raises(gate.Stale, match=r"1 runs like original on cmnist"):
            gate.verify(elsewhere, "embedded")

    def test_bfloat16_is_not_emulated(self, record, seeds, monkeypatch):
        monkeypatch.setattr(gate.common, "has_bf16", lambda: False)
        seeds[:] = [r.model_copy(update={"spec": r.spec.in_bf16}) for r in seeds]
        monkeypatch.setattr(gate, "committed", lambda: seeds)
        assert "trained in float32, for this CPU emulates bfloat16" in gate.verify(seeds[0], "embedded")

    def test_a_sample_is_drawn_by_its_seed_from_runs_that_are_cheap_enough(self):
        one, same, other = (gate.sample(4, seed, minutes=1.0) for seed in (0, 0, 1))
        assert [r.spec.id for r in one] == [r.spec.id for r in same] != [r.spec.id for r in other]
        assert len(one) == 4 and all(r.provenance["cpu_seconds"] <= 60 for r in one)


class TestCommitted:
    def test_all_fits_together(self):
        assert gate.problems() == []

    def test_the_register_and_the_code_name_the_same_assumptions(self):
        code = " ".join(path.read_text() for path in (gate.PROJECT / "aeda_core").rglob("*.py"))
        marked = set(re.findall(r"assumption: ([a-z0-9-]+)\)", re.sub(r"\s+", " ", code)))
        assert marked - {"id"} == {each.id for each in assumptions.REGISTER}
        chapters = {chapter.notebook[:2] for chapter in CHAPTERS.values()}
        assert {each.chapter for each in assumptions.REGISTER} <= chapters
