"""Domain-independent training [Wang et al. 2020]."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, cast

import torch
from torch import Tensor, nn

from aeda_core.datasets.base import BiasedImages
from aeda_core.methods.base import Method
from aeda_core.methods.learner import Plan
from aeda_core.models import Classifier


class DomainIndependent(Method):
    """`domain_independent`: one target head for each bias value on the same features, trained on the images with that
    value alone; at test time, where nobody tells it, their logits are added up [Wang et al. 2020].

    The heads are linear, so their mean is a head that predicts the same. It is h_t, renewed after every step.
    """

    name, label, order, ours = "domain_independent", "Domain-independent", 180, True
    divisible = True

    def __init__(self, model: Classifier, data: BiasedImages, plan: Plan, seed: int, **options: object) -> None:
        head, n_bias = cast(nn.Linear, model.target_head), len(data.bias_names)
        self.heads = nn.Linear(head.in_features, n_bias * model.n_targets).to(head.weight.device)
        with torch.no_grad():
            self.heads.weight.copy_(head.weight.repeat(n_bias, 1))
            self.heads.bias.copy_(head.bias.repeat(n_bias))
        super().__init__(model, data, plan, seed, **options)
        # before the weights are averaged over the steps, so that the averaged h_t is the mean of averaged heads
        self.learner.optimiser.register_step_post_hook(lambda *_: self.add_up())

    def parameters(self) -> Iterable[nn.Parameter]:
        yield from self.model.extractor.parameters()
        yield from self.heads.parameters()

    def add_up(self) -> None:
        """h_t ← the mean of the heads."""
        head, n_bias = cast(nn.Linear, self.model.target_head), len(self.data.bias_names)
        with torch.no_grad():
            head.weight.copy_(self.heads.weight.view(n_bias, *head.weight.shape).mean(0))
            head.bias.copy_(self.heads.bias.view(n_bias, -1).mean(0))

    def logits(self, features: Tensor, batch: Tensor) -> Tensor:
        by_bias: Tensor = self.heads(features).view(len(batch), len(self.data.bias_names), -1)
        return by_bias[torch.arange(len(batch), device=batch.device), self.data.bias[batch]]

    def state_dict(self) -> dict[str, Any]:
        return super().state_dict() | {"heads": self.heads.state_dict()}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        super().load_state_dict(state)
        self.heads.load_state_dict(state["heads"])
