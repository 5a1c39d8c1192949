"""The scorecard: every claim and its verdict, as data/scorecard.json and as the tables on the pages."""

from __future__ import annotations

import json
import re
import tomllib
from collections import Counter
from collections.abc import Sequence
from dataclasses import asdict
from datetime import UTC, datetime
from pathlib import Path
from typing import get_args

import pandas as pd

from aeda_core import provenance, runs, storage
from aeda_core.datasets.base import DATA, PROJECT
from aeda_core.experiments import CHAPTERS
from aeda_core.experiments import pretrained as on_pretrained
from aeda_core.findings import benchmarks, costs, forest, reliability, statistics, tampered
from aeda_core.findings.claims import CLAIMS, HEADLINES, judged
from aeda_core.findings.judge import CHANCE, JUDGED, REMARKS, RULE, About, Claim, told
from aeda_core.findings.paper import TABLE1, TABLE2, Published, label
from aeda_core.findings.statistics import REAL

SCORECARD = DATA / "scorecard.json"
PICTURE = PROJECT / "book" / "_static" / "claims.html"
TABLES: dict[str, tuple[str, dict[str, Published]]] = {"table1": ("C-MNIST", TABLE1), "table2": ("CelebA", TABLE2)}
"""By the beginning of their claims' ids: the data and the rows of the tables that compare methods."""
SPOILED = {
    "aeda_random": ("random signs in the perturbations", "their direction"),
    "aeda_shuffled": ("perturbations made for other images", "a perturbation of each image's own"),
    "aeda_untrained": ("an untrained bias head", "what the bias head has learned"),
}
"""What the controls of chapter 12 do to the attack of AEDA_robust, and what they take from it."""
BEFORE = tomllib.loads(Path(__file__).with_name("before.toml").read_text(encoding="utf-8"))
"""The count by the rule before this one."""
_BEGIN, _END = "<!-- scorecard:begin -->", "<!-- scorecard:end -->"


def everything() -> list[Claim]:
    """Every claim, judged by the committed records."""
    return [claim for name in CLAIMS for claim in judged(name, *map(runs.run_all, CHAPTERS[name].shown()))]


def table(claims: Sequence[Claim], with_badges: bool = False) -> str:
    """The lines of `claims` as a Markdown table; verdicts are coloured on a page of the book."""
    lines = [claim.in_words() | ({"verdict": forest.badge(claim.verdict)} if with_badges else {}) for claim in claims]
    return pd.DataFrame(lines).to_markdown(index=False, disable_numparse=True)


def tallied(claims: Sequence[Claim]) -> pd.DataFrame:
    """How many claims got which verdict: a row for AEDA's, one for those about rivals and mechanism, and one for ours,
    which get none."""
    rows = {}
    for about in get_args(About):
        found = Counter(claim.verdict for claim in claims if claim.about == about)
        judged = {verdict: found[verdict] for verdict in JUDGED}
        rows[f"the paper's claims about {about}"] = {"claims": sum(judged.values()), **judged}
    unjudged = dict.fromkeys(JUDGED, "–")
    rows["ours, of which the paper says nothing"] = {
        "claims": sum(claim.about == "ours" for claim in claims),
        **unjudged,
    }
    return pd.DataFrame.from_dict(rows, orient="index").rename_axis(index="")


def counted(claims: Sequence[Claim]) -> str:
    """The tallies, what they leave out, and how many agreements chance alone would bring."""
    found = Counter(claim.verdict for claim in claims)
    judged = sum(found[verdict] for verdict in JUDGED)
    short = {name: name.removeprefix("the paper's claims ").partition(",")[0] for name in tallied(claims).index}
    tallies = tallied(claims).rename(index=short, columns={"claims": "all"}).T.rename_axis("claims")
    return (
        f"{tallies.to_markdown(colalign=('left', *['right'] * tallies.shape[1]))}\n\n"
        "The first two columns are claims of the paper; ours are those of which it says nothing. "
        "A baseline that does better here than in the paper counts in the second column: it is no evidence for AEDA. "
        f"Beside these, {found['descriptive']} levels are shown and not judged, "
        f"and {found['not run']} claims were not run. "
        f"Every interval covers {100 * statistics.LEVEL:.0f} % by itself, without a correction for their number: if "
        f"there were no effect behind any of the {judged} claims, about {judged * CHANCE:.1f} of them would still, by "
        "chance, be called exceeded, reproduced or partly."
    )


