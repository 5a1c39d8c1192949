"""Chapter 12: what it asks for, and what it makes of records that are written by hand."""

import numpy as np
import pytest
from made import MADE

from aeda_core.display import after as shown
from aeda_core.experiments import what_came_after
from aeda_core.experiments.what_came_after import AFTER, CHOSEN, CONTROLS, METHODS, TUNING, AfterParameters
from aeda_core.findings import after
from aeda_core.methods import METHODS as KNOWN
from aeda_core.methods import STUDIES, named
from aeda_core.profiles import ParameterError
from aeda_core.runs import RunRecord

P = AfterParameters.load("recorded", shares=(0.0, 0.01, 0.05))
COSTS = {"original": 1.0, "aeda_robust": 6.0, "lff": 2.5, "biasadv": 9.0}
JITTER = (-1, 0, 1)


def confusion(own, other):
    """100 test images a group: `own` right on the training background, `other` on the other one."""
    counts = np.zeros((2, 10, 10), int)
    for digit in range(10):
        for background in (0, 1):
            right = own if background == digit // 5 else other
            counts[background, digit, digit] = right
            counts[background, digit, (digit + 1) % 10] = 100 - right
    return counts.tolist()


def record(spec, other, refused=None):
    """Of a method that reads 90 % on its own background, and `other` on the other one, with a little noise by seed."""
    made = {"data": "MNIST", "device": "a CPU, 1 thread", "seconds": 60.0, **MADE, "profile": "paper"}
    made["cpu_seconds"] = 20 * COSTS.get(spec.method, 1.5)
    if refused:
        return RunRecord(spec=spec, refused=refused, provenance=made)
    aligned = round(1000 * spec.data["correlation"])
    groups = [[aligned if b == t // 5 else 1000 - aligned for b in (0, 1)] for t in range(10)]
    counts = confusion(90, other + JITTER[spec.seed % 3])
    return RunRecord(spec=spec, groups=groups, confusion=counts, provenance=made)


def other(spec):
    """AEDA is good everywhere, LfF from 5 % on, the rest, and GroupDRO where it is not refused, as Original is."""
    share = after.share(spec)
    return {"aeda_robust": 80, "biasadv": 80, "lff": 85 if share == 0.05 else 20}.get(spec.method, 20)


@pytest.fixture
def records():
    return [
        record(spec, other(spec), "groups are empty." if spec.method == "groupdro" and after.share(spec) == 0 else None)
        for spec in what_came_after.specs(P)
    ]


class TestSpecs:
    def test_every_method_at_every_share_with_every_seed(self):
        found = what_came_after.specs(P)
        assert len(found) == 3 * 3 * len(METHODS) == len({spec.id for spec in found})
        assert {(after.share(s), s.method, s.seed) for s in found} == {
            (share, method, seed) for share in P.shares for method in METHODS for seed in range(3)
        }

    def test_all_are_given_the_same(self):
        """Three training sets, one a seed, and one plan but for the learning rate, which is chosen."""
        own = what_came_after.share_specs(P, 0.01)
        assert len({str(spec.data) for spec in own}) == 3
        assert len({str({**spec.plan, "learning_rate": None}) for spec in own}) == 1

    @pytest.mark.parametrize("specs", ["specs", "ten_specs", "control_specs", "tuning"])
    def test_options_are_those_that_the_methods_take(self, specs):
        for spec in getattr(what_came_after, specs)(P):
            named(spec.method).Options.checked(**spec.options)

    def test_controls_differ_from_aeda_robust_in_nothing_but_the_method(self):
        found = what_came_after.control_specs(P)
        assert [spec.method for spec in found[:4]] == list(CONTROLS)
        assert len({str((s.data, s.model, s.plan, s.options)) for s in found if s.seed == 0}) == 1
        assert found[0] in what_came_after.specs(P)

    def test_every_later_method_is_one_of_ours(self):
        assert all(KNOWN[method].ours for method in AFTER) and set(CONTROLS[1:]) <= STUDIES.keys()

    def test_every_method_has_as_many_settings_and_no_two_are_the_same(self):
        assert set(TUNING) == set(METHODS)
        assert {len(settings) for settings in TUNING.values()} == {6}
        assert len({spec.id for spec in what_came_after.tuning(P)}) == 6 * len(METHODS)
        assert all(CHOSEN[method] in TUNING[method] for method in CHOSEN)

    def test_a_rate_is_in_units_of_the_chapters(self):
        p = AfterParameters.load("recorded", learning_rate=0.01)
        spec = what_came_after.spec_of(p, "cmnist", 0.0, "lff", 0, {"rate": 3.0, "q": 0.9})
        assert spec.plan["learning_rate"] == pytest.approx(0.03) and spec.options == {"q": 0.9}

    def test_a_share_that_cannot_be_is_refused(self, refused):
        with refused(ParameterError, "parameter shares is ()"):
            AfterParameters.load("recorded", shares=())


class TestFindings:
    def test_where_a_method_gains(self, records):
        runs = after.by_share(records)
        found = {method: after.gains_at(runs, method) for method in ("aeda_robust", "lff", "dfr", "groupdro")}
        assert found == {"aeda_robust": [0.0, 0.01, 0.05], "lff": [0.05], "dfr": [], "groupdro": []}

    def test_an_interval_stays_in_the_range(self, records):
        runs = [*(r for r in records[:4] if r.spec.method == "original"), record(records[0].spec, 99)]
        assert after.level(runs, "bacc").high < 100 and after.level(runs, "bias").low > 0

    def test_a_single_seed_decides_nothing(self, records):
        alone = after.by_share(r for r in records if r.spec.seed == 0)
        assert after.gains_at(alone, "aeda_robust") == []

    def test_costs_are_in_units_of_original(self, records):
        runs = after.by_share(records)[0.01]
        assert after.cost(runs, "aeda_robust").mean == pytest.approx(6.0)

    def test_the_front_is_what_no_other_beats(self, records):
        """At 5 %: Original is the cheapest, LfF better and dearer; AEDA_robust is dearer than LfF and no better."""
        assert after.front(after.by_share(records)[0.05]) == ["original", "lff"]

    def test_plain_accuracy_by_hand(self):
        """97 of 100 training images on their own background, 90 % of which are right, and 3 on the other, 20 %."""
        spec = what_came_after.share_specs(P, 0.03, ("original",))[1]
        assert after.plain_accuracy(record(spec, 20)) == pytest.approx(0.97 * 90 + 0.03 * 20)

    def test_each_criterion_has_its_choice(self):
        """Settings that read the other background 20, 60 and 40 % right, and their own 99, 90 and 95 %."""
        specs = [spec for spec in what_came_after.tuning(P) if spec.method == "lisa"]
        tried = [
            record(spec, 0).model_copy(update={"confusion": confusion(*right)})
            for spec, right in zip(specs, ((99, 20), (90, 60), (95, 40), *[(50, 20)] * 3), strict=True)
        ]
        assert after.setting(after.chosen(tried, "group labels known")["lisa"]) == TUNING["lisa"][1]
        assert after.setting(after.chosen(tried, "not known")["lisa"]) == TUNING["lisa"][0]


class TestShown:
    def test_all_of_it(self, records):
        figure = shown.fig_shares(records)
        assert "GroupDRO: 55.0 % at 1 %, 55.0 % at 5 %." in figure.alt
        assert "LfF: 3.0 times" not in figure.alt and "Profile paper" in figure.caption
        table = shown.begins(records)
        assert table.data.loc["GroupDRO", "refused at"] == "0 %"
        assert table.data.loc["AEDA_robust"].tolist() == ["0 %, 1 %, 5 %", "none", "6.0"]
        assert table.data.loc["LfF", "gains at"] == "5 %"
        numbers = shown.over_shares(records, "bacc")
        assert numbers.data.loc["GroupDRO", "0 %"] == "–"
        assert numbers.data.loc["Original", "0 %"].startswith("55.0 [")
        cost = shown.fig_cost(records, 0.05)
        assert "LfF: 2.5 times the CPU time of Original, bACC 87.5 %, bias 0.50." in cost.alt

    def test_who_wins_says_by_how_much_and_how_sure(self, records):
        text = repr(shown.who_wins(records))
        assert "At 0 %: AEDA_robust has the highest mean bACC, 85.0 %." in text
        assert "At 5 %: LfF has the highest mean bACC, 87.5 %; it is above AEDA_robust by 2.5 [2.5, 2.5] points" in text

    def test_in_short_names_who_gains_and_who_is_ahead(self, records):
        share = {"aeda_robust": 80, "aeda_random": 30, "aeda_shuffled": 80, "aeda_untrained": 90}
        controls = [record(spec, share[spec.method]) for spec in what_came_after.control_specs(P)]
        lines = repr(shown.in_short(records, controls)).splitlines()
        assert lines[0].startswith("* At 0 % conflicting images these gain") and lines[0].endswith(
            ": AEDA_robust; BiasAdv."
        )
        assert lines[1].startswith("* At 0 %: AEDA_robust") and lines[2].startswith("* At 5 %: LfF") and len(lines) == 6

    def test_controls(self):
        specs = what_came_after.control_specs(P)
        share = {"aeda_robust": 80, "aeda_random": 30, "aeda_shuffled": 80, "aeda_untrained": 90}
        own = [record(spec, share[spec.method]) for spec in specs]
        plain = [record(spec, 20) for spec in what_came_after.share_specs(P, 0.0, ("original",))]
        table = shown.controls(own, plain)
        assert table.data.loc["AEDA_robust", "bACC over Original's"] == "30.0 [30.0, 30.0]"
        said = repr(shown.verdict(own)).splitlines()
        assert "25.0 [25.0, 25.0] points of bACC, so what is spoiled there helps accuracy; bias" in said[0]
        assert "do not tell the two apart" in said[1]
        assert "so accuracy does not need what is spoiled there" in said[2]

    def test_criteria(self):
        specs = [spec for spec in what_came_after.tuning(P) if spec.method == "groupdro"]
        table = shown.criteria([record(spec, 20 + 10 * i) for i, spec in enumerate(specs)])
        assert table.data.loc["GroupDRO", "group labels known"] == "adjustment 1, learning rate × 3"
        assert table.data.loc["GroupDRO", "not known"] == "adjustment 1, learning rate × 3"


def test_the_runs_have_the_settings_that_were_chosen():
    """From the records of `tuning`."""
    best = after.chosen(what_came_after.tuned(), "group labels known")
    assert {method: after.setting(record) for method, record in best.items()} == CHOSEN
