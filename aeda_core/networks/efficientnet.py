"""EfficientNet-Lite0 [Tan and Le 2019] without batch normalisation.

The Lite variant has no squeeze-and-excitation, and ReLU6 in place of Swish.
"""

from __future__ import annotations

from torch import Tensor, nn
from torch.nn import functional as F

N_FEATURES = 1280
STAGES = ((1, 16, 1, 1, 3), (6, 24, 2, 2, 3), (6, 40, 2, 2, 5), (6, 80, 3, 2, 3), (6, 112, 3, 1, 5), (6, 192, 4, 2, 5),
          (6, 320, 1, 1, 3))  # fmt: skip
"""Of each stage (Table 1 of the paper): how often a block widens its input, channels, blocks, stride, kernel size."""


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
