"""How long the README's two commands take, in a fresh clone that has neither data nor records of its own.

    python -m benchmarks.commands               both
    python -m benchmarks.commands book.laptop   one of them
    ONEDNN_MAX_CPU_ISA=AVX2 ATEN_CPU_CAPABILITY=avx2 python -m benchmarks.commands   as on a CPU without bf16 units

Installing is not part of it. Writes the rows `book.laptop` and `tests` of data/benchmarks.json: `ours` is seconds by
the clock, `other` the CPU seconds that all of its processes took, `ratio` how many cores were busy on average. Without
bf16 units the rows are called `book.laptop.without_bf16` and `tests.without_bf16`.
"""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path

import torch

from aeda_core.datasets.base import PROJECT
from benchmarks.table import put, row

AEDA = (sys.executable, "-m", "aeda_core")
PYTEST = (sys.executable, "-m", "pytest", "-n", "auto", "-q")

COMMANDS: dict[str, tuple[Sequence[str], ...]] = {
    "book.laptop": ((*AEDA, "book"),),
    "tests": (
        (*PYTEST, "--dist", "worksteal"),
        (*PYTEST, "--dist", "loadfile", "--nbval", "--nbval-current-env", "book"),
    ),
}
"""What `make book` and `make test` call."""


def seconds(commands: Sequence[Sequence[str]], clone: Path) -> tuple[float, float]:
    """Seconds by the clock and of CPU time that `commands` take one after the other in `clone`, with its own modules.

    Raises CalledProcessError where one of them fails: what went wrong is not worth timing.
    """
    # the digits that come with a package: a download would be timed, too
    without_data = {name: value for name, value in os.environ.items() if name != "AEDA_DATA"}
    environment = without_data | {"PYTHONPATH": str(clone), "AEDA_OFFLINE": "1"}
    began, used = time.perf_counter(), _of_children()
    for command in commands:
        subprocess.run(command, cwd=clone, env=environment, check=True)
    return time.perf_counter() - began, _of_children() - used


def _of_children() -> float:
    """CPU seconds of all processes that this one started and that have ended."""
    times = os.times()
    return times.children_user + times.children_system


def main() -> None:
    where = "" if torch.ops.mkldnn._is_mkldnn_bf16_supported() else ".without_bf16"
    with tempfile.TemporaryDirectory() as folder:
        for name in sys.argv[1:] or COMMANDS:
            clone = Path(folder, name)
            subprocess.run(["git", "clone", "--quiet", str(PROJECT), str(clone)], check=True)
            by_the_clock, of_cpu = seconds(COMMANDS[name], clone)
            put([row(f"{name}{where}", by_the_clock, of_cpu, [of_cpu / by_the_clock], "s")])
            print(f"{name}{where}: {by_the_clock:.0f} s, {of_cpu:.0f} CPU s")


if __name__ == "__main__":
    main()
