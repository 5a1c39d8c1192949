"""What chapter 12 asks of its records: at how many conflicting images a method gains, and at what cost."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

import numpy as np

from aeda_core import metrics
from aeda_core.experiments.what_came_after import AfterParameters, trials
from aeda_core.findings import selection, statistics
from aeda_core.findings.measures import Estimate
from aeda_core.findings.statistics import PERCENT, POINTS, REAL
from aeda_core.runs import RunRecord, RunSpec

ByShare = dict[float, dict[str, list[RunRecord]]]
"""Runs by share of conflicting images and by method, both in the order of the records."""


def share(spec: RunSpec) -> float:
    """The share of training images that go against the bias."""
    return float(round(1 - spec.data["correlation"], 6))


def by_share(records: Iterable[RunRecord]) -> ByShare:
    """The runs that were not refused; a method that was refused at a share has an empty list there."""
    found: ByShare = {}
    for record in records:
        own = found.setdefault(share(record.spec), {}).setdefault(record.spec.method, [])
        if not record.refused:
            own.append(record)
    return found


def without_conflict(records: Iterable[RunRecord]) -> list[RunRecord]:
    """The runs without a conflicting image."""
    return [record for record in records if share(record.spec) == 0]


def level(runs: Iterable[RunRecord], measure: str) -> Estimate:
    """The mean of `measure`, bacc or bias, with its interval in the range that it has."""
    known = list(runs)
    tasks = max((len(run.spec.target_names) for run in known), default=0)
    return Estimate.of((getattr(run, measure) for run in known), PERCENT if measure == "bacc" else (0.0, float(tasks)))


def gain(runs: Sequence[RunRecord], base: Sequence[RunRecord], measure: str) -> Estimate:
    """How much higher `measure` is in `runs` than in those of `base` with the same seeds."""
    more, less = ({run.spec.seed: getattr(run, measure) for run in own} for own in (runs, base))
    return Estimate.of(statistics.paired(more, less).values(), POINTS if measure == "bacc" else REAL)


def gains(runs: Sequence[RunRecord], base: Sequence[RunRecord]) -> bool:
    """Whether `runs` have a higher bACC and a lower bias than `base`, each by more than the 95 % interval."""
    bacc, bias = (gain(runs, base, measure) for measure in ("bacc", "bias"))
    return bool(np.isfinite(bacc.low) and bacc.low > 0 and bias.high < 0)


def gains_at(runs: ByShare, method: str) -> list[float]:
    """The shares of conflicting images at which `method` gains over Original, from the least."""
    return [at for at in sorted(runs) if gains(runs[at].get(method, []), runs[at]["original"])]


def cost(runs: Mapping[str, Sequence[RunRecord]], method: str) -> Estimate:
    """CPU seconds of a run of `method` over those of Original with the same seed."""
    base = {run.spec.seed: run.provenance["cpu_seconds"] for run in runs["original"]}
    return Estimate.of(
        run.provenance["cpu_seconds"] / max(base[run.spec.seed], 0.1) for run in runs[method] if run.spec.seed in base
    )


def front(runs: Mapping[str, Sequence[RunRecord]]) -> list[str]:
    """The methods that no other beats in accuracy, fairness and cost at once, by their means."""
    points = {
        method: (-Estimate.of(r.bacc for r in own).mean, Estimate.of(r.bias for r in own).mean, cost(runs, method).mean)
        for method, own in runs.items()
        if own
    }
    return [
        method
        for method, point in points.items()
        if not any(other != point and all(map(float.__le__, other, point)) for other in points.values())
    ]


# --- which setting ----------------------------------------------------------------------------------------------------


def plain_accuracy(record: RunRecord) -> float:
    """Percent of held-out images that would be right if they were distributed as the training images are: what somebody
    can measure who does not know the bias labels."""
    groups = np.asarray(record.groups, dtype=float)
    return 100 * float((groups / groups.sum() * metrics.group_accuracy(record.counts)).sum())


def best_known(tried: Sequence[RunRecord]) -> RunRecord:
    """The run whose setting `selection.choose` takes, which asks for the bias labels of held-out images."""
    return tried[selection.choose({i: [record] for i, record in enumerate(tried)})]


def best_unknown(tried: Sequence[RunRecord]) -> RunRecord:
    """The run with the highest plain accuracy; of equals the first."""
    return max(tried, key=plain_accuracy)


CRITERIA: dict[str, Callable[[Sequence[RunRecord]], RunRecord]] = {
    "group labels known": best_known,
    "not known": best_unknown,
}
"""By what is known of held-out images, how the run with the best setting is found."""


def chosen(tried: Iterable[RunRecord], criterion: str) -> dict[str, RunRecord]:
    """By method, the run on held-out images whose setting this criterion chooses.

    A method all of whose runs were refused is left out.
    """
    by_method: dict[str, list[RunRecord]] = {}
    for record in tried:
        if not record.refused:
            by_method.setdefault(record.spec.method, []).append(record)
    return {method: CRITERIA[criterion](own) for method, own in by_method.items()}


def setting(record: RunRecord) -> dict[str, Any]:
    """The one of TUNING that a run tried."""
    settings = {spec.id: tried for spec, tried in trials(AfterParameters.load("recorded"))}
    return settings[record.spec.id]
