"""Change a digit in a copy of the project, in one place after another, and keep what `aeda check` says each time.

`python -m benchmarks.tamper` writes data/tamper.json, which the page book/tamper.md shows.
"""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path

from aeda_core import runs, storage
from aeda_core.datasets.base import PROJECT
from aeda_core.experiments import cmnist
from aeda_core.findings.tampered import TAMPERED


@dataclass(frozen=True)
class Change:
    """A change that somebody could make by mistake, or to deceive: `old`, a pattern, becomes `new` where it is first
    found in `file`."""

    what: str
    file: str
    old: str
    new: str


def changes() -> list[Change]:
    """What is changed: a record, a page, two claims, and the code."""
    (compared,) = cmnist.CHAPTER.shown()
    path = next(p for s, p in zip(compared, runs.kept(compared), strict=True) if s.method == "aeda_robust")
    digit = re.search(r'"confusion":\[+(\d)', path.read_text(encoding="utf-8"))[1]
    return [
        Change(
            "one digit in the record of a run",
            str(path.relative_to(PROJECT)),
            rf'("confusion":\[+)({digit})',
            str((int(digit) + 9) % 10),
        ),
        Change("a number in a table of a chapter", "book/05_cmnist.ipynb", r"(<td>9)(\d\.\d)", "9.9"),
        Change("a verdict in the README", "README.md", r"(\| . )(undecided)", "reproduced"),
        Change("a number on the page of the scorecard", "book/scorecard.md", r"(\| )(\d\d\.\d\d)", "99.99"),
        Change("the direction of the attack's steps", "aeda_core/attack.py", r"(= x_adv )(-)", "+"),
    ]


@contextmanager
def copied() -> Iterator[Path]:
    """A copy of what the project consists of, in a temporary folder."""
    listed = subprocess.run(
        ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"],
        cwd=PROJECT, capture_output=True, text=True, check=True,
    )  # fmt: skip
    with tempfile.TemporaryDirectory() as folder:
        for name in filter(None, listed.stdout.split("\0")):
            if (PROJECT / name).is_file():
                target = Path(folder, name)
                target.parent.mkdir(parents=True, exist_ok=True)
                shutil.copy2(PROJECT / name, target)
        yield Path(folder)


def check(project: Path) -> list[str]:
    """What `aeda check` complains of in `project`."""
    done = subprocess.run(
        [sys.executable, "-m", "aeda_core", "check"],
        cwd=project, env={**os.environ, "PYTHONPATH": str(project)}, capture_output=True, text=True,
    )  # fmt: skip
    return done.stderr.strip().splitlines() + done.stdout.strip().splitlines() if done.returncode else []


def said_of(change: Change, project: Path) -> list[str]:
    """What `aeda check` says of `change` in `project`, which is afterwards as it was. Raises ValueError if `old` is not
    found."""
    path = project / change.file
    before = path.read_text(encoding="utf-8")
    after, found = re.subn(change.old, lambda match: match[1] + change.new, before, count=1)
    if not found or after == before:
        raise ValueError(f"'{change.file}' has no {change.old} to change.")
    path.write_text(after, encoding="utf-8")
    try:
        return check(project)
    finally:
        path.write_text(before, encoding="utf-8")


def main() -> None:
    """Make every change and write what is said of it."""
    with copied() as project:
        if wrong := check(project):
            sys.exit("before anything is changed `aeda check` already says: " + " ".join(wrong))
        found = [asdict(change) | {"said": said_of(change, project)} for change in changes()]
    storage.write(TAMPERED, json.dumps(found, indent=1, ensure_ascii=False) + "\n")


if __name__ == "__main__":
    main()
