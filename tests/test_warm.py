"""Warm-started examples: an attack goes on where it was, stays in its ball, and pays only for what it attacks."""

import pytest
import torch

from aeda_core.attack import Attack
from aeda_core.methods import METHODS, Plan
from aeda_core.models import pixels
from aeda_core.profiles import ParameterError

EPSILON, STEP = 0.2, 0.08


@pytest.fixture
def start(make_model, biased_images):
    def start(mirror=False, **options):
        options = {"epsilon": EPSILON, "step_size": STEP, "start": 0, **options}
        plan = Plan(epochs=4, batch_size=16, mirror=mirror)
        return METHODS["aeda_robust_warm"](make_model(), biased_images, plan, 0, **options)

    return start


def distance(method):
    return (pixels(method.examples) - pixels(method.data.images)).abs().max().item()


def test_from_the_images_one_step_is_the_attacks_first(make_model, biased_images):
    attack, model = Attack("linf", EPSILON, STEP, steps=1, lambda_=0.5), make_model()
    images, towards = pixels(biased_images.images), 1 - biased_images.bias
    fresh = attack(model, images, towards, biased_images.targets)
    assert torch.equal(attack(model, images, towards, biased_images.targets, start=images), fresh)


def test_two_warm_steps_are_one_attack_of_two(make_model, biased_images):
    """Against a model that stands still, going on is the same as not having stopped."""
    one, two = (Attack("linf", EPSILON, STEP, steps=n, lambda_=0.5) for n in (1, 2))
    model, images, towards = make_model(), pixels(biased_images.images), 1 - biased_images.bias
    halfway = one(model, images, towards, biased_images.targets)
    assert torch.equal(
        one(model, images, towards, biased_images.targets, start=halfway),
        two(model, images, towards, biased_images.targets),
    )


def test_examples_go_further_every_epoch_and_stay_in_the_ball(start):
    method = start()
    reached = []
    for number in (1, 2, 3, 4):
        method.epoch(number)
        reached.append(distance(method))
    assert reached[0] == pytest.approx(STEP, abs=1 / 255)
    assert reached[0] < reached[-1] <= EPSILON + 1e-6


@pytest.mark.parametrize(("reset", "farthest"), [(1, STEP), (2, 2 * STEP)])
def test_a_reset_begins_at_the_originals_again(start, reset, farthest):
    method = start(reset=reset)
    for number in (1, 2, 3, 4):
        method.epoch(number)
        assert distance(method) <= farthest + 1e-6


def test_a_share_is_attacked_and_stands_in_for_its_originals(start):
    method = start(share=0.5)
    method.epoch(1)
    moved = (method.examples != method.data.images).flatten(1).any(1)
    assert method.replaced.sum() == 30 and torch.equal(moved, method.replaced)
    seen, whose = method.both(torch.arange(60))
    assert torch.equal(whose, torch.arange(60))
    assert torch.equal(seen[method.replaced], method.examples[method.replaced])
    assert torch.equal(seen[~method.replaced], method.data.images[~method.replaced])


def test_the_drawn_half_is_another_every_epoch(start):
    method = start(share=0.5)
    method.epoch(1)
    first = method.replaced.clone()
    method.epoch(2)
    assert not torch.equal(first, method.replaced)


def test_mirrored_images_are_gone_on_from_mirrored_and_kept_as_they_are(start):
    method = start(mirror=True)
    for number in (1, 2, 3):
        method.epoch(number)
    index = torch.arange(60)
    assert distance(method) <= EPSILON + 1e-6  # kept turned the wrong way, an example would be far from its original
    begun = method.starting_points(index)
    assert torch.equal(begun[method.mirrored], method.examples[method.mirrored].flip(-1))
    before = method.mirrored.clone()
    shown = method.latest_examples(index)
    assert torch.equal(before, method.mirrored)
    assert (pixels(shown) - pixels(method.data.images)).abs().max() <= EPSILON + 1e-6


@pytest.mark.parametrize("options", [{"reset": 0}, {"share": 0.0}, {"share": 1.0}])
def test_what_cannot_be_is_refused(start, refused, options):
    ((name, value),) = options.items()
    with refused(ParameterError, f"option {name} is {value}: it should be"):
        start(**options)


def test_a_step_that_the_grey_levels_would_swallow_is_refused(start):
    with pytest.raises(ValueError, match=r"step_size is 0\.003; .* at least 1/255"):
        start(step_size=0.003).epoch(1)
