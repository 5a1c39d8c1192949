"""The commands for images of one's own: `aeda audit | mitigate | predict`."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated

import typer
from rich import box
from rich.console import Console
from rich.table import Table as Grid
from rich.text import Text

from aeda_core import storage
from aeda_core.datasets.folder import Folder, read_folder
from aeda_core.errors import Problem
from aeda_core.own.audit import audit as audited
from aeda_core.own.audit import audit_predictions
from aeda_core.own.mitigate import TRIALS
from aeda_core.own.mitigate import mitigate as mitigated
from aeda_core.own.predict import predict as predicted_by
from aeda_core.own.report import Report, Table, as_page
from aeda_core.own.saved import load_model

MODEL = Path("model")
"""The folder that a model is written to unless another is named."""

app = typer.Typer()
out = Console(highlight=False)

Images = Annotated[Path | None, typer.Argument(help="the folder that the pictures are in")]
Labels = Annotated[Path | None, typer.Argument(metavar="CSV", help="what each picture shows", show_default=False)]
Targets = Annotated[
    list[str] | None,
    typer.Option("--target", metavar="COLUMN", help="classes, or yes and no; repeat it for several of yes and no"),
]
Bias = Annotated[str, typer.Option(metavar="COLUMN", help="the bias variable: what a prediction should not depend on")]
Identity = Annotated[str, typer.Option(metavar="COLUMN", help="who or what a picture shows, where some show the same")]
Split = Annotated[str, typer.Option(metavar="COLUMN", help="of train, validation and test; otherwise drawn")]
PathColumn = Annotated[str, typer.Option("--path", metavar="COLUMN", help="the pictures' paths in the folder")]
Size = Annotated[int, typer.Option(help="height and width in pixels that pictures are brought to")]
Network = Annotated[str, typer.Option(help="auto, efficientnet_lite0 or small_cnn")]
Epochs = Annotated[int | None, typer.Option(min=1, help="passes over the pictures; otherwise as many as they need")]
Mirror = Annotated[bool, typer.Option("--mirror", help="train on mirrored pictures, too")]


@app.command()
def audit(
    images: Images = None,
    labels: Labels = None,
    target: Targets = None,
    bias: Bias = "bias",
    identity: Identity = "",
    split: Split = "",
    path: PathColumn = "path",
    size: Size = 64,
    network: Network = "auto",
    folds: Annotated[int, typer.Option(min=2, help="parts; each is predicted by a training on the others")] = 5,
    epochs: Epochs = None,
    seed: int = 0,
    mirror: Mirror = False,
    predictions: Annotated[
        Path | None, typer.Option(metavar="CSV", help="audit another classifier by its predictions, without pictures")
    ] = None,
    predicted: Annotated[
        list[str] | None, typer.Option(metavar="COLUMN", help="with --predictions: one for each --target")
    ] = None,
    show_images: Annotated[
        bool, typer.Option("--show-images", help="put pictures that are predicted wrongly into the report")
    ] = False,
    report: Annotated[Path, typer.Option(metavar="FILE", help="where the report goes")] = Path("audit.html"),
) -> None:
    """Say how fair a plain classifier of your images is: a folder and a CSV, or --predictions of another classifier."""
    as_page(report)
    targets = one_or_several(target or ["target"])
    if predictions is not None:
        if images is not None or (predicted is None and not isinstance(targets, str)):
            raise Problem(
                "--predictions takes the predictions and the labels from one CSV: leave the folder out, and give a "
                "--predicted for each --target."
            )
        answers = one_or_several(predicted or ["predicted"])
        found = audit_predictions(
            predictions, target=targets, bias=bias, predicted=answers, identity=identity or None, seed=seed
        )
    else:
        folder = read(images, labels, targets, bias, identity, size, path, split)
        with going_on():
            found = audited(
                folder, network=network, folds=folds, epochs=epochs, seed=seed, mirror=mirror, show_images=show_images
            )
    show(found)
    out.print(f"\nOpen {found.save(report)}", soft_wrap=True, markup=False)


@app.command()
def mitigate(
    images: Images = None,
    labels: Labels = None,
    target: Targets = None,
    bias: Bias = "bias",
    identity: Identity = "",
    split: Split = "",
    path: PathColumn = "path",
    size: Size = 64,
    network: Network = "auto",
    trials: Annotated[int, typer.Option(min=1, max=len(TRIALS), help="settings of AEDA that are tried")] = 4,
    epochs: Epochs = None,
    seed: int = 0,
    mirror: Mirror = False,
    into: Annotated[Path, typer.Option(metavar="FOLDER", help="where the model, its card and report go")] = Path(
        "model"
    ),
) -> None:
    """Train a fairer classifier of your images, say whether it is one, and write the better of the two."""
    folder = read(images, labels, one_or_several(target or ["target"]), bias, identity, size, path, split)
    with going_on():
        found = mitigated(folder, network=network, trials=trials, epochs=epochs, seed=seed, mirror=mirror)
    show(found.report)
    for note in found.save(into):
        out.print(Text(f"Note: {note}", style="yellow"))
    out.print(f"\nOpen {into / 'report.html'}; the model and its card lie beside it.", soft_wrap=True, markup=False)


@app.command()
def predict(
    model: Annotated[Path, typer.Argument(help="a folder that `aeda mitigate` wrote")],
    images: Annotated[Path, typer.Argument(help="a picture, or a folder of them")],
    into: Annotated[Path | None, typer.Option("--out", metavar="CSV", help="where the predictions go")] = None,
) -> None:
    """Say what a saved model sees in pictures, as a CSV."""
    table, unreadable = predicted_by(load_model(model), images)
    for note in unreadable:
        Console(stderr=True).print(Text(f"Note: {note}", style="yellow"))
    if into is None:
        out.print(table.to_csv(index=False), end="", soft_wrap=True, markup=False)
    else:
        storage.write(into, table.to_csv(index=False))
        out.print(f"{into} has the predictions for {len(table):,} pictures.", soft_wrap=True, markup=False)


def read(
    images: Path | None,
    labels: Path | None,
    target: str | list[str],
    bias: str,
    identity: str,
    size: int,
    path: str,
    split: str,
) -> Folder:
    """The images that a command is given. Raises Problem if they are missing."""
    if images is None or labels is None:
        raise Problem("name the folder that the pictures are in and the CSV that says what they show.")
    return read_folder(
        images, labels, target=target, bias=bias, identity=identity or None, split=split or None, size=size, path=path
    )


def one_or_several(columns: list[str]) -> str | list[str]:
    """A column of classes, or several of yes and no."""
    return columns[0] if len(columns) == 1 else columns


@contextmanager
def going_on() -> Iterator[None]:
    """Where a reader stops what is inside, say that nothing is lost."""
    try:
        yield
    except KeyboardInterrupt as stopped:
        Console(stderr=True).print("Stopped. What is trained is kept, and the same command goes on from there.")
        raise typer.Exit(130) from stopped


def show(report: Report) -> None:
    """A report's sentences and tables on the terminal."""
    out.print(Text(report.title, style="bold"), *(Text(f"• {said}") for said in report.summary), sep="\n")
    for section in report.sections:
        for part in section.parts:
            if isinstance(part, Table):
                out.print("", Text(part.caption, style="italic"), _grid(part), sep="\n")
    for note in report.notes:
        out.print(Text(f"Note: {note}", style="yellow"))


def _grid(table: Table) -> Grid:
    grid = Grid(box=box.SIMPLE_HEAD, pad_edge=False)
    for place, name in enumerate(table.head):
        if place < table.words:
            grid.add_column(Text(name))
        else:
            widest = max((len(row[place]) for row in table.rows), default=0)
            grid.add_column(Text(name), justify="right", min_width=widest)  # a number and its interval stay on one line
    for row in table.rows:
        grid.add_row(*map(Text, row))
    return grid
