"""Intervals over runs, against R, scipy and formulas worked by hand."""

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from made import MADE
from scipy import stats

from aeda_core.findings import statistics
from aeda_core.findings.statistics import PERCENT, POSITIVE, REAL, SHARE, SIGNED, interval
from aeda_core.runs import RunRecord, RunSpec

# Student's sleep data (Cushny and Peebles 1905), hours gained by the second drug over the first. R's own example,
# t.test(extra ~ group, sleep, paired = TRUE), prints the 95 percent confidence interval 0.7001142 to 2.4598858.
SLEEP = (1.2, 2.4, 1.3, 1.3, 0.0, 1.0, 1.8, 0.8, 4.6, 1.4)


def test_students_own_example():
    assert interval(SLEEP) == pytest.approx((0.7001142, 2.4598858), abs=1e-7)


@pytest.mark.parametrize("level", [0.5, 0.9, 0.99])
@pytest.mark.parametrize("n", [2, 5, 10])
def test_against_scipy(level, n):
    values = SLEEP[:n]
    expected = stats.t.interval(level, n - 1, loc=np.mean(values), scale=stats.sem(values))
    assert interval(values, level=level) == pytest.approx(expected)


def test_one_run_says_nothing():
    assert interval([92.3], PERCENT) == (-math.inf, math.inf)


@pytest.mark.parametrize("value", [0.0, 0.5, 1.0])
def test_equal_runs_leave_no_doubt_even_on_the_edge_of_the_range(value):
    assert interval([value] * 3, SHARE) == (value, value)


def test_five_folds_widen_it_by_a_half():
    """Nadeau and Bengio: 1/5 becomes 1/5 + 1/4 where a fold tests a quarter of what it trains on."""
    plain, corrected = (np.ptp(interval(SLEEP[:5], overlap=overlap)) for overlap in (0, 1 / 4))
    assert corrected / plain == pytest.approx(math.sqrt((1 / 5 + 1 / 4) / (1 / 5))) == pytest.approx(1.5)


def test_correlations_are_on_fishers_scale():
    values = (0.7, 0.9, 0.95)
    mean = np.mean(values)
    reach = stats.t.ppf(0.975, 2) * stats.sem(values) / (1 - mean**2)  # the derivative of Fisher's z
    assert interval(values, SIGNED) == pytest.approx(
        (np.tanh(np.arctanh(mean) - reach), np.tanh(np.arctanh(mean) + reach))
    )


def test_ratios_are_on_a_log_scale():
    values = (0.4, 0.5, 0.9)
    reach = stats.t.ppf(0.975, 2) * stats.sem(values) / 0.6
    assert interval(values, POSITIVE) == pytest.approx((0.6 * np.exp(-reach), 0.6 * np.exp(reach)))


@given(
    st.sampled_from([PERCENT, SHARE, SIGNED, POSITIVE, (-100.0, 100.0)]),
    st.lists(st.floats(0, 1), min_size=2, max_size=6),
    st.floats(0, 0.5),
)
def test_it_holds_the_mean_and_never_leaves_the_range(within, shares, overlap):
    low, high = within
    values = [low + share * (min(high, 1e3) - low) for share in shares]
    found = interval(values, within, overlap)
    assert low <= found[0] <= found[1] <= high
    assert found[0] - 1e-9 <= np.mean(values) <= found[1] + 1e-9


@given(st.lists(st.floats(1, 99), min_size=2, max_size=6), st.floats(0, 0.4), st.floats(0, 0.4))
def test_more_overlap_is_never_narrower(values, one, other):
    less, more = (interval(values, PERCENT, overlap) for overlap in sorted((one, other)))
    assert more[0] <= less[0] + 1e-9 and more[1] >= less[1] - 1e-9


def test_a_small_spread_in_the_middle_is_students():
    values = (49.9, 50.0, 50.1)
    assert interval(values, PERCENT) == pytest.approx(interval(values, REAL), abs=1e-3)


def run(data, seed=0, **changes):
    spec = RunSpec(method="original", data=data, model={}, plan={}, options={}, seed=seed)
    return RunRecord(spec=spec, provenance=MADE, **changes)


class TestOverlap:
    COUNTS = np.full((17, 2, 2, 2), 5).tolist()  # 40 people, whom each of the attributes tells

    def test_is_tested_over_trained_people_of_a_fold(self):
        fold = run({"name": "celeba", "fold": 1}, confusion=self.COUNTS, groups=[[50, 30]] * 34)
        assert statistics.overlap([fold]) == 40 / 160

    def test_independent_seeds_have_none(self):
        seed = run({"name": "cmnist"}, confusion=np.full((2, 10, 10), 5).tolist(), groups=[[50, 30]] * 10)
        assert statistics.overlap([seed]) == 0
        assert statistics.overlap([]) == 0

    def test_a_refusal_has_none(self):
        assert statistics.overlap([run({"name": "celeba", "fold": 1}, refused="a group is empty")]) == 0


class TestOverPeople:
    COUNTS = np.array([[[30, 10], [10, 30]], [[20, 20], [20, 20]]])  # two tasks, each with a gap of 0.25

    def folds(self, share=1.0, counts=COUNTS):
        """Replicates that spread evenly around twice the bias, as those of small groups are off centre."""
        drawn = share * np.linspace(0.8, 1.2, 41)
        return [
            run({"name": "cmnist"}, fold, confusion=counts.tolist(), bootstrap={"bias": drawn.tolist()})
            for fold in (0, 1)
        ]

    def test_is_the_bootstraps_spread_around_what_was_measured(self):
        low, high = statistics.over_people(self.folds())
        reach = 1.96 * np.std(np.linspace(0.8, 1.2, 41), ddof=1) / 0.5
        assert (low, high) == pytest.approx((0.5 * np.exp(-reach), 0.5 * np.exp(reach)), rel=1e-4)

    def test_is_paired(self):
        """Half of the bias in every replicate leaves nothing to who is tested."""
        half = np.array([[[25, 15], [15, 25]], [[20, 20], [20, 20]]])
        assert statistics.over_people(self.folds(0.5, half), self.folds()) == pytest.approx((0.5, 0.5))


def test_seeds_that_were_trained_on_the_same_images_are_found():
    same = [run({"name": "cmnist", "n_train": 6000}, seed) for seed in range(3)]
    assert statistics.same_images(same)
    assert not statistics.same_images(same[:1])
    assert not statistics.same_images([run({"name": "cmnist", "draw": seed}, seed) for seed in range(3)])


def test_pairs_are_of_the_same_seed_and_of_no_other():
    assert statistics.paired({2: 5.0, 0: 3.0, 1: 9.0}, {0: 1.0, 2: 4.5, 7: 0.0}) == {0: 2.0, 2: 0.5}
