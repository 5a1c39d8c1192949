"""A second classifier that is biased on purpose and trained beside the first: what LfF and BiasAdv share."""

from __future__ import annotations

from typing import Any

from pydantic import Field
from torch import Tensor

from aeda_core.datasets.base import BiasedImages
from aeda_core.methods.base import Method
from aeda_core.methods.learner import Plan
from aeda_core.models import Classifier, label_losses, reinitialised


class Biased(Method):
    """Minimises the generalised cross-entropy (1 − p^q) / q of the label's probability p [Zhang and Sabuncu 2018].

    Its gradient is that of cross-entropy times p^q, so that what is learned early, the bias, is learned all the more
    [Nam et al. 2020].
    """

    class Options(Method.Options):
        q: float = Field(0.7, gt=0, le=1, description="of the biased classifier's loss; near 0 it is cross-entropy")

    options: Options

    def target_loss(self, logits: Tensor, batch: Tensor) -> Tensor:
        q = self.options.q
        losses = (1 - (-q * label_losses(logits, self.data.targets[batch])).exp()) / q
        return losses.mean() if self.weights is None else (losses * self.weights[batch]).mean()


class BesideBiased(Method):
    """A method with a `Biased` classifier of the same network beside it, which a subclass trains."""

    class Options(Biased.Options):
        """How the second classifier is biased."""

    options: Options

    def __init__(self, model: Classifier, data: BiasedImages, plan: Plan, seed: int, **options: object) -> None:
        super().__init__(model, data, plan, seed, **options)
        self.biased = Biased(reinitialised(model, seed), self.data, plan, seed, q=self.options.q)

    def biased_step(self, images: Tensor, batch: Tensor) -> Tensor:
        """A step of the biased classifier on `images` (float32), which are the training images `batch`; returns the
        target logits that it had before, without a gradient."""
        model = self.biased.model.train()
        logits: Tensor = model.target_head(model.features(images))
        self.biased.learner.step(self.biased.target_loss(logits, batch))
        return logits.detach()

    def state_dict(self) -> dict[str, Any]:
        own = {"biased_model": self.biased.model.state_dict(), "biased": self.biased.state_dict()}
        return super().state_dict() | own

    def load_state_dict(self, state: dict[str, Any]) -> None:
        super().load_state_dict(state)
        self.biased.model.load_state_dict(state["biased_model"])
        self.biased.load_state_dict(state["biased"])
