"""The classifier of Fig. 6: a feature extractor f with a target head h_t and a bias head h_b on top."""

from __future__ import annotations

import copy
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from aeda_core.datasets.base import DATA, DataError, file_sha256
from aeda_core.errors import Problem, require_number
from aeda_core.networks import efficientnet, imagenet, small

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
            raise Problem(f"precision is {precision!r}; it is one of {', '.join(PRECISIONS)}.")
        for name, outputs in (("n_targets", n_targets), ("n_bias", n_bias)):
            require_number(name, outputs, "a head has a whole number of outputs, at least 1", least=1, whole=True)
        self.extractor = extractor
        self.target_head: nn.Module = nn.Linear(n_features, n_targets)
        self.bias_head: nn.Module = nn.Linear(bias_hidden or n_features, n_bias)
        if bias_hidden:
            self.bias_head = nn.Sequential(nn.Linear(n_features, bias_hidden), nn.ReLU(), self.bias_head)
        self.n_features, self.n_targets, self.n_bias, self.precision = n_features, n_targets, n_bias, precision
        self.to(memory_format=torch.channels_last)

    def forward(self, images: Tensor) -> tuple[Tensor, Tensor]:
        """Target logits (N, T) and bias logits (N, B), float32, of images (N, 3, H, W) in [0, 1]."""
        features = self.features(images)
        return self.target_head(features), self.bias_head(features)

    def features(self, images: Tensor) -> Tensor:
        """f(x): float32 (N, D) of images (N, 3, H, W) in [0, 1]."""
        with torch.autocast(images.device.type, torch.bfloat16, enabled=self.precision == "bf16"):
            features: Tensor = self.extractor(images * 2 - 1).float()
        return features


def small_cnn(n_targets: int = 10, width: int = 32, n_features: int = 128, **classifier: Any) -> Classifier:
    """The classifier for C-MNIST, on the extractor of networks/small.py."""
    require_number("width", width, "a convolution has a whole number of channels, at least 1", least=1, whole=True)
    return Classifier(small.extractor(width, n_features), n_features, n_targets, **classifier)


VGG16 = (64, 64, "M", 128, 128, "M", 256, 256, 256, "M", 512, 512, 512, "M", 512, 512, 512)
"""Channels of VGG-16's convolutions, M where it takes maxima; without its fifth pooling."""


