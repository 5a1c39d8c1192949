"""What a file says of its data set: what it is called, how it is read and split, and what runs over it differ in."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar, Literal, Protocol

from aeda_core.datasets.base import BiasedImages


@dataclass(frozen=True)
class Splits:
    """Training images, held-out training images, test images; no identity stands in two of them.

    source: where they are from, in words; a stand-in says so
    """

    training: BiasedImages
    validation: BiasedImages
    test: BiasedImages
    source: str


class Source(Protocol):
    """What was read from files, before it is split: where it is from, in words, and a digest of all of it."""

    @property
    def source(self) -> str: ...

    @property
    def fingerprint(self) -> str: ...


class DataSet:
    """A data set with a target and a bias label for every image; a subclass with a `name` can be asked for by it.

    title:        what tables and figures call it
    order:        its place among the others
    content:      what its images show, in a word
    real:         what the recorded runs are about, and `fingerprint`, its digest
    stand_in:     what takes its place where it is missing
    runs_over:    what several runs of a method differ in: the seed that draws weights and batches, or the fold that is
                  tested on
    varies:       the names in `Recipe` that go along with it
    network:      arguments of `models.build` for the classifier that suits it, besides the numbers of outputs
    target_names: of the classes or attributes
    bias_names:   of the bias values
    Recipe:       a dataclass: how training, held-out and test images are made from what is read
    """

    name: ClassVar[str]
    title: ClassVar[str]
    order: ClassVar[int] = 1000
    content: ClassVar[str]
    real: ClassVar[str]
    fingerprint: ClassVar[str]
    stand_in: ClassVar[str]
    runs_over: ClassVar[Literal["seed", "fold"]] = "seed"
    varies: ClassVar[tuple[str, ...]] = ()
    network: ClassVar[Mapping[str, Any]] = {}
    target_names: ClassVar[tuple[str, ...]]
    bias_names: ClassVar[tuple[str, ...]]
    Recipe: ClassVar[type]

    @classmethod
    def read(cls, root: str, recipe: Any, wanted: str = "") -> Any:
        """A Source, from the folder `root` or, where that is empty, from the places that the data set knows.

        wanted: the fingerprint that is asked for, if one is
        Raises DataError if an explicit root does not hold the data set.
        """
        raise NotImplementedError

    @classmethod
    def split(cls, source: Any, recipe: Any) -> tuple[BiasedImages, BiasedImages, BiasedImages]:
        """Training, held-out and test images; no identity stands in two of them."""
        raise NotImplementedError

    @classmethod
    def only_stand_in(cls, root: str) -> bool:
        """Whether `read` is sure to give the stand-in, told without reading or making it."""
        return False
