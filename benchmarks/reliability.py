"""Runs that are killed, and what is left of them: `python -m benchmarks.reliability` writes data/reliability.json.

Every method is trained, small, once undisturbed and once killed (SIGKILL) at random moments and begun again until it is
done. Nothing is simulated: processes die, and files stay behind as they were.
"""

from __future__ import annotations

import importlib
import json
import multiprocessing
import random
import sys
import tempfile
import time
import tomllib
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime
from multiprocessing.context import ForkProcess
from pathlib import Path
from typing import Any

import torch

from aeda_core import provenance, runs, storage
from aeda_core.datasets import mnist
from aeda_core.datasets.base import DATA, PROJECT
from aeda_core.leases import Held
from aeda_core.methods import METHODS, STUDIES, named
from aeda_core.runs import RunRecord, RunSpec

RELIABILITY = DATA / "reliability.json"
KILLS = 3
"""Of each run."""

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


def begin(specs: Sequence[RunSpec]) -> ForkProcess:
    """A process that runs `specs`, one after the other; what others train it comes back to."""
    process = _FORK.Process(target=_work, args=(list(specs),))
    process.start()
    return process


def _work(specs: list[RunSpec]) -> None:
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


def together(specs: Sequence[RunSpec], n: int, kills: int, chance: random.Random) -> int:
    """`n` processes on one store run all of `specs`, of which `kills` are killed at random and begun again."""
    processes, died = [begin(specs) for _ in range(n)], 0
    while any(process.is_alive() for process in processes):
        time.sleep(chance.uniform(0.05, 0.5))
        at = chance.randrange(n)
        if died < kills and processes[at].is_alive():
            processes[at].kill()
            processes[at].join()
            processes[at], died = begin(specs), died + 1
    return died


def measured(seed: int = 0) -> dict[str, Any]:
    """The report: how many kills, and how many of the runs came out as if nothing had happened."""
    warm()
    chance, specs, seconds = random.Random(seed), grid(), {}
    with tempfile.TemporaryDirectory() as folder:
        with store(Path(folder, "undisturbed")):
            for spec in specs:
                began = time.monotonic()
                begin([spec]).join()
                seconds[spec.id] = time.monotonic() - began
            expected = {id_: record.digest for id_, record in records(specs).items()}
        with store(Path(folder, "killed")):
            alone = {spec.id: killed(spec, seconds[spec.id], chance) for spec in specs}
            found = {id_: record.digest for id_, record in records(specs).items()}
        with store(Path(folder, "together")):
            shared = together(specs, n=3, kills=10, chance=chance)
            common = {id_: record.digest for id_, record in records(specs).items()}
    exact = [id_ for id_ in expected if found.get(id_) == common.get(id_) == expected[id_]]
    return {
        "date": datetime.now(UTC).isoformat(timespec="seconds"),
        "commit": provenance.commit(),
        "device": provenance.cpu_name(),
        "methods": {spec.method: alone[spec.id] for spec in specs},
        "kills": sum(alone.values()) + shared,
        "kills_of_workers_on_one_store": shared,
        "runs": len(specs),
        "resumed_exact": len(exact),
        "lost": len(specs) - len(exact),
        "bad_inputs": len(_cases("bad_input.toml")),
        "faults": _cases("faults.toml"),
    }


def _cases(name: str) -> list[str]:
    """What a table of the tests holds, in words."""
    table = tomllib.loads((PROJECT / "tests" / name).read_text(encoding="utf-8"))
    return [case.get("is", str(case.get("give"))) for cases in table.values() for case in cases]


if __name__ == "__main__":
    report = measured()
    storage.write(RELIABILITY, json.dumps(report, indent=1, ensure_ascii=False) + "\n")
    print(f"{RELIABILITY} written: {report['kills']} kills, {report['resumed_exact']} of {report['runs']} runs exact")
    sys.exit(report["lost"] > 0)
