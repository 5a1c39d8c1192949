"""Bias addition [Sarridis et al. 2024]."""

from __future__ import annotations

from torch import Tensor

from aeda_core.methods.bias_features import WithBiasFeatures


class BAdd(WithBiasFeatures):
    """`badd`: the features of a classifier of the bias are added to those that h_t sees in training, so that f gains
    nothing from learning them once more; at test time h_t sees f alone [Sarridis et al. 2024, Sec. 3].

    This is what the authors' code does. In their paper h_t is trained on before that, with f alone, which is not done
    here.
    """

    name, label, order, ours = "badd", "BAdd", 200, True

    def logits(self, features: Tensor, batch: Tensor) -> Tensor:
        return super().logits(features + self.bias_features[batch], batch)
