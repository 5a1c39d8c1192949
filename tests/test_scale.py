"""A large folder fits into memory: `python -m benchmarks.scale` shows it of 202,599 pictures, this of fewer."""

import pytest

from benchmarks import scale

SMALL, LARGE = 2000, 8000
COPIES = 3
"""Of all pixels, what training may take at most: those that are memory-mapped, and those that it holds in its layout;
one more would be too much by less than what the system lends a process for other purposes."""


@pytest.mark.slow
def test_training_holds_the_pixels_once_beside_the_file(tmp_path):
    held = [scale.costs(tmp_path / str(n), n, ["read", "original"])["original"] for n in (SMALL, LARGE)]
    pixels = (LARGE - SMALL) * 3 * scale.SIZE**2 / 2**20
    assert held[1] - held[0] < COPIES * pixels
