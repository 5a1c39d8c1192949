"""Problems that the reader can mend."""

from __future__ import annotations

import math
from numbers import Integral, Real
from typing import Any


class Problem(ValueError):
    """Something asked for cannot be done. The message is one sentence or two: the thing, the value, the way out.

    Notebooks and the command line show the message alone, without a traceback.
    """

    def _render_traceback_(self) -> list[str]:  # IPython's hook
        return [f"{type(self).__name__}: {self}"]


def require_number(
    name: str,
    value: Any,
    meaning: str,
    *,
    least: float = -math.inf,
    above: float = -math.inf,
    most: float = math.inf,
    below: float = math.inf,
    whole: bool = False,
    kind: type[Problem] = Problem,
) -> None:
    """Raise `kind`, a sentence that ends with `meaning`, unless `value` is a finite number within these bounds, and a
    whole one if it has to be."""
    number = float(value) if isinstance(value, Real) and not isinstance(value, bool) else math.nan
    kept = math.isfinite(number) and least <= number <= most and above < number < below
    if not kept or (whole and not isinstance(value, Integral)):
        raise kind(f"{name} is {value!r}; {meaning}.")
