"""Whether labels can show how fair a classifier is, or target and bias are one and the same column."""

from __future__ import annotations

import torch
from torch import Tensor

from aeda_core.datasets.base import BiasedImages, DataError

FEWEST = 5
"""Identities that two bias values of one target task have at least, so that their accuracies are worth comparing."""

RARE = 0.02
"""The share of exceptions (see `exceptions`) up to which target and bias are said to go together."""


def require_comparable(data: BiasedImages) -> None:
    """Raise DataError if there is one bias value, or if target and bias are one and the same column.

    That they are if each target task goes with one bias value, but for exceptions (RARE) that are too few to judge a
    group by (FEWEST).
    """
    if len(data.bias_names) < 2:
        raise DataError(
            f"the bias variable has one value, {', '.join(data.bias_names)}, and fairness compares two or more; name "
            "another one."
        )
    few, n = exceptions(data)
    if few <= RARE * n and not ((_identities(data) >= FEWEST).sum(1) > 1).any():
        raise DataError(
            f"target and bias variable are the same here: {n - few:,} of {n:,} labels have the bias value that is "
            f"usual with their target, and no target has {FEWEST} identities with each of two. Accuracy can be told "
            "from such labels, but not whether a classifier goes by the one or by the other; add images of other "
            "pairs, or name another bias variable."
        )


def exceptions(data: BiasedImages) -> tuple[int, int]:
    """How many labels have another bias value than is usual with their target, and how many labels there are."""
    sizes = data.group_sizes()
    return int((sizes.sum(1) - sizes.max(1).values).sum()), int(sizes.sum())


def caution(data: BiasedImages) -> list[str]:
    """A sentence for reports where target and bias nearly always go together, so that little can be told."""
    few, n = exceptions(data)
    if few > RARE * n:
        return []
    return [
        f"Target and bias variable nearly always go together: {few:,} of {n:,} labels have another bias value than "
        "is usual with their target, and all that is said about fairness rests on these few."
    ]


def _identities(data: BiasedImages) -> Tensor:
    """int64 (tasks, B): identities in each group."""
    labels = data.targets.view(len(data), -1).shape[1]
    rows = torch.stack(
        [
            data.tasks.view(len(data), -1).flatten(),
            data.bias.repeat_interleave(labels),
            data.identities.repeat_interleave(labels),
        ]
    )
    tasks, bias, _ = torch.unique(rows, dim=1)
    shape = (len(data.task_names), len(data.bias_names))
    return torch.bincount(tasks * shape[1] + bias, minlength=shape[0] * shape[1]).view(shape)
