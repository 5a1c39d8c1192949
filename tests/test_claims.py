"""The verdict rule, on records made for it: it must be able to say no."""

import json
import subprocess
import sys
import tomllib

import numpy as np
import pytest
from made import MADE

from aeda_core import metrics
from aeda_core.datasets.base import PROJECT
from aeda_core.experiments import CHAPTERS, cmnist
from aeda_core.findings import claims, paper, scorecard
from aeda_core.findings.claims import judged
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
    ("others", "bacc", "bias"),
    [
        ((950, 955, 960), "exceeded", "exceeded"),  # bACC 97.0–97.5 > 91.80; bias 0.30–0.40, mean 0.35 ± 0.12 < 0.53
        ((820, 846, 870), "reproduced", "partly"),  # bACC 90.5–93.0 around 91.80; bias 1.2–1.7, better than original
        ((500, 505, 510), "partly", "partly"),  # far behind the paper, far ahead of original
        ((100, 111, 119), "not reproduced", "not reproduced"),  # no better than original
        ((40, 50, 60), "not reproduced", "not reproduced"),  # worse than original
    ],
)
def test_a_method_is_judged_by_its_interval(others, bacc, bias):
    got = verdicts(ORIGINAL + ORACLE + seeds("aeda_robust", others))
    assert (got["table1.aeda_robust.bacc"], got["table1.aeda_robust.bias"]) == (bacc, bias)


def test_original_is_judged_by_how_far_it_falls_behind():
    assert verdicts(ORIGINAL + ORACLE)["table1.original.bias"] == "partly"
    assert verdicts(ORIGINAL)["table1.original.bias"] == "not reproduced"
    near_paper = seeds("original", (190, 206, 220))  # bias 8.0, 7.84, 7.7
    assert verdicts(near_paper + ORACLE)["table1.original.bias"] == "reproduced"


@pytest.mark.parametrize("changes", [{"profile": "smoke"}, {"profile": "laptop"}, {"data": STAND_IN}])
def test_small_profiles_and_stand_ins_get_no_verdict(changes):
    got = verdicts(seeds("original", (100, 110), **changes) + seeds("aeda_robust", (950, 955), **changes))
    assert {verdict for id_, verdict in got.items()} <= {"not run", "ours"}


def test_one_seed_gets_no_verdict():
    assert verdicts([record("aeda_robust", 0, other=950)])["table1.aeda_robust.bacc"] == "not run"


def test_what_the_paper_could_not_apply_must_refuse_here_too():
    refused = [record("undersampling", 0, refused="a group is empty", confusion=None)]
    assert verdicts(refused)["table1.undersampling.bacc"] == "reproduced"
    assert verdicts(seeds("undersampling", (500, 505)))["table1.undersampling.bacc"] == "not reproduced"


def test_a_method_that_ought_to_apply_and_refuses_is_not_reproduced():
    refused = [record("aeda_robust", 0, refused="a group is empty", confusion=None)]
    assert verdicts(refused)["table1.aeda_robust.bacc"] == "not reproduced"


def test_fig8_compares_the_same_seeds():
    assert verdicts(ORIGINAL + seeds("aeda_robust", (950, 955, 960)))["fig8.consistency"] == "reproduced"
    assert verdicts(ORIGINAL + seeds("aeda_robust", (100, 110, 120)))["fig8.consistency"] == "not reproduced"
    assert verdicts(ORIGINAL + seeds("aeda_robust", (100, 90, 180)))["fig8.consistency"] == "partly"


def test_an_order_is_judged_on_the_same_seeds():
    online = seeds("aeda_online", (900, 910, 920))
    better = verdicts(online + seeds("aeda_robust", (910, 921, 930)))
    worse = verdicts(online + seeds("aeda_robust", (890, 899, 910)))
    assert better["table1.order.aeda_robust"] == "reproduced"
    assert worse["table1.order.aeda_robust"] == "not reproduced"


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
        fields = {"id", "where", "claim", "paper", "ours", "ci95", "n", "profile", "data", "device", "verdict"}
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
