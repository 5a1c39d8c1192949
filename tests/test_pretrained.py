"""Chapter 13: what it asks for."""

from aeda_core.experiments import pretrained
from aeda_core.experiments.pretrained import CHOSEN, METHODS, TUNING, PretrainedParameters
from aeda_core.methods import named
from aeda_core.profiles import ParameterError

P = PretrainedParameters.load("recorded")


def test_every_method_on_every_fold_by_the_same_plan():
    found = pretrained.specs(P.model_copy(update={"seeds": 3}))
    assert {(s.method, s.data["fold"]) for s in found} == {(m, fold) for m in METHODS for fold in range(3)}
    assert {s.model["name"] for s in found} == {"efficientnet_lite0"}
    for spec in found:
        named(spec.method).Options.checked(**spec.options)


def test_every_method_has_as_many_settings_and_those_in_use_are_among_them():
    assert set(TUNING) == set(METHODS) and len({len(settings) for settings in TUNING.values()}) == 1
    assert all(CHOSEN[method] in TUNING[method] for method in CHOSEN)


def test_settings_are_chosen_by_people_who_are_never_tested_on():
    tried = pretrained.tuning(P)
    assert {(s.tested_on, s.data["n_choosing"]) for s in tried} == {("validation", 1000)}
    assert {s.data["n_choosing"] for s in pretrained.specs(P)} == {1000}
    assert len({s.id for s in tried}) == sum(map(len, TUNING.values()))


def test_more_folds_than_there_are_is_refused(refused):
    with refused(ParameterError, "parameter seeds is 6: it is at most folds, 5"):
        pretrained.specs(PretrainedParameters.load("recorded", seeds=6))
