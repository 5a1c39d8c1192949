"""Learning from failure [Nam et al. 2020]."""

from __future__ import annotations

from typing import Any

import torch
from pydantic import Field
from torch import Tensor

from aeda_core.datasets.base import BiasedImages
from aeda_core.methods.biased import BesideBiased
from aeda_core.methods.learner import Plan
from aeda_core.models import Classifier, label_losses, pixels


class LfF(BesideBiased):
    """`lff`: a biased and a debiased classifier learn side by side, and a label counts in the loss of the debiased one
    by how much harder it is for the biased one [Nam et al. 2020].

    It is told no bias label. As in the authors' code the two losses that are compared are running averages, each as a
    share of the largest of its class; of attributes, of its target task.
    """

    name, label, order, ours = "lff", "LfF", 150, True

    class Options(BesideBiased.Options):
        decay: float = Field(0.7, ge=0, lt=1, description="of the running averages of each label's losses")

    options: Options

    def __init__(self, model: Classifier, data: BiasedImages, plan: Plan, seed: int, **options: object) -> None:
        super().__init__(model, data, plan, seed, **options)
        self.averages = torch.full((2, *self.data.targets.shape), torch.nan, device=self.learner.device)

    def loss(self, batch: Tensor) -> Tensor:
        images = pixels(self.images(batch))
        logits = self.model.target_head(self.model.features(images))
        difficulty = self.difficulty(self.biased_step(images, batch), logits.detach(), batch)
        return (difficulty * self.label_losses(logits, batch)).mean()

    def difficulty(self, biased: Tensor, debiased: Tensor, batch: Tensor) -> Tensor:
        """W = L_B / (L_B + L_D), of the shape of the targets, from the logits of the two classifiers."""
        losses = torch.stack([label_losses(logits, self.data.targets[batch]) for logits in (biased, debiased)])
        before = self.averages[:, batch]
        averaged = self.options.decay * before + (1 - self.options.decay) * losses
        self.averages[:, batch] = torch.where(before.isnan(), losses, averaged)
        of_biased, of_debiased = (self.averages[:, batch] / self.largest()[:, self.data.tasks[batch]]).unbind()
        return of_biased / (of_biased + of_debiased).clamp_min(1e-8)

    def largest(self) -> Tensor:
        """float32 (2, tasks): the largest average of each target task, for the biased and the debiased classifier."""
        largest = self.averages.new_full((2, len(self.data.task_names)), 1e-8)
        tasks = self.data.tasks.flatten().expand(2, -1)
        return largest.scatter_reduce(1, tasks, self.averages.nan_to_num(0.0).flatten(1), "amax")

    def state_dict(self) -> dict[str, Any]:
        return super().state_dict() | {"averages": self.averages}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        super().load_state_dict(state)
        self.averages = state["averages"].to(self.learner.device)
