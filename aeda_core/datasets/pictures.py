"""Pictures of any kind and size as square ones of one size; what was decoded is kept and memory-mapped."""

from __future__ import annotations

import hashlib
import struct
import warnings
import zlib
from collections.abc import Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

import numpy as np
import torch
from PIL import Image, ImageOps, UnidentifiedImageError
from torch import Tensor
from tqdm import tqdm

from aeda_core.datasets import decoded
from aeda_core.datasets.base import DATA

T = TypeVar("T")

SUFFIXES = (".png", ".jpg", ".jpeg", ".webp")
FORMATS = ("PNG", "JPEG", "WEBP")

MOST_PIXELS = 100_000_000
"""Larger pictures are refused by what their header says, before they are decoded."""

RULE = 1
"""Part of a cache's name; raised by hand when a change to `square` changes pixels."""

BROKEN = (OSError, SyntaxError, ValueError, EOFError, ArithmeticError, LookupError, struct.error, zlib.error)
"""What Pillow's decoders raise for files that are none, or damaged."""


@dataclass(frozen=True)
class Pictures:
    """What could be read of a sequence of files.

    images:     uint8 (N, 3, S, S), in the order of the files, without those that cannot be read; memory-mapped
    unreadable: the others by their place in that sequence, with the reason
    """

    images: Tensor
    unreadable: dict[int, tuple[Path, str]]


def read(files: Sequence[Path], size: int, cache: str | Path | None = None) -> Pictures:
    """The pictures in `files` as `square` makes them, from `cache` if they were decoded before.

    A cache is named by the contents of the files, so it is found again wherever they are moved, and a picture that was
    changed is decoded anew. So is everything where a cache is damaged.
    """
    folder = Path(cache) if cache else DATA / "cache" / "folders"
    with ThreadPoolExecutor() as threads:
        digests = _watched(threads.map(_digest, files), len(files), "reading pictures")
        name = hashlib.sha256("\n".join([f"{RULE} {size}", *digests]).encode()).hexdigest()[:24]
        path, shape = folder / f"{name}.npy", (len(files), 3, size, size)
        images, reasons = decoded.images(path, shape, lambda into: _decode(files, size, into, threads))
    unreadable = {int(place): (files[int(place)], why) for place, why in reasons.items()}
    return Pictures(torch.from_numpy(images)[: len(files) - len(unreadable)], unreadable)


def _decode(files: Sequence[Path], size: int, images: np.ndarray, threads: ThreadPoolExecutor) -> dict[str, str]:
    """Put what can be read of `files` into `images`, without gaps; returns why the others cannot, by their place."""
    unreadable: dict[str, str] = {}
    tried = threads.map(lambda file: _tried(file, size), files)
    for place, found in enumerate(_watched(tried, len(files), "decoding pictures")):
        if isinstance(found, str):
            unreadable[str(place)] = found
        else:
            images[place - len(unreadable)] = found.transpose(2, 0, 1)
    return unreadable


def _watched(found: Iterable[T], total: int, doing: str) -> Iterable[T]:
    watched: Iterable[T] = tqdm(
        found, total=total, desc=doing, unit="picture", leave=False, mininterval=1, disable=None
    )
    return watched


def _digest(file: Path) -> str:
    try:
        return hashlib.sha256(file.read_bytes()).hexdigest()
    except OSError as reason:
        return f"unreadable: {reason.strerror}"


def _tried(file: Path, size: int) -> np.ndarray | str:
    """The picture as `square` makes it, or why it cannot be read."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", Image.DecompressionBombWarning)
            return square(file, size)
    except Image.DecompressionBombError:
        return f"it has more than {MOST_PIXELS:,} pixels"
    except UnidentifiedImageError:
        return "it is no PNG, JPEG or WebP"
    except BROKEN as reason:
        return str(reason).rstrip(".") or type(reason).__name__


def square(file: Path, size: int) -> np.ndarray:
    """uint8 (size, size, 3): the largest square in the middle of the picture in `file`, resized.

    As held by the camera, grey as three equal channels, transparent parts over white. Raises one of BROKEN.
    """
    with Image.open(file, formats=FORMATS) as image:
        if image.width * image.height > MOST_PIXELS:
            raise ValueError(f"it has {image.width} × {image.height} pixels, more than {MOST_PIXELS:,}")
        image.draft("RGB", (size, size))  # a JPEG can be decoded at a fraction of its size
        upright = _in_colour(ImageOps.exif_transpose(image))
        return np.asarray(ImageOps.fit(upright, (size, size), Image.Resampling.BICUBIC))


def _in_colour(image: Image.Image) -> Image.Image:
    """`image` in RGB."""
    if image.mode.startswith("I"):  # 16 bits a pixel, which Pillow would cut off at 255
        return Image.fromarray((np.asarray(image).astype(np.int64) // 257).clip(0, 255).astype(np.uint8)).convert("RGB")
    if image.has_transparency_data:
        opaque = Image.new("RGBA", image.size, "white")
        opaque.alpha_composite(image.convert("RGBA"))
        return opaque.convert("RGB")
    return image.convert("RGB")
