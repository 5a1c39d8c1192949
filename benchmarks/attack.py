"""How fast the attack is: beside torchattacks' PGD, and beside the bare passes that no attack can do without.

    python benchmarks/attack.py

The targeted 10-step L∞ attack on the bias head of chapter 05's classifier, 2 threads. The contenders take turns on the
same images, round by round, so that whatever else the machine does meets all of them alike; what is reported are
medians over rounds of ratios within a round. Writes data/benchmarks.json, and fails where a promise is broken.
"""

from __future__ import annotations

import json
import platform
import sys
import time
from dataclasses import replace
from functools import partial
from importlib.metadata import version

import numpy as np
import torch
import torchattacks
from rich.console import Console
from rich.table import Table
from torch import Tensor, nn
from torch.nn import functional as F

from aeda_core import models
from aeda_core.attack import CHUNK, Attack
from aeda_core.datasets import BiasedImages, cmnist, mnist
from aeda_core.datasets.base import DATA
from aeda_core.methods import Plan
from aeda_core.methods.aeda import Source
from aeda_core.runs import write_atomically

THREADS, IMAGES, ROUNDS, STEPS = 2, 512, 15, 10
PROMISED = {"torchattacks": 2.0, "bare passes": 0.85}
"""How many times as fast as each of these the attack is, at the least."""
SAME_SUCCESS = 0.01
"""Success rates closer than this are equal."""


class BiasTask(nn.Module):
    """The bias classifier h_b∘f alone, as torchattacks wants a model."""

    def __init__(self, model: models.Classifier) -> None:
        super().__init__()
        self.model = model

    def forward(self, images: Tensor) -> Tensor:
        return self.model(images)[1]


def trained(data: BiasedImages) -> models.Classifier:
    """Chapter 05's classifier, both heads trained for two epochs."""
    torch.manual_seed(0)
    source = Source(models.small_cnn(precision="bf16"), data, Plan(epochs=2, batch_size=64), seed=0)
    for number in (1, 2):
        source.epoch(number)
    return source.model


def bare_passes(model: models.Classifier, images: Tensor, towards: Tensor) -> None:
    """As many passes forward, and backward to the images, as the attack makes, and nothing else."""
    with models.frozen(model):
        for x, b in zip(images.split(CHUNK), towards.split(CHUNK), strict=True):
            x = x.clone().requires_grad_()
            for _ in range(STEPS):
                torch.autograd.grad(F.cross_entropy(model(x)[1], b), x)


def ours(model: models.Classifier, attack: Attack, images: Tensor, towards: Tensor, targets: Tensor) -> Tensor:
    """The attack on as many images at a time as the methods give it."""
    chunks = zip(images.split(CHUNK), towards.split(CHUNK), targets.split(CHUNK), strict=True)
    return torch.cat([attack(model, x, b, t) for x, b, t in chunks])


def two_forwards(model: models.Classifier, attack: Attack, images: Tensor, towards: Tensor, targets: Tensor) -> Tensor:
    """Eq. (3) as it is written, a pass forward for each of its terms."""

    def eq3(x_adv: Tensor, b: Tensor, t: Tensor) -> Tensor:
        l_bias, l_target = F.cross_entropy(model(x_adv)[1], b), F.cross_entropy(model(x_adv)[0], t)
        return attack.lambda_ * l_bias + (1 - attack.lambda_) * l_target

    chunks = zip(images.split(CHUNK), towards.split(CHUNK), targets.split(CHUNK), strict=True)
    with models.frozen(model):
        return torch.cat([attack.descend(partial(eq3, b=b, t=t), x) for x, b, t in chunks])


def success(model: models.Classifier, images: Tensor, towards: Tensor) -> float:
    """The share of images that the classifier, in fp32, takes for the attacked bias value."""
    with models.frozen(model), torch.no_grad():
        return float((model(images)[1].argmax(1) == towards).float().mean())


