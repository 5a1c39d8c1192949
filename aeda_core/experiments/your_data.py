"""Chapter 11: a folder of pictures and a CSV made from nothing, then audited and mitigated as a reader's own would be.

The pictures are written and read at every profile. At `recorded` the two reports are those that `keep` left behind.
"""

from __future__ import annotations

import csv
import json
import tempfile
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import ClassVar

import torch
from PIL import Image
from pydantic import Field

from aeda_core import provenance, storage
from aeda_core.datasets import mnist
from aeda_core.datasets.base import DATA, other_values
from aeda_core.datasets.folder import Folder, read_folder
from aeda_core.experiments.chapter import Chapter
from aeda_core.own.audit import audit
from aeda_core.own.mitigate import mitigate
from aeda_core.profiles import Parameters
from aeda_core.runs import MissingRecord

KEPT = DATA / "your_data.json"
"""The reports that the recorded chapter shows."""

BACKGROUNDS = {"brown": (165, 42, 42), "red": (255, 0, 0), "rust": (210, 80, 30)}
LOW, HIGH = "red", "brown"
"""The backgrounds that digits up to 4, and digits above, stand on in training, as in chapter 05."""

SPLITS = ("train", "train", "train", "validation", "test")
"""What the pictures are for, in turn."""


class YourDataParameters(Parameters):
    """What chapter 11 can be told."""

    changes: ClassVar = {
        "smoke": {"n_images": 1000, "epochs": 1, "trials": 1},
        "laptop": {"n_images": 2000, "epochs": 6, "trials": 1},
    }

    seeds: int = Field(1, ge=1, le=1, description="this chapter trains with one seed")
    n_images: int = Field(4000, ge=1000, le=4000, description="pictures that are written")
    correlation: float = Field(
        1.0, ge=0, le=1, description="share of the training pictures on the background of their digit"
    )
    epochs: int = Field(10, ge=1, description="passes over the training images")
    trials: int = Field(2, ge=1, le=6, description="settings of the attack that are tried")


@dataclass(frozen=True)
class Reports:
    """What the two calls say.

    audit, fairer:           the reports as text
    audit_page, fairer_page: the same as HTML
    verdict:                 what is recommended, and why
    files:                   what `save` wrote
    profile, device:         how and where it was made
    """

    audit: str
    audit_page: str
    fairer: str
    fairer_page: str
    verdict: str
    files: tuple[str, ...]
    profile: str
    device: str


def write_pictures(p: YourDataParameters, place: Path) -> Path:
    """Write `place`/images with digits as PNG files, and `place`/labels.csv; returns `place`.

    Of the pictures for training digits up to 4 stand on LOW and the others on HIGH with probability `p.correlation`,
    and otherwise on one of the two other backgrounds; the rest stand on any. As in a real folder, a picture is missing,
    one is damaged, and one has no row in the CSV.
    """
    pictures = place / "images"
    pictures.mkdir(parents=True)
    rows = [("path", "digit", "background", "split")]
    for number, (image, digit, background, split) in enumerate(_drawn(p)):
        rows.append((f"{number:04}.png", str(digit), background, split))
        image.save(pictures / rows[-1][0])
    (pictures / rows[1][0]).unlink()
    (pictures / rows[2][0]).write_bytes(b"no picture")
    image.save(pictures / "copy.png")
    with (place / "labels.csv").open("w", newline="", encoding="utf-8") as file:
        csv.writer(file).writerows(rows)
    return place


def _drawn(p: YourDataParameters) -> Iterator[tuple[Image.Image, int, str, str]]:
    digits = mnist.load(mnist.EMBEDDED)
    generator = torch.Generator().manual_seed(0)
    index = torch.randperm(len(digits.train_images), generator=generator)[: p.n_images]
    labels = digits.train_labels[index]
    names = list(BACKGROUNDS)
    own = torch.where(labels > 4, names.index(HIGH), names.index(LOW))
    splits = [SPLITS[number % len(SPLITS)] for number in range(len(index))]
    often = torch.tensor([p.correlation if split == "train" else 1 / len(names) for split in splits])
    on_own = torch.rand(len(index), generator=generator) < often
    places = torch.where(on_own, own, other_values(own, len(names), generator))
    drawn = zip(digits.train_images[index], labels.tolist(), places.tolist(), splits, strict=True)
    for stroke, label, place, split in drawn:
        image = Image.new("RGB", stroke.shape[::-1], BACKGROUNDS[names[place]])
        image.paste("white", mask=Image.fromarray(stroke.numpy()))
        yield image, label, names[place], split


def reports(p: YourDataParameters, folder: Folder) -> Reports:
    """What `audit` and `mitigate` say of `folder`; at `recorded` what they said when the chapter was made.

    Raises MissingRecord at `recorded` if none are kept for these parameters.
    """
    if p.live:
        return made(p, folder)
    kept = json.loads(KEPT.read_text(encoding="utf-8")) if KEPT.exists() else {"parameters": {}}
    for name, value in _asked(p).items():
        if name not in kept["parameters"] or kept["parameters"][name] != value:
            raise MissingRecord(
                f"no reports are kept for {name}={value}; take the profile smoke, laptop or paper to make some, or run "
                "`aeda sweep your_data`."
            )
    return Reports(**{**kept["reports"], "files": tuple(kept["reports"]["files"])})


def made(p: YourDataParameters, folder: Folder) -> Reports:
    """What the two calls give."""
    report = audit(folder, epochs=p.epochs)
    fairer = mitigate(folder, trials=p.trials, epochs=p.epochs)
    with tempfile.TemporaryDirectory() as place:
        fairer.save(place)
        files = tuple(sorted(path.name for path in Path(place).iterdir()))
    device = provenance.machine(torch.device("cuda" if torch.cuda.is_available() else "cpu"))["device"]
    pages = report.page(), str(fairer.report), fairer.report.page()
    return Reports(str(report), *pages, str(fairer), files, p.profile, device)


def keep(data_root: str = "") -> None:
    """Make the reports that the recorded chapter shows; they are the same whatever `data_root` holds."""
    p = YourDataParameters.load("paper")
    with tempfile.TemporaryDirectory() as place:
        folder = read(write_pictures(p, Path(place)))
    kept = {"parameters": _asked(p), "reports": asdict(made(p, folder))}
    storage.write(KEPT, json.dumps(kept, indent=1, ensure_ascii=False) + "\n")


def read(place: Path) -> Folder:
    """The folder that `write_pictures` wrote."""
    pictures, labels = place / "images", place / "labels.csv"
    return read_folder(pictures, labels, target="digit", bias="background", split="split", size=28)


def _asked(p: YourDataParameters) -> dict[str, object]:
    return p.model_dump(exclude={"profile", "data_root"})


CHAPTER = Chapter("your_data", "11_your_data.ipynb", YourDataParameters, keep=keep)
