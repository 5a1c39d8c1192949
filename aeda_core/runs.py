"""A run: everything that decides a result (RunSpec), and what came out of it (RunRecord), kept by content.

The hash of a spec names its record. Same spec, same record; nothing else may influence a result, which is why a run on
a CPU is single-threaded, and several runs share the cores.
"""

from __future__ import annotations

import functools
import hashlib
import json
import os
import threading
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import Executor
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import Any, Literal

import numpy as np
import torch
from pydantic import BaseModel, ConfigDict, ValidationError
from threadpoolctl import threadpool_limits

from aeda_core import datasets, metrics, models, parallel, provenance, storage
from aeda_core.datasets.base import DATA
from aeda_core.errors import Problem
from aeda_core.leases import lease
from aeda_core.methods import EmptyGroup, Plan, named
from aeda_core.schedule import Job, all_results, pool
from aeda_core.training import train
from aeda_core.workers import stop_if_asked

RESULTS_VERSION = 1
"""Part of every spec; raised by hand when a change to the library changes results."""

_HOME = Path(os.environ.get("AEDA_RUNS") or DATA)
RUNS = _HOME / "runs"
"""Records, in data/ or the folder that the environment variable AEDA_RUNS names, such as a cluster's shared disk."""

Store = Literal["paper", "own", "live"]
"""A folder of RUNS: the committed protocol; what a reader trained at profile `paper`; what was trained at the others.
The last two are git-ignored."""

VARIANTS = ("_stopped", "_robust_source")
"""What the name of a record says of its method's options, behind the method's own (see `RunRecord.name`)."""

CHECKPOINTS = _HOME / "checkpoints"
"""What stopped runs go on from, and leases."""
ANEW = "restore it with git if it is committed, otherwise delete it, and it is trained anew"
"""The way out where a record cannot be believed."""


class MissingRecord(Problem):
    """A recorded run was asked for that nobody has recorded."""


class RunSpec(BaseModel):
    """Everything that decides the result of a run, and nothing else: neither who asks for it nor where it is kept.

    data:    name of the data set, the fingerprint of its source, and how it is made from it
    model:   arguments of `models.build`
    plan:    arguments of `methods.Plan`
    options: arguments of the method
    tested_on: `test`, or `validation` while hyper-parameters are chosen
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    method: str
    data: dict[str, Any]
    model: dict[str, Any]
    plan: dict[str, Any]
    options: dict[str, Any]
    tested_on: str = "test"
    seed: int
    results_version: int = RESULTS_VERSION

    @property
    def id(self) -> str:
        """Twelve hexadecimal digits of the sha256 of this spec's canonical JSON."""
        canonical = json.dumps(self.model_dump(mode="json"), sort_keys=True, separators=(",", ":"))
        return hashlib.sha256(canonical.encode()).hexdigest()[:12]

    def path(self, store: Store) -> Path:
        """Where `store` keeps the record of this spec."""
        fold = f"-f{self.data['fold']}" if "fold" in self.data else ""
        return RUNS / store / self.data["name"] / f"{self.method}{fold}-s{self.seed}-{self.id}.json"

    @property
    def target_names(self) -> tuple[str, ...]:
        """Of the classes or attributes that the run is about, in the order of its confusion matrices."""
        kind = datasets.named(self.data["name"])
        return kind.bias_names if self.data.get("targets") == "bias" else kind.target_names

    @property
    def in_bf16(self) -> RunSpec:
        """The same run in bfloat16, which was the protocol before float32 was."""
        return self.model_copy(update={"model": {**self.model, "precision": "bf16"}})


class RunRecord(BaseModel):
    """What came out of a run: plain JSON, from which every figure can be redrawn.

    refused:    why the method does not apply to the data, if it does not
    epochs:     a row an epoch, on held-out training images (see `training.train`)
    groups:     (tasks, B), how many training images each group had; absent in records older than the faces
    confusion:  (B, T, T) or (A, B, 2, 2) counts on the images of `spec.tested_on`
    bootstrap:  bACC and bias if other persons had been tested (see `metrics.bootstrap`); of attributes, for a
                person counts for all of them at once, which the counts no longer tell
    provenance: the profile that it was trained for, date, commit, versions, device, seconds, peak memory, and a digest
                of the results, by which damage is noticed
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    spec: RunSpec
    refused: str | None = None
    epochs: list[dict[str, float]] = []
    groups: list[list[int]] | None = None
    confusion: list | None = None
    bootstrap: dict[str, list[float]] | None = None
    provenance: dict[str, Any]

    @property
    def name(self) -> str:
        """The method, and whether its attack was stopped (Fig. 10b) or its source was robust (Fig. 4)."""
        stopped, robust_source = VARIANTS
        options = self.spec.options
        variant = stopped if "stop" in options else robust_source if options.get("source_radius") else ""
        return self.spec.method + variant

    @property
    def profile(self) -> str:
        """The profile that it was trained for; `none` where none asked for it."""
        return str(self.provenance["profile"])

    @property
    def digest(self) -> str:
        """Of all that came out of the run; records from before it was kept have none."""
        return provenance.digest(self.model_dump(mode="json", exclude={"spec", "provenance"}))

    @property
    def counts(self) -> np.ndarray:
        """`confusion` as an int64 array."""
        return np.asarray(self.confusion)

    @property
    def bacc(self) -> float:
        """Balanced average accuracy in percent, over the defined target tasks."""
        return metrics.bacc(self.counts, metrics.defined(self.counts))

    @property
    def bias(self) -> float:
        """Model bias, Eq. (1) summed over the defined target tasks."""
        return metrics.model_bias(self.counts, metrics.defined(self.counts))

    @property
    def floor(self) -> float:
        """The bias that a fair model would show on the same images (see `metrics.permutation_floor`)."""
        return metrics.permutation_floor(self.counts, metrics.defined(self.counts))

    @property
    def undefined(self) -> int:
        """How many target tasks are left out, for one of their groups has no test image."""
        return int((~metrics.defined(self.counts)).sum())


_ONE_AT_A_TIME = threading.Lock()
"""Runs in threads of one process take turns, for they share torch's random state."""


