"""Chapter 13: what it asks for, and what it shows of records that are made by hand."""

import pytest
from test_faces import record

from aeda_core.display import pretrained as display
from aeda_core.display import tables
from aeda_core.experiments import pretrained
from aeda_core.experiments.pretrained import CHOSEN, METHODS, TUNING, PretrainedParameters
from aeda_core.findings import scorecard
from aeda_core.findings.claims import judged
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


def test_what_a_reader_says_goes_for_every_method_that_has_it():
    wide = {s.method: s for s in pretrained.specs(PretrainedParameters.load("recorded", seeds=1, epsilon=0.2))}
    plain = {s.method: s for s in pretrained.specs(PretrainedParameters.load("recorded", seeds=1))}
    attacked = {method for method, spec in wide.items() if spec != plain[method]}
    assert attacked == {"aeda_robust", "aeda_robust_warm"}
    assert {wide[method].options["epsilon"] for method in attacked} == {0.2}


def test_a_setting_that_is_tried_is_tried_whatever_the_profile():
    laptop = PretrainedParameters.load("recorded", **PretrainedParameters.changes["laptop"])
    assert {s.plan["batch_size"] for s in pretrained.specs(laptop)} == {16}
    assert {s.plan["batch_size"] for s in pretrained.tuning(laptop) if s.method == "original"} == {16, 32}


def test_more_folds_than_there_are_is_refused(refused):
    with refused(ParameterError, "parameter seeds is 6: it is at most folds, 5"):
        pretrained.specs(PretrainedParameters.load("recorded", seeds=6))


class TestShown:
    """What the chapter shows, of records that are made by hand."""

    @pytest.fixture
    def faces(self):
        return [
            *(record("original", fold) for fold in range(3)),
            *(record("cyclegan", fold) for fold in range(3)),
            *(record("aeda_robust", fold, lean=0.1, right=0.72) for fold in range(3)),
            *(record("aeda_robust_warm", fold, lean=0.1, right=0.72) for fold in range(3)),
        ]

    def test_networks_side_by_side(self, faces):
        data = display.networks({"one": faces, "other": faces[:3]}).data
        assert list(data.index) == [
            "one: Original",
            "one: AEDA_robust",
            "one: AEDA_robust, warm-started (ours)",
            "other: Original",
        ]
        assert data.loc["one: AEDA_robust, warm-started (ours)", "bias, share of Original's"].startswith("0.24 ")
        assert data.loc["one: AEDA_robust, warm-started (ours)", "bACC over Original's"].startswith("2.00 ")
        assert data.loc["one: Original", "bias, share of Original's"] == ""

    def test_radius(self, faces):
        tried = [
            faces[index].model_copy(update={"spec": spec})
            for spec in pretrained.tuning(P)
            for index in [0 if spec.method == "original" else 6]
        ]
        figure = display.fig_radius(tried)
        assert "bias head 0.0001, from epoch 3: 72.0 at 0.03, 72.0 at 0.08, 72.0 at 0.2" in figure.alt
        assert figure.alt.count("Original: 70.0") == 1 and figure.alt.count("from epoch 1: ") == 2
        assert "AEDA_robust, λ 0.9, rate of the bias head 0.0001, from epoch 3: 72.0 at 0.03" in figure.alt

    def test_a_linear_bias_head_is_told_from_one_with_hidden_units(self, faces):
        tried = [
            faces[0].model_copy(update={"spec": spec})
            for spec in pretrained.tuning(P)
            if spec.method == "adversarial_debiasing"
        ]
        assert tables.tuning(tried, ()).data["what was changed"].nunique() == len(TUNING["adversarial_debiasing"])

    def test_the_introduction_says_what_is_left_of_the_effect(self, faces):
        alike = [record("adversarial_debiasing", fold) for fold in range(3)]
        ahead = [record("adversarial_debiasing", fold, lean=0.1, right=0.72) for fold in range(3)]
        assert "Adversarial" not in scorecard.pretrained(judged("pretrained", [*faces, *alike]))
        said = scorecard.pretrained(judged("pretrained", [*faces, *ahead]))
        assert "AEDA_robust is higher than Original's: 2.00 [2.00, 2.00] points more" in said
        assert "Its bias is lower than Original's: 0.24 [0.24, 0.24] times as much" in said
        assert "Adversarial" not in said.partition("each against Original: ")[0]
        assert "Adversarial debiasing, 2.00 [2.00, 2.00] points and 0.24 [0.24, 0.24] times the bias" in said
        assert scorecard.pretrained(judged("pretrained", [])) == ""