def main() -> None:
    torch.set_num_threads(THREADS)
    digits = mnist.load()
    data = cmnist.training(digits, cmnist.Recipe(n_train=3000, n_validation=500)).to("cpu")
    bf16 = trained(data)
    fp32 = models.small_cnn(precision="fp32")
    fp32.load_state_dict(bf16.state_dict())

    images, towards, targets = models.pixels(data.images[:IMAGES]), 1 - data.bias[:IMAGES], data.targets[:IMAGES]
    attack = Attack(epsilon=0.3, step_size=0.06, steps=STEPS, lambda_=1)
    pgd = torchattacks.PGD(BiasTask(fp32).eval(), eps=0.3, alpha=0.06, steps=STEPS, random_start=False)
    pgd.set_mode_targeted_by_label(quiet=True)
    both_terms = replace(attack, lambda_=0.5)
    # kinder to torchattacks than its users, who pass a batch whole: it too stays in the cache then
    in_chunks = f"torchattacks, {CHUNK} at a time"
    contenders = {
        "ours": lambda: ours(bf16, attack, images, towards, targets),
        "ours, fp32": lambda: ours(fp32, attack, images, towards, targets),
        "ours, both terms of Eq. (3)": lambda: ours(bf16, both_terms, images, towards, targets),
        "both terms, a pass each": lambda: two_forwards(bf16, both_terms, images, towards, targets),
        "bare passes": lambda: bare_passes(bf16, images, towards),
        "torchattacks": lambda: pgd(images, towards),
        in_chunks: lambda: torch.cat(list(map(pgd, images.split(CHUNK), towards.split(CHUNK)))),
    }

    made = {name: contend() for name, contend in contenders.items()}  # the warm-up
    rates = {name: success(fp32, x_adv, towards) for name, x_adv in made.items() if x_adv is not None}
    seconds: dict[str, list[float]] = {name: [] for name in contenders}
    for _ in range(ROUNDS):
        for name, contend in contenders.items():
            began = time.perf_counter()
            contend()
            seconds[name].append(time.perf_counter() - began)

    rows = {}
    for name, times in seconds.items():
        ratios = np.divide(times, seconds["ours"])  # above 1: slower than ours
        rows[name] = {
            "images_per_second": round(IMAGES / float(np.median(times)), 1),
            "ours_is_times_as_fast": round(float(np.median(ratios)), 3),
            "quartiles": [round(float(q), 3) for q in np.quantile(ratios, (0.25, 0.75))],
            "success": rates.get(name),
        }
    report = {
        "attack": {**vars(attack), "images": IMAGES, "at_a_time": CHUNK},
        "threads": THREADS,
        "rounds": ROUNDS,
        "data": digits.source,
        "device": platform.machine(),
        "versions": {name: version(name) for name in ("torch", "torchattacks")},
        "promised": PROMISED,
        "results": rows,
    }
    write_atomically(DATA / "benchmarks.json", json.dumps(report, indent=1, ensure_ascii=False) + "\n")

    table = Table("contender", "images/s", "ours is × as fast", "quartiles", "success")
    for name, row in rows.items():
        low, high = row["quartiles"]
        rate = "–" if row["success"] is None else f"{row['success']:.3f}"
        table.add_row(
            name, f"{row['images_per_second']:.0f}", f"{row['ours_is_times_as_fast']:.2f}", f"{low} to {high}", rate
        )
    Console().print(table)

    broken = [name for name, least in PROMISED.items() if rows[name]["ours_is_times_as_fast"] < least]
    if broken:
        sys.exit(f"The attack is slower than promised beside {' and '.join(broken)}; see data/benchmarks.json.")
    if abs(rates["ours"] - rates["torchattacks"]) > SAME_SUCCESS:
        sys.exit(f"The attack succeeds at a rate of {rates['ours']:.3f}, torchattacks at {rates['torchattacks']:.3f}.")


if __name__ == "__main__":
    main()
