"""Images of one's own: a folder of pictures, and a CSV that says of each what it shows."""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from aeda_core.datasets import pictures
from aeda_core.datasets.base import BiasedImages, DataError
from aeda_core.datasets.labels import Table, counted, listed, read_labels

SIZES = (16, 512)
"""Heights and widths in pixels that images can be brought to."""

SPLITS = {"train": "train", "training": "train", "validation": "validation", "valid": "validation",
          "val": "validation", "test": "test"}  # fmt: skip
"""The words that a column of splits may hold, in any case, and what they mean."""


@dataclass(frozen=True)
class Folder:
    """A folder of images with their labels.

    data:   the images, square and of one size, and their labels; its identities are those of the CSV's column, or one
            for each image
    paths:  of each image, relative to the folder, as the CSV has it; none where there is no folder
    splits: `train`, `validation` or `test` for each image; None where the CSV was not asked for it
    notes:  what was left out or looks like a mistake, a sentence each
    name:   of the folder
    """

    data: BiasedImages
    paths: tuple[str, ...]
    splits: tuple[str, ...] | None
    notes: tuple[str, ...]
    name: str

    def __len__(self) -> int:
        return len(self.data)

    def folds(self, n: int, seed: int = 0) -> list[tuple[Tensor, Tensor]]:
        """For each of `n` parts the indices of all other images, and those of the part, both ascending.

        Images of one identity are in one part, and each group is spread over the parts as evenly as that allows; an
        image of several attributes counts for the rarest group that it belongs to. Raises DataError if there are fewer
        identities than parts.
        """
        from sklearn.model_selection import StratifiedGroupKFold, StratifiedKFold  # takes a second

        identities = self.data.identities.numpy()
        people = len(np.unique(identities))
        if not 2 <= n <= people:
            raise DataError(
                f"{n} parts cannot be made of {people} identities in '{self.name}'; take from 2 to {people}."
            )
        alone = people == len(identities)
        splitter = (StratifiedKFold if alone else StratifiedGroupKFold)(n, shuffle=True, random_state=seed)
        strata = _strata(self.data, n)
        parts = splitter.split(np.zeros(len(strata)), strata, None if alone else identities)
        return [(torch.from_numpy(rest), torch.from_numpy(part)) for rest, part in parts]

    def __getitem__(self, index: Tensor) -> Folder:
        """The images at `index`, int64."""
        some = index.tolist()
        paths = tuple(self.paths[i] for i in some) if self.paths else ()
        splits = None if self.splits is None else tuple(self.splits[i] for i in some)
        return replace(self, data=self.data[index], paths=paths, splits=splits)

    def parts(self, n: int, seed: int = 0) -> list[tuple[Tensor, Tensor]]:
        """What to train on and what to judge by: `folds`, or once the images for training and those for testing of the
        split that the CSV gives. Raises DataError if one of the two is empty."""
        if self.splits is None:
            return self.folds(n, seed)
        given = np.asarray(self.splits)
        trained, tested = (torch.from_numpy(np.flatnonzero(given == name)) for name in ("train", "test"))
        if not len(trained) or not len(tested):
            raise DataError(
                f"the split of '{self.name}' has {len(trained)} images to train on and {len(tested)} to test on; an "
                "audit takes both. Without a split every image is predicted by a training on others."
            )
        return [(trained, tested)]

    def held_out(self, share: float, seed: int = 0) -> tuple[Tensor, Tensor]:
        """The indices of the rest, and of about `share` of the images, in (0, 0.5], as `folds` would deal them."""
        if not 0 < share <= 0.5:
            raise DataError(f"a share of {share:g} cannot be held out; it is above 0 and at most 0.5.")
        return self.folds(round(1 / share), seed)[0]


