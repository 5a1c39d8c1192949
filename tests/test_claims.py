"""The verdict rule, on records made for it: it must be able to say no."""

import json
import subprocess
import sys
import tomllib
from dataclasses import replace
from typing import ClassVar

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from made import MADE

from aeda_core import metrics
from aeda_core.datasets.base import PROJECT
from aeda_core.display import summary
from aeda_core.experiments import CHAPTERS, cmnist
from aeda_core.findings import claims, forest, paper, scorecard, statistics
from aeda_core.findings.claims import judged
from aeda_core.findings.judge import Claim, Statement, verdict
from aeda_core.runs import RUNS, RunRecord, RunSpec, kept

REAL, STAND_IN = "MNIST (60,000 training, 10,000 test)", "stand-in: 5,000 MNIST digits"


def confusion(own: int, other: int) -> list:
    """(2, 10, 10) counts of 1,000 a group: `own` right on a digit's training colour, `other` right on the other one."""
    counts = np.zeros((2, 10, 10), dtype=int)
    for brown in range(2):
        for digit in range(10):
            right = own if (digit >= 5) == bool(brown) else other
            counts[brown, digit, digit] = right
            counts[brown, digit, (digit + 1) % 10] = 1000 - right
    return counts.tolist()


def record(method, seed, own=990, other=100, profile="paper", data=REAL, **changes):
    spec = RunSpec(
        method=method,
        data={"name": "cmnist"},
        model={},
        plan={},
        options={},
        seed=seed,
    )
    outcome = {"confusion": confusion(own, other)} | changes
    return RunRecord(
        spec=spec, provenance={"data": data, "device": "a CPU", "seconds": 1, **MADE, "profile": profile}, **outcome
    )


def verdicts(records):
    return {claim.id: claim.verdict for claim in judged("cmnist", records)}


def seeds(method, others, **changes):
    return [record(method, seed, other=other, **changes) for seed, other in enumerate(others)]


ORIGINAL = seeds("original", (100, 110, 120))
ORACLE = seeds("oracle", (985, 986, 987))


def test_bias_of_the_made_up_tables_is_what_the_comment_says():
    """own 990, other 100: bACC (99 + 10) / 2 = 54.5 %, bias 10 × |0.99 − 0.10| = 8.9."""
    assert metrics.bacc(confusion(990, 100)) == pytest.approx(54.5)
    assert metrics.model_bias(confusion(990, 100)) == pytest.approx(8.9)


@pytest.mark.parametrize(
    ("others", "gain", "share"),
    [
        # Original has 10 to 12 % right on the other background, a bias of 8.8; in the paper AEDA_robust has 36.18 more
        # points and 0.068 of the bias
        ((950, 955, 960), "exceeded", "exceeded"),  # 42.3 points more, 0.04 of the bias
        ((800, 815, 830), "reproduced", "reproduced"),  # 35.3 points, 0.20 of the bias, an effect of 0.8 for 0.93
        ((300, 305, 310), "partly", "partly"),  # 9.8 points, less than half of the paper's
        ((100, 111, 119), "not reproduced", "not reproduced"),  # no better than Original
        ((40, 50, 60), "not reproduced", "not reproduced"),  # worse than Original
        ((100, 400, 700), "undecided", "undecided"),  # anything
    ],
)
def test_a_margin_is_judged_by_its_interval(others, gain, share):
    got = verdicts(ORIGINAL + ORACLE + seeds("aeda_robust", others))
    assert (got["table1.aeda_robust.gain"], got["table1.aeda_robust.bias_ratio"]) == (gain, share)


def test_levels_are_shown_and_not_judged():
    got = verdicts(ORIGINAL + ORACLE + seeds("aeda_robust", (950, 955, 960)))
    for id_ in ("table1.original.bacc", "table1.original.bias", "table1.aeda_robust.bacc", "table1.aeda_robust.bias"):
        assert got[id_] == "descriptive"


