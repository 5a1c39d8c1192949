"""How often CelebA's 202,599 images have each of the forty attributes: aggregates, shipped with the library."""

from __future__ import annotations

from pathlib import Path

import pandas as pd

RATES = pd.read_csv(Path(__file__).with_name("celeba_rates.csv"), index_col="attribute")
"""By attribute, the share of `all` images, of `women`'s and of `men`'s that have it."""

NAMES = tuple(RATES.index)
"""The forty attributes in the official order."""


def share_of_women(attribute: str) -> float:
    """Among all images with `attribute`, the share of women."""
    women = RATES.loc[attribute, "women"] * (1 - RATES.loc["Male", "all"])
    return float(women / RATES.loc[attribute, "all"])
