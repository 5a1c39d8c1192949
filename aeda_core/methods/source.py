"""A classifier of both tasks that is trained before the target's own, to be attacked (assumption: source)."""

from __future__ import annotations

from collections.abc import Iterable

from pydantic import Field
from torch import Tensor, nn

from aeda_core.attack import Attack, Norm
from aeda_core.datasets.base import BiasedImages, other_values
from aeda_core.methods.base import Method
from aeda_core.methods.learner import Plan
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


def trained_source(
    model: Classifier, data: BiasedImages, plan: Plan, seed: int, adversarial_training: Attack | None = None
) -> Classifier:
    """A trained Source with the network of `model`, not its weights."""
    source = Source(reinitialised(model, seed), data, plan, seed, adversarial_training=adversarial_training)
    for number in range(1, plan.epochs + 1):
        source.epoch(number)
    return source.averaged
