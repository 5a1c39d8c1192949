"""FLAC: fairness-aware representations by suppressing attribute-class associations [Sarridis et al. 2023]."""

from __future__ import annotations

import torch
from pydantic import Field
from torch import Tensor
from torch.nn import functional as F

from aeda_core.methods.bias_features import WithBiasFeatures
from aeda_core.models import pixels


class FLAC(WithBiasFeatures):
    """`flac`: L_target + α · L_FLAC, which makes the similarities of f's features match the *dis*similarities of a bias
    classifier's, over the pairs of a batch that go against the bias [Sarridis et al. 2023].

    These pairs have the same label and look different to the bias classifier, or different labels and look alike. It
    is told bias labels by way of that classifier alone. With attributes L_FLAC is the mean over them.

    As in the authors' code for digits and CelebA features are compared at unit length, and their distances stand under
    a square root.
    """

    name, label, order, ours = "flac", "FLAC", 210, True

    class Options(WithBiasFeatures.Options):
        alpha: float = Field(100.0, ge=0, description="α, weight of L_FLAC; 0 is plain training")

    options: Options

    def loss(self, batch: Tensor) -> Tensor:
        features = self.model.features(pixels(self.images(batch)))
        loss = self.target_loss(self.logits(features, batch), batch)
        if not self.options.alpha:
            return loss
        labels = self.data.targets[batch].view(len(batch), -1).T
        suppressed = [flac_loss(features, self.bias_features[batch], own) for own in labels]
        return loss + self.options.alpha * torch.stack(suppressed).mean()


def flac_loss(features: Tensor, bias_features: Tensor, labels: Tensor) -> Tensor:
    """L_FLAC of a batch: Jeffreys' divergence, mean over the pairs, of two conditional distributions over the pairs of
    each image.

    features, bias_features: float32 (N, D) of f and of the bias classifier
    labels: int64 (N,)
    0 where no pair goes against the bias.
    """
    similarity, bias_similarity = _similarity(features), _similarity(bias_features)
    middle = (bias_similarity.max() + bias_similarity.min()) / 2
    same = labels[:, None] == labels
    pairs = torch.where(same, bias_similarity < middle, bias_similarity > middle)
    if not pairs.any():
        return 0 * features.sum()
    p, q = _conditional(1 - bias_similarity, pairs), _conditional(similarity, pairs)
    return ((p - q) * (p.log() - q.log())).mean()


def _similarity(features: Tensor) -> Tensor:
    """Student's t kernel 1 / (1 + √distance) of each two rows, both scaled to unit length, (N, N)."""
    directions = F.normalize(features)
    return 1 / (1 + ((directions[:, None] - directions) ** 2).sum(2).add(1e-6) ** 0.25)


def _conditional(values: Tensor, pairs: Tensor) -> Tensor:
    """The values of `pairs`, as shares of the sum over each row's."""
    shares = values / (values * pairs).sum(1, keepdim=True).clamp_min(1e-7)
    return shares[pairs].clamp_min(1e-7)
