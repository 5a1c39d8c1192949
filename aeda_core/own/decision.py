"""Which classifier is recommended: a rule on numbers alone."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

Replicates = Mapping[str, Sequence[float]]
"""bACC and model bias if other persons had been tested, as `metrics.bootstrap` gives them."""

Interval = tuple[float, float]


def worst(bacc: ArrayLike, bias: ArrayLike, n_tasks: int) -> NDArray[np.float64]:
    """bACC less half of the mean gap, in points: what classifiers are compared by.

    Where there are two bias values it is the accuracy of the one that does worse, averaged over the target tasks, so
    that accuracy and fairness both raise it.

    bacc:    in percent
    bias:    model bias, Eq. (1) summed over the tasks
    n_tasks: how many target tasks both are about
    """
    return np.asarray(bacc, dtype=float) - 50 * np.asarray(bias, dtype=float) / n_tasks


def one_answer(known: NDArray[np.bool_], attributes: bool) -> float:
    """bACC in percent of the best classifier that always gives the same answer, of attributes one for each. Its model
    bias is 0, so this is its `worst`, too.

    known: (tasks,), which target tasks bACC is about
    """
    right = known.reshape(-1, 2).any(1) if attributes else known.any(keepdims=True)
    return float(100 * right.sum() / known.sum())


@dataclass(frozen=True)
class Verdict:
    """Whether a classifier is better than Original, and than `one_answer`, by more than chance.

    Each interval holds 95 % of the differences (candidate less Original) on the same resampled test persons.
    """

    better: bool
    worst: Interval
    bacc: Interval
    bias: Interval

    def sentence(self, candidate: str) -> str:
        """What is recommended, and why; `candidate`: what it is called."""
        given = (
            f"bACC changes by {self.bacc[0]:+.1f} to {self.bacc[1]:+.1f} points, model bias by {self.bias[0]:+.2f} to "
            f"{self.bias[1]:+.2f}, and bACC less half the mean gap, by which they are compared, by "
            f"{self.worst[0]:+.1f} to {self.worst[1]:+.1f} points (95 % intervals on the same test images)"
        )
        if self.better:
            return f"{candidate} is recommended. Against Original {given}."
        if self.worst[0] > 0:
            return (
                "What was tried treats the groups more alike than Original, but so does one answer for everybody, and "
                f"it is not better than that by more than chance. So Original is recommended: {given}."
            )
        return f"Nothing that was tried beats Original by more than chance, so Original is recommended: {given}."


def verdict(original: Replicates, candidate: Replicates, n_tasks: int, constant: float) -> Verdict:
    """Better is a candidate whose `worst` is above Original's, and above `constant`, in at least 97.5 % of the
    replicates.

    original, candidate: of the same draws of persons, so that what both share cancels
    constant:            `one_answer`, which nobody takes home for its fairness
    """
    own = interval(worst(candidate["bacc"], candidate["bias"], n_tasks))
    gained = {key: np.asarray(candidate[key]) - np.asarray(original[key]) for key in ("bacc", "bias")}
    of_worst = interval(worst(gained["bacc"], gained["bias"], n_tasks))  # `worst` is linear
    return Verdict(of_worst[0] > 0 and own[0] > constant, of_worst, interval(gained["bacc"]), interval(gained["bias"]))


def interval(values: ArrayLike) -> Interval:
    """The middle 95 % of bootstrap replicates."""
    low, high = np.percentile(np.asarray(values, dtype=float), (2.5, 97.5))
    return float(low), float(high)


def around(estimate: float, replicates: ArrayLike) -> Interval:
    """The middle 95 % of bootstrap replicates of a model bias, moved so that their mean is the `estimate`; not below 0.

    To draw persons again adds noise to every gap. As no gap is negative, that adds up: all replicates may lie above it.
    """
    values = np.asarray(replicates, dtype=float)
    low, high = interval(values + estimate - values.mean())
    return max(0.0, low), high
