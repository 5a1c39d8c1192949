"""How fast the attack is: beside four other libraries, and beside the bare passes that no attack can do without.

    python -m benchmarks.attack

The targeted 10-step L∞ attack on the bias head of chapter 05's classifier, fp32 against fp32, in equal chunks, on the
same images. Writes the rows `attack.*` of data/benchmarks.json, and fails where a promise is broken.
"""

from __future__ import annotations

import sys
from collections.abc import Callable
from dataclasses import replace
from functools import partial

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as F

from aeda_core import models
from aeda_core.attack import CHUNK, Attack
from aeda_core.datasets import BiasedImages, cmnist, mnist
from aeda_core.methods import Plan
from aeda_core.methods.source import Source
from benchmarks import peers
from benchmarks.peers import EPSILON, STEP, STEPS, Perturb
from benchmarks.table import THREADS, about, put, row, taking_turns

IMAGES, ROUNDS, ROUNDS_BF16 = 256, 10, 3
PROMISED = {"attack.torchattacks.fp32": 1.0, "attack.foolbox": 1.5, "attack.art": 1.5, "attack.limit": 0.93}
"""How many times as fast as each of these the attack is, at the least. Broken where even the upper quartile of the
ratio over the rounds is below: noise alone then fails one time in many, and a loss that is real fails every time."""
SAME_SUCCESS = 0.01
"""Success rates closer than this are equal."""
OURS_ID = "ours"


def trained(data: BiasedImages) -> models.Classifier:
    """Chapter 05's classifier, both heads trained for two epochs, in fp32."""
    torch.manual_seed(0)
    source = Source(models.small_cnn(precision="fp32"), data, Plan(epochs=2, batch_size=64), seed=0)
    for number in (1, 2):
        source.epoch(number)
    return source.model


def in_chunks(perturb: Perturb, images: Tensor, towards: Tensor) -> Tensor:
    """As many images at a time as the methods give the attack."""
    return torch.cat(list(map(perturb, images.split(CHUNK), towards.split(CHUNK))))


def bare_passes(model: models.Classifier, images: Tensor, towards: Tensor) -> Tensor:
    """As many passes forward, and backward to the images, as the attack makes, and nothing else."""
    with models.frozen(model):
        x = images.clone().requires_grad_()
        for _ in range(STEPS):
            torch.autograd.grad(F.cross_entropy(model.bias_head(model.features(x)), towards), x)
    return images


def two_forwards(model: models.Classifier, attack: Attack, images: Tensor, towards: Tensor, targets: Tensor) -> Tensor:
    """Eq. (3) as it is written, a pass forward for each of its terms."""

    def eq3(x_adv: Tensor) -> Tensor:
        l_bias, l_target = F.cross_entropy(model(x_adv)[1], towards), F.cross_entropy(model(x_adv)[0], targets)
        return attack.lambda_ * l_bias + (1 - attack.lambda_) * l_target

    with models.frozen(model):
        return attack.descend(eq3, images)


def in_threes(perturb: Callable[[Tensor, Tensor, Tensor], Tensor], *tensors: Tensor) -> Tensor:
    """`in_chunks` for an attack that asks for target labels too."""
    return torch.cat([perturb(*chunk) for chunk in zip(*(t.split(CHUNK) for t in tensors), strict=True)])


def held_still(network: torch.nn.Module, contend: Callable[[], Tensor]) -> Callable[[], Tensor]:
    """`contend` on a network whose parameters need no gradient, which is what our attack sees to by itself."""

    def contend_frozen() -> Tensor:
        with models.frozen(network):
            return contend()

    return contend_frozen


