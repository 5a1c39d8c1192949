"""A method is one file, and so is a data set: what it says about itself, and that nothing else has to name it."""

import importlib
import sys

import nbformat
import numpy as np
import pytest
import torch
from typer.testing import CliRunner

from aeda_core import cli, datasets, experiments, gate, methods, models, runs
from aeda_core.datasets import DataError
from aeda_core.display import captions, plots, tables
from aeda_core.display.look import look
from aeda_core.errors import Problem
from aeda_core.experiments import CHAPTERS, cmnist
from aeda_core.findings import claims, measures
from aeda_core.findings.judge import by_method, judge
from aeda_core.findings.paper import TABLE1
from aeda_core.methods import METHODS, STUDIES, Method, Plan
from aeda_core.profiles import ParameterError
from aeda_core.runs import RunRecord

NEW_METHOD = '''
from pydantic import Field

from aeda_core.methods.base import Method
from aeda_core.methods.needs import EveryGroup


class Louder(Method):
    """`louder`: the loss times a factor."""

    name, label, ours = "louder", "Louder (ours)", True
    needs = (EveryGroup(),)

    class Options(Method.Options):
        factor: float = Field(2.0, gt=0, description="of the loss")

    def loss(self, batch):
        return self.options.factor * super().loss(batch)
'''


NEW_DATA = '''
from dataclasses import dataclass
from types import SimpleNamespace

import torch

from aeda_core.datasets.base import BiasedImages, fingerprint
from aeda_core.datasets.dataset import DataSet


@dataclass(frozen=True)
class Recipe:
    n: int = 40


class Squares(DataSet):
    """`squares`: plain squares, bright or dark, tinted in one of three colours."""

    name, title, content = "squares", "Squares", "squares"
    real, fingerprint, stand_in = "squares", fingerprint(torch.arange(3)), "nothing"
    network = {"name": "small_cnn", "width": 4}
    target_names, bias_names = ("dark", "bright"), ("red", "green", "blue")
    Recipe = Recipe

    @classmethod
    def read(cls, root, recipe, wanted=""):
        return SimpleNamespace(source="drawn squares", fingerprint=cls.fingerprint)

    @classmethod
    def split(cls, source, recipe):
        return tuple(cls.drawn(recipe.n, first) for first in (0, 1000, 2000))

    @classmethod
    def drawn(cls, n, first):
        index = torch.arange(n)
        targets, bias = index % 2, index % 3
        images = (60 + 100 * targets)[:, None, None, None].repeat(1, 3, 12, 12)
        images[index, bias] += 50
        return BiasedImages(images.byte(), targets, bias, index + first, cls.target_names, cls.bias_names)
'''


NEW_CHAPTER = """
from aeda_core.experiments import CHAPTERS, cmnist
from aeda_core.experiments.chapter import Chapter
from aeda_core.profiles import Parameters


class HalfParameters(Parameters):
    changes = {"smoke": {"seeds": 1}}


def specs(p):
    digits = cmnist.CMNISTParameters.load(p.profile, data_root=p.data_root, seeds=p.seeds, correlation=0.5)
    return cmnist.specs(digits, ("original",))


CHAPTER = Chapter("half", "11_half.ipynb", HalfParameters, (specs,))
"""


@pytest.fixture
def new_package(tmp_path, monkeypatch):
    """Writes a package of one module and imports it; the registries are as they were afterwards."""

    def write(name, source):
        written.append(name)
        folder = tmp_path / name
        folder.mkdir()
        (folder / "__init__.py").touch()
        (folder / "added.py").write_text(source)
        importlib.invalidate_caches()
        return importlib.import_module(name)

    monkeypatch.syspath_prepend(tmp_path)
    datasets.known()
    registries, written = (METHODS, STUDIES, datasets._found, CHAPTERS), []
    before = [dict(known) for known in registries]
    yield write
    for known, kept in zip(registries, before, strict=True):
        known.clear()
        known.update(kept)
    for name in written:
        sys.modules.pop(name, None)
        sys.modules.pop(f"{name}.added", None)


def test_one_new_file_adds_a_method(new_package, make_model, biased_images):
    methods.discover(new_package("more_methods", NEW_METHOD))
    assert list(METHODS)[-1] == "louder"
    plain, louder = (
        methods.named(name)(make_model(), biased_images, Plan(), seed=0, **options)
        for name, options in (("original", {}), ("louder", {"factor": 3}))
    )
    batch = torch.arange(10)
    torch.testing.assert_close(louder.loss(batch), 3 * plain.loss(batch))


