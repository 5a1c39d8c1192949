"""A classifier of both tasks that is trained before the target's own, to be attacked (assumption: source)."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any

from pydantic import Field
from torch import Tensor, nn

from aeda_core.attack import Attack, Norm
from aeda_core.datasets.base import BiasedImages, other_values
from aeda_core.methods.base import Method
from aeda_core.methods.learner import Plan, finite
from aeda_core.models import Classifier, bias_loss, pixels, reinitialised


class SourceOptions(Method.Options):
    """How the source of a method is trained."""

    source_epochs: int = Field(10, ge=1, description="training of the classifier that aeda_pre attacks")
    source_radius: float = Field(
        0.0, ge=0, description="ε of its own adversarial training (Sec. 2.3); 0 trains it on originals"
    )


class Source(Method):
    """Trains f, h_t and h_b together, on originals or adversarially.

    Its adversarial training [Madry et al. 2018] makes it robust (Sec. 2.2): it trains on what fools its bias head, in
    place of the originals. The radius grows from 0 over the first GROWING of the training, for a source that meets all
    of it from the start learns nothing on faces (assumption: robust-source).
    """

    GROWING = 0.7
    """The share of the training in which the radius grows."""

    class Options(Method.Options):
        adversarial_training: Attack | None = Field(
            None, description="the attack that it is trained to withstand; None trains it on originals"
        )

    options: Options

    def __init__(self, model: Classifier, data: BiasedImages, plan: Plan, seed: int, **options: object) -> None:
        super().__init__(model, data, plan, seed, **options)
        self.done = 0

    def epochs(self) -> Iterator[None]:
        """Train the epochs that are left, one at a time."""
        while self.done < self.plan.epochs:
            self.done += 1
            finite(self.epoch(self.done), f"the source in epoch {self.done}")
            yield

    def state_dict(self) -> dict[str, Any]:
        return super().state_dict() | {"model": self.model.state_dict(), "done": self.done}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        super().load_state_dict(state)
        self.model.load_state_dict(state["model"])
        self.done = state["done"]

    def parameters(self) -> Iterable[nn.Parameter]:
        return self.model.parameters()

    def loss(self, batch: Tensor) -> Tensor:
        images = pixels(self.images(batch))
        if (whole := self.options.adversarial_training) is not None:
            done = (self.learner.steps + 1) / (self.GROWING * self.learner.total_steps)
            attack = whole.within(min(1.0, done) * whole.epsilon)
            others = other_values(self.data.bias[batch], len(self.data.bias_names), self.learner.generator)
            images = attack(self.model, images, others)
        target_logits, bias_logits = self.model(images)
        return self.target_loss(target_logits, batch) + bias_loss(bias_logits, self.data.bias[batch])


def training_attack(norm: Norm, radius: float) -> Attack | None:
    """The attack that a source is trained to withstand so as to be robust within `radius`; None where that is 0."""
    return Attack(norm=norm, epsilon=radius, step_size=radius / 2, steps=3, lambda_=1.0) if radius else None


def new_source(
    model: Classifier, data: BiasedImages, plan: Plan, seed: int, adversarial_training: Attack | None = None
) -> Source:
    """A Source about to be trained, with the network of `model`, not its weights."""
    return Source(reinitialised(model, seed), data, plan, seed, adversarial_training=adversarial_training)


def trained_source(
    model: Classifier, data: BiasedImages, plan: Plan, seed: int, adversarial_training: Attack | None = None
) -> Classifier:
    """A classifier trained as `new_source`."""
    source = new_source(model, data, plan, seed, adversarial_training)
    for _ in source.epochs():
        pass
    return source.averaged


def trained(
    kind: type[Method], model: Classifier, data: BiasedImages, plan: Plan, seed: int, **options: object
) -> Method:
    """The method `kind` at the end of `plan`, on the network of `model` with weights of its own."""
    method = kind(reinitialised(model, seed), data, plan, seed, **options)
    for number in range(1, plan.epochs + 1):
        method.epoch(number)
    return method
