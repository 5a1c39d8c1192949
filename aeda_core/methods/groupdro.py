"""Group distributionally robust optimisation [Sagawa et al. 2020]."""

from __future__ import annotations

from typing import Any

import torch
from pydantic import Field
from torch import Tensor

from aeda_core.datasets.base import BiasedImages
from aeda_core.methods.base import Method
from aeda_core.methods.learner import Plan
from aeda_core.methods.needs import EveryGroup
from aeda_core.models import Classifier, label_losses


class GroupDRO(Method):
    """`groupdro`: minimise the loss of the worst group (target task, bias value), with weights q over the groups that
    grow exponentially with their losses [Sagawa et al. 2020, Algorithm 1].

    With classes each image of an epoch is drawn from a group that is drawn first, all groups alike. An image with
    several attributes belongs to a group of each, so it is drawn as ever, and each attribute has a q of its own. A
    batch changes q once, by the mean losses of the groups that it holds. So does the authors' code, but that with C > 0
    the weight of a group that the batch lacks grows there, too. `task_balance` changes nothing.

    The authors couple it with strong weight decay or early stopping. Here weight decay is the plan's, and training goes
    on to its end, as with all methods.
    """

    name, label, order, ours = "groupdro", "GroupDRO", 130, True
    needs = (EveryGroup(),)

    class Options(Method.Options):
        eta: float = Field(0.01, ge=0, description="η of the update of q; 0 keeps the groups' weights even")
        adjustment: float = Field(0.0, ge=0, description="C: q sees the loss of n images as C / √n higher")

    options: Options

    def __init__(self, model: Classifier, data: BiasedImages, plan: Plan, seed: int, **options: object) -> None:
        super().__init__(model, data, plan, seed, **options)
        self.sizes = self.data.group_sizes().flatten()
        bias = self.data.bias.view(-1, *[1] * (self.data.targets.ndim - 1))
        self.groups = self.data.tasks * len(self.data.bias_names) + bias
        self.n_problems = 1 if self.data.targets.ndim == 1 else len(self.data.target_names)
        self.q = self.normalised(torch.ones_like(self.sizes, dtype=torch.float))

    def order_of_epoch(self) -> Tensor:
        if self.data.targets.ndim == 2:
            return super().order_of_epoch()
        return self.learner.drawn(1 / self.sizes[self.groups], len(self.data))

    def target_loss(self, logits: Tensor, batch: Tensor) -> Tensor:
        """Σ_g q_g · (mean loss of group g in the batch), after the update of q; the mean over attributes."""
        losses, groups = label_losses(logits, self.data.targets[batch]).flatten(), self.groups[batch].flatten()
        held = groups.bincount(minlength=len(self.sizes))
        means = losses.new_zeros(len(self.sizes)).index_add(0, groups, losses) / held.clamp_min(1)
        penalty = self.options.adjustment / self.sizes.sqrt()
        growth = (self.options.eta * (means.detach() + penalty) * (held > 0)).exp().float()
        self.q = self.normalised(self.q * growth)
        return (self.q * means).sum() / self.n_problems

    def normalised(self, q: Tensor) -> Tensor:
        """`q` with the groups of each attribute, or all groups of classes, adding up to 1."""
        by_problem = q.view(self.n_problems, -1)
        return (by_problem / by_problem.sum(1, keepdim=True)).flatten()

    def state_dict(self) -> dict[str, Any]:
        return super().state_dict() | {"q": self.q}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        super().load_state_dict(state)
        self.q = state["q"].to(self.learner.device)
