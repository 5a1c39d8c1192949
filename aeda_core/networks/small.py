"""Three convolutions and a dense layer, for images of digits (assumption: cmnist-network)."""

from __future__ import annotations

from torch import nn


def extractor(width: int = 32, n_features: int = 128) -> nn.Sequential:
    """Images (N, 3, H, W) in [-1, 1], of 12 pixels or more, to features (N, n_features): three 3×3 convolutions (width,
    2·width, 2·width) and one dense layer.

    No batch normalisation: it would mix the statistics of originals and adversarial examples. ReLU comes behind each
    maximum, which is the same function with a quarter of the work.
    """
    return nn.Sequential(
        nn.Conv2d(3, width, 3, padding=1), nn.MaxPool2d(2), nn.ReLU(),
        nn.Conv2d(width, 2 * width, 3, padding=1), nn.MaxPool2d(2), nn.ReLU(),
        nn.Conv2d(2 * width, 2 * width, 3, padding=1), nn.AdaptiveMaxPool2d(3), nn.ReLU(),
        nn.Flatten(), nn.Linear(2 * width * 9, n_features), nn.ReLU(),
    )  # fmt: skip
