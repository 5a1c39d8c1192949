"""A set as large as CelebA, as pictures in a folder: the memory that reading it and training on it take.

    python -m benchmarks.scale

Draws 202,599 pictures of 64×64 pixels, reads them as a reader's own, and trains for one epoch with the smallest network
there is, for it is memory that is measured and not what is learned. Writes the rows `folder.*` of data/benchmarks.json:
MiB that the process held at most, beside MiB of the pixels. Each step is measured in a process of its own, as
`python -m benchmarks.scale FOLDER STEP` prints it.
"""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
from collections.abc import Iterable
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import torch
from PIL import Image

from aeda_core.datasets.base import PROJECT
from aeda_core.datasets.folder import Folder, read_folder
from aeda_core.models import small_cnn
from aeda_core.own import mitigate
from aeda_core.own.training import fit
from benchmarks.epochs import peak_mib
from benchmarks.table import put, row

N, SIZE = 202_599, 64
LIMIT = 8 * 10**9 / 2**20
"""MiB that reading and Original may take: 8 GB. AEDA holds an example of each picture besides."""

STEPS: dict[str, tuple[str, dict[str, Any]]] = {
    "read": ("", {}),
    "original": ("original", {}),
    "aeda": (mitigate.METHOD, {**mitigate.COMMON, "start": 0}),
}
"""What is trained in each step, by `fit`; nothing where the pictures are decoded for the first time."""


def draw(folder: Path, n: int) -> None:
    """`n` pictures, no two alike, and `labels.csv`: a bar that is high or, mostly on blue, low."""
    generator = np.random.default_rng(0)
    rows = ["path,bar,colour"]
    for number in range(n):
        blue = number % 2
        low = blue != (generator.random() < 0.2)
        picture = generator.integers(0, 40, (SIZE, SIZE, 3), dtype=np.uint8)
        picture[..., 2 * blue] += 180
        picture[40 if low else 16 :][:8, 8:-8] = 255
        name = f"{number // 1000:03}/{number:06}.jpg"
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(picture).save(folder / name, quality=80)
        rows.append(f"{name},{'low' if low else 'high'},{'blue' if blue else 'red'}")
    (folder / "labels.csv").write_text("\n".join(rows) + "\n")


def read(folder: Path) -> Folder:
    """What `draw` left in `folder`; what is decoded is kept there, too."""
    labels, cache = folder / "labels.csv", folder / "cache"
    return read_folder(folder, labels, target="bar", bias="colour", size=SIZE, cache=cache)


def cost(folder: Path, step: str) -> float:
    """MiB that this process held at most for one of STEPS."""
    method, options = STEPS[step]
    data = read(folder).data
    if method:
        network = partial(small_cnn, len(data.target_names), width=1, n_features=4)
        fit(method, data, network, epochs=1, **options)
    return peak_mib()


def costs(folder: Path, n: int, steps: Iterable[str] = tuple(STEPS)) -> dict[str, float]:
    """`cost` of each of `steps` for `n` pictures drawn in `folder`, in a process each."""
    draw(folder, n)
    found = {}
    for step in steps:
        command = [sys.executable, "-m", "benchmarks.scale", str(folder), step]
        done = subprocess.run(command, cwd=PROJECT, stdout=subprocess.PIPE, text=True, check=True)
        found[step] = json.loads(done.stdout)
        print(f"{step}: {found[step]:,.0f} MiB for {n:,} pictures", file=sys.stderr)
    return found


def main() -> int:
    """Measure and write the rows; 1 where reading or Original took more than LIMIT."""
    torch.set_num_threads(1)
    if sys.argv[1:]:
        print(json.dumps(cost(Path(sys.argv[1]), sys.argv[2])))
        return 0
    with tempfile.TemporaryDirectory() as folder:
        found = costs(Path(folder), N)
    pixels = N * 3 * SIZE * SIZE / 2**20
    put([row(f"folder.{step}", mib, pixels, [mib / pixels], "MiB") for step, mib in found.items()], owned=("folder.",))
    return int(max(found["read"], found["original"]) > LIMIT)


if __name__ == "__main__":
    sys.exit(main())
