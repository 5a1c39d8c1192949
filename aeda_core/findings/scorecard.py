"""The scorecard: every claim and its verdict, as data/scorecard.json and as the tables on the pages."""

from __future__ import annotations

import json
import re
from collections import Counter
from collections.abc import Sequence
from dataclasses import asdict
from datetime import UTC, datetime
from pathlib import Path

import pandas as pd

from aeda_core import provenance, runs
from aeda_core.datasets.base import DATA, PROJECT
from aeda_core.experiments import CHAPTERS
from aeda_core.findings import benchmarks, costs
from aeda_core.findings.claims import CLAIMS, HEADLINES, judged
from aeda_core.findings.judge import REMARKS, RULE, Claim

SCORECARD = DATA / "scorecard.json"
_BEGIN, _END = "<!-- scorecard:begin -->", "<!-- scorecard:end -->"


def everything() -> list[Claim]:
    """Every claim, judged by the committed records."""
    return [claim for name in CLAIMS for claim in judged(name, *map(runs.run_all, CHAPTERS[name].shown()))]


def table(claims: Sequence[Claim]) -> str:
    """The lines of `claims` as a Markdown table."""
    return pd.DataFrame([claim.in_words() for claim in claims]).to_markdown(index=False, disable_numparse=True)


def counted(claims: Sequence[Claim]) -> str:
    """How many claims got which verdict, in a sentence."""
    found = Counter(claim.verdict for claim in claims)
    ours, claimed = found.pop("ours", 0), sum(found.values())
    parts = [f"{found[verdict]} {verdict}" for verdict in RULE if found[verdict]]
    return (
        f"Of {claimed} claims of the paper: {', '.join(parts)}. Claims of ours, which the paper does not make: {ours}."
    )


def summary(claims: Sequence[Claim]) -> str:
    """The headline claims and the count of all, for README and intro."""
    return f"{table([claim for claim in claims if claim.id in HEADLINES])}\n\n{counted(claims)}"


def page(claims: Sequence[Claim]) -> str:
    """The scorecard page: the rule, and every claim under the chapter that shows it."""
    meaning = pd.DataFrame({"verdict": [f"**{v}**" for v in RULE], "when": RULE.values()})
    parts = [counted(claims), "## The rule", meaning.to_markdown(index=False), *REMARKS]
    for chapter, own in _by_chapter(claims).items():
        parts += [f"## {{doc}}`{chapter}`", table(own), _shared_origin(own)]
    return "\n\n".join(parts)


def _by_chapter(claims: Sequence[Claim]) -> dict[str, list[Claim]]:
    """By the page of the chapter that shows what they are about."""
    found = {chapter.title: [c for c in claims if c.where in chapter.about] for chapter in CHAPTERS.values()}
    return {page: own for page, own in found.items() if own}


def _shared_origin(claims: Sequence[Claim]) -> str:
    origins = dict.fromkeys(
        f"{claim.data}, profile {claim.profile}, trained on {claim.device}" for claim in claims if claim.n
    )
    return f"Data: {'; '.join(origins)}." if origins else "No record yet."


PAGES = {
    PROJECT / "README.md": summary,
    PROJECT / "book" / "intro.md": summary,
    PROJECT / "book" / "scorecard.md": page,
    PROJECT / "book" / "reproducibility.md": lambda claims: costs.page(),
    PROJECT / "book" / "benchmarks.md": lambda claims: benchmarks.page(),
}
"""What is written between the markers of which file."""


def write(check: bool = False) -> list[str]:
    """Write data/scorecard.json and the generated parts of PAGES from the recorded runs.

    check: write nothing. Returns the files that changed, or would change.
    """
    claims = everything()
    lines = [asdict(claim) for claim in claims]
    texts: dict[Path, str] = {}
    before = json.loads(SCORECARD.read_text()) if SCORECARD.exists() else {}
    if before.get("claims") != json.loads(json.dumps(lines)):
        generated = datetime.now(UTC).isoformat(timespec="seconds")
        now = {"commit": provenance.commit(), "generated": generated, "claims": lines}
        texts[SCORECARD] = json.dumps(now, indent=1, ensure_ascii=False) + "\n"
    for path, shown in PAGES.items():
        old = path.read_text()
        block = f"{_BEGIN}\n\n{shown(claims)}\n\n{_END}"
        new, found = re.subn(f"{_BEGIN}.*?{_END}", lambda _, block=block: block, old, flags=re.DOTALL)
        if found != 1:
            raise ValueError(f"'{path}' has {found} places between {_BEGIN} and {_END}; it needs one.")
        if new != old:
            texts[path] = new
    if not check:
        for path, text in texts.items():
            runs.write_atomically(path, text)
    return [str(path.relative_to(PROJECT)) for path in texts]
