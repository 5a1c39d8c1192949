"""Avatars that stand in for CelebA: a folder in its layout, without a real face in it.

Heads, hair, beards and clothes are DiceBear's, in Pablo Stanley's style Avataaars; eyes, brows, nose, mouth and what
else an attribute is about are drawn on top. Gender and attributes are sampled with CelebA's published rates, each
attribute independently given gender, and every cue is a matter of degree, so that a classifier has something to learn
and something to get wrong. Which cue means which gender is a cliché, and so it is in the data that this stands in for.
"""

from __future__ import annotations

import io
import json
import os
import shutil
import sys
import tempfile
from importlib.metadata import version
from importlib.resources import files
from pathlib import Path

import numpy as np
import pandas as pd
from PIL import Image
from tqdm import tqdm

from aeda_core.datasets.base import DATA
from aeda_core.datasets.rates import NAMES, RATES

SOURCE = "stand-in: {n:,} avatars drawn with DiceBear in the style Avataaars by Pablo Stanley, no real faces"

N = 2400
"""Enough for every attribute to have both genders in a test fold, few enough to be drawn in a minute."""

WOMENS_HAIR = (
    "bob",
    "bun",
    "curvy",
    "longButNotTooLong",
    "miaWallace",
    "straight01",
    "straight02",
    "straightAndStrand",
)
MENS_HAIR = ("shortCurly", "shortFlat", "shortRound", "shortWaved", "sides", "theCaesar", "theCaesarAndSidePart")
HAIR = ("#2c1b18", "#4a312c", "#724133", "#a55728", "#b58143", "#d6b370")
SKIN = ("#614335", "#ae5d29", "#d08b5b", "#edb98a", "#ffdbb4")
PALE, GREY = "#fff0e8", "#cfcac6"
VIEW = "58 8 164 201"
"""The part of DiceBear's canvas of 280×280 that becomes an image of 178×218, the face where CelebA has it."""


def folder(n: int = N, seed: int = 0) -> Path:
    """A folder in CelebA's layout with `n` avatars, one a person; drawn if it is not there yet.

    The same `seed` and the same packages draw the same avatars.
    """
    drawn_with = "-".join(version(name) for name in ("dicebear-core", "dicebear-styles", "resvg-py", "pillow"))
    where = DATA / "avatars" / f"{n}-{seed}-{drawn_with}"
    if where.exists():
        return where
    where.parent.mkdir(parents=True, exist_ok=True)
    partial = Path(tempfile.mkdtemp(prefix=".drawing-", dir=where.parent))
    try:
        _draw_all(partial, n, np.random.default_rng(seed))
        partial.chmod(0o755)
        try:
            os.replace(partial, where)
        except OSError:
            if not where.exists():  # else somebody else was faster
                raise
    finally:
        shutil.rmtree(partial, ignore_errors=True)
    return where


def sample(n: int, generator: np.random.Generator) -> pd.DataFrame:
    """Attributes of `n` people, 0 or 1 in the columns NAMES, at CelebA's rates."""
    male = generator.random(n) < RATES.loc["Male", "all"]
    rates = np.where(male[:, None], RATES["men"].to_numpy(), RATES["women"].to_numpy())
    people = pd.DataFrame((generator.random((n, len(NAMES))) < rates).astype(int), columns=list(NAMES))
    return people.assign(Male=male.astype(int))


def _draw_all(where: Path, n: int, generator: np.random.Generator) -> None:
    from dicebear import Style

    style = Style(json.loads(files("dicebear_styles").joinpath("avataaars.json").read_text("utf-8")))
    people = sample(n, generator)
    names = [f"{number:06d}.jpg" for number in range(1, n + 1)]
    (where / "img_align_celeba").mkdir()
    shown = tqdm(people.to_dict("records"), "avatars", unit="face", disable=not sys.stderr.isatty())
    for name, person in zip(names, shown, strict=True):
        draw(style, person, generator).save(where / "img_align_celeba" / name, quality=92)
    table = (2 * people - 1).set_axis(names).to_csv(sep=" ", header=False)
    (where / "list_attr_celeba.txt").write_text(f"{n}\n{' '.join(NAMES)}\n{table}")
    (where / "identity_CelebA.txt").write_text("".join(f"{name} {i}\n" for i, name in enumerate(names, 1)))


