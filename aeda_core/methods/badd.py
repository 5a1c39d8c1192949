"""Bias addition [Sarridis et al. 2024]."""

from __future__ import annotations

from dataclasses import replace

from pydantic import Field
from torch import Tensor

from aeda_core.methods.bias_features import WithBiasFeatures
from aeda_core.methods.learner import Learner
from aeda_core.models import frozen, in_chunks


class BAdd(WithBiasFeatures):
    """`badd`: the features of a classifier of the bias are added to those that h_t sees in training, so that f gains
    nothing from learning them once more; then h_t is trained on with f alone, which is all that it sees at test time
    [Sarridis et al. 2024, Sec. 3].

    That last part is in the paper, and not in the authors' code. It has a schedule of its own, as the plan describes
    it, and images as they are, also where an epoch sees them mirrored.
    """

    name, label, order, ours = "badd", "BAdd", 200, True

    class Options(WithBiasFeatures.Options):
        head_epochs: int = Field(20, ge=0, description="training of h_t alone, without the features that were added")

    options: Options

    def epoch(self, number: int) -> Tensor:
        loss = super().epoch(number)
        if number == self.plan.epochs and self.options.head_epochs:
            self.train_head()
        return loss

    def logits(self, features: Tensor, batch: Tensor) -> Tensor:
        return super().logits(features + self.bias_features[batch], batch)

    def train_head(self) -> None:
        """h_t of the averaged weights, which are what gets evaluated, trained on f's features as they are."""
        model = self.averaged
        with frozen(model):
            features = in_chunks(model.features, self.data.images)
        head, plan = model.target_head, replace(self.plan, epochs=self.options.head_epochs)
        learner = Learner(head, head.parameters(), plan, len(self.data), self.seed)
        for _ in range(plan.epochs):
            for batch in learner.batches(learner.shuffled(len(self.data))):
                learner.step(self.target_loss(head(features[batch]), batch))
        head.load_state_dict(learner.averaged.module.state_dict())