class TestRule:
    """The rule alone, on intervals."""

    SAID = Statement("fig1.x", "a gain", 10.0, ("aeda_robust",), float)
    WORDS = Statement("fig1.x", "strong", "strong", ("aeda_robust",), float, enough=0.8)
    STABLE = Statement("fig1.x", "stable", "stable", ("aeda_robust",), float, kind="stable", bounds=(0.8, 1.25))
    ends = st.tuples(st.floats(-40, 40), st.floats(-40, 40)).map(lambda ends: tuple(sorted(ends)))

    @pytest.mark.parametrize(
        ("interval", "expected"),
        [
            ((11, 12), "exceeded"),
            ((5, 12), "reproduced"),  # half of the paper's is MARGIN
            ((4.9, 12), "partly"),
            ((1, 3), "partly"),  # an effect, too small
            ((-1, 12), "undecided"),  # holds no effect, and the paper's
            ((-1, 4.9), "not reproduced"),  # holds no effect, and nothing large enough
            ((-3, -1), "not reproduced"),  # the opposite
        ],
    )
    def test_a_number(self, interval, expected):
        assert verdict(self.SAID, interval) == expected
        mirrored = replace(self.SAID, paper=-10.0)
        assert verdict(mirrored, (-interval[1], -interval[0])) == expected

    def test_words_are_held_against_their_threshold(self):
        found = {
            ci: verdict(self.WORDS, ci) for ci in ((0.81, 0.9), (0.7, 0.9), (-0.1, 0.9), (-0.1, 0.7), (-0.5, -0.1))
        }
        assert list(found.values()) == ["reproduced", "partly", "undecided", "not reproduced", "not reproduced"]

    def test_stable_has_to_be_shown(self):
        found = {ci: verdict(self.STABLE, ci) for ci in ((0.9, 1.1), (0.5, 1.1), (0.2, 0.7), (1.3, 9.0), (0.2, 9.0))}
        assert list(found.values()) == ["reproduced", "undecided", "not reproduced", "not reproduced", "undecided"]

    @given(st.sampled_from([SAID, WORDS, STABLE]), ends, st.floats(0, 1), st.floats(0, 1))
    def test_a_tighter_interval_never_takes_back_a_yes_or_a_no(self, said, wide, one, other):
        tight = tuple(sorted(wide[0] + share * (wide[1] - wide[0]) for share in (one, other)))
        before, after = verdict(said, wide), verdict(said, tight)
        assert before != "reproduced" or after in ("reproduced", "exceeded")
        assert before != "exceeded" or after == "exceeded"
        assert before != "not reproduced" or after in ("not reproduced", "partly")
        assert before != "partly" or after in ("partly", "reproduced", "exceeded")

    @given(st.sampled_from([SAID, WORDS]), st.floats(-40, -1e-6), st.floats(-40, -1e-6))
    def test_the_opposite_is_never_reproduced(self, said, one, other):
        assert verdict(said, tuple(sorted((one, other)))) == "not reproduced"

    @given(st.sampled_from([SAID, WORDS, STABLE]), ends)
    def test_what_the_paper_does_not_say_is_ours_whatever_came_out(self, said, interval):
        assert verdict(replace(said, paper=None), interval) == "ours"

    @given(st.integers(0, 200))
    def test_noise_is_undecided(self, seed):
        """Three runs that scatter far wider than the paper's effect, around its half."""
        noise = 5 + np.array([-60, 0, 60]) + np.random.default_rng(seed).normal(0, 5, 3)
        assert verdict(self.SAID, statistics.interval(noise)) == "undecided"


@pytest.mark.parametrize("changes", [{"profile": "smoke"}, {"profile": "laptop"}, {"data": STAND_IN}])
def test_small_profiles_and_stand_ins_get_no_verdict(changes):
    got = verdicts(seeds("original", (100, 110), **changes) + seeds("aeda_robust", (950, 955), **changes))
    assert {verdict for id_, verdict in got.items()} <= {"not run", "ours"}


def test_one_seed_gets_no_verdict():
    assert verdicts([record("aeda_robust", 0, other=950)])["table1.aeda_robust.bacc"] == "not run"


def test_that_a_method_does_not_apply_is_descriptive_here_and_there():
    refused = [record("undersampling", 0, refused="a group is empty", confusion=None)]
    assert verdicts(refused)["table1.undersampling.bacc"] == "descriptive"
    assert verdicts(seeds("undersampling", (500, 505)))["table1.undersampling.bacc"] == "descriptive"


def test_a_method_that_ought_to_apply_and_refuses_is_not_reproduced():
    refused = [record("aeda_robust", 0, refused="a group is empty", confusion=None)]
    assert verdicts(ORIGINAL + refused)["table1.aeda_robust.gain"] == "not reproduced"


def test_fig8_compares_the_same_seeds():
    assert verdicts(ORIGINAL + seeds("aeda_robust", (950, 955, 960)))["fig8.consistency"] == "reproduced"
    assert verdicts(ORIGINAL + seeds("aeda_robust", (90, 100, 110)))["fig8.consistency"] == "not reproduced"
    assert verdicts(ORIGINAL + seeds("aeda_robust", (100, 90, 180)))["fig8.consistency"] == "undecided"