def contenders(model: models.Classifier, data: BiasedImages) -> dict[str, Callable[[], Tensor]]:
    """Who takes turns, by the last part of the row's id; checked by hand before."""
    images, towards, targets = models.pixels(data.images), data.other_bias(), data.targets
    network = peers.BiasTask(model).eval()
    attack = Attack(epsilon=EPSILON, step_size=STEP, steps=STEPS, lambda_=1)
    both = replace(attack, lambda_=0.5)
    others = {name: build(network.eval()) for name, build in peers.PEERS.items()}
    network.eval()  # whatever the libraries made of it
    alone = partial(attack, model)
    peers.check(network, {OURS_ID: alone, **others}, images, towards)
    turn = {name: partial(in_chunks, perturb, images, towards) for name, perturb in others.items()}
    return {
        OURS_ID: partial(in_chunks, alone, images, towards),
        "torchattacks.fp32": turn["torchattacks"],
        "torchattacks.frozen": held_still(network, turn["torchattacks"]),
        "torchattacks.whole_batch": partial(others["torchattacks"], images, towards),
        "foolbox": turn["foolbox"],
        "foolbox.frozen": held_still(network, turn["foolbox"]),
        "art": turn["art"],
        "art.frozen": held_still(network, turn["art"]),
        "rai_toolbox": turn["rai_toolbox"],
        "limit": partial(in_chunks, partial(bare_passes, model), images, towards),
        "chunks": partial(alone, images, towards),
        "unfrozen": partial(in_chunks, peers.plain_loop(network), images, towards),
        "both": partial(in_threes, partial(both, model), images, towards, targets),
        "one_forward": partial(in_threes, partial(two_forwards, model, both), images, towards, targets),
    }


def rows_of(seconds: dict[str, np.ndarray], images: int) -> list[dict]:
    """Rows in images/s: how many times as fast as each other contender ours is, round by round."""
    rows = []
    for name, times in seconds.items():
        mine = seconds["both" if name == "one_forward" else OURS_ID]
        if name not in (OURS_ID, "both"):
            rates = images / np.median(mine), images / np.median(times)
            rows.append(row(f"attack.{name}", *rates, times / mine, "images/s"))
    return rows


def beside_bf16(model: models.Classifier, data: BiasedImages) -> dict:
    """The row that says what bf16 is worth here: a chunk in fp32 (ours) and in bf16 (other)."""
    bf16 = models.small_cnn(precision="bf16")
    bf16.load_state_dict(model.state_dict())
    attack = Attack(epsilon=EPSILON, step_size=STEP, steps=STEPS, lambda_=1)
    images, towards = models.pixels(data.images[:CHUNK]), data.other_bias()[:CHUNK]
    turns = {OURS_ID: partial(attack, model, images, towards), "bf16": partial(attack, bf16, images, towards)}
    for contend in turns.values():
        contend()  # the warm-up
    return rows_of(taking_turns(turns, ROUNDS_BF16), CHUNK)[0]


def main() -> None:
    torch.set_num_threads(THREADS)
    digits = mnist.load()
    data = cmnist.training(digits, cmnist.Recipe(n_train=3000, n_validation=500)).to("cpu")
    model, attacked = trained(data), data[:IMAGES].to("cpu")
    turns = contenders(model, attacked)
    network, towards = peers.BiasTask(model).eval(), attacked.other_bias()
    made = {name: contend() for name, contend in turns.items()}  # the warm-up
    fooled = {name: float((network(x).argmax(1) == towards).float().mean()) for name, x in made.items()}
    rows = [*rows_of(taking_turns(turns, ROUNDS), IMAGES), beside_bf16(model, attacked)]
    put(rows, about(digits.source) | {"images": IMAGES, "promised": PROMISED}, owned=("attack.",))
    for line in rows:
        print(
            f"{line['id']:32} {line['ours']:8} {line['other']:8} {line['unit']}  × {line['ratio']} {line['quartiles']}"
        )

    high = {line["id"]: line["quartiles"][1] for line in rows}
    broken = [f"{id_} ({high[id_]} where {least} is promised)" for id_, least in PROMISED.items() if high[id_] < least]
    if broken:
        sys.exit(f"The attack is slower than promised: {', '.join(broken)}; see data/benchmarks.json.")
    same = ("torchattacks.fp32", "foolbox", "art", "rai_toolbox")
    if uneven := [name for name in same if abs(fooled[name] - fooled[OURS_ID]) > SAME_SUCCESS]:
        sys.exit(f"{', '.join(uneven)} succeed at another rate than ours: {fooled}.")


if __name__ == "__main__":
    main()
