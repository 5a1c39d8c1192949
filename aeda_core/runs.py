"""A run: everything that decides a result (RunSpec), and what came out of it (RunRecord), kept by content.

The hash of a spec names its record. Same spec, same record; nothing else may influence a result, which is why a run on
a CPU is single-threaded, and several runs share the cores.
"""

from __future__ import annotations

import builtins
import functools
import hashlib
import json
import multiprocessing
import os
import sys
import tempfile
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor, wait
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Literal

import numpy as np
import torch
from pydantic import BaseModel, ConfigDict
from threadpoolctl import threadpool_limits
from tqdm import tqdm

from aeda_core import datasets, metrics, models, provenance
from aeda_core.datasets.base import DATA
from aeda_core.errors import Problem
from aeda_core.methods import EmptyGroup, Plan, named
from aeda_core.training import train

RESULTS_VERSION = 1
"""Part of every spec; raised by hand when a change to the library changes results."""

RUNS = DATA / "runs"
Store = Literal["paper", "own", "live"]
"""A folder of RUNS: the committed protocol; what a reader trained at profile `paper`; what was trained at the others.
The last two are git-ignored."""

CHECKPOINTS = DATA / "checkpoints"


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
    provenance: the profile that it was trained for, date, commit, versions, device, seconds, peak memory
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
        options = self.spec.options
        variant = "_stopped" if "stop" in options else "_robust_source" if options.get("source_radius") else ""
        return self.spec.method + variant

    @property
    def profile(self) -> str:
        """The profile that it was trained for; `none` where none asked for it."""
        return str(self.provenance["profile"])

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


def execute(
    spec: RunSpec, data_root: str = "", ticks: str | None = None, *, profile: str, own: bool = True
) -> RunRecord:
    """Run `spec` and keep its record; picks up where a stopped run of the same spec was.

    data_root: where the data is; must hold what the spec's fingerprint names
    ticks:     a file that grows by one byte an epoch, for whoever watches
    profile:   the one that it is trained for
    own:       at profile `paper`, whether it is a reader's own run and no part of the committed protocol
    """
    checkpoint = CHECKPOINTS / f"{spec.id}.pt"
    record = perform(spec, data_root, checkpoint, ticks, profile)
    store: Store = "live" if profile != "paper" else "own" if own else "paper"
    write_atomically(spec.path(store), record.model_dump_json(indent=None, exclude_none=True) + "\n")
    checkpoint.unlink(missing_ok=True)
    checkpoint.with_suffix(".cost").unlink(missing_ok=True)
    return record


def perform(
    spec: RunSpec,
    data_root: str = "",
    checkpoint: Path | None = None,
    ticks: str | None = None,
    profile: str = "none",
) -> RunRecord:
    """Run `spec` and keep nothing but, after every epoch, `checkpoint`."""
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    if device.type == "cpu":
        torch.set_num_threads(1)
    # Looked up before training, because the files may be edited while it runs and the code in memory stays as it is.
    code = {"commit": provenance.commit(), "code": provenance.code()}
    cost = provenance.Cost(checkpoint)

    def saved() -> None:
        if cost.path is not None:
            write_atomically(cost.path, json.dumps(cost.total))
        _tick(ticks)

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
    return RunRecord(spec=spec, provenance=made, **outcome)


def _outcome(
    spec: RunSpec, splits: datasets.Splits, device: torch.device, checkpoint: Path | None, saved: Callable[[], None]
) -> dict[str, Any]:
    """What a record says of a run besides its spec and provenance."""
    held_out, test = splits.validation.to(device), getattr(splits, spec.tested_on).to(device)
    outcome: dict[str, Any] = {"groups": splits.training.group_sizes().tolist()}
    try:
        with torch.random.fork_rng():
            torch.manual_seed(spec.seed)
            outputs = {
                "n_targets": len(splits.training.target_names),
                "n_bias": max(2, len(splits.training.bias_names)),
            }
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
    record = RunRecord.model_validate_json(path.read_text(encoding="utf-8"))
    if record.spec not in (spec, spec.in_bf16):
        raise Problem(f"'{path}' holds the record of another spec; it was edited by hand: delete it.")
    return record


