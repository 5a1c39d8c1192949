"""A method is one file: what it says about itself, what it can be told, and that nothing else has to name it."""

import importlib
import sys

import pytest
import torch

from aeda_core import methods
from aeda_core.errors import Problem
from aeda_core.methods import METHODS, STUDIES, Method, Plan
from aeda_core.profiles import ParameterError
from aeda_core.report.paper import METHOD_LABELS

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


@pytest.fixture
def new_package(tmp_path, monkeypatch):
    """Writes a package of one module and imports it; METHODS and STUDIES are as they were afterwards."""

    def write(name, source):
        folder = tmp_path / name
        folder.mkdir()
        (folder / "__init__.py").touch()
        (folder / "added.py").write_text(source)
        importlib.invalidate_caches()
        return importlib.import_module(name)

    monkeypatch.syspath_prepend(tmp_path)
    before, loaded = (dict(METHODS), dict(STUDIES)), set(sys.modules)
    yield write
    for known, kept in zip((METHODS, STUDIES), before, strict=True):
        known.clear()
        known.update(kept)
    for module in set(sys.modules) - loaded:
        del sys.modules[module]


def test_one_new_file_adds_a_method(new_package, make_model, biased_images):
    methods.discover(new_package("more_methods", NEW_METHOD))
    assert list(METHODS)[-1] == "louder"
    plain, louder = (
        methods.named(name)(make_model(), biased_images, Plan(), seed=0, **options)
        for name, options in (("original", {}), ("louder", {"factor": 3}))
    )
    batch = torch.arange(10)
    torch.testing.assert_close(louder.loss(batch), 3 * plain.loss(batch))


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
    labels = [name for name in METHOD_LABELS if name in METHODS]
    assert list(METHODS) == labels


def test_labels_say_what_is_ours():
    assert {name: kind.label for name, kind in METHODS.items()} == {name: METHOD_LABELS[name] for name in METHODS}
    assert {name for name, kind in METHODS.items() if kind.ours} == {
        "oracle",
        *(name for name in METHODS if "(ours)" in METHOD_LABELS[name]),
    }


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"zzz": 0.1}, ("there is no option 'zzz'; known are norm, epsilon,", "bias_learning_rate")),
        ({"epsilon": -0.1}, ("option epsilon is -0.1: it should be greater than or equal to 0",)),
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
