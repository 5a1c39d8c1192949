"""Where a record comes from: the code, the machine, and what the run cost there."""

from __future__ import annotations

import ast
import ctypes
import ctypes.util
import functools
import gc
import hashlib
import io
import json
import os
import platform
import subprocess
import threading
import time
import tokenize
from collections.abc import Iterator
from contextlib import contextmanager
from importlib.metadata import version
from pathlib import Path
from typing import Any

import psutil
import torch
from threadpoolctl import threadpool_info
from tqdm import tqdm

from aeda_core import parallel, storage
from aeda_core.datasets.base import IN_CHECKOUT, PROJECT

DECIDING = (
    "datasets",
    "networks",
    "models.py",
    "attack.py",
    "methods",
    "metrics.py",
    "checkpoints.py",
    "training.py",
    "parallel.py",
    "probes.py",
    "runs.py",
)
"""The modules of aeda_core/ that decide a result."""


def modules() -> dict[str, str]:
    """A digest of each of DECIDING, comments, docstrings and white space aside."""
    found = {}
    for name in DECIDING:
        path = PROJECT / "aeda_core" / name
        files = sorted(path.rglob("*.py")) if path.is_dir() else [path]
        found[name] = digest([(file.name, meaning(file.read_text(encoding="utf-8"))) for file in files])
    return found


@functools.cache
def code() -> str:
    """A digest of all that decides results, as it was when this process first asked."""
    return digest(modules())


def meaning(source: str) -> str:
    """`source` without comments, docstrings and white space, the same in every version of Python."""
    lines = source.splitlines(keepends=True)
    for token in tokenize.generate_tokens(io.StringIO(source).readline):
        if token.type == tokenize.COMMENT:
            row, column = token.start
            lines[row - 1] = lines[row - 1][:column]
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant) and isinstance(node.value.value, str):
            lines[node.lineno - 1 : node.end_lineno] = [""] * (node.end_lineno - node.lineno + 1)
    return "".join("".join(lines).split())


def digest(what: Any) -> str:
    """Sixteen hexadecimal digits of the sha256 of `what` as JSON."""
    return hashlib.sha256(json.dumps(what, sort_keys=True).encode()).hexdigest()[:16]


@functools.cache
def commit() -> str:
    """The project's git commit, with `+` behind it if tracked code has changed since; `unknown` outside a checkout."""
    if not IN_CHECKOUT:
        return "unknown"
    git = ["git", "-C", str(PROJECT)]
    try:
        head = subprocess.run([*git, "rev-parse", "--short=12", "HEAD"], capture_output=True, text=True, check=True)
        changed = subprocess.run([*git, "status", "--porcelain", "-uno", "aeda_core"], capture_output=True, text=True)
    except (OSError, subprocess.CalledProcessError):
        return "unknown"
    return head.stdout.strip() + ("+" if changed.stdout else "")


def machine(device: torch.device) -> dict[str, Any]:
    """What can change the bits of a result: hardware, kernels, threads, versions.

    capability: the instructions that torch's and, through the environment, oneDNN's kernels may use; and how many
                processes share the run, for they add up in another order
    """
    if device.type == "cuda":
        name, capability = torch.cuda.get_device_name(), "CUDA {}.{}".format(*torch.cuda.get_device_capability())
    else:
        name, capability = cpu_name(), torch.backends.cpu.get_cpu_capability()
        if limit := os.environ.get("ONEDNN_MAX_CPU_ISA"):
            capability += f", oneDNN up to {limit}"
    if parallel.size() > 1:
        capability += f", {parallel.size()} processes"
    blas = [pool["num_threads"] for pool in threadpool_info() if pool["user_api"] == "blas"]
    return {
        "device": name,
        "capability": capability,
        "threads": torch.get_num_threads(),
        "blas_threads": max(blas, default=1),
        "python": platform.python_version(),
        "packages": {name: version(name) for name in ("torch", "torchvision", "numpy")},
    }


@functools.cache
def cpu_name() -> str:
    """As the system calls the processor."""
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:  # only Linux has it
        return platform.processor() or platform.machine()
    return next((line.split(":")[1].strip() for line in lines if line.startswith("model name")), platform.machine())


def cores() -> int:
    """CPU cores that this process may use."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


class Cost:
    """What a run took so far, in this sitting and in those before it, whose sum lies beside the checkpoint.

    epochs: how many it had done in the sittings before
    """

    def __init__(self, checkpoint: Path | None) -> None:
        self.path = None if checkpoint is None else self.beside(checkpoint)
        self.began, self.cpu_began = time.perf_counter(), time.process_time()
        resumed = checkpoint is not None and checkpoint.exists()
        *self.before, self.epochs = self._read() if resumed else [0.0, 0.0, 0]

    def _read(self) -> list[Any]:
        try:
            seconds, cpu_seconds, epochs = json.loads(self.path.read_bytes())
            return [seconds, cpu_seconds, epochs]
        except FileNotFoundError:
            return [0.0, 0.0, 0]
        except (ValueError, TypeError):
            aside = storage.set_aside(self.path)
            tqdm.write(f"'{self.path}' is damaged; it is now '{aside.name}', and the cost of the run is counted anew.")
            return [0.0, 0.0, 0]

    @staticmethod
    def beside(checkpoint: Path) -> Path:
        """Where the cost of the run with this checkpoint is kept."""
        return checkpoint.with_suffix(".cost")

    @property
    def total(self) -> list[float]:
        """Seconds by the clock, and of the processor."""
        now = (time.perf_counter() - self.began, time.process_time() - self.cpu_began)
        return [round(before + seconds, 1) for before, seconds in zip(self.before, now, strict=True)]

    def keep(self, epochs: int) -> None:
        """Write down what the run took until `epochs` epochs were done."""
        if self.path is not None:
            storage.write(self.path, json.dumps([*self.total, epochs]))


class Peak:
    """The most memory that was held at a time, in bytes; still counting while `peak_memory` is open."""

    def __init__(self) -> None:
        self.bytes = 0

    @property
    def megabytes(self) -> int:
        return self.bytes // 2**20


@contextmanager
def peak_memory(device: torch.device, every: float = 0.1) -> Iterator[Peak]:
    """The peak of the block alone: of the card, or of this process, looked at `every` so many seconds.

    What earlier runs of the process left is given back first.
    """
    peak, done = Peak(), threading.Event()
    gc.collect()
    if device.type == "cuda":
        torch.cuda.reset_peak_memory_stats()
    else:
        _give_back()
    process = psutil.Process()

    def look() -> None:
        held = torch.cuda.max_memory_allocated() if device.type == "cuda" else process.memory_info().rss
        peak.bytes = max(peak.bytes, held)

    def watch() -> None:
        while not done.wait(every):
            look()

    watching = threading.Thread(target=watch, daemon=True)
    look()
    watching.start()
    try:
        yield peak
    finally:
        done.set()
        watching.join()
        look()


def _give_back() -> None:
    """Freed memory goes back to the system, where the C library has a way to say so."""
    libc = ctypes.util.find_library("c")
    trim = getattr(ctypes.CDLL(libc), "malloc_trim", None) if libc and os.name == "posix" else None
    if trim is not None:
        trim(0)
