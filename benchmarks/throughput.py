"""What attack and epochs take on the device at hand: `python -m benchmarks.throughput`, a line of JSON each.

Images are noise: they take as long as any. Of faces it is VGG-16 at 128×128 pixels, of digits chapter 05's classifier.
"""

from __future__ import annotations

import json
import statistics
import sys
import time
from collections.abc import Callable, Iterator
from functools import partial

import torch
from torch import Tensor

from aeda_core import models, provenance
from aeda_core.attack import Attack
from aeda_core.datasets import BiasedImages
from aeda_core.methods import METHODS, Plan
from aeda_core.models import Classifier

DEVICE = torch.device("cuda" if torch.cuda.is_available() else "cpu")
ROUNDS = 5
CHUNKS = (64, 256, 1024, 4096)
"""Images attacked at a time; which of them is fastest tells whether `attack.CHUNK_ON_GPU` suits the device."""

NETWORKS: dict[str, tuple[int, Callable[[], Classifier]]] = {
    "small_cnn at 28×28": (28, models.small_cnn),
    "vgg16 at 128×128": (128, lambda: models.vgg16(10, size=128)),
}
"""A network, and height and width of its images."""


def noise(n: int, size: int) -> BiasedImages:
    """Images of ten classes and two bias values that mean nothing."""
    labels = torch.arange(n)
    images = torch.randint(256, (n, 3, size, size), dtype=torch.uint8)
    return BiasedImages(images, labels % 10, labels % 2, labels, tuple("0123456789"), ("0", "1")).to(DEVICE)


def seconds(action: Callable[[], object]) -> float:
    """Median over ROUNDS, after one that warms up."""
    taken = []
    for _ in range(ROUNDS + 1):
        began = time.perf_counter()
        action()
        if DEVICE.type == "cuda":
            torch.cuda.synchronize()
        taken.append(time.perf_counter() - began)
    return statistics.median(taken[1:])


def in_chunks(attack: Callable[[Tensor, Tensor], Tensor], images: Tensor, towards: Tensor, size: int) -> None:
    """Attack all images, `size` at a time."""
    for some, values in zip(images.split(size), towards.split(size), strict=True):
        attack(some, values)


def measured(n: int, chunks: tuple[int, ...], methods: tuple[str, ...]) -> Iterator[dict[str, object]]:
    """Images/s of a ten-step attack on `n` images by `chunks`, and of an epoch of `methods`, for each of NETWORKS."""
    for name, (size, network) in NETWORKS.items():
        data, model = noise(n, size), network().to(DEVICE)
        images, towards = models.pixels(data.images), data.other_bias()
        attack = Attack(steps=10, lambda_=1)
        for chunk in chunks:
            took = seconds(partial(in_chunks, partial(attack, model), images, towards, chunk))
            yield {"network": name, "attack in chunks of": chunk, "images/s": round(n / took, 1)}
        for method in methods:
            trained = METHODS[method](network().to(DEVICE), data, Plan(batch_size=128), 0)
            took = seconds(partial(trained.epoch, 1))
            yield {"network": name, "epoch of": method, "images/s": round(n / took, 1)}


def main(n: int = 4096, chunks: tuple[int, ...] = CHUNKS) -> None:
    print(json.dumps(provenance.machine(DEVICE)))
    for line in measured(n, chunks, ("original", "aeda_robust")):
        print(json.dumps(line, ensure_ascii=False), flush=True)


if __name__ == "__main__":
    main(*map(int, sys.argv[1:2]))
