"""A run: everything that decides a result (RunSpec), and what came out of it (RunRecord), kept by content.

The hash of a spec names its record. Same spec, same record; nothing else may influence a result, which is why a run on
a CPU is single-threaded, and several runs share the cores.
"""

from __future__ import annotations

import functools
import hashlib
import json
import multiprocessing
import os
import platform
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor, wait
from contextlib import contextmanager
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np
import torch
from pydantic import BaseModel, ConfigDict
from tqdm import tqdm

from aeda_core import datasets, metrics, models
from aeda_core.datasets.base import DATA, PROJECT
from aeda_core.errors import Problem
from aeda_core.methods import METHODS, STUDIES, EmptyGroup, Plan
from aeda_core.training import train

RESULTS_VERSION = 1
"""Part of every spec; raised by hand when a change to the library changes results."""

RUNS = DATA / "runs"
CHECKPOINTS = DATA / "checkpoints"


class MissingRecord(Problem):
    """A recorded run was asked for that nobody has recorded."""


class RunSpec(BaseModel):
    """Everything that decides the result of a run; the paths and the device do not.

    data:    name of the data set, the fingerprint of its source, and how it is made from it
    model:   arguments of `models.build`
    plan:    arguments of `methods.Plan`
    options: arguments of the method
    tested_on: `test`, or `validation` while hyper-parameters are chosen
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    experiment: str
    profile: str
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

    @property
    def path(self) -> Path:
        """Where the record of this spec is kept."""
        fold = f"-f{self.data['fold']}" if "fold" in self.data else ""
        return RUNS / self.profile / self.experiment / f"{self.method}{fold}-s{self.seed}-{self.id}.json"


class RunRecord(BaseModel):
    """What came out of a run: plain JSON, from which every figure can be redrawn.

    refused:    why the method does not apply to the data, if it does not
    epochs:     a row an epoch, on held-out training images (see `training.train`)
    groups:     (tasks, B), how many training images each group had; absent in records older than the faces
    confusion:  (B, T, T) or (A, B, 2, 2) counts on the images of `spec.tested_on`
    bootstrap:  bACC and bias if other persons had been tested (see `metrics.bootstrap`); of attributes, for a
                person counts for all of them at once, which the counts no longer tell
    provenance: date, commit, versions, device, seconds, peak memory; nothing in it depends on chance alone
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


def execute(spec: RunSpec, data_root: str = "", ticks: str | None = None) -> RunRecord:
    """Run `spec` and keep its record; picks up where a stopped run of the same spec was.

    data_root: where the data is; must hold what the spec's fingerprint names
    ticks:     a file that grows by one byte an epoch, for whoever watches
    """
    checkpoint = CHECKPOINTS / f"{spec.id}.pt"
    record = perform(spec, data_root, checkpoint, ticks)
    write_atomically(spec.path, record.model_dump_json(indent=None, exclude_none=True) + "\n")
    checkpoint.unlink(missing_ok=True)
    checkpoint.with_suffix(".cost").unlink(missing_ok=True)
    return record


def perform(spec: RunSpec, data_root: str = "", checkpoint: Path | None = None, ticks: str | None = None) -> RunRecord:
    """Run `spec` and keep nothing but, after every epoch, `checkpoint`."""
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    if device.type == "cpu":
        torch.set_num_threads(1)
    cost = _Cost(checkpoint)
    commit()  # looked up now and remembered: the code that runs is the code as it is at the start
    splits = _splits(json.dumps(spec.data), data_root)
    held_out, test = splits.validation.to(device), getattr(splits, spec.tested_on).to(device)
    outcome: dict[str, Any] = {"groups": splits.training.group_sizes().tolist()}
    try:
        with torch.random.fork_rng():
            torch.manual_seed(spec.seed)
            outputs = len(splits.training.target_names)
            model = models.build(**{"n_targets": outputs, **spec.model}).to(device)
            method = (METHODS | STUDIES)[spec.method](
                model, splits.training.to(device), Plan(**spec.plan), spec.seed, **spec.options
            )
            classifier, outcome["epochs"] = train(method, held_out, checkpoint, lambda: (cost.keep(), _tick(ticks)))
        predicted = metrics.predicted(classifier, test)
        outcome["confusion"] = metrics.count(test, predicted).tolist()
        if test.targets.ndim == 2:
            outcome["bootstrap"] = metrics.bootstrap(test, predicted)
    except EmptyGroup as reason:
        outcome["refused"] = str(reason)
    return RunRecord(spec=spec, provenance=_provenance(device, cost, splits.source), **outcome)


class _Cost:
    """What a run took so far, in this sitting and in those before it, whose sum lies beside the checkpoint."""

    def __init__(self, checkpoint: Path | None) -> None:
        self.path = checkpoint and checkpoint.with_suffix(".cost")
        self.began, self.cpu_began = time.perf_counter(), time.process_time()
        resumed = checkpoint is not None and checkpoint.exists() and self.path.exists()
        self.before = json.loads(self.path.read_text()) if resumed else [0.0, 0.0]

    @property
    def total(self) -> list[float]:
        """Seconds by the clock, and of the processor."""
        now = (time.perf_counter() - self.began, time.process_time() - self.cpu_began)
        return [round(before + seconds, 1) for before, seconds in zip(self.before, now, strict=True)]

    def keep(self) -> None:
        if self.path is not None:
            write_atomically(self.path, json.dumps(self.total))


