"""What a method needs of its training set: declared by its class, and checked before anything is trained."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

from aeda_core.datasets.base import BiasedImages
from aeda_core.errors import Problem


class EmptyGroup(Problem):
    """A method that balances the groups of the training set cannot, for one of them is empty."""


class Need(Protocol):
    """A fact about a training set that a method relies on."""

    def check(self, method: str, data: BiasedImages) -> None:
        """Raise Problem, a sentence that names `method`, unless the fact holds for `data`."""


@dataclass(frozen=True)
class EveryGroup:
    """Every pair of target task and bias value has a training image; without one EmptyGroup is raised."""

    def check(self, method: str, data: BiasedImages) -> None:
        if empty := data.empty_groups():
            raise EmptyGroup(
                f"{method} balances the groups that the training set has, and {len(empty)} of its "
                f"{data.group_sizes().numel()} groups are empty, '{empty[0]}' the first; "
                "use a method that makes new images, such as aeda_robust, or data in which every group occurs."
            )


@dataclass(frozen=True)
class AnotherBiasValue:
    """There are at least two bias values, so that an example can show another one than its original."""

    def check(self, method: str, data: BiasedImages) -> None:
        if len(data.bias_names) < 2:
            raise Problem(
                f"{method} makes examples that show another bias value, and the data has no second one besides "
                f"'{data.bias_names[0]}'; use data with at least two bias values."
            )


@dataclass(frozen=True)
class TwoDomains:
    """There are exactly two bias values, and training images of both."""

    def check(self, method: str, data: BiasedImages) -> None:
        if len(data.bias_names) != 2:
            raise Problem(
                f"{method} translates between two bias values and the data has {len(data.bias_names)} "
                f"({', '.join(data.bias_names)}); keep the images of two of them."
            )
        for value, name in enumerate(data.bias_names):
            if not (data.bias == value).any():
                raise Problem(
                    f"{method} learns what '{name}' looks like from the training images, and none of them is "
                    f"'{name}'; use data in which both bias values occur."
                )


@dataclass(frozen=True)
class ImagesOfAtLeast:
    """Images have at least `pixels` pixels a side."""

    pixels: int

    def check(self, method: str, data: BiasedImages) -> None:
        height, width = data.images.shape[-2:]
        if min(height, width) < self.pixels:
            raise Problem(
                f"the images have {height}×{width} pixels and {method}'s networks take at least "
                f"{self.pixels}×{self.pixels}; use larger images."
            )


@dataclass(frozen=True)
class TwoClasses:
    """The target is one class of two, so that a label can be switched."""

    def check(self, method: str, data: BiasedImages) -> None:
        if data.targets.ndim != 1 or len(data.target_names) != 2:
            raise Problem(
                f"{method} switches the label of an image to the other class, and the data has "
                f"{len(data.target_names)} targets ({', '.join(data.target_names)}); use data with one target of two "
                "classes."
            )


@dataclass(frozen=True)
class OneClassAnImage:
    """The target is one class of an image, and not several attributes."""

    def check(self, method: str, data: BiasedImages) -> None:
        if data.targets.ndim != 1:
            raise Problem(
                f"{method} pairs images that have the same target label, and here an image has "
                f"{len(data.target_names)} ({', '.join(data.target_names)}); use data with one class an image."
            )


@dataclass(frozen=True)
class AnotherOfTheTask:
    """Every target task that occurs does so with at least two bias values; without that EmptyGroup is raised."""

    def check(self, method: str, data: BiasedImages) -> None:
        kinds = (data.group_sizes() > 0).sum(1)
        if alone := [name for name, n in zip(data.task_names, kinds.tolist(), strict=True) if n == 1]:
            raise EmptyGroup(
                f"{method} pairs images of one target label and different bias values, and all images of "
                f"{len(alone)} of the {len(kinds)} target tasks have the same one, those of '{alone[0]}' the first; "
                "use a method that makes new images, such as aeda_robust, or data in which every group occurs."
            )