def read_folder(
    images: str | Path,
    labels: str | Path,
    *,
    target: str | Sequence[str],
    bias: str,
    identity: str | None = None,
    split: str | None = None,
    size: int = 64,
    path: str = "path",
    cache: str | Path | None = None,
) -> Folder:
    """Read the pictures in the folder `images` that the CSV `labels` names.

    target:   a column of classes, or of yes and no; or several columns of yes and no, an attribute each
    bias:     a column with the value of the bias variable; so are the values of a column of yes and no
    identity: a column that says who or what a picture shows; pictures of one identity are never split
    split:    a column of `train`, `validation` and `test`
    size:     height and width, 16 to 512 pixels, that the largest square in the middle of a picture is resized to
    path:     the column with the pictures' paths, relative to `images`
    cache:    the folder for what was decoded; otherwise the project's or the user's own

    PNG, JPEG and WebP are read, in grey or in colour; transparent parts become white, and a camera's note on how it was
    held is followed. What was decoded is kept, named by the contents of the pictures, and memory-mapped. A picture that
    is missing or cannot be read is left out, with a note. Raises DataError, in a sentence, where nothing can be made of
    folder or CSV, or where they contradict themselves.
    """
    root = Path(images)
    if not root.is_dir():
        raise DataError(f"there is no folder '{root}'; name the folder that the pictures are in.")
    if not isinstance(size, int) or not SIZES[0] <= size <= SIZES[1]:
        raise DataError(f"size is {size}; pictures can be brought to {SIZES[0]} to {SIZES[1]} pixels.")
    columns = (target,) if isinstance(target, str) else tuple(target)
    if not columns:
        raise DataError("no target is named; name a column of the CSV, or several of yes and no.")
    table = read_labels(Path(labels), (path, *columns, bias, *filter(None, (identity, split))))
    files, notes = _existing(root, table, path)
    found = pictures.read(list(files.values()), size, cache)
    rows = [row for place, row in enumerate(files) if place not in found.unreadable]
    notes += _unreadable(found, table, path)
    if not rows:
        raise DataError(f"none of the pictures that '{labels}' names can be read. {notes[-1]}")
    data = _labelled(table, rows, found.images, target, bias, identity)
    return Folder(
        data=data,
        paths=tuple(table.value(row, path) for row in rows),
        splits=_splits(table, rows, split, data) if split else None,
        notes=(*table.notes, *notes, *_empty_groups(data)),
        name=root.resolve().name,
    )


def _existing(root: Path, table: Table, path: str) -> tuple[dict[int, Path], list[str]]:
    """The files of the rows whose pictures are there; and what is to be said of other rows and pictures."""
    found: dict[int, Path] = {}
    first: dict[Path, int] = {}
    missing = []
    inside = root.resolve()
    for row in table.rows:
        name = table.value(row, path)
        file = root / name
        if not _leads_out(name) and not os.path.isfile(file):  # followed below, for that takes its time
            missing.append(name)
            continue
        if _leads_out(name) or not (followed := file.resolve()).is_relative_to(inside):
            raise DataError(f"the path '{name}' in {table.line(row)} leaves '{root}'; only what is in it is read.")
        if (earlier := first.setdefault(followed, row)) != row:
            raise DataError(
                f"{table.line(earlier)} and {table.line(row)} are about one picture, for a link leads from "
                f"'{table.value(earlier, path)}' or '{name}' to it; leave one out."
            )
        found[row] = file
    if not found:
        raise DataError(
            f"none of the {len(missing)} pictures that '{table.file}' names ({listed(missing)}) is in '{root}'; name "
            "the folder that these paths start from, or correct them."
        )
    notes = []
    if missing:
        notes.append(counted(missing, "picture is missing", "pictures are missing"))
    known = {os.path.normpath(root / name) for name in table.columns[path]}
    if nameless := [file for file in _files(root) if os.path.normpath(file) not in known]:
        names = [file.relative_to(root).as_posix() for file in nameless]
        notes.append(counted(names, "picture has no row in the CSV", "pictures have no row in the CSV"))
    return found, notes


