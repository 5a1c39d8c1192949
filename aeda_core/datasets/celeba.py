"""CelebA [Liu et al. 2015]: photographs of faces with forty attributes; gender is the bias variable (Sec. 4.3).

Not downloaded, for its terms forbid passing it on: data/README.md says how to get it. Where it is missing, avatars that
are drawn stand in for it, in a folder of the same layout, through the same reader.
"""

from __future__ import annotations

import hashlib
import io
import os
import sys
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import ClassVar

import numpy as np
import pandas as pd
import torch
from PIL import Image, UnidentifiedImageError
from torch import Tensor
from tqdm import tqdm

from aeda_core.datasets import avatars, decoded
from aeda_core.datasets.base import DATA, BiasedImages, DataError
from aeda_core.datasets.dataset import DataSet
from aeda_core.datasets.rates import NAMES

ATTRIBUTES = (
    "Arched_Eyebrows", "Attractive", "Bags_Under_Eyes", "Big_Lips", "Big_Nose", "Bushy_Eyebrows", "Chubby",
    "Double_Chin", "High_Cheekbones", "Mouth_Slightly_Open", "Narrow_Eyes", "Oval_Face", "Pale_Skin", "Pointy_Nose",
    "Rosy_Cheeks", "Smiling", "Young",
)  # fmt: skip
"""The seventeen that remain of them in Sec. 2.1, footnote 2 (assumption: face-attributes)."""

GENDERS = ("female", "male")

CROP = (15, 40, 163, 188)
"""Left, top, right, bottom of a square around the face in the aligned 178×218 pixels (assumption: face-crop)."""

ALIGNED = (178, 218)
"""Width and height of CelebA's aligned images, for which `CROP` is meant."""

CELEBA_FINGERPRINT = "a2885dac383106cafb4c4a67c609170922359482f6077d5392be188d8817b5c7"
"""Of the 9,000 listed people, whom the recorded runs are about."""

EMBEDDED = "embedded"
ANNOTATIONS = ("list_attr_celeba.txt", "list_attr_celeba.csv")
LISTED = Path(__file__).with_name("celeba_images.txt")
CACHE = DATA / "cache"


@dataclass(frozen=True)
class Faces:
    """One photograph a person.

    images:      uint8 (N, 3, S, S), memory-mapped
    attributes:  int64 (N, 40), 0 or 1, as NAMES
    identities:  int64 (N,), all different
    source:      in words, for captions; a stand-in says so
    fingerprint: sha256 over names, bytes, attributes and identities; whatever the size
    """

    images: np.ndarray
    attributes: Tensor
    identities: Tensor
    source: str
    fingerprint: str


@dataclass(frozen=True)
class Recipe:
    """How a fold is made from faces.

    fold:         the one of `folds` that is tested on, from 0
    n_validation: people held out of the training folds
    n_persons:    of all people, chosen once; 0 takes all
    n_choosing:   people who do nothing but choose settings: they are held out of every fold, in place of
                  `n_validation`, and the folds are made of the others; 0: none, so that who is held out in one fold is
                  tested in another
    """

    size: int = 48
    folds: int = 5
    fold: int = 0
    n_validation: int = 900
    n_persons: int = 0
    n_choosing: int = 0


def load(root: str = "", size: int = 48) -> Faces:
    """Faces of `size`×`size` pixels from `root`, else AEDA_DATA, else data/, else avatars (`embedded`).

    root: a folder that holds celeba/, or celeba/ itself: img_align_celeba/ with all images or some,
          list_attr_celeba.txt (or .csv) and identity_CelebA.txt
    Raises DataError if a root is named that has no CelebA, or has one that is not sound.
    """
    if size < 1:
        raise DataError(f"size is {size}; faces have at least one pixel.")
    return _load(root or os.environ.get("AEDA_DATA", ""), size)


def folder(root: str = "") -> Path | None:
    """The folder that holds CelebA, by the same ladder; None where avatars would stand in. Raises as `load` does."""
    return _folder(root or os.environ.get("AEDA_DATA", ""))


@cache
def _load(root: str, size: int) -> Faces:
    found = _folder(root)
    return _read(avatars.folder(), size, avatars.SOURCE) if found is None else _read(found, size)


def _folder(root: str) -> Path | None:
    if root == EMBEDDED:
        return None
    if not root:
        return _celeba(DATA)
    named = Path(root).expanduser()
    if not named.is_dir():
        raise DataError(f"data_root '{root}' is not a folder; give the folder that holds celeba/ (see data/README.md).")
    if (found := _celeba(named)) is None:
        raise DataError(
            f"data_root '{root}' holds no celeba/ with the annotations list_attr_celeba; give the folder above it, "
            f"or '{EMBEDDED}' for drawn avatars (see data/README.md)."
        )
    return found


def _celeba(root: Path) -> Path | None:
    """The folder of CelebA in `root`, or `root` itself: the one with the annotations."""
    folders = (root, root / "celeba")
    return next((f for f in folders if any((f / name).is_file() for name in ANNOTATIONS)), None)