def execute(spec: RunSpec, data_root: str = "", *, profile: str, own: bool = True) -> RunRecord:
    """Run `spec` and keep its record; picks up where a stopped run of the same spec was. What is recorded by now is
    taken as it is.

    data_root: where the data is; must hold what the spec's fingerprint names
    profile:   the one that it is trained for
    own:       at profile `paper`, whether it is a reader's own run and no part of the committed protocol
    Raises Held if another process trains it now, and Stopped, its state kept, if this one is asked to end.
    """
    checkpoint = checkpoint_of(spec)
    store: Store = "live" if profile != "paper" else "own" if own else "paper"
    if parallel.rank():  # the first process holds the lease and keeps what comes of it
        return perform(spec, data_root, checkpoint, profile=profile)
    with _ONE_AT_A_TIME, lease(CHECKPOINTS, spec.id) as mine:
        if (found := recorded([spec], profile)[0]) is not None:
            return found
        storage.clear_partials(checkpoint)
        record = perform(spec, data_root, checkpoint, mine.require, profile)
        storage.write(spec.path(store), record.model_dump_json(indent=None, exclude_none=True) + "\n")
        checkpoint.unlink(missing_ok=True)
        provenance.Cost.beside(checkpoint).unlink(missing_ok=True)
    return record


def checkpoint_of(spec: RunSpec) -> Path:
    """What a stopped run of `spec` goes on from."""
    return CHECKPOINTS / f"{spec.id}.safetensors"


def perform(
    spec: RunSpec,
    data_root: str = "",
    checkpoint: Path | None = None,
    after_epoch: Callable[[], None] = lambda: None,
    profile: str = "none",
) -> RunRecord:
    """Run `spec` and keep nothing but, after every epoch, `checkpoint`; then `after_epoch` is called."""
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    if device.type == "cpu":
        torch.set_num_threads(1)
    # float32 is meant where a spec says fp32: by default convolutions on a GPU round to 10 bits (TF32)
    torch.backends.cudnn.allow_tf32 = torch.backends.cuda.matmul.allow_tf32 = False
    # Looked up before training, because the files may be edited while it runs and the code in memory stays as it is.
    code = {"commit": provenance.commit(), "code": provenance.code()}
    cost = provenance.Cost(None if parallel.rank() else checkpoint)

    def saved(done: int) -> None:
        cost.keep(done)
        after_epoch()
        stop_if_asked()

    with threadpool_limits(1, user_api="blas"), provenance.peak_memory(device) as peak:
        splits = _splits(json.dumps(spec.data), data_root)
        outcome = _outcome(spec, splits, device, checkpoint, saved)
        machine = provenance.machine(device)
    seconds, cpu_seconds = cost.total
    made = {
        "profile": profile,
        "date": datetime.now(UTC).isoformat(timespec="seconds"),
        **code,
        "data": splits.source,
        **machine,
        "seconds": seconds,
        # the cost of the run itself: unlike `seconds` it does not grow when other programs share the cores
        "cpu_seconds": cpu_seconds,
        "peak_memory_mb": peak.megabytes,
    }
    record = RunRecord(spec=spec, provenance=made, **outcome)
    return record.model_copy(update={"provenance": {**made, "results": record.digest}})


