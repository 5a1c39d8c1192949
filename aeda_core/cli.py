"""The command line: train, execute and check the book, and audit images of your own."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor, as_completed
from contextlib import nullcontext
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console

from aeda_core import cli_own, cluster, datasets, gate, parallel, provenance, runs, storage
from aeda_core.datasets.base import IN_CHECKOUT, PROJECT
from aeda_core.errors import Problem
from aeda_core.experiments import CHAPTERS, Chapter
from aeda_core.methods import METHODS
from aeda_core.profiles import ParameterError, Parameters

QUIET = ["--log-level=50"]
"""For a kernel: what it says about its own wires is no reader's business; what goes wrong in a cell is raised here."""
ANYWHERE = ("audit", "data", "mitigate", "predict", "run", "sweep")
"""The commands that need no checkout, with its chapters and records."""

app = typer.Typer(add_completion=False, no_args_is_help=True, pretty_exceptions_enable=False, help=__doc__)
app.add_typer(cli_own.app)
out = Console(highlight=False, soft_wrap=True)

Profile = Annotated[str, typer.Option(help="smoke, laptop, paper or recorded")]
DataRoot = Annotated[str, typer.Option("--data", help="where the data is; otherwise AEDA_DATA, then the ladder")]
Set = Annotated[
    list[str] | None,
    typer.Option("--set", metavar="NAME=VALUE", help="change a parameter in the chapters that have it; repeatable"),
]
Workers = Annotated[int | None, typer.Option(min=1, help="runs at a time; otherwise one a CPU core, or one on a GPU")]
Dask = Annotated[
    str,
    typer.Option("--dask", metavar="ADDRESS", help="train on Dask: a scheduler's tcp://host:port, or local"),
]
Names = Annotated[list[str] | None, typer.Argument(help="chapters, all of them if none is named")]


@app.callback()
def _before_any_command(context: typer.Context) -> None:
    out.quiet = parallel.rank() > 0
    if parallel.size() > 1 and context.invoked_subcommand != "run":
        raise Problem(
            f"torchrun shares one run among processes, `aeda run`; call `aeda {context.invoked_subcommand}` without it."
        )
    if not IN_CHECKOUT and context.invoked_subcommand not in ANYWHERE:
        raise Problem(
            f"`aeda {context.invoked_subcommand}` works on the book's chapters and records, and the package is "
            "installed without them; run it in a checkout of the project."
        )


@app.command()
def data(data: DataRoot = "") -> None:
    """Say which data the chapters would take."""
    for kind in datasets.known().values():
        found = kind.read(data, kind.Recipe())
        out.print(f"{kind.content}: {found.source}, fingerprint {found.fingerprint[:12]}")


@app.command()
def run(
    method: Annotated[str, typer.Argument(help=", ".join(METHODS))],
    chapter: str = "cmnist",
    profile: Profile = "laptop",
    seed: Annotated[int, typer.Option(min=0, max=99)] = 0,
    data: DataRoot = "",
    set_: Set = None,
) -> None:
    """Train one method once and print what came out."""
    if method not in METHODS:
        raise ParameterError(f"there is no method '{method}'; known are {', '.join(METHODS)}.")
    (chosen,) = _chapters([chapter], set_).values()
    parameters = _parameters(chosen, profile, data, set_)
    parameters = parameters.model_copy(update={"seeds": seed + 1})
    found = [spec for spec in chosen.specs(parameters) if spec.method == method and spec.seed == seed]
    if not found:
        raise ParameterError(
            f"chapter '{chapter}' has no run of {method} with seed {seed}; it asks for others or none."
        )
    spec = found[0]
    (record,) = runs.run_all([spec], profile=profile, data_root=data, executor=parallel.executor())
    out.print(record.refused or f"bACC {record.bacc:.2f} %, model bias {record.bias:.2f}")
    (kept,) = runs.kept([spec], profile)
    out.print(str(kept.relative_to(PROJECT) if kept.is_relative_to(PROJECT) else kept))


