"""Reweighting [Kamiran and Calders 2012]: count rare images more often."""

from __future__ import annotations

from torch import Tensor

from aeda_core.methods.base import Method
from aeda_core.methods.needs import EveryGroup


class Reweighting(Method):
    """`reweighting`: each label weighs P(t) · P(b) / P(t, b), so that target and bias are independent (Sec. 4.1)."""

    name, label, order = "reweighting", "Reweighting", 30
    needs = (EveryGroup(),)
    divisible = True

    def weigh(self) -> Tensor:
        sizes = self.data.group_sizes().double()
        p_bias = self.data.bias.bincount(minlength=len(self.data.bias_names)).double() / len(self.data)
        weights = (sizes.sum(1, keepdim=True) * p_bias / sizes).float()
        bias = self.data.bias.view(-1, *[1] * (self.data.targets.ndim - 1))
        return weights[self.data.tasks, bias] * self.task_weights(sizes.sum(1))
