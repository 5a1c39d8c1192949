"""A bias variable with more than two values: every method trains on it or says why not, and the measures follow."""

import itertools
import math

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from aeda_core import metrics
from aeda_core.datasets import BiasedImages, DataError
from aeda_core.datasets.base import other_values
from aeda_core.errors import Problem
from aeda_core.methods import METHODS, STUDIES, Plan
from aeda_core.methods.source import trained_source, training_attack
from aeda_core.models import pixels
from aeda_core.training import train

PLAN = Plan(epochs=2, batch_size=16, learning_rate=1e-2)
QUICK = {"steps": 2}


@pytest.fixture
def start(make_model, three_colours):
    def start(name, seed=0, plan=PLAN, **options):
        return (METHODS | STUDIES)[name](make_model(n_bias=3), three_colours, plan, seed, **options)

    return start


@pytest.mark.parametrize("name", [name for name in METHODS if name != "cyclegan"])
def test_every_method_trains_on_them(start, three_colours, name):
    """All but CycleGAN, through the loop with its probes."""
    options = QUICK if name.startswith("aeda") and "warm" not in name else {}
    classifier, rows = train(start(name, **options), three_colours)
    counts = metrics.confusion(classifier, three_colours)
    assert counts.shape == (3, 3, 3) and counts.sum() == len(three_colours)
    assert all(math.isfinite(value) for row in rows for value in row.values())
    assert ("r" in rows[-1]) == name.startswith("aeda")


def test_few_shot_trains_on_them(start):
    method = start("few_shot", few=(2,), copies=2, start=0, **QUICK)
    assert math.isfinite(method.epoch(1))
    assert method.has_inter.any()


def test_cyclegan_says_why_not(start, refused):
    with refused(Problem, "two bias values", "3 (red, blue, green)", "keep the images of two"):
        start("cyclegan")


def test_one_value_has_no_other(make_model, three_colours, refused):
    alone = BiasedImages(**{**vars(three_colours), "bias": 0 * three_colours.bias, "bias_names": ("red",)})
    with refused(Problem, "aeda_online", "no second one besides 'red'"):
        METHODS["aeda_online"](make_model(), alone, PLAN, 0)


def test_attacked_towards_each_of_the_others_by_seed(start, three_colours):
    first, again, other = (start("aeda_robust", seed=seed).attacked for seed in (0, 0, 1))
    assert torch.equal(first, again) and not torch.equal(first, other)
    pairs = set(zip(three_colours.bias.tolist(), first.tolist(), strict=True))
    assert pairs == set(itertools.permutations(range(3), 2))


@pytest.mark.parametrize("radius", [0.0, 0.05])
def test_a_source_learns_all_three(make_model, three_colours, radius):
    plan = Plan(epochs=12, batch_size=12, learning_rate=1e-2, averaging=0.5)
    source = trained_source(make_model(n_bias=3), three_colours, plan, 0, training_attack("linf", radius))
    with torch.no_grad():
        seen = source(pixels(three_colours.images))[1].argmax(1)
    assert (seen == three_colours.bias).double().mean() > 0.9


def test_undersampling_evens_three_groups(start):
    assert start("undersampling").data.group_sizes().tolist() == [[4, 4, 4], [3, 3, 3], [4, 4, 4]]


def test_weighted_target_and_bias_are_independent(start, three_colours):
    method, total = start("reweighting"), torch.zeros(3, 3, dtype=torch.float64)
    total.index_put_((three_colours.targets, three_colours.bias), method.weights.double(), accumulate=True)
    torch.testing.assert_close(total, total.sum(1, keepdim=True) * total.sum(0) / total.sum(), rtol=1e-6, atol=0)


sizes_of_groups = st.integers(1, 4).flatmap(
    lambda b: st.lists(st.lists(st.integers(0, 9), min_size=b, max_size=b), min_size=1, max_size=4)
)


@given(sizes_of_groups)
def test_group_sizes_are_those_that_were_made(sizes):
    groups = [(t, b) for t, row in enumerate(sizes) for b, n in enumerate(row) for _ in range(n)]
    targets, bias = torch.tensor(groups, dtype=torch.long).view(-1, 2).T
    names = (tuple(map(str, range(len(sizes)))), tuple("abcd"[: len(sizes[0])]))
    data = BiasedImages(torch.zeros(len(groups), 3, 2, 2, dtype=torch.uint8), targets, bias, targets, *names)
    assert data.group_sizes().tolist() == sizes
    assert len(data.empty_groups()) == sum(n == 0 for row in sizes for n in row)