@app.command()
def sweep(
    chapters: Names = None,
    profile: Profile = "paper",
    data: DataRoot = "",
    set_: Set = None,
    workers: Workers = None,
    dask: Dask = "",
    tuning: Annotated[bool, typer.Option("--tuning", help="the runs that chose the hyper-parameters instead")] = False,
) -> None:
    """Train every run that the chapters ask for and that is not recorded yet; may be stopped and called again."""
    with cluster.dask(dask, workers or provenance.cores()) if dask else nullcontext() as executor:
        how = {"profile": profile, "data_root": data, "workers": workers, "executor": executor}
        for name, chapter in _chapters(chapters, set_).items():
            parameters = _parameters(chapter, profile, data, set_)
            specs = chapter.tuning(parameters) if tuning else chapter.specs(parameters)
            # with a change of the reader's the runs are no longer those that the committed chapters show
            own = bool(_pairs(set_, chapter))
            runs.run_all(specs, label=name, own=own, **how)
            if chapter.keep and profile == "paper" and not own:
                chapter.keep(data)
            out.print(f"{name}: {len(specs)} runs recorded at profile {profile}")


@app.command()
def book(
    profile: Profile = "laptop",
    data: DataRoot = "",
    set_: Set = None,
    into: Annotated[Path, typer.Option(help="where _build/ goes")] = PROJECT,
) -> None:
    """Execute the chapters at a profile through papermill and render them to _build/html."""
    for chapter in _chapters(None, set_).values():
        _parameters(chapter, profile, data, set_)  # refuses what is wrong, before it becomes the name of a folder
    staged = into / "_build" / profile
    shutil.rmtree(staged, ignore_errors=True)
    for name in ("book", "aeda_core"):
        shutil.copytree(PROJECT / name, staged / name, ignore=shutil.ignore_patterns("__pycache__"))
    (staged / "data").mkdir()
    for name in ("_config.yml", "_toc.yml", "data/scorecard.json"):
        shutil.copy(PROJECT / name, staged / name)
    given, wanted = {}, {}
    for chapter in _chapters(None, set_).values():
        parameters = _parameters(chapter, profile, data, set_)
        wanted |= {spec.id: spec for spec in chapter.specs(parameters)}
        own = {"data_root": _absolute(data)} if data else {}
        given[chapter.notebook] = {"profile": profile, **own, **_pairs(set_, chapter)}
    # trained here, all under one progress bar and none twice; the chapters find their records
    runs.run_all(list(wanted.values()), profile=profile, data_root=data, label="training")
    _execute_all(given, staged / "book")
    render(staged, into)


def _absolute(data: str) -> str:
    """A chapter runs in a folder of its own; what is no folder (`embedded`) stays as it is."""
    return str(Path(data).resolve()) if Path(data).exists() else data


def _execute_all(given: dict[str, dict[str, str]], folder: Path) -> None:
    """Every notebook with what it is given, several at a time; the first that fails keeps others from being begun."""
    os.environ.setdefault("OMP_NUM_THREADS", "1")  # of every kernel: threads that share a core wait for each other
    with ThreadPoolExecutor(max_workers=provenance.cores()) as executing:
        chapters = {executing.submit(_execute, notebook, folder, told): notebook for notebook, told in given.items()}
        try:
            for number, chapter in enumerate(as_completed(chapters), 1):
                chapter.result()
                out.print(f"{chapters[chapter]} executed, {number} of {len(chapters)}")
        except BaseException:
            executing.shutdown(wait=False, cancel_futures=True)
            raise


def _execute(notebook: str, folder: Path, given: dict[str, str]) -> None:
    import papermill

    source, target = PROJECT / "book" / notebook, folder / notebook
    papermill.execute_notebook(source, target, given, progress_bar=False, extra_arguments=QUIET)


@app.command()
def chapters(chapters: Names = None) -> None:
    """Execute the committed chapters where they stand, on the recorded runs, and keep what they show."""
    import nbclient
    import nbformat

    for chapter in _chapters(chapters, None).values():
        path = PROJECT / "book" / chapter.notebook
        notebook = nbformat.read(path, as_version=4)
        parameters = next(cell for cell in notebook.cells if "parameters" in cell.metadata.get("tags", []))
        parameters.source = chapter.parameters.cell()
        nbclient.NotebookClient(notebook, record_timing=False, extra_arguments=QUIET).execute()
        gate.stamp(notebook, chapter)
        storage.write(path, nbformat.writes(notebook) + "\n")
        out.print(f"{path.relative_to(PROJECT)} executed")


