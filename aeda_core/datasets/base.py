"""What every data set looks like to the rest of the project."""

from __future__ import annotations

import hashlib
import os
from dataclasses import dataclass, replace
from pathlib import Path

import torch
from platformdirs import user_cache_dir
from torch import Tensor

from aeda_core.errors import Problem

PROJECT = Path(__file__).resolve().parents[2]
"""The checkout that the package lies in, or the folder that it is installed to."""


def _is_checkout(folder: Path) -> bool:
    described = folder / "pyproject.toml"
    return described.is_file() and 'name = "aeda-core"' in described.read_text(encoding="utf-8")


IN_CHECKOUT = _is_checkout(PROJECT)
DATA = PROJECT / "data" if IN_CHECKOUT else Path(os.environ.get("AEDA_HOME") or user_cache_dir("aeda"))
"""Where data sets, caches and records are kept: in a checkout its own folder; where the package is installed the folder
that the environment variable AEDA_HOME names, or the user's cache folder."""


class DataError(Problem):
    """The data asked for cannot be had; the message names the place, what is wrong and the way out."""


@dataclass(frozen=True)
class BiasedImages:
    """Images with target labels and a bias label each (D_ori of Definition 2, Sec. 3.1).

    images:     uint8 (N, C, H, W)
    targets:    int64 (N,), a class in 0..T-1; or (N, A), absent (0) or present (1) for each of A attributes
    bias:       int64 (N,), a value in 0..B-1
    identities: int64 (N,), what an image shows (a digit, a person); two images of one identity never stand on
                both sides of a split
    target_names: of the T classes, or of the A attributes
    bias_names:  of the B bias values

    Raises DataError where shapes, types or ranges are others.
    """

    images: Tensor
    targets: Tensor
    bias: Tensor
    identities: Tensor
    target_names: tuple[str, ...]
    bias_names: tuple[str, ...]

    def __post_init__(self) -> None:
        if self.images.dtype != torch.uint8 or self.images.ndim != 4:
            raise DataError(f"images must be uint8 (N, C, H, W), not {self.images.dtype} {tuple(self.images.shape)}")
        lengths = {len(self.images), len(self.targets), len(self.bias), len(self.identities)}
        if len(lengths) != 1:
            raise DataError(f"images, targets, bias and identities differ in length: {sorted(lengths)}")
        if self.targets.ndim == 2:
            if self.targets.shape[1] != len(self.target_names):
                raise DataError(
                    f"targets have {self.targets.shape[1]} columns and there are {len(self.target_names)} target "
                    "names; give each attribute one of each."
                )
            _require_range("targets", self.targets, 2, "attributes are absent (0) or present (1)")
        else:
            _require_range(
                "targets", self.targets, len(self.target_names), f"they are of {', '.join(self.target_names)}"
            )
        _require_range("bias", self.bias, len(self.bias_names), f"they are of {', '.join(self.bias_names)}")

    def __len__(self) -> int:
        return len(self.images)

    def __getitem__(self, index: Tensor | slice) -> BiasedImages:
        return replace(
            self,
            images=self.images[index],
            targets=self.targets[index],
            bias=self.bias[index],
            identities=self.identities[index],
        )

    def to(self, device: torch.device | str) -> BiasedImages:
        """The same set, resident on `device`, images in channels-last layout."""
        return replace(
            self,
            images=self.images.to(device, memory_format=torch.channels_last),
            targets=self.targets.to(device),
            bias=self.bias.to(device),
            identities=self.identities.to(device),
        )

    @property
    def task_names(self) -> tuple[str, ...]:
        """The target tasks of Sec. 2.1: the classes; of attributes two each, as in `no Smiling`, `Smiling`."""
        if self.targets.ndim == 1:
            return self.target_names
        return tuple(task for name in self.target_names for task in (f"no {name}", name))

    @property
    def tasks(self) -> Tensor:
        """int64, of the shape of `targets`: to which of `task_names` each label belongs."""
        if self.targets.ndim == 1:
            return self.targets
        return self.targets + 2 * torch.arange(self.targets.shape[1], device=self.targets.device)

    def group_sizes(self) -> Tensor:
        """int64 (tasks, B): how many images each group (target task, bias value) holds."""
        shape = (len(self.task_names), len(self.bias_names))
        flat = self.tasks * shape[1] + self.bias.view(-1, *[1] * (self.targets.ndim - 1))
        return torch.bincount(flat.flatten(), minlength=shape[0] * shape[1]).view(shape)

    def other_bias(self, seed: int = 0) -> Tensor:
        """int64 (N,): for each image a bias value that it does not have (see `other_values`); `seed` draws."""
        return other_values(self.bias, len(self.bias_names), torch.Generator().manual_seed(seed))

    def empty_groups(self) -> list[str]:
        """Names of the groups without any image, as `target, bias`."""
        return [f"{self.task_names[t]}, {self.bias_names[b]}" for t, b in (self.group_sizes() == 0).nonzero().tolist()]


def _require_range(name: str, labels: Tensor, n: int, what: str) -> None:
    """Raise DataError unless `labels` are int64 in 0..n-1."""
    if labels.dtype != torch.int64:
        raise DataError(f"{name} must be int64, not {labels.dtype}; convert them with .long().")
    low, high = (int(labels.min()), int(labels.max())) if len(labels) else (0, 0)
    if low < 0 or high >= max(n, 1):
        raise DataError(f"{name} go from {low} to {high}; {what} and lie in 0..{n - 1}.")


def other_values(values: Tensor, n: int, generator: torch.Generator | None = None) -> Tensor:
    """int64, of the shape of `values`: for each of these values in 0..n-1 another one, n ≥ 2.

    Of two values it is the other one. Of more, each of the others is as likely, and `generator` draws.
    """
    if n == 2:
        return (values + 1) % 2
    return (values + torch.randint(1, n, values.shape, generator=generator).to(values.device)) % n


def file_sha256(path: Path) -> str:
    """sha256 of a file's bytes."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def fingerprint(*tensors: Tensor) -> str:
    """sha256 over the shapes and bytes of `tensors`: two sets with the same fingerprint are the same set."""
    digest = hashlib.sha256()
    for tensor in tensors:
        digest.update(repr((str(tensor.dtype), tuple(tensor.shape))).encode())
        for rows in torch.atleast_1d(tensor).split(4096):  # a copy of some of them, not of all
            digest.update(rows.contiguous().cpu().numpy().tobytes())
    return digest.hexdigest()
