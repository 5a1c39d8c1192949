"""What an epoch costs: of every method beside `original`, against the attack's steps and against N; and memory.

    python -m benchmarks.epochs

Chapter 05's settings at profile `paper`, in fp32, with 1,000 of the original MNIST's training digits. Writes the rows
`epoch.*`, `once.*`, `scale.*` and `memory.*` of data/benchmarks.json; nothing is promised of them. What one N costs is
measured in a process of its own, as `python -m benchmarks.epochs N` prints it.
"""

from __future__ import annotations

import itertools
import json
import resource
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import torch

from aeda_core import models
from aeda_core.datasets import cmnist, mnist
from aeda_core.datasets.base import PROJECT
from aeda_core.errors import Problem
from aeda_core.experiments import cmnist as chapter
from aeda_core.methods import METHODS, EmptyGroup, Method, Plan
from aeda_core.runs import RunSpec
from benchmarks.table import THREADS, about, put, row, taking_turns

IMAGES, ROUNDS, WARM_UP = 1000, 5, 2
STEPS, SIZES = (1, 2, 5, 10), (1000, 5000, 20_000, 60_000)
SCALED = "aeda_robust"
"""The method whose cost is measured against N and against the attack's steps."""

ONCE = ("aeda_once", "aeda_pre", "cyclegan")
"""The methods whose first two epochs hold work that no later epoch has to do again."""

SHORT = {"gan_epochs": 1}
"""CycleGAN's own training is cut to one of its four epochs: it is by far the longest wait, and later epochs do not
depend on it."""


def specs(n_train: int = IMAGES, **changes: object) -> dict[str, RunSpec]:
    """Chapter 05's run of each method, in fp32."""
    load = chapter.CMNISTParameters.load
    parameters = load("paper", seeds=1, n_train=n_train, n_validation=1, precision="fp32", **SHORT, **changes)
    return {spec.method: spec for spec in chapter.specs(parameters, tuple(METHODS))}


def begin(spec: RunSpec, digits: mnist.Digits, first: int | None = None) -> Method:
    """The method of `spec`, about to begin, on its training set or the `first` images of it.

    Raises EmptyGroup where the method refuses the data.
    """
    recipe = cmnist.Recipe(**{key: value for key, value in spec.data.items() if key not in ("name", "fingerprint")})
    data = cmnist.training(digits, recipe).to("cpu")
    torch.manual_seed(spec.seed)
    model = models.build(n_targets=len(data.target_names), **spec.model)
    return METHODS[spec.method](model, data[:first].to("cpu"), Plan(**spec.plan), spec.seed, **spec.options)


def one_by_one(method: Method) -> Callable[[], object]:
    """A function that trains `method` for its next epoch."""
    numbers = itertools.count(1)
    return lambda: method.epoch(next(numbers))


def all_methods(digits: mnist.Digits) -> tuple[dict[str, Callable[[], object]], dict[str, str]]:
    """The next epoch of each method, also of SCALED with other numbers of steps (`steps.<k>`); and why who refused."""
    asked = specs() | {f"steps.{k}": specs(steps=k)[SCALED] for k in STEPS}
    epochs, refused = {}, {}
    for name, spec in asked.items():
        try:
            epochs[name] = one_by_one(begin(spec, digits))
        except EmptyGroup as reason:
            refused[name] = str(reason)
    return epochs, refused


def cost_of_epochs(digits: mnist.Digits) -> tuple[list[dict], dict[str, str]]:
    """Rows in seconds an epoch, ratios in epochs of `original`; and the methods that refused.

    The warm-up are the first two epochs, so that what a method makes only once is made by then: `once.*` says how much
    longer than two later epochs they took.
    """
    epochs, refused = all_methods(digits)
    first = taking_turns(epochs, WARM_UP)
    seconds = taking_turns(epochs, ROUNDS)
    unit, rows = seconds["original"], []
    for name, times in seconds.items():
        if name.startswith("steps."):
            rows.append(row(f"scale.{name}", np.median(times), np.median(unit), times / unit, "s"))
        elif name != "original":
            rows.append(row(f"epoch.{name}/original", np.median(times), np.median(unit), times / unit, "s"))
        if name in ONCE:
            extra = max(0.0, first[name].sum() - WARM_UP * np.median(times))
            rows.append(row(f"once.{name}/original", extra, np.median(unit), extra / unit, "s"))
    return rows, refused


def cost_of_n(n: int) -> dict[str, float]:
    """Seconds of an epoch of SCALED with n training digits and one step of the attack; MiB that the process held at
    most, and before that epoch."""
    digits = mnist.load()
    begin(specs()[SCALED], digits, first=128).epoch(1)  # the warm-up
    method = begin(specs(n_train=n, steps=1)[SCALED], digits)
    made = peak_mib()
    began = time.perf_counter()
    method.epoch(1)
    return {"seconds": time.perf_counter() - began, "mib": peak_mib(), "mib_before": made}


def peak_mib() -> float:
    """The most memory that this process held so far."""
    status = Path("/proc/self/status")
    if status.exists():
        # ru_maxrss would count what the parent held when it made this process
        line = next(line for line in status.read_text().splitlines() if line.startswith("VmHWM"))
        return int(line.split()[1]) / 1024
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / (2**20 if sys.platform == "darwin" else 1024)


def cost_against_n(there: int) -> list[dict]:
    """Rows for each of SIZES that there are digits for, and for all that there are but one, which validation keeps.

    scale.n.N:  seconds beside those of the least N
    memory.n.N: MiB at most beside MiB before the epoch, when the data and the model had been made
    """
    sizes = sorted({min(n, there - 1) for n in SIZES})
    found = {}
    for n in sizes:
        command = [sys.executable, "-m", "benchmarks.epochs", str(n)]
        done = subprocess.run(command, cwd=PROJECT, stdout=subprocess.PIPE, text=True, check=True)
        found[n] = json.loads(done.stdout)
        print(n, found[n])
    least = found[sizes[0]]["seconds"]
    rows = []
    for n, cost in found.items():
        rows.append(row(f"scale.n.{n}", cost["seconds"], least, [cost["seconds"] / least], "s"))
        rows.append(row(f"memory.n.{n}", cost["mib"], cost["mib_before"], [cost["mib"] / cost["mib_before"]], "MiB"))
    return rows


def main() -> None:
    torch.set_num_threads(THREADS)
    if sys.argv[1:]:
        print(json.dumps(cost_of_n(int(sys.argv[1]))))
        return
    digits = mnist.load()
    rows, refused = cost_of_epochs(digits)
    rows += cost_against_n(len(digits.train_images))
    put(rows, about(digits.source) | {"refused": refused}, owned=("epoch.", "once.", "scale.", "memory."))
    for line in rows:
        print(
            f"{line['id']:40} {line['ours']:8} {line['other']:8} {line['unit']}  × {line['ratio']} {line['quartiles']}"
        )


if __name__ == "__main__":
    try:
        main()
    except Problem as problem:
        sys.exit(str(problem))