def attribute_table(folder: Path) -> pd.DataFrame:
    """All rows of list_attr_celeba, .txt or .csv: int8 0 or 1 for each of NAMES, by image name.

    Raises DataError if a column is missing, a value is neither 1 nor -1 (or 0), an image is named twice, or the number
    of rows is not the one that the file gives.
    """
    path = next((folder / name for name in ANNOTATIONS if (folder / name).is_file()), None)
    if path is None:
        raise DataError(f"'{folder}' holds neither {' nor '.join(ANNOTATIONS)} (see data/README.md).")
    if path.suffix == ".csv":
        table, promised = _table(path), None
    else:
        with path.open() as file:
            head = file.readline().strip()
            columns = file.readline().split()
        if not head.isdigit():
            raise DataError(f"'{path}' does not begin with the number of its rows; get it anew (see data/README.md).")
        promised, table = int(head), _table(path, sep=r"\s+", header=None, skiprows=2)
        if len(columns) != table.shape[1]:
            raise DataError(f"'{path}' names {len(columns)} attributes and has {table.shape[1]} columns; get it anew.")
        table.columns = columns
    if missing := [name for name in NAMES if name not in table.columns]:
        raise DataError(f"'{path}' has no column {missing[0]}; CelebA has forty (see data/README.md).")
    if promised is not None and promised != len(table):
        raise DataError(f"'{path}' promises {promised:,} rows and has {len(table):,}; it is cut off: get it anew.")
    table = _whole(table[list(NAMES)], path)
    if table.abs().to_numpy().max() > 1:
        raise DataError(f"'{path}' holds {table.abs().to_numpy().max()} where 1 or -1 should stand; get it anew.")
    return (table > 0).astype(np.int8)


def _table(path: Path, **how: object) -> pd.DataFrame:
    """The table of `path` by image name; DataError where it cannot be read as one."""
    try:
        return pd.read_csv(path, index_col=0, **how)
    except ValueError as reason:
        raise DataError(f"'{path}' cannot be read ({' '.join(str(reason).split())}); get it anew.") from None


def _whole(table: pd.DataFrame, path: Path) -> pd.DataFrame:
    """`table`, if it has a whole number everywhere and every image once."""
    for name, column in table.items():
        if column.dtype.kind != "i":
            broken = column.index[pd.to_numeric(column, errors="coerce").isna()]
            row = f" for {broken[0]}" if len(broken) else ""
            raise DataError(f"'{path}' has no whole number{row} in column {name}; it is damaged: get it anew.")
    if table.index.has_duplicates:
        twice = table.index[table.index.duplicated()][0]
        raise DataError(f"'{path}' names {twice} twice, so it is not known what holds; get it anew.")
    return table


def _read(folder: Path, size: int, source: str = "") -> Faces:
    table, persons = attribute_table(folder), _identities(folder)
    images = _image_folder(folder)
    found = sorted(name for name in os.listdir(images) if name.endswith(".jpg")) if images.is_dir() else []
    if not found:
        raise DataError(f"'{images}' holds no .jpg; put CelebA's aligned images there (see data/README.md).")
    for what, known in (("annotation", table.index), ("identity", persons.index)):
        if len(unknown := pd.Index(found).difference(known)):
            raise DataError(f"'{images / unknown[0]}' has no {what}; remove it, or get the annotations anew.")
    chosen = _one_each(found, persons)
    files = [(images / name).read_bytes() for name in chosen]
    rows, identities = table.loc[chosen].to_numpy(copy=True), persons.loc[chosen].to_numpy(copy=True)
    digest = hashlib.sha256(rows.tobytes() + identities.astype(np.int64).tobytes())
    for name, content in zip(chosen, files, strict=True):
        digest.update(name.encode() + hashlib.sha256(content).digest())
    source = source.format(n=len(chosen)) or (
        f"CelebA ({len(chosen):,} aligned images of as many people; {len(found):,} of {len(table):,} were found)"
    )
    return Faces(
        images=_resized(files, chosen, size, digest.hexdigest(), images),
        attributes=torch.from_numpy(rows).long(),
        identities=torch.from_numpy(identities).long(),
        source=source,
        fingerprint=digest.hexdigest(),
    )


def _identities(folder: Path) -> pd.Series:
    path = folder / "identity_CelebA.txt"
    if not path.exists():
        raise DataError(
            f"'{path}' is missing, and without it one person could be in training and in testing; "
            "ask CelebA's authors for it (see data/README.md)."
        )
    table = _table(path, sep=r"\s+", header=None)
    if table.shape[1] != 1:
        raise DataError(f"'{path}' should give each image one number, its person's; get it anew (see data/README.md).")
    return _whole(table, path)[1]


def _image_folder(folder: Path) -> Path:
    """img_align_celeba, which some archives hold twice, one in the other."""
    outer = folder / "img_align_celeba"
    return outer / outer.name if (outer / outer.name).is_dir() else outer


def _one_each(found: list[str], persons: pd.Series) -> list[str]:
    """The listed images if all are there, else of each person the image with the lowest number."""
    listed = [f"{int(number):06d}.jpg" for number in LISTED.read_text().split()]
    if set(listed) <= set(found):
        return listed
    return list(pd.Series(found).groupby(persons.loc[found].to_numpy()).min().sort_values())