def test_two_methods_are_judged_on_the_same_seeds():
    online = seeds("aeda_online", (600, 710, 820))
    better = verdicts(online + seeds("aeda_robust", (850, 961, 970)))
    worse = verdicts(online + seeds("aeda_robust", (590, 699, 810)))
    assert better["table1.aeda_robust.over.aeda_online.gain"] in ("reproduced", "partly")
    assert worse["table1.aeda_robust.over.aeda_online.gain"] == "not reproduced"


def test_a_rival_that_is_ahead_stands_in_the_same_sentence():
    behind = seeds("cyclegan", (300, 310, 320))
    ahead = seeds("cyclegan", (980, 981, 982))
    records = ORIGINAL + seeds("aeda_robust", (950, 955, 960))
    assert "ahead of it in accuracy, in fairness or in both: CycleGAN" in scorecard.beside_rivals(
        judged_all(records + ahead)
    )
    assert "no other method is ahead" in scorecard.beside_rivals(judged_all(records + behind))


def judged_all(records):
    return [*judged("cmnist", records), *judged("celeba", [])]


def test_the_tallies_keep_apart_what_is_no_evidence_for_aeda():
    found = judged(
        "cmnist", ORIGINAL + seeds("cyclegan", (980, 981, 982)) + seeds("aeda_robust_per_batch", (950, 955, 960))
    )
    tally = scorecard.tallied(found)
    assert tally.loc["the paper's claims about AEDA", "claims"] == 0
    assert tally.loc["the paper's claims about rivals and mechanism", "exceeded"] == 2
    assert tally.loc["ours, of which the paper says nothing", "claims"] == sum(claim.paper is None for claim in found)
    assert {claim.about for claim in found if claim.paper is None} == {"ours"}


def test_ours_never_stands_in_for_the_papers():
    got = verdicts(ORIGINAL + seeds("aeda_robust_per_batch", (950, 955, 960)))
    assert got["table1.aeda_robust_per_batch.bacc"] == "ours"
    assert got["table1.aeda_robust.bacc"] == "not run"


def test_every_published_number_of_table_1_has_its_claim():
    ids = {claim.id for claim in judged("cmnist", [])}
    assert ids >= {f"table1.{method}.{measure}" for method in paper.TABLE1 for measure in ("bacc", "bias")}


def test_every_row_of_the_table_of_claims_is_judged_somewhere():
    written = tomllib.loads((PROJECT / "aeda_core" / "findings" / "claims.toml").read_text())["claim"]
    rows = [row for own in claims.CLAIMS.values() for row in own]
    assert {row["id"] for row in written} <= {row.id for row in rows}
    assert len({row.id for row in rows}) == len(rows)
    assert {row["value"] for row in written} == claims.VALUES.keys()
    assert not any("{" in row.claim for row in rows)
    assert sorted({row.where for row in rows}) == sorted(where for c in CHAPTERS.values() for where in c.about)
    assert set(claims.HEADLINES) <= {row.id for row in rows}


class TestSummary:
    """What chapter 05 says first and last."""

    GOOD = staticmethod(lambda **changes: ORIGINAL + ORACLE + seeds("aeda_robust", (950, 955, 960), **changes))

    def test_the_headlines_first(self):
        lines = repr(summary.in_short(cmnist.CHAPTER, self.GOOD())).splitlines()
        assert len(lines) == 3
        assert lines[0].startswith("* AEDA_robust: gain in bACC over Original on C-MNIST (points): 42.25 [")
        assert lines[0].endswith("the paper: 36.18; ▲ *exceeded*.")

    def test_all_that_is_judged_last(self):
        shown = summary.shown(cmnist.CHAPTER, self.GOOD())
        assert repr(shown).startswith("Of the paper's claims: 2 exceeded, 1 reproduced.")
        assert shown._repr_html_().count("<li") == 3 == len(repr(shown).splitlines()) - 1

    def test_shortened_runs_are_not_judged(self):
        laptop = [r.model_copy(update={"provenance": {**r.provenance, "profile": "laptop"}}) for r in self.GOOD()]
        assert "runs of profile laptop are not judged" in repr(summary.in_short(cmnist.CHAPTER, laptop))
        assert "Only runs of profile paper" in repr(summary.shown(cmnist.CHAPTER, laptop))

    def test_without_a_run_it_says_so(self):
        assert "No run of this page" in repr(summary.in_short(cmnist.CHAPTER, []))


