"""The classifier of Fig. 6: a feature extractor f with a target head h_t and a bias head h_b on top."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import torch
from torch import Tensor, nn
from torch.nn import functional as F

PRECISIONS = ("bf16", "fp32")


class Classifier(nn.Module):
    """f, h_t and h_b. Takes images in [0, 1]; normalisation and precision are inside, so an attack sees neither.

    extractor:   images (N, 3, H, W) in [-1, 1] → features (N, D); the paper's f
    n_features:  D
    n_targets:   outputs of h_t
    n_bias:      outputs of h_b
    bias_hidden: width of a hidden layer in h_b; 0 makes h_b linear, as h_t is (assumption: bias-head)
    precision:   `"fp32"`, the reference, or `"bf16"`: autocast, float32 weights and logits
    """

    def __init__(
        self,
        extractor: nn.Module,
        n_features: int,
        n_targets: int,
        n_bias: int = 2,
        bias_hidden: int = 0,
        precision: str = "fp32",
    ) -> None:
        super().__init__()
        if precision not in PRECISIONS:
            raise ValueError(f"precision is {precision!r}; it is one of {', '.join(PRECISIONS)}.")
        self.extractor = extractor
        self.target_head = nn.Linear(n_features, n_targets)
        self.bias_head: nn.Module = nn.Linear(bias_hidden or n_features, n_bias)
        if bias_hidden:
            self.bias_head = nn.Sequential(nn.Linear(n_features, bias_hidden), nn.ReLU(), self.bias_head)
        self.precision = precision
        self.to(memory_format=torch.channels_last)

    def forward(self, images: Tensor) -> tuple[Tensor, Tensor]:
        """Target logits (N, T) and bias logits (N, B), float32, of images (N, 3, H, W) in [0, 1]."""
        features = self.features(images)
        return self.target_head(features), self.bias_head(features)

    def features(self, images: Tensor) -> Tensor:
        """f(x): float32 (N, D) of images (N, 3, H, W) in [0, 1]."""
        with torch.autocast(images.device.type, torch.bfloat16, enabled=self.precision == "bf16"):
            return self.extractor(images * 2 - 1).float()


def small_cnn(n_targets: int = 10, width: int = 32, n_features: int = 128, **classifier: object) -> Classifier:
    """The classifier for C-MNIST: three 3×3 convolutions (width, 2·width, 2·width) and one dense layer
    (assumption: cmnist-network).

    No batch normalisation: it would mix the statistics of originals and adversarial examples. ReLU comes behind each
    maximum, which is the same function with a quarter of the work.
    """
    extractor = nn.Sequential(
        nn.Conv2d(3, width, 3, padding=1), nn.MaxPool2d(2), nn.ReLU(),
        nn.Conv2d(width, 2 * width, 3, padding=1), nn.MaxPool2d(2), nn.ReLU(),
        nn.Conv2d(2 * width, 2 * width, 3, padding=1), nn.AdaptiveMaxPool2d(3), nn.ReLU(),
        nn.Flatten(), nn.Linear(2 * width * 9, n_features), nn.ReLU(),
    )  # fmt: skip
    return Classifier(extractor, n_features, n_targets, **classifier)


def pixels(images: Tensor) -> Tensor:
    """uint8 images as float32 in [0, 1]."""
    return images.float().div_(255)


def target_loss(logits: Tensor, targets: Tensor, weights: Tensor | None = None) -> Tensor:
    """Mean of L_target over a batch, each image counted `weights` (N,) times."""
    losses = F.cross_entropy(logits, targets, reduction="none")
    return losses.mean() if weights is None else (losses * weights).mean()


def bias_loss(logits: Tensor, bias: Tensor) -> Tensor:
    """Mean of L_bias over a batch."""
    return F.cross_entropy(logits, bias)


@contextmanager
def frozen(model: nn.Module) -> Iterator[None]:
    """The model in eval mode, its parameters needing no gradient; both as they were afterwards."""
    modes = {module: module.training for module in model.modules()}
    needed = [p.requires_grad for p in model.parameters()]
    model.eval().requires_grad_(False)
    try:
        yield
    finally:
        for module, training in modes.items():
            module.training = training
        for parameter, flag in zip(model.parameters(), needed, strict=True):
            parameter.requires_grad_(flag)


@torch.no_grad()
def in_chunks(function, images: Tensor, size: int = 500) -> Tensor:
    """`function` over uint8 images (N, C, H, W), a few at a time, without gradients."""
    return torch.cat([function(pixels(chunk)) for chunk in images.split(size)])