def beside_rivals(claims: Sequence[Claim]) -> str:
    """For each table what AEDA_robust achieves, and in the same sentence which of the others do better."""
    levels = {claim.id: claim for claim in claims}
    sentences = []
    for id_, (data, table) in TABLES.items():
        own, original = (levels[f"{id_}.{method}.bacc"] for method in ("aeda_robust", "original"))
        bias = levels[f"{id_}.aeda_robust.bias"]
        if not all(isinstance(claim.ours, float) for claim in (own, original, bias)):
            continue
        others = {m: [levels[f"{id_}.{m}.{measure}"].ours for measure in ("bacc", "bias")] for m in table}
        better = [
            f"{label(m)} ({level[0]:.1f} %, {level[1]:.2f})"
            for m, level in others.items()
            if m != "aeda_robust" and isinstance(level[0], float) and (level[0] > own.ours or level[1] < bias.ours)
        ]
        sentences.append(
            f"On {data} AEDA_robust has a bACC of {own.ours:.1f} % and a bias of {bias.ours:.2f}, Original "
            f"{original.ours:.1f} % and {levels[f'{id_}.original.bias'].ours:.2f}; "
            + (
                f"ahead of it in accuracy, in fairness or in both: {', '.join(better)}."
                if better
                else "no other method is ahead of it in either."
            )
        )
    return " ".join(sentences)


def controls(claims: Sequence[Claim]) -> str:
    """How far AEDA_robust is ahead of itself with a spoiled attack, and so whether the attack is what matters."""
    levels = {claim.id: claim for claim in claims}
    parts = []
    for method, (how, what) in SPOILED.items():
        claim = levels[f"chapter12.aeda_robust.over.{method}.gain"]
        if claim.ci95:
            low, high = claim.ci95
            if high < 0:
                verb, numbers, said = "gains", (-claim.ours, -high, -low), f"accuracy does not need {what}"
            else:
                said = f"accuracy depends on {what}" if low > 0 else f"whether accuracy needs {what} is undecided"
                verb, numbers = "loses", (claim.ours, low, high)
            by = "{} [{}, {}] points of bACC".format(*map(told, numbers))
            parts.append(f"With {how} AEDA_robust {verb} {by}: {said}.")
    asked = "Is it the attack? Chapter 12 trains AEDA_robust with its attack spoiled in one respect at a time."
    return " ".join([asked, *parts]) if parts else ""


def pretrained(claims: Sequence[Claim]) -> str:
    """What is left of the effect on faces where the network starts from pretrained weights, and which rival has one."""
    by_id = {claim.id: claim for claim in claims}
    higher, lower = "is higher than Original's", "is lower than Original's"
    ours, rivals = [], []
    for method in on_pretrained.METHODS[1:]:
        gain, share = (by_id[f"chapter13.{method}.{measure}"] for measure in ("gain", "bias_ratio"))
        if gain.ci95 and share.ci95:
            accuracy, bias = _told_from(gain, 0, lower, higher), _told_from(share, 1, lower, higher)
            if gain.about == "AEDA":
                ours.append(
                    f"The bACC of {label(method)} {accuracy}: {_with_interval(gain)} points more. "
                    f"Its bias {bias}: {_with_interval(share)} times as much."
                )
            elif higher in accuracy or lower in bias:
                rivals.append(
                    f"{label(method)}, {_with_interval(gain)} points and {_with_interval(share)} times the bias"
                )
    asked = "Does it hold with pretrained features? Chapter 13 trains a network on faces that has them."
    others = [f"Of the other methods there, each against Original: {'; '.join(rivals)}."] if rivals else []
    return " ".join([asked, *ours, *others]) if ours else ""


def _told_from(claim: Claim, nothing: float, below: str, above: str) -> str:
    low, high = claim.ci95 or REAL
    return above if low > nothing else below if high < nothing else "cannot be told from Original's"


def before() -> str:
    """What the rule before gave."""
    found = ", ".join(f"{number} {verdict}" for verdict, number in BEFORE["verdicts"].items())
    return (
        f"Until {BEFORE['until']:%d %B %Y} (commit {BEFORE['commit']}) a more lenient rule judged levels too, called a "
        "number reproduced whenever the 95 % interval contained it, and treated folds as independent runs. On the "
        f"records of that time it gave, of {BEFORE['claims']} claims of the paper, {found}, beside {BEFORE['ours']} of "
        "ours."
    )