def vgg16(
    n_targets: int, size: int, width: float = 1.0, n_features: int = 256, weights: str = "", **classifier: Any
) -> Classifier:
    """The classifier for faces: VGG-16 [Simonyan and Zisserman 2015] without batch normalisation (Sec. 4.3), and
    without its fifth pooling, which would leave little of images this small (assumption: face-network).

    size:       height and width of the images, at least 16
    width:      share of the channels that each convolution keeps; 1 is VGG-16 itself
    n_features: of the dense layer on top, which stands for VGG-16's two of 4,096
    weights:    file in data/weights with weights for `width` 1, named as torchvision names them: the digits behind the
                last hyphen begin its sha256; empty draws the weights
    """
    if size < 16:
        raise Problem(f"size is {size}; the network halves its input four times, so images have at least 16 pixels.")
    require_number("width", width, "it is the share of channels kept, at least 1/64", least=1 / 64)
    convolutions, channels = nn.Sequential(), 3
    for layer in VGG16:
        if isinstance(layer, str):
            convolutions.append(nn.MaxPool2d(2))
        else:
            convolutions.extend([_Convolution(channels, round(width * layer), 3, padding=1), nn.ReLU()])
            channels = round(width * layer)
    head = [nn.Flatten(), nn.Linear(channels * (size // 16) ** 2, n_features), nn.ReLU()]
    if not weights:
        return Classifier(nn.Sequential(*convolutions, *head), n_features, n_targets, **classifier)
    convolutions.load_state_dict(_imagenet(weights))
    # from [-1, 1] to the mean and deviation that the weights were trained with
    normalise = _Normalise([2 * m - 1 for m in (0.485, 0.456, 0.406)], [2 * s for s in (0.229, 0.224, 0.225)])
    return Classifier(nn.Sequential(normalise, *convolutions, *head), n_features, n_targets, **classifier)


def efficientnet_lite0(n_targets: int, weights: str = imagenet.NAME, **classifier: Any) -> Classifier:
    """A classifier for photographs of any size from 32 pixels: EfficientNet-Lite0, batch norms folded into the
    convolutions, all weights trainable.

    weights: `imagenet.NAME`, which the extra `[photos]` brings, made for images in [-1, 1]; empty draws the weights
    Raises DataError if they are not installed.
    """
    if weights not in (imagenet.NAME, ""):
        raise ValueError(f"weights is {weights!r}; it is '{imagenet.NAME}', or empty to draw the weights.")
    extractor = imagenet.pretrained() if weights else efficientnet.extractor()
    return Classifier(extractor, efficientnet.N_FEATURES, n_targets, **classifier)


class _Normalise(nn.Module):
    """Subtract a mean and divide by a deviation, one for each channel, as torchvision's `Normalize` does. With that a
    GPU would wait for the CPU in every batch, because it is brought both anew, and asked whether a deviation is 0."""

    mean: Tensor
    deviation: Tensor

    def __init__(self, mean: list[float], deviation: list[float]) -> None:
        super().__init__()
        self.register_buffer("mean", torch.tensor(mean).view(-1, 1, 1), persistent=False)
        self.register_buffer("deviation", torch.tensor(deviation).view(-1, 1, 1), persistent=False)

    def forward(self, images: Tensor) -> Tensor:
        return (images - self.mean) / self.deviation


class _Convolution(nn.Conv2d):
    """Weights as torchvision draws them for VGG-16 [He et al. 2015]; without, so many layers do not learn."""

    def reset_parameters(self) -> None:
        nn.init.kaiming_normal_(self.weight, mode="fan_out", nonlinearity="relu")
        if self.bias is not None:
            nn.init.zeros_(self.bias)


def reinitialised(model: Classifier, seed: int) -> Classifier:
    """The same network with new initial weights, drawn by `seed` independently of those of `model`."""
    device = next(model.parameters()).device
    other = copy.deepcopy(model).cpu()  # drawn there, the same weights on every device
    with torch.random.fork_rng():
        # a run's own seed has already drawn `model`
        torch.manual_seed(int(torch.randint(2**31, (), generator=torch.Generator().manual_seed(seed))))
        for module in other.modules():
            reset = getattr(module, "reset_parameters", None)
            if callable(reset):
                reset()
    return other.to(device)


def _imagenet(name: str) -> dict[str, Tensor]:
    if Path(name).name != name:
        raise DataError(f"weights is '{name}'; give the name of a file in '{DATA / 'weights'}', no path.")
    path = DATA / "weights" / name
    if not path.exists():
        raise DataError(f"there is no file '{path}'; put torchvision's VGG-16 weights there (see data/README.md).")
    if not file_sha256(path).startswith(Path(name).stem.rpartition("-")[2]):
        raise DataError(f"'{path}' is not the file whose sha256 its name gives; download it again.")
    state = torch.load(path, map_location="cpu", weights_only=True)
    return {key.removeprefix("features."): value for key, value in state.items() if key.startswith("features.")}


NETWORKS: dict[str, Callable[..., Classifier]] = {
    "small_cnn": small_cnn,
    "vgg16": vgg16,
    "efficientnet_lite0": efficientnet_lite0,
}


def build(name: str = "small_cnn", **options: object) -> Classifier:
    """The classifier that a RunSpec's `model` describes."""
    if name not in NETWORKS:
        raise Problem(f"there is no network '{name}'; known are {', '.join(NETWORKS)}.")
    return NETWORKS[name](**options)


def pixels(images: Tensor) -> Tensor:
    """uint8 images as float32 in [0, 1]."""
    return images.float().div_(255)


def target_loss(logits: Tensor, targets: Tensor, weights: Tensor | None = None) -> Tensor:
    """Mean of L_target over a batch: cross-entropy of classes (N,), binary cross-entropy of attributes (N, A).

    weights: of the shape of `targets`, how many times each label counts
    """
    losses = label_losses(logits, targets)
    return losses.mean() if weights is None else (losses * weights).mean()


def label_losses(logits: Tensor, targets: Tensor) -> Tensor:
    """The losses that `target_loss` is the mean of, one a label: of the shape of `targets`, (N,) or (N, A)."""
    if targets.ndim == 1:
        return F.cross_entropy(logits, targets, reduction="none")
    return F.binary_cross_entropy_with_logits(logits, targets.to(logits.dtype), reduction="none")


def predictions(logits: Tensor, targets: Tensor) -> Tensor:
    """t̂ from target logits: the likeliest class (N,), or which attributes are likelier present than not (N, A)."""
    return logits.argmax(1) if targets.ndim == 1 else (logits > 0).long()


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
def in_chunks(function: Callable[[Tensor], Tensor], images: Tensor, size: int = 500) -> Tensor:
    """`function` over uint8 images (N, C, H, W), a few at a time, without gradients."""
    return torch.cat([function(pixels(chunk)) for chunk in images.split(size)])
