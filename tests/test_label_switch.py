"""Sec. 2.2: nothing but switched labels to learn from, and sources that are hard to fool."""

import pytest
import torch

from aeda_core.attack import Attack
from aeda_core.datasets import BiasedImages
from aeda_core.methods import Plan
from aeda_core.methods.aeda_pre import AEDAPre
from aeda_core.methods.label_switch import AdversarialSwitch, HardSwitch
from aeda_core.methods.source import Source, new_source, trained_source, training_attack
from aeda_core.models import pixels

ATTACK = {"epsilon": 0.3, "step_size": 0.2, "steps": 3}
PLAN = Plan(epochs=6, batch_size=20, learning_rate=1e-2, averaging=0.5)


@pytest.fixture
def images():
    """Sixty noisy images of two classes, a bright half above or below."""
    generator = torch.Generator().manual_seed(0)
    targets = torch.arange(60) % 2
    pictures = torch.randint(60, 120, (60, 3, 12, 12), generator=generator, dtype=torch.uint8)
    for picture, target in zip(pictures, targets.tolist(), strict=True):
        picture[:, 6 * target : 6 * target + 6] += 40
    return BiasedImages(
        pictures, targets, torch.zeros(60, dtype=torch.long), torch.arange(60), ("above", "below"), ("all",)
    )


def accuracy(method):
    model, data = method.learner.averaged.module, method.data
    with torch.no_grad():
        return (model(pixels(data.images))[0].argmax(1) == data.targets).double().mean().item()


def trained(method):
    for number in range(1, PLAN.epochs + 1):
        method.epoch(number)
    return method


def test_hard_switch_learns_the_opposite(make_model, images):
    assert accuracy(trained(HardSwitch(make_model(n_targets=2), images, PLAN, 0))) < 0.1


def test_adversarial_switch_sees_no_original_and_only_attacked_labels(make_model, images):
    method = trained(AdversarialSwitch(make_model(n_targets=2), images, PLAN, 0, source_epochs=6, **ATTACK))
    distance = (method.examples.int() - images.images.int()).abs().amax((1, 2, 3))
    assert distance.min() > 0 and distance.max() <= 255 * 0.3 + 1e-3
    assert torch.equal(method.images(torch.arange(60)), method.examples)
    with torch.no_grad():
        seen = method.learner.averaged.module(pixels(method.examples))[0].argmax(1)
    assert (seen == 1 - images.targets).double().mean() > 0.9


def test_its_source_is_trained_on_the_task_and_attacked_once(make_model, images, monkeypatch):
    calls = []

    def remembered(*given):
        calls.append(given)
        return new_source(*given)

    monkeypatch.setattr("aeda_core.methods.label_switch.new_source", remembered)
    trained(AdversarialSwitch(make_model(n_targets=2), images, PLAN, 3, source_epochs=4, source_radius=0.1, **ATTACK))
    ((_, data, plan, seed, attack),) = calls
    assert torch.equal(data.bias, images.targets)
    assert (plan.epochs, seed, attack.epsilon, attack.lambda_) == (4, 3, 0.1, 1.0)


def test_goes_on_from_where_it_was(make_model, images):
    method = AdversarialSwitch(make_model(n_targets=2), images, PLAN, 0, source_epochs=2, **ATTACK)
    method.epoch(1)
    again = AdversarialSwitch(make_model(n_targets=2), images, PLAN, 0, source_epochs=2, **ATTACK)
    again.load_state_dict(method.state_dict())
    assert torch.equal(again.examples, method.examples)


@pytest.mark.parametrize("kind", [AdversarialSwitch, AEDAPre])
def test_a_negative_radius_is_refused(make_model, images, kind):
    with pytest.raises(ValueError, match=r"option source_radius is -0.1: it should be greater than or equal to 0"):
        kind(make_model(n_targets=2), images, PLAN, 0, source_radius=-0.1)


class TestRobustSource:
    """Adversarial training makes a source that the same attack fools less."""

    @pytest.fixture
    def biased(self, images):
        return BiasedImages(
            images.images, images.targets, images.targets, images.identities, images.target_names, ("above", "below")
        )

    def fooled(self, model, data, attack):
        x_adv = attack(model, pixels(data.images), 1 - data.bias)
        with torch.no_grad():
            return (model(x_adv)[1].argmax(1) == 1 - data.bias).double().mean().item()

    def test_is_fooled_less(self, make_model, biased):
        attack, plan = (
            Attack(**{**ATTACK, "epsilon": 0.08, "step_size": 0.05, "lambda_": 1.0}),
            Plan(**{**vars(PLAN), "epochs": 60}),
        )
        plain, robust = (trained_source(make_model(n_targets=2), biased, plan, 0, a) for a in (None, attack))
        assert self.fooled(plain, biased, attack) > self.fooled(robust, biased, attack) + 0.2

    def test_training_attack_attacks_the_bias_alone_within_its_own_radius(self):
        assert training_attack("linf", 0) is None
        withstood = training_attack("l2", 0.05)
        assert (withstood.norm, withstood.epsilon, withstood.lambda_) == ("l2", 0.05, 1.0)

    def test_the_radius_grows(self, make_model, biased, monkeypatch):
        radii = []
        monkeypatch.setattr(
            Attack, "__call__", lambda self, model, images, towards: radii.append(self.epsilon) or images
        )
        trained_source(make_model(n_targets=2), biased, PLAN, 0, training_attack("linf", 0.1))
        grown = int(Source.GROWING * len(radii)) + 1
        assert radii == sorted(radii) and 0 < radii[0] < 0.1
        assert set(radii[grown:]) == {0.1} and max(radii[: grown - 2]) < 0.1
