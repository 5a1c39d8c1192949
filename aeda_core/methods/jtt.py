"""Just train twice [Liu et al. 2021]."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import torch
from pydantic import Field
from torch import Tensor

from aeda_core.datasets.base import BiasedImages
from aeda_core.methods.base import Method
from aeda_core.methods.learner import Plan
from aeda_core.methods.original import Original
from aeda_core.methods.source import trained
from aeda_core.models import Classifier, frozen, in_chunks, predictions


class JTT(Method):
    """`jtt`: a first classifier is trained briefly; what it gets wrong on the training set counts λ_up times in the
    training of the second [Liu et al. 2021, Algorithm 1].

    Of classes the errors are copied, and an epoch is a draw from the larger set that is as long as the data, so that it
    costs what an epoch of `original` does. In the authors' code an epoch is the whole larger set, and an error counts
    1 + λ_up times. Of attributes, where an image can be an error in one and none in another, labels are weighed
    instead. Without an error it is `original`.

    The first classifier has a schedule of T epochs of its own, in which the learning rate falls to 0, and its errors
    are found afterwards. The authors stop a longer training at T, and note the errors while epoch T goes on.
    """

    name, label, order, ours = "jtt", "JTT", 140, True

    class Options(Method.Options):
        first_epochs: int = Field(1, ge=1, description="T, epochs of the first classifier")
        upweight: int = Field(50, ge=1, description="λ_up, how often an error counts; 1 is plain training")

    options: Options

    def __init__(self, model: Classifier, data: BiasedImages, plan: Plan, seed: int, **options: object) -> None:
        super().__init__(model, data, plan, seed, **options)
        self.errors = torch.zeros_like(self.data.targets, dtype=torch.bool)

    def epoch(self, number: int) -> Tensor:
        if number == 1:
            self.errors = self.errors_of_first()
        return super().epoch(number)

    def errors_of_first(self) -> Tensor:
        """bool, of the shape of the targets: which labels the first classifier gets wrong."""
        plan = replace(self.plan, epochs=self.options.first_epochs)
        first = trained(Original, self.model, self.data, plan, self.seed).model
        with frozen(first):
            logits = in_chunks(lambda x: first.target_head(first.features(x)), self.data.images)
        return predictions(logits, self.data.targets) != self.data.targets

    def order_of_epoch(self) -> Tensor:
        if self.data.targets.ndim == 2:
            return super().order_of_epoch()
        everything = torch.arange(len(self.data), device=self.learner.device)
        upsampled = everything.repeat_interleave(1 + (self.options.upweight - 1) * self.errors)
        return upsampled[self.learner.shuffled(len(upsampled))][: len(self.data)]

    def target_loss(self, logits: Tensor, batch: Tensor) -> Tensor:
        if self.data.targets.ndim == 1:
            return super().target_loss(logits, batch)
        counts = 1 + (self.options.upweight - 1) * self.errors.float()
        return (self.label_losses(logits, batch) * (counts / counts.mean())[batch]).mean()

    def state_dict(self) -> dict[str, Any]:
        return super().state_dict() | {"errors": self.errors}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        super().load_state_dict(state)
        self.errors = state["errors"].to(self.learner.device)