def test_a_new_method_is_shown_wherever_methods_are(new_package, monkeypatch):
    """In the table, its dot plot and the curves, with its own label and look, and among the claims as ours."""
    methods.discover(new_package("shown_methods", NEW_METHOD))
    monkeypatch.setattr(cmnist, "METHODS", (*cmnist.METHODS, "louder"))
    p = cmnist.CMNISTParameters.load("smoke", data_root="embedded", correlation=0.7)
    records = [runs.perform(spec, "embedded") for spec in cmnist.specs(p, ("original", "louder"))]
    assert "Louder (ours)" in tables.table1(records).data.index
    assert "Louder (ours)" in plots.fig_table(records).alt
    assert "Louder (ours)" in plots.fig_curves(records, ("bacc", "bias")).svg
    assert look("louder") not in [look(name) for name in METHODS if name != "louder"]
    rows = {row.id: row for row in claims._table1()}
    assert rows["table1.louder.bacc"].paper is None
    assert judge(rows["table1.louder.bacc"], by_method(records)).verdict == "ours"


def test_its_needs_and_ranges_are_checked_for_it(new_package, make_model, biased_images, one_colour_a_class, refused):
    methods.discover(new_package("checked_methods", NEW_METHOD))
    with refused(methods.EmptyGroup, "louder balances", "3 of its 6 groups"):
        METHODS["louder"](make_model(), one_colour_a_class, Plan(), 0)
    with refused(ParameterError, "option factor is 0: it should be greater than 0"):
        METHODS["louder"](make_model(), biased_images, Plan(), 0, factor=0)


def test_a_name_that_is_taken_is_refused(new_package, refused):
    with refused(Problem, "two_methods.added defines a method 'original'", "aeda_core.methods.original"):
        methods.discover(new_package("two_methods", NEW_METHOD.replace('"louder"', '"original"')))


def test_an_unknown_name_lists_those_there_are(refused):
    with refused(Problem, "there is no method 'aeda_robots'", "aeda_robust", "few_shot"):
        methods.named("aeda_robots")


def test_methods_stand_in_the_papers_order():
    """That of Table 1, with `aeda_once` where Fig. 10 has it and ours behind; chapters list them so."""
    printed = list(TABLE1)
    assert [name for name in METHODS if name in printed] == printed


def test_labels_say_what_is_ours():
    ours = {name for name, kind in METHODS.items() if kind.ours}
    assert ours == {"oracle", *(name for name, kind in METHODS.items() if "(ours)" in kind.label)}


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"zzz": 0.1}, ("there is no option 'zzz'; known are norm, epsilon,", "bias_learning_rate")),
        ({"epsilon": -0.1}, ("option epsilon is -0.1: it should be greater than or equal to 0",)),
        ({"epsilon": float("inf")}, ("option epsilon is inf: it should be a finite number",)),
        ({"lambda_": 1.5}, ("option lambda_ is 1.5: it should be less than or equal to 1",)),
        ({"norm": "l1"}, ("option norm is 'l1'", "'linf' or 'l2'")),
        ({"steps": True}, ("option steps is True", "not a truth value")),
    ],
)
def test_options_are_refused_in_a_sentence(make_model, biased_images, refused, options, words):
    with refused(ParameterError, *words):
        METHODS["aeda_robust"](make_model(), biased_images, Plan(), 0, **options)


def test_a_method_without_options_says_so(make_model, biased_images, refused):
    with refused(ParameterError, "there is no option 'epsilon'; there are none"):
        METHODS["original"](make_model(), biased_images, Plan(), 0, epsilon=0.1)


@pytest.mark.parametrize(("heads", "words"), [({"n_targets": 4}, "4 outputs"), ({"n_bias": 1}, "n_bias=2")])
def test_heads_that_do_not_fit_the_labels_are_refused(make_model, biased_images, refused, heads, words):
    with refused(Problem, words):
        Method(make_model(**heads), biased_images, Plan(), 0)


@pytest.mark.parametrize("name", ["hard_switch", "adversarial_switch"])
def test_switching_takes_two_classes(make_model, biased_images, refused, name):
    with refused(Problem, f"{name} switches", "3 targets (top, middle, bottom)"):
        STUDIES[name](make_model(), biased_images, Plan(), 0)


