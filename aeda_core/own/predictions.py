"""What a classifier predicted, from a CSV."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor

from aeda_core.datasets.base import BiasedImages, DataError
from aeda_core.datasets.labels import MOST_LABELS, NO, NO_LABEL, YES, in_order, listed, parsed, require_column

Columns = dict[str, tuple[str, ...]]


@dataclass(frozen=True)
class Predictions:
    """The labels of images, and what was predicted of them.

    data:      its images have no pixels
    predicted: t̂, int64 of the shape of `data.targets`
    notes:     what was left out, a sentence each
    """

    data: BiasedImages
    predicted: Tensor
    notes: tuple[str, ...]


def read_predictions(
    file: Path, target: str | Sequence[str], bias: str, predicted: str | Sequence[str], identity: str | None
) -> Predictions:
    """See `audit_predictions`. Rows that lack one of the texts are left out, with a note."""
    targets, answers = _names(target), _names(predicted)
    if len(targets) != len(answers):
        raise DataError(
            f"there are {len(targets)} columns of targets and {len(answers)} of predictions; name as many of both."
        )
    columns, notes = _complete(file, [*targets, *answers, bias, *([identity] if identity else [])])
    if isinstance(target, str):
        names = _in_order(file, target, columns[target] + columns[answers[0]])
        true, said = (_numbers(columns[name], names) for name in (target, answers[0]))
    else:
        names = targets
        true, said = (torch.stack([_yes(file, name, columns[name]) for name in of], 1) for of in (targets, answers))
    values = _in_order(file, bias, columns[bias])
    n = len(true)
    people = _numbers(columns[identity], tuple(dict.fromkeys(columns[identity]))) if identity else torch.arange(n)
    no_pixels = torch.empty(n, 3, 0, 0, dtype=torch.uint8)
    data = BiasedImages(no_pixels, true, _numbers(columns[bias], values), people, names, values)
    return Predictions(data, said, notes)


def _names(columns: str | Sequence[str]) -> tuple[str, ...]:
    return (columns,) if isinstance(columns, str) else tuple(columns)


def _complete(file: Path, wanted: Sequence[str]) -> tuple[Columns, tuple[str, ...]]:
    """The columns, in the rows that have a text in all of them; and how many have not."""
    for name, times in Counter(wanted).items():
        if times > 1:
            raise DataError(f"the column '{name}' is asked for twice; target, prediction, bias and identity differ.")
    header, cells, _ = parsed(file)
    for name in wanted:
        require_column(file, header, name)
    places = [header.index(name) for name in wanted]
    rows = [texts for row in cells if not _lacking(texts := [row[place].strip() for place in places])]
    if not rows:
        raise DataError(f"no row of '{file}' has all of {', '.join(wanted)}; fill them in.")
    lack = len(cells) - len(rows)
    notes = (f"{lack:,} of {len(cells):,} rows lack a label and are left out.",) if lack else ()
    return dict(zip(wanted, zip(*rows, strict=True), strict=True)), notes


def _lacking(texts: Sequence[str]) -> bool:
    return any(text.lower() in NO_LABEL for text in texts)


def _in_order(file: Path, column: str, texts: Sequence[str]) -> tuple[str, ...]:
    """The labels of a column."""
    counts = Counter(texts)
    if len(counts) > MOST_LABELS:
        raise DataError(
            f"the column '{column}' of '{file}' has {len(counts)} different values, {listed(counts)}; labels are at "
            f"most {MOST_LABELS}: put measurements into classes first."
        )
    return tuple(sorted(counts, key=in_order(counts)))


def _numbers(texts: Sequence[str], names: Sequence[str]) -> Tensor:
    """int64: the place of each text in `names`."""
    places = {name: place for place, name in enumerate(names)}
    return torch.tensor([places[text] for text in texts])


def _yes(file: Path, column: str, texts: Sequence[str]) -> Tensor:
    """int64: 1 for yes and 0 for no."""
    for text in texts:
        if text.lower() not in YES + NO:
            raise DataError(
                f"the column '{column}' of '{file}' has '{text}', and one of several targets says yes or no, with one "
                f"of {', '.join((*YES, *NO))}."
            )
    return torch.tensor([int(text.lower() in YES) for text in texts])
