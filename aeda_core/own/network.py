"""Which network is trained on images of one's own."""

from __future__ import annotations

import copy
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch
from torch import nn

from aeda_core import models
from aeda_core.datasets.base import BiasedImages
from aeda_core.errors import Problem
from aeda_core.models import Classifier, frozen, pixels
from aeda_core.networks import imagenet

PHOTOGRAPH = 48
"""Pixels from which images are taken for photographs, on which ImageNet weights help."""

OFFERED = ("efficientnet_lite0", "small_cnn")
"""The networks that can be asked for by name."""


@dataclass(frozen=True)
class Build:
    """Builds a network of this project: arguments of `models.build`."""

    name: str
    options: dict[str, Any]

    def __call__(self) -> Classifier:
        return models.build(self.name, **self.options)


def network_for(data: BiasedImages, network: str | nn.Module = "auto") -> tuple[str, Callable[[], Classifier]]:
    """What is trained on `data`: a description for reports, and a function that builds it.

    network: `"efficientnet_lite0"`, `"small_cnn"`, or `"auto"`: the first where images have 48 pixels or more and its
             weights are installed, otherwise the second; a `Classifier`, which is copied; or any other module as f,
             which takes images (N, 3, H, W) in [-1, 1] to features (N, D), is copied and is given new heads
    Raises Problem if there is no such network or it does not fit the data.
    """
    n_targets, n_bias = len(data.target_names), max(2, len(data.bias_names))
    if isinstance(network, nn.Module):
        return f"{type(network).__name__}, a network of your own", _own(network, data, n_targets, n_bias)
    size = data.images.shape[-1]
    chosen, why = network, ""
    if network == "auto":
        chosen, why = _suitable(size)
    if chosen not in OFFERED:
        raise Problem(f"there is no network '{network}'; known are auto, {', '.join(OFFERED)}, or a torch module.")
    options: dict[str, Any] = {"n_targets": n_targets, "n_bias": n_bias}
    if chosen == "efficientnet_lite0":
        imagenet.weights_file()  # says now what is missing
        return f"EfficientNet-Lite0 with ImageNet weights{why}", Build(chosen, {**options, "weights": imagenet.NAME})
    return f"a small convolutional network, trained from scratch{why}", Build(chosen, options)


@dataclass(frozen=True)
class Pace:
    """How a network is trained: AdamW's learning rate, and about how many steps it needs."""

    learning_rate: float
    steps: int


def pace(network: Callable[[], Classifier]) -> Pace:
    """Faster and longer from scratch; careful where weights may have been trained before."""
    return Pace(1e-3, 3000) if isinstance(network, Build) and network.name == "small_cnn" else Pace(3e-4, 250)


def _suitable(size: int) -> tuple[str, str]:
    """The network for images of this size, and why."""
    if size < PHOTOGRAPH:
        return "small_cnn", f", because the images are smaller than {PHOTOGRAPH} pixels"
    if imagenet.installed():
        return "efficientnet_lite0", ""
    return "small_cnn", ", because the extra [photos] with its ImageNet weights is not installed"


def _own(network: nn.Module, data: BiasedImages, n_targets: int, n_bias: int) -> Callable[[], Classifier]:
    if isinstance(network, Classifier):
        if network.n_targets != n_targets or network.n_bias < n_bias:
            raise Problem(
                f"the classifier has {network.n_targets} target and {network.n_bias} bias outputs, and the data needs "
                f"{n_targets} and {n_bias}; build it with n_targets={n_targets}, n_bias={n_bias}."
            )
        return lambda: copy.deepcopy(network)
    n_features = _n_features(network, data)
    return lambda: Classifier(copy.deepcopy(network), n_features, n_targets, n_bias)


def _n_features(network: nn.Module, data: BiasedImages) -> int:
    """D of the features that a module gives. Raises Problem unless it takes these images to features (N, D)."""
    shape, name = tuple(data.images.shape[1:]), type(network).__name__
    try:
        with frozen(network), torch.no_grad():
            features = network(pixels(data.images[:2]) * 2 - 1)
    except (RuntimeError, TypeError, ValueError) as error:
        reason = str(error).splitlines()[0].rstrip(".")
        raise Problem(f"the network {name} does not take images {shape}: {reason}; pass one that does.") from error
    if not isinstance(features, torch.Tensor) or features.ndim != 2 or not features.is_floating_point():
        found = tuple(features.shape) if isinstance(features, torch.Tensor) else type(features).__name__
        raise Problem(f"the network {name} gives {found} for two images; f has to give features (2, D).")
    return features.shape[1]
