"""How a setting is chosen among those that were tried, by images or people held out of training."""

from __future__ import annotations

from collections.abc import Hashable, Mapping, Sequence
from typing import TypeVar

import numpy as np
from scipy import stats

from aeda_core.runs import RunRecord

Setting = TypeVar("Setting", bound=Hashable)

RULE = (
    "The settings of a method are ranked by mean bACC, the highest first, and by mean bias, the lowest first; equal "
    "values share the mean of their ranks. The setting with the least sum of the two ranks is chosen; of those that "
    "tie the one with less bias, and then the one that was listed first."
)
"""What `choose` does."""


def choose(trials: Mapping[Setting, Sequence[RunRecord]]) -> Setting:
    """The chosen one of the settings of one method, by RULE.

    trials: by setting the runs that tried it, each tested on validation images. Raises ValueError without any, or if a
            run was tested on test images.
    """
    if not trials:
        raise ValueError("there is no setting to choose from; pass the runs of at least one.")
    if tested := [run.spec.tested_on for own in trials.values() for run in own if run.spec.tested_on != "validation"]:
        raise ValueError(f"a run was tested on '{tested[0]}'; settings are chosen by runs tested on 'validation'.")
    bacc, bias = ([np.mean([getattr(run, m) for run in own]) for own in trials.values()] for m in ("bacc", "bias"))
    ranks = stats.rankdata(np.negative(bacc)) + stats.rankdata(bias)
    return min(zip(ranks, bias, range(len(trials)), trials, strict=True))[-1]