def render(source: Path, into: Path) -> None:
    """Build the book in `source` strictly, to `into`/_build/html, and say which page to open."""
    jupyter_book = Path(sys.executable).with_name("jupyter-book")  # it cannot be run as a module
    command = [jupyter_book, "build", source, "--path-output", into, "-W", "-n", "--keep-going"]
    if subprocess.run(command).returncode:
        raise Problem(f"the book in '{source}' did not render without warnings; they stand above.")
    out.print(f"\nOpen {into / '_build' / 'html' / 'index.html'}")


@app.command()
def scorecard(
    check: Annotated[bool, typer.Option(help="change nothing; fail if a committed file would change")] = False,
) -> None:
    """Judge the recorded runs against the paper; write data/scorecard.json and the tables in README and intro."""
    from aeda_core.findings import scorecard as card

    stale = card.write(check=check)
    if check and stale:
        raise Problem(f"{', '.join(stale)} no longer says what the records say; run `make scorecard` and commit.")
    out.print(f"scorecard {'up to date' if check else 'written'}")


@app.command()
def check() -> None:
    """Fail if records, chapters, claims or the modules that decide results no longer fit together."""
    if problems := gate.problems():
        raise Problem("\n".join(problems))
    out.print("records, chapters, claims and code fit together")


@app.command()
def accept() -> None:
    """Declare that the code as it is gives the results that are recorded; `aeda verify` is how to know."""
    gate.accept()
    out.print(f"{gate.LOCK.relative_to(PROJECT)} written")


@app.command()
def verify(
    sample: Annotated[int, typer.Option(min=1, help="how many recorded runs")] = 2,
    seed: Annotated[int, typer.Option(help="draws which")] = 0,
    minutes: Annotated[float, typer.Option(help="leave out runs that took more CPU time than this")] = 5.0,
    data: DataRoot = "",
) -> None:
    """Train some recorded runs once more, in full, and compare."""
    for record in gate.sample(sample, seed, minutes):
        out.print(gate.verify(record, data))


def _chapter(name: str) -> Chapter:
    if name not in CHAPTERS:
        raise ParameterError(f"there is no chapter '{name}'; known are {', '.join(CHAPTERS)}.")
    return CHAPTERS[name]


def _chapters(names: list[str] | None, pairs: list[str] | None) -> dict[str, Chapter]:
    """The chapters of these names, or all. Every --set is known to at least one of them."""
    chosen = {name: _chapter(name) for name in names or CHAPTERS}
    for name in _pairs(pairs):
        if not any(name in chapter.parameters.model_fields for chapter in chosen.values()):
            next(iter(chosen.values())).parameters.load(**{name: ""})  # says so
    return chosen


def _parameters(chapter: Chapter, profile: str, data: str, pairs: list[str] | None) -> Parameters:
    return chapter.parameters.load(profile, data_root=data, **_pairs(pairs, chapter))


def _pairs(pairs: list[str] | None, chapter: Chapter | None = None) -> dict[str, str]:
    """What --set gives, or of it what `chapter` has."""
    for pair in pairs or []:
        if "=" not in pair:
            raise ParameterError(f"--set takes NAME=VALUE, not '{pair}'.")
        name, value = pair.split("=", 1)
        if option := {"profile": "--profile", "data_root": "--data"}.get(name):
            raise ParameterError(f"{name} is an option of its own: give {option} {value}.")
    given = dict(pair.split("=", 1) for pair in pairs or [])
    return {name: value for name, value in given.items() if not chapter or name in chapter.parameters.model_fields}


def main() -> None:
    """`aeda`, with a reader's mistakes shown as a sentence."""
    try:
        with parallel.group():
            app()
    except Problem as problem:
        Console(stderr=True, highlight=False, soft_wrap=True).print(f"{type(problem).__name__}: {problem}", style="red")
        sys.exit(2)
