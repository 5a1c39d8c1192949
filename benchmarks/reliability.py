"""Runs that are killed, and what is left of them: `python -m benchmarks.reliability` writes data/reliability.json.

Every method is trained, small, once undisturbed and once killed (SIGKILL) at random moments and begun again until it is
done. Nothing is simulated: processes die, and files stay behind as they were.
"""

from __future__ import annotations

import argparse
import ast
import importlib
import json
import multiprocessing
import os
import random
import signal
import sys
import tempfile
import threading
import time
import tomllib
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime
from multiprocessing.context import ForkProcess
from pathlib import Path
from typing import Any

import torch

from aeda_core import cluster, provenance, runs, storage
from aeda_core.datasets import mnist
from aeda_core.datasets.base import DATA, PROJECT
from aeda_core.leases import Held
from aeda_core.methods import METHODS, STUDIES, named
from aeda_core.runs import RunRecord, RunSpec

RELIABILITY = DATA / "reliability.json"
BAD_INPUT = PROJECT / "tests" / "bad_input.toml"
KILLS, ON_DASK = 3, 24
"""Kills of each run, and runs on Dask."""

_DATA = {"name": "cmnist", "fingerprint": mnist.EMBEDDED_FINGERPRINT, "n_train": 100, "n_validation": 60, "size": 8}
_OPTIONS: dict[str, dict[str, Any]] = {
    "cyclegan": {"gan_epochs": 2, "gan_width": 2, "gan_blocks": 1},
    "few_shot": {"few": [2], "copies": 2, "start": 0},
    **{name: {"source_epochs": 2, "source_radius": 0.1} for name in ("aeda_pre", "adversarial_switch")},
}
_FORK = multiprocessing.get_context("fork")
"""A child begins with what the parent has imported and read, so that a kill costs no seconds."""


def grid(seeds: int = 1, names: Sequence[str] = (*METHODS, *STUDIES)) -> list[RunSpec]:
    """A small run of every method and study, of those of them that apply to data with empty groups as C-MNIST has."""
    return [_spec(name, seed) for seed in range(seeds) for name in names]


def _spec(name: str, seed: int) -> RunSpec:
    # half the digits on the other colour: no group is empty, so that every method applies
    data = {**_DATA, "correlation": 0.5, **({"targets": "bias"} if name.endswith("_switch") else {})}
    steps = {"steps": 1} if "steps" in named(name).Options.model_fields else {}
    return RunSpec(
        method=name,
        data=data,
        model={"name": "small_cnn", "width": 2, "n_features": 8},
        plan={"epochs": 4, "batch_size": 25},
        options=steps | _OPTIONS.get(name, {}),
        seed=seed,
    )


def warm() -> None:
    """Import and read what children would, each by itself, for seconds before they train. Nothing is trained here: a
    process that has threads of autograd cannot be forked."""
    torch.set_num_threads(1)
    mnist.load(mnist.EMBEDDED)
    provenance.code()
    for name in ("torch._dynamo", "sklearn.linear_model", "sklearn.pipeline", "sklearn.preprocessing"):
        importlib.import_module(name)


@contextmanager
def store(folder: Path) -> Iterator[None]:
    """Records and checkpoints in `folder`, also of the processes that are forked in the block."""
    before = runs.RUNS, runs.CHECKPOINTS
    runs.RUNS, runs.CHECKPOINTS = folder / "runs", folder / "checkpoints"
    try:
        yield
    finally:
        runs.RUNS, runs.CHECKPOINTS = before


def begin(specs: Sequence[RunSpec], log: Path | None = None) -> ForkProcess:
    """A process that runs `specs`, one after the other; what others train it comes back to.

    log: gets a line with the id of every run that is begun
    """
    process = _FORK.Process(target=_work, args=(list(specs), log))
    process.start()
    return process


def _work(specs: list[RunSpec], log: Path | None) -> None:
    perform = runs.perform

    def logged(spec: RunSpec, *given: Any) -> RunRecord:
        if log is not None:
            with log.open("a") as file:
                file.write(f"{spec.id}\n")
        return perform(spec, *given)

    runs.perform = logged
    while specs:
        spec = specs.pop(0)
        try:
            runs.execute(spec, mnist.EMBEDDED, profile="smoke")
        except Held:
            specs.append(spec)
            time.sleep(0.05)


def records(specs: Sequence[RunSpec]) -> dict[str, RunRecord]:
    """What is recorded of `specs`, by their ids."""
    return {record.spec.id: record for record in runs.recorded(specs, "smoke") if record is not None}


def digests(specs: Sequence[RunSpec]) -> dict[str, str]:
    """Of what is recorded of `specs`, by their ids."""
    return {id_: record.digest for id_, record in records(specs).items()}


def killed(spec: RunSpec, seconds: float, chance: random.Random, kills: int = KILLS) -> int:
    """Run `spec` to its end, killed `kills` times within the `seconds` that it takes; returns how often it was, for
    it may be done before."""
    died = 0
    while spec.id not in records([spec]):
        process = begin([spec])
        if died < kills:
            process.join(chance.uniform(0, seconds))
            if process.is_alive():
                process.kill()
                died += 1
        process.join()
    return died