def conclusion(claims: Sequence[Claim]) -> str:
    """What to conclude of the paper's finding, in a paragraph."""
    by_id = {claim.id: claim for claim in claims}
    sentences = []
    for id_, (data, _) in TABLES.items():
        gain, share = (by_id[f"{id_}.aeda_robust.{measure}"] for measure in ("gain", "bias_ratio"))
        if gain.ci95 and share.ci95:
            sentences.append(
                f"On {data} the bACC of AEDA_robust is above Original's by {_beside_paper(gain, ' points')}, and its "
                f"bias as a share of Original's is {_beside_paper(share)}."
            )
    aeda = tallied(claims).iloc[0]
    found = ", ".join(f"{aeda[verdict]} *{verdict}*" for verdict in JUDGED)
    return " ".join([*sentences, f"The verdicts on the paper's {aeda['claims']} claims about AEDA: {found}."])


def _with_interval(claim: Claim, unit: str = "") -> str:
    low, high = map(told, claim.ci95 or ())
    return f"{told(claim.ours)}{unit} [{low}, {high}]"


def _beside_paper(claim: Claim, unit: str = "") -> str:
    return f"{_with_interval(claim, unit)} (the paper: {told(claim.paper)}; *{claim.verdict}*)"


def summary(claims: Sequence[Claim]) -> str:
    """The headline claims, how AEDA's rivals did, and the count of all, for README."""
    headlines = table([claim for claim in claims if claim.id in HEADLINES])
    return "\n\n".join([headlines, beside_rivals(claims), controls(claims), pretrained(claims), counted(claims)])


def story(claims: Sequence[Claim]) -> str:
    """What to conclude, the picture of every claim, how AEDA's rivals did, and the count, for the introduction."""
    shown = f"```{{raw}} html\n:file: {PICTURE.relative_to(PROJECT / 'book')}\n```"
    asked = [beside_rivals(claims), controls(claims), pretrained(claims)]
    return "\n\n".join([conclusion(claims), forest.KEY, shown, *asked, counted(claims)])


def picture(claims: Sequence[Claim]) -> str:
    """The claims about AEDA as a picture in HTML, and the others, folded, as another."""
    statements = {row.id: row for rows in CLAIMS.values() for row in rows}
    by_page = _by_chapter(claims)
    pages = {claim.where: page for page, own in by_page.items() for claim in own}
    in_order = [claim for own in by_page.values() for claim in own]
    aeda, rivals = (
        forest.picture(
            f"the paper's claims about {about}", [c for c in in_order if c.about == about], statements, pages
        )
        for about in ("AEDA", "rivals and mechanism")
    )
    return (
        f"{aeda}\n<details>\n<summary>The paper's claims about rivals and mechanism</summary>\n{rivals}\n</details>\n"
    )


def page(claims: Sequence[Claim]) -> str:
    """The scorecard page: the rule, and every claim under the chapter that shows it."""
    meaning = pd.DataFrame({"verdict": [forest.badge(v) for v in RULE], "when": RULE.values()})
    parts = [
        counted(claims),
        beside_rivals(claims),
        before(),
        "## The rule",
        "*I* is the 95 % interval of our mean, *p* the effect that the paper prints.",
        meaning.to_markdown(index=False),
        *REMARKS,
    ]
    for chapter, own in _by_chapter(claims).items():
        parts += [f"## {{doc}}`{chapter}`", table(own, with_badges=True), _shared_origin(own)]
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
    PROJECT / "book" / "intro.md": story,
    PROJECT / "book" / "scorecard.md": page,
    PROJECT / "book" / "reproducibility.md": lambda claims: costs.page(),
    PROJECT / "book" / "benchmarks.md": lambda claims: benchmarks.page(),
    PROJECT / "book" / "reliability.md": lambda claims: reliability.page(),
    PROJECT / "book" / "tamper.md": lambda claims: tampered.page(),
}
"""What is written between the markers of which file."""

FILES = {PICTURE: picture}
"""What is written as a whole."""


def write(check: bool = False) -> list[str]:
    """Write data/scorecard.json, FILES and the generated parts of PAGES from the recorded runs.

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
    for path, made in FILES.items():
        if not path.exists() or path.read_text() != made(claims):
            texts[path] = made(claims)
    if not check:
        for path, text in texts.items():
            storage.write(path, text)
    return [str(path.relative_to(PROJECT)) for path in texts]
