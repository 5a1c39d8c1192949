"""How a setting is chosen."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from made import MADE

from aeda_core.findings.selection import choose
from aeda_core.runs import RunRecord, RunSpec


def trial(own, other, tested_on="validation"):
    """A run with `own` of 100 right on one background and `other` on the other: its bACC is their mean in percent."""
    spec = RunSpec(
        method="aeda_robust", data={"name": "cmnist"}, model={}, plan={}, options={},
        seed=0, tested_on=tested_on,
    )  # fmt: skip
    counts = np.zeros((2, 2, 2), int)
    for background, right in enumerate((own, other)):
        counts[background] = [[right, 100 - right], [100 - right, right]]
    return RunRecord(spec=spec, confusion=counts.tolist(), provenance=MADE)


def test_the_best_of_both_is_chosen():
    assert choose({"plain": [trial(90, 50)], "good": [trial(90, 88)], "fair": [trial(60, 60)]}) == "good"


def test_by_hand():
    """bACC 80, 78, 70 and bias 0.4, 0.2, 0.0: ranks 1 + 3, 2 + 2 and 3 + 1, so the least biased wins."""
    tried = {"a": [trial(90, 70)], "b": [trial(83, 73)], "c": [trial(70, 70)]}
    assert choose(tried) == "c"


def test_of_settings_that_come_out_alike_the_first_is_chosen():
    assert choose({"a": [trial(80, 70)], "b": [trial(80, 70)]}) == "a"
    assert choose({"b": [trial(80, 70)], "a": [trial(80, 70)]}) == "b"


def test_a_setting_is_the_mean_of_its_runs():
    assert choose({"lucky once": [trial(99, 99), trial(50, 10)], "steady": [trial(85, 80), trial(85, 80)]}) == "steady"


@given(st.lists(st.tuples(st.integers(0, 100), st.integers(0, 100)), min_size=1, max_size=6), st.randoms())
def test_none_is_better_in_both_than_the_chosen_one(rights, random):
    tried = {str(i): [trial(*right)] for i, right in enumerate(rights)}
    chosen = tried[choose(tried)][0]
    assert not any(run.bacc > chosen.bacc and run.bias < chosen.bias for (run,) in tried.values())
    shuffled = list(tried.items())
    random.shuffle(shuffled)
    (other,) = dict(shuffled)[choose(dict(shuffled))]
    assert (other.bacc, other.bias) == (chosen.bacc, chosen.bias)


def test_test_images_never_choose():
    with pytest.raises(ValueError, match="tested on 'test'"):
        choose({"a": [trial(80, 70, tested_on="test")]})
    with pytest.raises(ValueError, match="no setting"):
        choose({})