class TestForest:
    """The picture of all claims."""

    PAGES: ClassVar = {"Table 1": "05_cmnist"}

    def drawn(self, ours, ci95, verdict="undecided", **said):
        statement = Statement("table1.x", "x <y>", said.pop("paper", 10.0), ("original",), float, data="cmnist", **said)
        claim = Claim(
            "table1.x", "Table 1", statement.claim, statement.paper, ours, ci95, 3, "", "", "", verdict, "AEDA"
        )
        return forest.picture("all", [claim], {"table1.x": statement}, self.PAGES)

    def test_the_scale_is_in_units_of_the_papers_effect(self):
        """0 is at 40, the paper's effect at 80: our 5 is halfway, and half as long to either side."""
        line = self.drawn(5.0, (2.5, 7.5))
        assert 'class="nothing" d="M40.0' in line and 'class="goal" d="M80.0' in line
        assert 'class="interval" d="M50.0 8H70.0"' in line and 'cx="60.0"' in line

    def test_less_is_more_where_the_paper_has_it_so(self):
        """The paper's 0.5 of 1 is the unit, so that 0.25 is beyond it."""
        assert 'd="M60.0 8H100.0"' in self.drawn(0.5, (0.25, 0.75), paper=0.5, nothing=1.0, sign=-1)

    def test_what_leaves_the_scale_is_an_arrow(self):
        assert self.drawn(5.0, (-40.0, 50.0)).count("v8z") == 2 and "v8z" not in self.drawn(5.0, (0.0, 9.0))

    def test_words_that_ask_for_any_effect_have_no_tick(self):
        assert "goal" not in self.drawn(5.0, (2.5, 7.5), paper="higher")
        assert "goal" in self.drawn(5.0, (2.5, 7.5), paper="much higher", enough=8.0)

    def test_it_says_its_numbers_and_escapes_its_words(self):
        line = self.drawn(5.0, (-2.5, 7.5), "not reproduced")
        assert 'aria-label="here 5.00 [−2.50, 7.50]; the paper: 10.00"' in line and "x &lt;y&gt;" in line
        assert 'href="05_cmnist.html"' in line and "✕" in line and "not reproduced</span>" in line

    def test_what_was_refused_has_no_bar(self):
        line = self.drawn("does not apply", None, "not reproduced")
        assert "<svg" not in line and "does not apply" in line

    def test_what_is_not_judged_is_left_out(self):
        assert "<li" not in self.drawn(5.0, (2.5, 7.5), "ours")


class TestCommitted:
    """What is committed fits together. What it says is the scorecard's to tell: no test demands a finding."""

    def test_scorecard_and_its_tables_are_current(self):
        assert scorecard.write(check=True) == []

    def test_judging_draws_nothing(self):
        """A verdict must not take a library of plots: what is found stands apart from how it is shown."""
        code = (
            "import sys; from aeda_core.findings import scorecard; scorecard.page(scorecard.everything());"
            "print({'matplotlib', 'seaborn'} & sys.modules.keys(), 'aeda_core.display' in sys.modules)"
        )
        done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, cwd=PROJECT)
        assert done.stdout.split() == ["set()", "False"]

    def test_scorecard_has_the_agreed_fields(self):
        card = json.loads(scorecard.SCORECARD.read_text())
        assert card.keys() == {"commit", "generated", "claims"}
        fields = {"id", "where", "claim", "paper", "ours", "ci95", "n", "profile", "data", "device", "verdict", "about"}
        assert all(claim.keys() == fields for claim in card["claims"])

    def test_every_claim_of_the_paper_is_there_with_a_verdict(self):
        """The ids that other people rely on."""
        verdicts = {claim["id"]: claim["verdict"] for claim in json.loads(scorecard.SCORECARD.read_text())["claims"]}
        ids = {"fig2.correlation", "fig3.hard", "fig3.adv", "fig3.robust", "fig4.decay", "fig4.bias_rises"}
        ids |= {"fig8.consistency", "fig10a.order", "fig10b.stop", "fig10c.attributes", "fig11.stable"}
        ids |= {f"table1.{method}.{measure}" for method in cmnist.METHODS for measure in ("bacc", "bias")}
        ids |= {f"table2.{method}.{measure}" for method in paper.TABLE2 for measure in ("bacc", "bias")}
        ids |= {f"table3.{what}" for what in ("digit2", "digit4", "digit6", "digit8", "gain")}
        assert ids <= verdicts.keys()
        assert "not run" not in verdicts.values()

    def test_every_committed_record_is_asked_for(self):
        """A record whose spec no chapter asks for is dead weight, or a sign that a default moved."""
        asked = set()
        for chapter in CHAPTERS.values():
            asked |= {path for specs in chapter.asked() for path in kept(specs)}
        assert set((RUNS / "paper").rglob("*.json")) == asked