def draw(style: object, person: dict[str, int], generator: np.random.Generator) -> Image.Image:
    """An image of 178×218 pixels of a person with these attributes; all else is up to `generator`."""
    import resvg_py
    from dicebear import Avatar

    man = person["Male"]
    hair = GREY if not person["Young"] and generator.random() < 0.6 else str(generator.choice(HAIR))
    usual, other = (MENS_HAIR, WOMENS_HAIR) if man else (WOMENS_HAIR, MENS_HAIR)
    options = {
        "seed": str(generator.integers(2**31)),
        "topVariant": [str(generator.choice(usual if generator.random() < 0.85 else other))],
        "hairColor": [hair],
        "facialHairColor": [hair],
        "skinColor": [PALE if person["Pale_Skin"] else str(generator.choice(SKIN))],
        "facialHairProbability": 45 if man else 0,
        "facialHairVariant": ["beardLight", "beardMedium", "moustacheMagnum"],
        "accessoriesProbability": 8,
        "accessoriesVariant": ["prescription01", "prescription02", "round"],
        **{f"{part}Probability": 0 for part in ("eyes", "eyebrows", "nose", "mouth")},
    }
    svg = Avatar(style, options).to_string()
    head, body = svg.split("</metadata>", 1)
    wide = 1 + 0.1 * person["Chubby"] - 0.05 * person["Oval_Face"] + generator.normal(0, 0.015)
    high = 1 + 0.06 * person["Oval_Face"] + generator.normal(0, 0.01)
    turn, x, y = generator.normal(0, [3, 2, 2])
    move = (
        f"translate({140 + x:.2f} {115 + y:.2f}) rotate({turn:.2f}) scale({wide:.3f} {high:.3f}) translate(-140 -115)"
    )
    ground = "#{:02x}{:02x}{:02x}".format(*generator.integers(90, 240, 3))
    head = head.replace('viewBox="0 0 280 280"', f'viewBox="{VIEW}"')
    body = body.removesuffix("</svg>") + _features(person, hair, generator)
    png = resvg_py.svg_to_bytes(
        svg_string=f'{head}</metadata><g transform="{move}">{body}</g></svg>',
        background=ground,
        width=178,
        height=218,
        skip_system_fonts=True,
    )
    with Image.open(io.BytesIO(bytes(png))) as image:
        return image.convert("RGB").resize((178, 218))


def _features(person: dict[str, int], hair: str, generator: np.random.Generator) -> str:
    """What the attributes are about, as SVG on DiceBear's canvas; eyes are at (114, 112) and (166, 112)."""

    def vary(base: float, more: float, attribute: str, spread: float) -> float:
        """`base`, and `more` on top for those who have the attribute, with a spread that makes them overlap."""
        return base + more * person[attribute] + generator.normal(0, spread)

    man, parts = person["Male"], []
    arch, brow = vary(4, 9, "Arched_Eyebrows", 2), max(1.5, vary(2.4, 2.6, "Bushy_Eyebrows", 0.5))
    eye = max(1.6, vary(7, -4, "Narrow_Eyes", 0.9))
    for x in (114, 166):
        parts.append(_line(f"M{x - 14} 97Q{x} {97 - 2 * arch:.1f} {x + 14} 97", hair, brow))
        parts.append(f'<ellipse cx="{x}" cy="112" rx="9" ry="{eye:.1f}" fill="white"/>')
        parts.append(f'<ellipse cx="{x}" cy="112" rx="4.5" ry="{min(4.5, eye):.1f}" fill="#2b2b3a"/>')
        if person["Attractive"]:
            parts.append(f'<circle cx="{x + 2}" cy="{112 - eye / 3:.1f}" r="2.2" fill="white"/>')
        if not man and generator.random() < 0.7:
            parts.append(_line(f"M{x - 10} 110Q{x} {110 - 1.6 * eye:.1f} {x + 10} 110", "black", 2))
        if person["Bags_Under_Eyes"]:
            parts.append(
                _line(f"M{x - 9} 122Q{x} 128 {x + 9} 122", "black", vary(1, 0.8, "Bags_Under_Eyes", 0.3), 0.35)
            )
    nose, tip = vary(7, 6, "Big_Nose", 1.4), vary(0, 8, "Pointy_Nose", 1.5)
    parts.append(_line(f"M{140 - nose:.1f} 132Q140 {140 + tip:.1f} {140 + nose:.1f} 132", "black", 3, 0.3))
    lip = max(1.5, vary(3 + 0.8 * (not man), 3.5, "Big_Lips", 0.8))
    curve, gape = vary(0, 11, "Smiling", 2.5), max(0, vary(0, 6, "Mouth_Slightly_Open", 1))
    colour = "#b8433f" if not man and generator.random() < 0.75 else "#9c5a4b"
    mouth = f"M{122} {152 - curve / 2:.1f}Q140 {152 + curve:.1f} 158 {152 - curve / 2:.1f}"
    if gape > 2:
        parts.append(f'<path d="{mouth}Q140 {152 + curve + 3 * gape:.1f} 122 {152 - curve / 2:.1f}" fill="#5a1a1a"/>')
    parts.append(_line(mouth, colour, lip))
    if person["Rosy_Cheeks"]:
        strength = generator.uniform(0.35, 0.6)
        parts += [
            f'<ellipse cx="{x}" cy="134" rx="12" ry="8" fill="#ff4d6d" opacity="{strength:.2f}"/>' for x in (101, 179)
        ]
    if person["High_Cheekbones"]:
        strength = generator.uniform(0.15, 0.4)
        parts += [
            _line("M92 128Q102 140 112 142", "black", 2, strength),
            _line("M188 128Q178 140 168 142", "black", 2, strength),
        ]
    if person["Double_Chin"]:
        parts.append(_line("M122 172Q140 184 158 172", "black", 2.5, generator.uniform(0.2, 0.4)))
    if not person["Young"]:
        strength = generator.uniform(0.15, 0.4)
        parts += [_line(f"M118 {y}Q140 {y - 4} 162 {y}", "black", 1.6, strength) for y in (76, 82)]
    return "".join(parts)


def _line(path: str, colour: str, width: float, opacity: float = 1.0) -> str:
    return (
        f'<path d="{path}" fill="none" stroke="{colour}" stroke-width="{max(width, 0.5):.1f}" stroke-linecap="round" '
        f'opacity="{opacity:.2f}"/>'
    )