def _outcome(
    spec: RunSpec, splits: datasets.Splits, device: torch.device, checkpoint: Path | None, saved: Callable[[int], None]
) -> dict[str, Any]:
    """What a record says of a run besides its spec and provenance."""
    held_out, test = splits.validation.to(device), getattr(splits, spec.tested_on).to(device)
    outcome: dict[str, Any] = {"groups": splits.training.group_sizes().tolist()}
    try:
        with torch.random.fork_rng():
            torch.manual_seed(spec.seed)
            n_bias = max(2, len(splits.training.bias_names))
            outputs = {"n_targets": len(splits.training.target_names), "n_bias": n_bias}
            model = models.build(**{**outputs, **spec.model}).to(device)
            method = named(spec.method)(model, splits.training.to(device), Plan(**spec.plan), spec.seed, **spec.options)
            classifier, outcome["epochs"] = train(method, held_out, checkpoint, saved)
        predicted = metrics.predicted(classifier, test)
        outcome["confusion"] = metrics.count(test, predicted).tolist()
        if test.targets.ndim == 2:
            outcome["bootstrap"] = metrics.bootstrap(test, predicted)
    except EmptyGroup as reason:
        outcome["refused"] = str(reason)
    return outcome


def kept(specs: Sequence[RunSpec], profile: str = "recorded") -> list[Path | None]:
    """For each of `specs`, which are compared with one another, the file with its record, if there is one.

    Profiles `recorded` and `paper` read what was trained at `paper`; the others read the store `live`, too, for the
    same spec is the same result. At `recorded` the protocol's records in bfloat16 stand in until all of `specs` are
    recorded in float32, so that a comparison mixes the two only where a run has no record but in float32.
    """
    stores: tuple[Store, ...] = ("paper", "own") if profile in ("recorded", "paper") else ("paper", "own", "live")
    found = [_first(spec.path(store) for store in stores) for spec in specs]
    if profile != "recorded" or None not in found:
        return found
    stand_ins = [_first([spec.in_bf16.path("paper")]) for spec in specs]
    return [stand_in or path for stand_in, path in zip(stand_ins, found, strict=True)]


def _first(paths: Iterable[Path]) -> Path | None:
    return next((path for path in paths if path.exists()), None)


def recorded(specs: Sequence[RunSpec], profile: str = "recorded") -> list[RunRecord | None]:
    """The records of `specs`, those there are (see `kept`)."""
    return [_read(path, spec) if path else None for spec, path in zip(specs, kept(specs, profile), strict=True)]


def _read(path: Path, spec: RunSpec) -> RunRecord:
    try:
        record = RunRecord.model_validate_json(path.read_bytes())
    except ValidationError as reason:
        raise Problem(f"'{path}' is no whole record ({reason.errors()[0]['msg']}); {ANEW}.") from None
    if record.provenance.get("results", record.digest) != record.digest:
        raise Problem(f"the results in '{path}' are not those that were recorded; {ANEW}.")
    if record.spec not in (spec, spec.in_bf16):
        raise Problem(f"'{path}' holds the record of another spec; it was edited by hand; {ANEW}.")
    return record


def run_all(
    specs: Sequence[RunSpec],
    *,
    profile: str = "recorded",
    data_root: str = "",
    workers: int | None = None,
    label: str = "training",
    own: bool = True,
    executor: Executor | None = None,
) -> list[RunRecord]:
    """The records of `specs`, in their order; those that are missing are trained, unless `profile` is `recorded`.

    workers:  runs at a time; by default as many as there are CPU cores, or one on a GPU
    label:    stands before the progress bar
    own:      where records of profile `paper` go: a reader's own, or the committed protocol
    executor: where to train: whatever has `submit` as in concurrent.futures, and processes that see the same data/; by
              default processes on this machine
    Raises MissingRecord if one is missing and nothing may be trained, and RunsFailed if some failed; what can be
    trained is, before it says so.
    """
    found = recorded(specs, profile)
    missing = {spec.id: spec for spec, record in zip(specs, found, strict=True) if record is None}
    if missing and profile == "recorded":
        first = next(iter(missing.values()))
        raise MissingRecord(
            f"{len(missing)} of {len(specs)} recorded runs are missing, {first.method} with seed {first.seed} "
            f"({first.id}) the first; `make reproduce PROFILE=paper` makes them, or choose profile laptop to train a "
            "smaller version here."
        )
    asked, trained = list(missing.values()), {}
    if asked:
        training = partial(execute, data_root=data_root, profile=profile, own=own)
        chosen = executor or pool(workers or (1 if torch.cuda.is_available() else provenance.cores()))
        trained = {record.spec.id: record for record in all_results(training, asked, chosen, label, _AS_JOB)}
    return [record or trained[spec.id] for spec, record in zip(specs, found, strict=True)]


_AS_JOB: Job[RunSpec] = Job(
    name=lambda spec: f"{spec.method}, seed {spec.seed} ({spec.id})",
    size=lambda spec: spec.plan["epochs"],
    done=lambda spec: provenance.Cost(checkpoint_of(spec)).epochs,
)


@functools.lru_cache(maxsize=2)
def _splits(data: str, data_root: str) -> datasets.Splits:
    return datasets.build(json.loads(data), data_root)
