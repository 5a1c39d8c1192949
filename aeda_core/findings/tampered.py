"""The page on tampering: data/tamper.json in words."""

from __future__ import annotations

import json
from pathlib import Path

from aeda_core.datasets.base import DATA

TAMPERED = DATA / "tamper.json"


def page(path: Path = TAMPERED) -> str:
    """Markdown of what `path` holds: for each change what `aeda check` said of it."""
    if not path.exists():
        return "Nothing was tried yet."
    parts = []
    for change in json.loads(path.read_text(encoding="utf-8")):
        said = "\n".join(change["said"])
        parts += [
            f"**{change['what'][0].upper()}{change['what'][1:]}**:",
            f"```text\nchanged: {change['file']}\n\n{said}\n```",
        ]
    return "\n\n".join(parts)