def _resized(files: list[bytes], names: list[str], size: int, fingerprint: str, folder: Path) -> np.ndarray:
    """The faces as uint8 (N, 3, size, size), memory-mapped; made once and kept by content."""
    recipe = hashlib.sha256(f"{fingerprint} {size} {CROP}".encode()).hexdigest()[:16]
    path, shape = CACHE / f"faces-{size}-{recipe}.npy", (len(files), 3, size, size)

    def decode(faces: np.ndarray) -> None:
        shown = tqdm(files, desc=f"faces of {size}×{size} pixels", unit="face", disable=not sys.stderr.isatty())
        for face, name, content in zip(faces, names, shown, strict=True):
            face[:] = _face(content, size, folder / name).transpose(2, 0, 1)

    return decoded.images(path, shape, decode)[0]


def _face(content: bytes, size: int, path: Path) -> np.ndarray:
    """`CROP` of the image that `path` holds, as uint8 (size, size, 3)."""
    try:
        with Image.open(io.BytesIO(content)) as image:
            if image.size != ALIGNED:
                raise DataError(
                    f"'{path}' has {image.width}×{image.height} pixels where CelebA's aligned images have "
                    f"{ALIGNED[0]}×{ALIGNED[1]}; take img_align_celeba (see data/README.md)."
                )
            return np.asarray(image.convert("RGB").resize((size, size), Image.Resampling.LANCZOS, box=CROP))
    except UnidentifiedImageError:
        raise DataError(f"'{path}' is no image; get it anew or remove it.") from None
    except OSError as reason:
        raise DataError(f"'{path}' cannot be read ({reason}); get it anew or remove it.") from None


def fold(faces: Faces, recipe: Recipe) -> tuple[BiasedImages, BiasedImages, BiasedImages]:
    """Training, held-out and test faces of `recipe`'s fold; no person is in two of them.

    People are dealt out so that each fold has its share of women and men with and without the rarest combination,
    rosy cheeks on men, and the held-out people are dealt out of the training folds in the same way.
    """
    if not 0 <= recipe.fold < recipe.folds:
        raise DataError(f"fold is {recipe.fold}; there are {recipe.folds}, counted from 0.")
    people = np.random.default_rng(0).permutation(len(faces.identities))[: recipe.n_persons or None]
    attributes = faces.attributes.numpy()
    rare = 2 * attributes[:, NAMES.index("Male")] + attributes[:, NAMES.index("Rosy_Cheeks")]
    people = people[np.argsort(rare[people], kind="stable")]
    if not 0 <= recipe.n_choosing < len(people):
        raise DataError(f"n_choosing is {recipe.n_choosing}; there are {len(people):,} people, who are also tested.")
    choose = _spread(len(people), recipe.n_choosing)
    choosing, people = people[choose], people[~choose]
    tested = np.arange(len(people)) % recipe.folds == recipe.fold
    rest = people[~tested]
    if recipe.n_choosing:
        parts = rest, choosing, people[tested]
    elif 0 < recipe.n_validation < len(rest):
        held_out = _spread(len(rest), recipe.n_validation)
        parts = rest[~held_out], rest[held_out], people[tested]
    else:
        raise DataError(f"n_validation is {recipe.n_validation}; the training folds have {len(rest):,} people.")
    training, validation, test = (_biased(faces, np.sort(part)) for part in parts)
    return training, validation, test


def _spread(total: int, n: int) -> np.ndarray:
    """bool (total,): `n` of them, evenly spread."""
    chosen = np.zeros(total, bool)
    chosen[np.linspace(0, total - 1, n).round().astype(int)] = True
    return chosen


def _biased(faces: Faces, people: np.ndarray) -> BiasedImages:
    return BiasedImages(
        torch.from_numpy(np.array(faces.images[people])),
        faces.attributes[people][:, [NAMES.index(name) for name in ATTRIBUTES]],
        faces.attributes[people, NAMES.index("Male")],
        faces.identities[people],
        target_names=ATTRIBUTES,
        bias_names=GENDERS,
    )


_Recipe = Recipe  # which an attribute of the class hides


class CelebA(DataSet):
    """`celeba`: photographs of faces, with attributes as targets and gender as the bias variable."""

    name, title, order, content = "celeba", "CelebA", 20, "faces"
    real, fingerprint = "CelebA's 9,000 listed people", CELEBA_FINGERPRINT
    stand_in = "drawn avatars"
    runs_over, varies = "fold", ("fold",)
    network: ClassVar = {"name": "vgg16", "size": 48, "width": 0.25}
    target_names, bias_names = ATTRIBUTES, GENDERS
    Recipe: ClassVar = _Recipe

    @classmethod
    def read(cls, root: str, recipe: _Recipe, wanted: str = "") -> Faces:
        return load(root, recipe.size)

    @classmethod
    def split(cls, source: Faces, recipe: _Recipe) -> tuple[BiasedImages, BiasedImages, BiasedImages]:
        return fold(source, recipe)

    @classmethod
    def only_stand_in(cls, root: str) -> bool:
        return folder(root) is None