@given(st.integers(2, 6), st.integers(0, 100))
def test_another_value_is_never_the_same(n, seed):
    values = torch.arange(n).repeat(20)
    others = other_values(values, n, torch.Generator().manual_seed(seed))
    assert ((others >= 0) & (others < n) & (others != values)).all()


def test_of_two_values_it_is_the_other_and_nothing_is_drawn():
    generator = torch.Generator().manual_seed(0)
    before = generator.get_state()
    assert other_values(torch.tensor([0, 1, 1]), 2, generator).tolist() == [1, 0, 0]
    assert torch.equal(generator.get_state(), before)


right_of_20 = st.lists(st.integers(0, 20), min_size=2, max_size=4)
"""By bias value, how many of 20 images of a group are right."""


@given(right_of_20)
def test_eq1_is_the_largest_gap_of_any_two_bias_values(right):
    """The largest of the pairwise gaps; and the mean of them is what the confusion matrices disagree in."""
    counts = [[[n, 20 - n], [0, 20]] for n in right]
    largest = max(abs(a - b) / 20 for a, b in itertools.combinations(right, 2))
    assert metrics.bias_per_target(counts)[0] == pytest.approx(largest)
    assert metrics.model_bias(counts) == pytest.approx(largest)
    pairs = [abs(a - b) / 20 for a, b in itertools.combinations(right, 2)]
    assert metrics.consistency(counts) == pytest.approx(1 - np.mean(pairs) / 2)


@given(right_of_20, st.randoms(use_true_random=False))
def test_bias_does_not_depend_on_the_order_of_the_bias_values(right, random):
    counts = [[[n, 20 - n], [0, 20]] for n in right]
    shuffled = random.sample(counts, len(counts))
    assert metrics.model_bias(counts) == pytest.approx(metrics.model_bias(shuffled))
    assert metrics.bacc(counts) == pytest.approx(metrics.bacc(shuffled))


def test_floor_of_three_groups_by_every_deal():
    """Three right answers for groups of 2, 2 and 1 images: all ten ways to deal them out, worked through."""
    owners = [0, 0, 1, 1, 2]
    gaps = []
    for right in itertools.combinations(range(5), 3):
        shares = [sum(owners[i] == g for i in right) / owners.count(g) for g in range(3)]
        gaps.append(max(shares) - min(shares))
    counts = [[[2, 0], [0, 1]], [[1, 1], [0, 1]], [[0, 1], [0, 1]]]
    assert metrics.permutation_floor(counts) == pytest.approx(np.mean(gaps), abs=0.02)
    assert metrics.permutation_floor(counts) == metrics.permutation_floor(counts)


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"bias": torch.tensor([0, 1, 3])}, ("bias go from 0 to 3", "red, blue, green", "0..2")),
        ({"bias": torch.tensor([0, -1, 2])}, ("bias go from -1 to 2",)),
        ({"bias": torch.tensor([0.0, 1.0, 2.0])}, ("bias must be int64", "float32")),
        ({"targets": torch.tensor([0, 1, 2])}, ("targets go from 0 to 2", "left, right", "0..1")),
        ({"targets": torch.tensor([[0, 1], [1, 2], [0, 0]])}, ("targets go from 0 to 2", "absent (0) or present (1)")),
        ({"targets": torch.tensor([[0], [1], [0]])}, ("1 columns", "2 target names")),
    ],
)
def test_labels_out_of_range_are_refused(refused, changes, words):
    given = {
        "images": torch.zeros(3, 3, 4, 4, dtype=torch.uint8),
        "targets": torch.tensor([0, 1, 1]),
        "bias": torch.tensor([0, 1, 2]),
        "identities": torch.arange(3),
        "target_names": ("left", "right"),
        "bias_names": ("red", "blue", "green"),
    }
    BiasedImages(**given)
    with refused(DataError, *words):
        BiasedImages(**given | changes)


def test_a_training_set_sorted_by_bias_is_told_to_be_shuffled(make_model, biased_images, refused, monkeypatch):
    """r(m) is asked of the first images, and a bias head learns nothing from examples of a single value."""
    monkeypatch.setattr("aeda_core.training.PROBED", 20)
    in_order = biased_images[biased_images.bias.argsort()]
    method = METHODS["aeda_online"](make_model(), in_order, PLAN, 0, **QUICK)
    with refused(Problem, "all 20 examples", "bias value 1", "shuffle it"):
        train(method, biased_images)