def together(specs: Sequence[RunSpec], n: int, kills: int, chance: random.Random, log: Path | None = None) -> int:
    """`n` processes on one store run all of `specs`, of which `kills` are killed at random and begun again."""
    processes, died = [begin(specs, log) for _ in range(n)], 0
    while any(process.is_alive() for process in processes):
        time.sleep(chance.uniform(0.05, 0.5))
        at = chance.randrange(n)
        if died < kills and processes[at].is_alive():
            processes[at].kill()
            processes[at].join()
            processes[at], died = begin(specs, log), died + 1
    return died


def on_dask(specs: Sequence[RunSpec], folder: Path) -> dict[str, str]:
    """The digests of `specs`, run by two worker processes of a local Dask cluster, one of which is killed."""
    os.environ["AEDA_RUNS"] = str(folder)
    with store(folder), cluster.dask("local", 2) as executor:
        victim = executor.submit(os.getpid).result()
        threading.Timer(1.0, os.kill, (victim, signal.SIGKILL)).start()
        found = runs.run_all(specs, profile="smoke", data_root=mnist.EMBEDDED, executor=executor)
    return {record.spec.id: record.digest for record in found}


def measured(names: Sequence[str], kills: int, on_two_workers: int, seed: int = 0) -> dict[str, Any]:
    """The report: how many kills, and how many of the runs came out as if nothing had happened.

    kills:          of each run
    on_two_workers: how many runs are trained on Dask, one of its two workers being killed
    """
    warm()
    chance, specs, seconds = random.Random(seed), grid(1, names), {}
    on_cluster = grid(2, names)[:on_two_workers]
    with tempfile.TemporaryDirectory() as folder:
        with store(Path(folder, "undisturbed")):
            for spec in [*specs, *(spec for spec in on_cluster if spec.seed)]:
                began = time.monotonic()
                begin([spec]).join()
                seconds[spec.id] = time.monotonic() - began
            expected = digests([*specs, *on_cluster])
        with store(Path(folder, "killed")):
            alone = {spec.method: killed(spec, seconds[spec.id], chance, kills) for spec in specs}
            found = [(specs, digests(specs))]
        with store(Path(folder, "shared")):
            log = Path(folder, "begun")
            together(specs, n=2, kills=0, chance=chance, log=log)
            trained_once = sorted(log.read_text().split()) == sorted(spec.id for spec in specs)
            found.append((specs, digests(specs)))
        with store(Path(folder, "shared and killed")):
            shared = together(specs, n=3, kills=kills * len(names) // 3, chance=chance)
            found.append((specs, digests(specs)))
        if on_cluster:
            found.append((on_cluster, on_dask(on_cluster, Path(folder, "dask"))))
    wrong = {spec.id for asked, got in found for spec in asked if got.get(spec.id) != expected.get(spec.id, "none")}
    return {
        "date": datetime.now(UTC).isoformat(timespec="seconds"),
        "commit": provenance.commit(),
        "device": provenance.cpu_name(),
        "methods": alone,
        "kills": sum(alone.values()) + shared + bool(on_cluster),
        "kills_on_one_store": shared,
        "runs": len(seconds),
        "runs_on_dask": len(on_cluster),
        "resumed_exact": len(seconds) - len(wrong),
        "trained_once": trained_once,
        "lost": len(wrong),
        "bad_inputs": sum(map(len, tomllib.loads(BAD_INPUT.read_text(encoding="utf-8")).values())),
        "faults": faults(),
    }


def faults() -> list[str]:
    """What tests/test_faults.py does to runs, in the words of its tests."""
    tree = ast.parse((PROJECT / "tests" / "test_faults.py").read_text(encoding="utf-8"))
    tests = [node for node in tree.body if isinstance(node, ast.FunctionDef) and node.name.startswith("test_")]
    return [(ast.get_docstring(test) or test.name).splitlines()[0] for test in tests]


def main() -> int:
    """Measure and write the report; 1 if a run was lost."""
    asked = argparse.ArgumentParser(prog="python -m benchmarks.reliability", description=__doc__.splitlines()[0])
    asked.add_argument("--short", action="store_true", help="three methods, a kill each, no Dask")
    asked.add_argument("--into", type=Path, default=RELIABILITY, help="the file to be written")
    given = asked.parse_args()
    names = ("original", "aeda_pre", "cyclegan") if given.short else (*METHODS, *STUDIES)
    report = measured(names, *((1, 0) if given.short else (KILLS, ON_DASK)))
    storage.write(given.into, json.dumps(report, indent=1, ensure_ascii=False) + "\n")
    print(f"{report['kills']} kills, {report['resumed_exact']} of {report['runs']} runs exact: {given.into}")
    return int(report["lost"] > 0 or not report["trained_once"])


if __name__ == "__main__":
    sys.exit(main())
