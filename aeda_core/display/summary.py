"""How a chapter begins and ends: what its records say of the paper's claims, in a few lines."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

from aeda_core.display.captions import for_markdown
from aeda_core.display.tables import Prose
from aeda_core.experiments.chapter import Chapter
from aeda_core.findings import forest
from aeda_core.findings.claims import CLAIMS, HEADLINES, of_chapter
from aeda_core.findings.judge import JUDGED, MARKS, Claim, told
from aeda_core.runs import RunRecord


@dataclass(frozen=True)
class Verdicts:
    """Claims with their verdicts, as a picture on a page and in lines elsewhere."""

    picture: str
    lines: Sequence[str]

    def _repr_html_(self) -> str:
        return self.picture

    def __repr__(self) -> str:
        return repr(Prose("\n".join(self.lines)))


def in_short(chapter: Chapter, *records: Sequence[RunRecord]) -> Prose:
    """The headline claims that a chapter is about, a line each: what was found, what the paper has, the verdict."""
    lines = [_line(claim) for claim in of_chapter(chapter, *records) if claim.id in HEADLINES and claim.n]
    return Prose("\n".join(lines or ["No run of this page is about one of the paper's headline claims."]))


def shown(chapter: Chapter, *records: Sequence[RunRecord]) -> Verdicts:
    """The paper's claims that a chapter is about, each beside the paper's effect and with its verdict."""
    claims = [claim for claim in of_chapter(chapter, *records) if claim.paper is not None and claim.n]
    if not any(claim.verdict in JUDGED for claim in claims):
        text = "Only runs of profile paper on the real data are judged."
        return Verdicts(f"<p>{text}</p>", [text])
    found = Counter(claim.verdict for claim in claims)
    counted = ", ".join(f"{found[verdict]} {verdict}" for verdict in JUDGED if found[verdict])
    head = f"Of the paper's claims: {counted}."
    pages = dict.fromkeys((claim.where for claim in claims), "scorecard")
    picture = forest.picture(head, claims, {row.id: row for rows in CLAIMS.values() for row in rows}, pages)
    lines = [_line(claim) for claim in claims if claim.verdict in JUDGED]
    return Verdicts(f"<p>{head}</p>\n{picture}", [head, *lines])


def _line(claim: Claim) -> str:
    interval = f" [{told(claim.ci95[0])}, {told(claim.ci95[1])}]" if claim.ci95 else ""
    return f"* {for_markdown(claim.claim)}: **{told(claim.ours)}**{interval}; {_beside(claim)}."


def _beside(claim: Claim) -> str:
    """The paper's number or words, and the verdict."""
    if claim.paper is None:
        return "the paper makes no such claim"
    if claim.verdict in JUDGED:
        return f"the paper: {told(claim.paper)}; {MARKS[claim.verdict]} *{claim.verdict}*"
    return f"the paper: {told(claim.paper)}; runs of profile {claim.profile} are not judged"