def recorded(spec: RunSpec) -> RunRecord | None:
    """The record of `spec`, if there is one."""
    if not spec.path.exists():
        return None
    record = RunRecord.model_validate_json(spec.path.read_text())
    if record.spec != spec:
        raise Problem(f"'{spec.path}' holds the record of another spec; it was edited by hand: delete it.")
    return record


def run_all(
    specs: Sequence[RunSpec], *, live: bool, data_root: str = "", workers: int | None = None, label: str = "training"
) -> list[RunRecord]:
    """The records of `specs`, in their order; those that are missing are trained if `live`.

    workers: runs at a time; by default as many as there are CPU cores, or one on a GPU
    label:   stands before the progress bar
    Raises MissingRecord if one is missing and nothing may be trained.
    """
    found = {spec.id: recorded(spec) for spec in specs}
    missing = [spec for spec in specs if found[spec.id] is None]
    if missing and not live:
        raise MissingRecord(
            f"{len(missing)} of {len(specs)} recorded runs are missing, {missing[0].method} with seed "
            f"{missing[0].seed} ({missing[0].id}) the first; `make reproduce PROFILE={missing[0].profile}` makes them, "
            "or choose profile laptop to train a smaller version here."
        )
    for record in _train(missing, data_root, workers, label):
        found[record.spec.id] = record
    return [found[spec.id] for spec in specs]


def _train(specs: list[RunSpec], data_root: str, workers: int | None, label: str) -> Iterable[RunRecord]:
    if not specs:
        return
    workers = workers or (1 if torch.cuda.is_available() else len(os.sched_getaffinity(0)))
    total = sum(spec.plan["epochs"] for spec in specs)
    # glibc then keeps freed activations for the next step, instead of having the system map and clear them anew
    for setting in ("MALLOC_MMAP_THRESHOLD_", "MALLOC_TRIM_THRESHOLD_"):
        os.environ.setdefault(setting, str(2**30))
    context = multiprocessing.get_context("spawn")
    with (
        tempfile.NamedTemporaryFile() as ticks,
        _progress(total, label) as bar,
        ProcessPoolExecutor(min(workers, len(specs)), mp_context=context) as pool,
    ):
        pending = {pool.submit(execute, spec, data_root, ticks.name) for spec in specs}
        try:
            while pending:
                done, pending = wait(pending, timeout=0.5)
                bar.update(os.path.getsize(ticks.name) - bar.n)
                for future in done:
                    yield future.result()
        except BaseException:
            pool.shutdown(cancel_futures=True)
            raise


@contextmanager
def _progress(total: int, label: str) -> Iterator[tqdm]:
    """A bar in terminals and notebooks, which goes when it is done; nothing where output is collected in a file."""
    ipython = sys.modules.get("IPython")
    in_notebook = ipython is not None and hasattr(ipython.get_ipython(), "kernel")
    shown = in_notebook or sys.stderr.isatty()
    with tqdm(total=total, unit="epoch", desc=label, leave=not in_notebook, mininterval=1, disable=not shown) as bar:
        yield bar
    if in_notebook:
        from IPython.display import clear_output

        clear_output()


def _tick(path: str | None) -> None:
    """An epoch is done and saved; where whoever asked for it is gone, this is the moment to go."""
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


def _provenance(device: torch.device, cost: _Cost, source: str) -> dict[str, Any]:
    seconds, cpu_seconds = cost.total
    cuda = device.type == "cuda"
    return {
        "date": datetime.now(UTC).isoformat(timespec="seconds"),
        "commit": commit(),
        "data": source,
        "device": torch.cuda.get_device_name() if cuda else f"{_cpu_name()}, 1 thread",
        "python": platform.python_version(),
        "packages": {name: version(name) for name in ("torch", "torchvision", "numpy")},
        "seconds": seconds,
        "cpu_seconds": cpu_seconds,  # what it costs, whatever else the machine did
        "peak_memory_mb": (
            torch.cuda.max_memory_allocated() if cuda else resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
        )
        // 2**20,
    }


@functools.cache
def commit() -> str:
    """The project's git commit, with `+` behind it if tracked code has changed since; `unknown` outside a checkout."""
    git = ["git", "-C", str(PROJECT)]
    try:
        head = subprocess.run([*git, "rev-parse", "--short=12", "HEAD"], capture_output=True, text=True, check=True)
        changed = subprocess.run([*git, "status", "--porcelain", "-uno", "aeda_core"], capture_output=True, text=True)
    except (OSError, subprocess.CalledProcessError):
        return "unknown"
    return head.stdout.strip() + ("+" if changed.stdout else "")


def _cpu_name() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:
        return platform.processor() or platform.machine()
    return next((line.split(":")[1].strip() for line in lines if line.startswith("model name")), platform.machine())