def _leads_out(name: str) -> bool:
    """Whether a path leaves the folder that it starts from, by its text alone."""
    return os.path.isabs(name) or os.path.normpath(name).split(os.sep)[0] == os.pardir


def _files(root: Path) -> list[Path]:
    """The pictures in `root` and below, in the order of their names."""
    return sorted(file for file in root.rglob("*") if file.suffix.lower() in pictures.SUFFIXES and file.is_file())


def _unreadable(found: pictures.Pictures, table: Table, path: str) -> list[str]:
    if not found.unreadable:
        return []
    names = [f"{file.name} ({reason})" for file, reason in found.unreadable.values()]
    return [counted(names, "picture cannot be read and is left out", "pictures cannot be read and are left out")]


def _labelled(
    table: Table, rows: list[int], images: Tensor, target: str | Sequence[str], bias: str, identity: str | None
) -> BiasedImages:
    """The images with their labels as numbers."""
    if isinstance(target, str):
        wanted = table.labels(target, rows)
        attributes = wanted.yes_or_no
        targets, names = (wanted.numbers[:, None], (target,)) if attributes else (wanted.numbers, wanted.names)
    else:
        columns = [table.attribute(name, rows) for name in target]
        targets, names = torch.stack([column.numbers for column in columns], dim=1), tuple(target)
    values = table.labels(bias, rows)
    return BiasedImages(images, targets, values.numbers, _identities(table, rows, identity), names, values.names)


def _identities(table: Table, rows: list[int], identity: str | None) -> Tensor:
    if identity is None:
        return torch.arange(len(rows))
    shown = [table.value(row, identity) for row in rows]
    numbers = {name: number for number, name in enumerate(dict.fromkeys(shown))}
    if len(numbers) == 1:
        raise DataError(
            f"the column '{identity}' of '{table.file}' is '{shown[0]}' throughout, and nothing can be held out from "
            "one identity; name another column, or none if every picture shows someone else."
        )
    return torch.tensor([numbers[name] for name in shown])


def _splits(table: Table, rows: list[int], split: str, data: BiasedImages) -> tuple[str, ...]:
    """What the column says, in the words of SPLITS. Raises DataError for another word, or an identity on two sides."""
    said = []
    for row in rows:
        word = table.value(row, split)
        if word.lower() not in SPLITS:
            raise DataError(f"{table.line(row)} has the split '{word}'; it is one of {', '.join(SPLITS)}.")
        said.append(SPLITS[word.lower()])
    side: dict[int, int] = {}
    for index, who in enumerate(data.identities.tolist()):
        first = side.setdefault(who, index)
        if said[first] != said[index]:
            raise DataError(
                f"{table.line(rows[first])} and {table.line(rows[index])} show one identity and are on two sides, "
                f"{said[first]} and {said[index]}; put all pictures of an identity on one side."
            )
    return tuple(said)


def _empty_groups(data: BiasedImages) -> list[str]:
    sizes = data.group_sizes()
    names = [f"{data.task_names[t]}, {data.bias_names[b]}" for t, b in (sizes == 0).nonzero().tolist()]
    if not names:
        return []
    return [counted(names, "group has no picture", "groups have no picture", "; ")]


def _strata(data: BiasedImages, n: int) -> np.ndarray:
    """int64 (N,): for each image the rarest of its groups; groups with fewer than `n` images are one
    stratum, or part of the largest where together they have no `n` either."""
    n_bias = len(data.bias_names)
    groups = data.tasks.view(len(data), -1) * n_bias + data.bias[:, None]
    sizes = data.group_sizes().flatten()
    rarest = groups.gather(1, sizes[groups].argmin(1, keepdim=True)).flatten().numpy()
    strata, counts = np.unique(rarest, return_counts=True)
    few = ~np.isin(rarest, strata[counts >= n])
    return np.where(few, strata[counts.argmax()] if few.sum() < n else -1, rarest)