def run_all(
    specs: Sequence[RunSpec],
    *,
    profile: str = "recorded",
    data_root: str = "",
    workers: int | None = None,
    label: str = "training",
    own: bool = True,
) -> list[RunRecord]:
    """The records of `specs`, in their order; those that are missing are trained, unless `profile` is `recorded`.

    workers: runs at a time; by default as many as there are CPU cores, or one on a GPU
    label:   stands before the progress bar
    own:     where records of profile `paper` go: a reader's own, or the committed protocol
    Raises MissingRecord if one is missing and nothing may be trained.
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
    training = _train(list(missing.values()), data_root, workers, label, profile, own)
    trained = {record.spec.id: record for record in training}
    return [record or trained[spec.id] for spec, record in zip(specs, found, strict=True)]


def _train(
    specs: list[RunSpec], data_root: str, workers: int | None, label: str, profile: str, own: bool
) -> Iterable[RunRecord]:
    if not specs:
        return
    workers = workers or (1 if torch.cuda.is_available() else provenance.cores())
    total = sum(spec.plan["epochs"] for spec in specs)
    with tempfile.TemporaryDirectory() as folder, _progress(total, label) as bar:
        ticks, pool = Path(folder, "ticks"), _pool(workers)
        ticks.touch()
        pending = {pool.submit(execute, spec, data_root, str(ticks), profile=profile, own=own) for spec in specs}
        try:
            while pending:
                done, pending = wait(pending, timeout=0.5)
                bar.update(ticks.stat().st_size - bar.n)
                for future in done:
                    yield future.result()
        except BaseException:
            _pool.cache_clear()  # a pool in which a worker died accepts no more runs, so the next call makes a new one
            pool.shutdown(cancel_futures=True)
            raise


@functools.lru_cache(maxsize=1)
def _pool(workers: int) -> ProcessPoolExecutor:
    """Worker processes for runs. They stay for the next call of `run_all`, because it takes them seconds to start."""
    # With these, glibc keeps freed activations for the next step. By default it returns them to the system, which then
    # has to map and clear the same memory again at every step.
    for setting in ("MALLOC_MMAP_THRESHOLD_", "MALLOC_TRIM_THRESHOLD_"):
        os.environ.setdefault(setting, str(2**30))
    return ProcessPoolExecutor(workers, mp_context=multiprocessing.get_context("spawn"))


@contextmanager
def _progress(total: int, label: str) -> Iterator[tqdm]:
    """A bar in terminals and notebooks, which goes when it is done; nothing where output is collected in a file."""
    # IPython adds get_ipython to the builtins when it runs code. That it can be imported would not say so: it is
    # installed beside the library for the book's sake.
    shell = getattr(builtins, "get_ipython", None)
    in_notebook = shell is not None and hasattr(shell(), "kernel")
    shown = in_notebook or sys.stderr.isatty()
    with tqdm(total=total, unit="epoch", desc=label, leave=not in_notebook, mininterval=1, disable=not shown) as bar:
        yield bar
    if in_notebook:
        shell().display_pub.clear_output()


def _tick(path: str | None) -> None:
    """Report a finished epoch in the file `path`. A worker whose parent process has ended stops here, because what it
    has trained is saved and nobody waits for the rest."""
    if (parent := multiprocessing.parent_process()) is not None and not parent.is_alive():
        os._exit(1)
    if path is not None:
        with open(path, "ab") as file:
            file.write(b".")


@functools.lru_cache(maxsize=2)
def _splits(data: str, data_root: str) -> datasets.Splits:
    return datasets.build(json.loads(data), data_root)


def write_atomically(path: Path, text: str) -> None:
    """`text` into `path`, whole or not at all."""
    path.parent.mkdir(parents=True, exist_ok=True)
    partial = path.with_name(f".{path.name}.{os.getpid()}.partial")
    partial.write_text(text)
    os.replace(partial, path)
