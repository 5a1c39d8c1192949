"""Biased MNIST [Bahng et al. 2020]: each digit has a background colour of its own, so that bias has ten values."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor

from aeda_core.datasets import cmnist
from aeda_core.datasets.base import BiasedImages, DataError
from aeda_core.datasets.cmnist import CMNIST, DIGITS, Colour
from aeda_core.datasets.dataset import DataSet
from aeda_core.datasets.mnist import Digits

COLOURS: dict[str, Colour] = {
    "red": (255, 0, 0),
    "green": (0, 255, 0),
    "blue": (0, 0, 255),
    "yellow": (225, 225, 0),
    "magenta": (225, 0, 225),
    "cyan": (0, 255, 255),
    "orange": (255, 128, 0),
    "rose": (255, 0, 128),
    "violet": (128, 0, 255),
    "grey": (128, 128, 128),
}
"""RGB in 0..255, those of the benchmark: of the digits 0 to 9 in this order."""


@dataclass(frozen=True)
class Recipe:
    """How digits become biased MNIST.

    n_train:      training digits kept
    n_validation: further training digits; like the test digits they are dealt out evenly to the ten colours
    correlation:  the share of training digits on their own colour; the others are on one of the other nine, each as
                  likely. 1.0 leaves 90 of the 100 groups empty, 0.1 is no bias
    digit:        colour of the stroke
    size:         side of the image in pixels
    seed:         draws the digits that are kept, and the backgrounds where correlation < 1
    """

    n_train: int = 6000
    n_validation: int = 2000
    correlation: float = 1.0
    digit: Colour = (255, 255, 255)
    size: int = 28
    seed: int = 0

    def __post_init__(self) -> None:
        # what it has in common with C-MNIST's recipe is checked as there
        cmnist.Recipe(self.n_train, self.n_validation, self.correlation, digit=self.digit, size=self.size)


def training(digits: Digits, recipe: Recipe) -> BiasedImages:
    """`n_train` digits, each on its own colour with probability `correlation`."""
    index, generator = cmnist.drawn(digits, recipe.n_train, recipe.n_validation, recipe.seed)
    index = index[: recipe.n_train]
    labels = digits.train_labels[index]
    cmnist.require_every_digit(labels, f"n_train={recipe.n_train}")
    own = torch.rand(len(index), generator=generator) < recipe.correlation
    other = (labels + torch.randint(1, len(COLOURS), labels.shape, generator=generator)) % len(COLOURS)
    return coloured(digits.train_images[index], labels, torch.where(own, labels, other), index, recipe)


def validation(digits: Digits, recipe: Recipe) -> BiasedImages:
    """`n_validation` training digits that `training` does not use, each on one colour."""
    index = cmnist.drawn(digits, recipe.n_train, recipe.n_validation, recipe.seed)[0][recipe.n_train :]
    return evenly_coloured(digits.train_images[index], digits.train_labels[index], index, recipe)


def testing(digits: Digits, recipe: Recipe) -> BiasedImages:
    """Every test digit, on one colour."""
    # counted on from the training digits: no identity stands on both sides
    index = torch.arange(len(digits.test_images)) + len(digits.train_images)
    return evenly_coloured(digits.test_images, digits.test_labels, index, recipe)


def evenly_coloured(grey: Tensor, labels: Tensor, index: Tensor, recipe: Recipe) -> BiasedImages:
    """The digits of each class, in their order, on one colour after the other."""
    colour = torch.empty_like(labels)
    for digit in range(len(DIGITS)):
        members = (labels == digit).nonzero().flatten()
        if len(members) < len(COLOURS):
            raise DataError(
                f"there are {len(members)} held-out images of digit {digit}, and each of {len(COLOURS)} colours takes "
                "one; take more digits."
            )
        colour[members] = torch.arange(len(members)) % len(COLOURS)
    return coloured(grey, labels, colour, index, recipe)


def coloured(grey: Tensor, labels: Tensor, colour: Tensor, index: Tensor, recipe: Recipe) -> BiasedImages:
    """The digits on these colours, numbers in the order of COLOURS."""
    backgrounds = torch.tensor(list(COLOURS.values()))[colour]
    images = cmnist.blend(grey, backgrounds, recipe.digit, recipe.size)
    return BiasedImages(images, labels, colour, index, DIGITS, tuple(COLOURS))


_Recipe = Recipe  # which an attribute of the class hides


class TenColours(DataSet):
    """`ten_colours`: biased MNIST, from the same digits as C-MNIST."""

    name, title, order, content = "ten_colours", "Biased MNIST (ten colours)", 15, "digits"
    real, fingerprint, stand_in = CMNIST.real, CMNIST.fingerprint, CMNIST.stand_in
    varies = ("seed",)
    target_names, bias_names = DIGITS, tuple(COLOURS)
    Recipe: ClassVar = _Recipe

    @classmethod
    def read(cls, root: str, recipe: _Recipe, wanted: str = "") -> Digits:
        return CMNIST.read(root, cmnist.Recipe(), wanted)

    @classmethod
    def split(cls, source: Digits, recipe: _Recipe) -> tuple[BiasedImages, BiasedImages, BiasedImages]:
        return training(source, recipe), validation(source, recipe), testing(source, recipe)