class TestDataSets:
    def test_one_new_file_adds_a_data_set(self, new_package):
        datasets.discover(new_package("more_data", NEW_DATA))
        splits = datasets.load("squares", n=20)
        assert (len(splits.training), splits.source) == (20, "drawn squares")

    def test_a_run_over_it_is_recorded_and_knows_its_targets(self, new_package):
        datasets.discover(new_package("recorded_data", NEW_DATA))
        kind = datasets.named("squares")
        spec = runs.RunSpec(
            method="aeda_robust",
            data={"name": "squares", "fingerprint": kind.fingerprint, "n": 30},
            model=kind.network,
            plan={"epochs": 1, "batch_size": 10},
            options={"steps": 1},
            seed=0,
        )
        record = runs.perform(spec)
        assert record.counts.shape == (3, 2, 2)
        assert record.spec.target_names == ("dark", "bright")
        assert record.provenance["data"] == "drawn squares"
        assert np.isfinite(measures.frame([record])["consistency"]).all()
        figure, table = plots.fig_table([record]), tables.compared([record])
        assert "AEDA_robust" in figure.alt and "Squares, drawn" in figure.caption and "the paper" not in figure.svg
        assert table.data.loc["AEDA_robust"].index.tolist() == ["bACC (%)", "model bias"]
        assert "test images of Squares" in table.caption
        assert captions.unit_of([record]) == "seed"

    def test_a_name_that_is_taken_is_refused(self, new_package, refused):
        with refused(DataError, "two_data.added defines a data set 'cmnist'", "aeda_core.datasets.cmnist"):
            datasets.discover(new_package("two_data", NEW_DATA.replace('"squares", "Squares"', '"cmnist", "Squares"')))

    @pytest.mark.parametrize("name", ["cmnist", "celeba"])
    def test_a_split_has_the_names_that_the_data_set_says(self, name):
        kind = datasets.named(name)
        few = {"n_train": 100, "n_validation": 100} if name == "cmnist" else {"size": 32, "n_persons": 300}
        splits = datasets.load(name, "embedded", **few, **({"n_validation": 50} if name == "celeba" else {}))
        for part in (splits.training, splits.validation, splits.test):
            assert (part.target_names, part.bias_names) == (kind.target_names, kind.bias_names)

    @pytest.mark.parametrize("name", ["cmnist", "celeba"])
    def test_its_network_takes_its_images(self, name):
        kind = datasets.named(name)
        model = models.build(**kind.network, n_targets=len(kind.target_names), n_bias=len(kind.bias_names))
        size = kind.network.get("size", kind.Recipe().size)
        assert model(torch.zeros(1, 3, size, size))[0].shape == (1, len(kind.target_names))

    def test_a_run_about_gender_has_its_values_as_targets(self):
        data = {"name": "celeba", "fingerprint": "", "targets": "bias"}
        common = {"method": "hard_switch", "model": {}, "plan": {}}
        assert runs.RunSpec(data=data, options={}, seed=0, **common).target_names == ("female", "male")


class TestChapters:
    @pytest.fixture
    def half(self, new_package, tmp_path, monkeypatch):
        """A chapter of one run a seed, alone in a project with no other file than its notebook."""
        experiments.discover(new_package("more_chapters", NEW_CHAPTER))
        for name in set(CHAPTERS) - {"half"}:
            del CHAPTERS[name]
        for module in (cli, gate):
            monkeypatch.setattr(module, "PROJECT", tmp_path)
        monkeypatch.setattr(runs, "RUNS", tmp_path / "runs")
        cell = nbformat.v4.new_code_cell("", metadata={"tags": ["parameters"]})
        runs.write_atomically(
            tmp_path / "book" / "11_half.ipynb", nbformat.writes(nbformat.v4.new_notebook(cells=[cell]))
        )
        return CHAPTERS["half"]

    def test_one_new_file_and_a_notebook_add_a_chapter(self, half, tmp_path):
        runner = CliRunner()
        (spec,) = half.specs(half.parameters.load("smoke", data_root="embedded"))
        runs.execute(spec, "embedded", profile="smoke")
        told = ["--profile", "smoke", "--data", "embedded"]
        shown = runner.invoke(cli.app, ["run", "original", "--chapter", "half", *told])
        assert shown.exit_code == 0 and str(spec.path("live").relative_to(tmp_path)) in shown.output
        (sentence,) = gate.missing_records()
        assert "`aeda sweep half`" in sentence
        for spec in half.specs(half.parameters.load("recorded")):
            record = RunRecord(spec=spec, provenance={"profile": "paper"})
            runs.write_atomically(spec.path("paper"), record.model_dump_json())
        assert gate.missing_records() == []
        assert runner.invoke(cli.app, ["chapters"]).exit_code == 0
        (cell,) = nbformat.read(tmp_path / "book" / "11_half.ipynb", as_version=4).cells
        assert cell.source == half.parameters.cell() and cell.execution_count == 1
        assert gate.stale_chapter(half) == []

    def test_a_name_that_is_taken_is_refused(self, new_package, refused):
        with refused(Problem, "two_chapters.added defines a chapter 'cmnist'"):
            experiments.discover(new_package("two_chapters", NEW_CHAPTER.replace('"half"', '"cmnist"')))
