"""The register of assumptions in assumptions.toml: what the paper leaves open, what was chosen, and whose idea that is.

A docstring says `(assumption: id)` where the code takes a choice; a test holds both sides together.
"""

from __future__ import annotations

import tomllib
from pathlib import Path
from typing import Annotated

from pydantic import BaseModel, ConfigDict, StringConstraints

Words = Annotated[str, StringConstraints(min_length=1, strip_whitespace=True)]


class Assumption(BaseModel):
    """open: what the paper does not say. ours: what is done here. source: paper, field (common practice) or ours, and
    why. chapter: where it matters."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    id: str
    open: Words
    ours: Words
    source: Annotated[str, StringConstraints(pattern="^(paper|field|ours)")]
    chapter: Annotated[str, StringConstraints(pattern=r"^\d\d$")]


def load(path: Path) -> list[Assumption]:
    """The register in `path`. Raises pydantic's ValidationError where an entry lacks something or has too much."""
    return [Assumption(id=id_, **entry) for id_, entry in tomllib.loads(path.read_text(encoding="utf-8")).items()]


REGISTER = load(Path(__file__).with_name("assumptions.toml"))
