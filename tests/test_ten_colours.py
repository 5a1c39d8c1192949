"""Biased MNIST: ten background colours, one for each digit in training and all for all in testing."""

import pytest
import torch

from aeda_core import datasets, models
from aeda_core.datasets import DataError, ten_colours
from aeda_core.datasets.ten_colours import COLOURS, Recipe

FEW = {"n_train": 500, "n_validation": 200}


@pytest.fixture
def splits(embedded):
    return ten_colours.TenColours.split(embedded, Recipe(**FEW))


def test_it_is_known_by_its_name():
    splits = datasets.load("ten_colours", "embedded", **FEW)
    assert splits.training.bias_names == tuple(COLOURS) and "stand-in" in splits.source


def test_each_digit_has_its_own_colour_in_training(splits):
    training, *_ = splits
    assert torch.equal(training.bias, training.targets)
    assert len(training.empty_groups()) == 90
    for image, digit in zip(training.images[:20], training.targets[:20].tolist(), strict=True):
        assert image[:, 0, 0].tolist() == list(list(COLOURS.values())[digit])


def test_every_group_is_tested_alike(splits):
    """100 embedded test digits of each class, so ten of each on each colour."""
    _, validation, test = splits
    assert (test.group_sizes() == 10).all()
    assert validation.group_sizes().min() >= 1
    assert (validation.group_sizes().amax(1) - validation.group_sizes().amin(1)).max() <= 1


def test_no_digit_stands_on_both_sides(splits):
    identities = [set(part.identities.tolist()) for part in splits]
    assert len(set.union(*identities)) == sum(map(len, identities)) == 500 + 200 + 1000


def test_conflicting_images_have_any_of_the_other_colours(embedded):
    """A fifth of 3,500 digits: about 700, each of the nine others as likely."""
    training = ten_colours.training(embedded, Recipe(n_train=3500, n_validation=200, correlation=0.8))
    conflicting = training.bias != training.targets
    assert conflicting.double().mean().item() == pytest.approx(0.2, abs=0.03)
    steps = (training.bias - training.targets)[conflicting] % 10
    assert steps.bincount(minlength=10)[1:].double().div(conflicting.sum()).tolist() == pytest.approx(
        [1 / 9] * 9, abs=0.05
    )


def test_too_few_held_out_digits_are_refused(embedded, refused):
    with refused(DataError, "images of digit", "each of 10 colours"):
        ten_colours.validation(embedded, Recipe(n_train=500, n_validation=30))


def test_what_no_recipe_can_have_is_refused(refused):
    with refused(DataError, "correlation is 1.5"):
        Recipe(correlation=1.5)


def test_a_method_trains_on_ten_bias_values(splits):
    from aeda_core import METHODS, Plan, evaluate

    training, _, test = splits
    model = models.small_cnn(n_targets=10, n_bias=10, width=4)
    method = METHODS["aeda_robust_warm"](model, training, Plan(epochs=1), seed=0)
    method.epoch(1)
    assert len(evaluate(model, test).groups) == 100
