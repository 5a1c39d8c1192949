"""What every caption must say: which profile, which data, how many seeds, which device."""

from __future__ import annotations

import functools
import html
import tomllib
from collections import Counter
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

from aeda_core import datasets
from aeda_core.experiments import CHAPTERS
from aeda_core.runs import RunRecord

STAND_IN = "stand-in: "
"""How the source of a data set that stands in for the real one begins."""

WORDS = tomllib.loads(Path(__file__).with_name("words.toml").read_text(encoding="utf-8"))
"""By name of a figure or table its `caption`, up to where its numbers come from, and what stands for it, its `alt`."""

SMOKE = " Profile smoke tests the machinery: its numbers mean nothing."


def data_phrase(source: str) -> str:
    """A data source in words, a stand-in named as such."""
    return f"a stand-in for the real set, {source.removeprefix(STAND_IN)}" if source.startswith(STAND_IN) else source


def caption(name: str, records: Sequence[RunRecord] = (), origin_: str = "", **told: Any) -> str:
    """The caption of `name` in WORDS, filled in by `told`, and where the numbers of `records` come from: what `origin`
    says of them, or `origin_` if there is more to say."""
    lead = WORDS[name]["caption"].format(spread=spread(records), **told)
    return f"{lead} {origin_ or origin(records)}" if records else lead


def origin(records: Sequence[RunRecord]) -> str:
    """Where the numbers of `records` come from, in one or two sentences.

    Raises ValueError without a record: nothing can be said about nothing.
    """
    if not records:
        raise ValueError("there is no record to describe; pass the records that the table or figure shows.")
    per_method = _seeds(r for r in records if not r.refused) or _seeds(records)
    fewest, most = min(per_method.values()), max(per_method.values())
    unit = unit_of(records)
    number = "one" if most == 1 else str(most) if fewest == most else f"{fewest} to {most}"
    folds = records[0].spec.data.get("folds", most)
    seeds = f"{number} of {folds} folds" if unit == "fold" else f"{number} {unit}{'s' if most > 1 else ''}"
    profiles = _listed(r.profile for r in records)
    sentence = (
        f"Profile {profiles}; data: {_listed(data_phrase(r.provenance['data']) for r in records)}; "
        f"{seeds} a method; trained on {_listed(r.provenance['device'] for r in records)}."
    )
    return sentence + (SMOKE if "smoke" in profiles else "")


def details(records: Sequence[RunRecord]) -> str:
    """The foldable line under a figure or table: which runs are behind it, and the command that makes them again.

    HTML; empty without records.
    """
    if not records:
        return ""
    made = sorted(r.provenance["date"][:10] for r in records)
    fingerprints = _listed(f"{r.spec.data['name']} {r.spec.data['fingerprint'][:12]}" for r in records)
    cpu, clock = (sum(r.provenance[name] for r in records) / 60 for name in ("cpu_seconds", "seconds"))
    told = {
        "runs": f"{len(records)}, profile {_listed(r.profile for r in records)}, "
        f"{_listed(unit_of([r]) for r in records)}s {', '.join(map(str, sorted({r.spec.seed for r in records})))}",
        "data": f"{_listed(data_phrase(r.provenance['data']) for r in records)}; fingerprint {fingerprints}",
        "device": _listed(r.provenance["device"] for r in records),
        "made": f"{' to '.join(dict.fromkeys((made[0], made[-1])))}, at commit "
        f"{_listed(r.provenance['commit'] for r in records)}",
        "took": f"{cpu:.1f} CPU minutes, {clock:.1f} by the clock",
    }
    rows = "".join(f"<dt>{name}</dt><dd>{for_html(text)}</dd>" for name, text in told.items())
    commands = "<br>".join(f"<code>{text}</code>" for text in dict.fromkeys(map(command, records)))
    return (
        '<details class="aeda-origin"><summary>Where this comes from</summary>'
        f"<dl>{rows}<dt>made again by</dt><dd>{commands}</dd></dl></details>\n"
    )


def command(record: RunRecord) -> str:
    """What makes this run again where its record is missing."""
    return _sweeps().get(record.spec.id) or f"aeda book --profile {record.profile}"


@functools.cache
def _sweeps() -> dict[str, str]:
    """By id of a recorded run: the command of the first chapter that asks for it."""
    found: dict[str, str] = {}
    for name, chapter in CHAPTERS.items():
        parameters = chapter.parameters.load("recorded")
        for specs, option in ((chapter.specs, ""), (chapter.tuning, " --tuning")):
            for spec in specs(parameters):
                for each in (spec, spec.in_bf16):  # which stands in until it is trained in float32
                    found.setdefault(each.id, f"aeda sweep {name}{option}")
    return found


def unit_of(records: Sequence[RunRecord]) -> str:
    """What the runs of a method differ in: `fold`, or `seed` where the data are the same."""
    return datasets.named(records[0].spec.data["name"]).runs_over if records else "seed"


def spread(records: Sequence[RunRecord]) -> str:
    """What a table's means and brackets are."""
    several = f"Mean over {unit_of(records)}s [95 % interval]."
    return several if has_intervals(records) else "A single run, so no interval."


def for_html(text: str) -> str:
    """Escaped, and with a number and its % never on two lines."""
    return html.escape(text, quote=False).replace(" %", "\u00a0%")


def for_markdown(text: str) -> str:
    """Escaped as far as what methods are called needs it."""
    return text.replace("_", r"\_").replace("<", "&lt;")


def anchor(kind: str, name: str) -> str:
    """What a page links to: `fig-fig2`, `table-gaps`. No heading has such an anchor; those of "Fig. 2" are `fig-2`."""
    return f"{kind}-{name}"


def has_intervals(records: Iterable[RunRecord]) -> bool:
    """Whether any method has more than one seed, so that an interval over seeds can be given."""
    return max(_seeds(r for r in records if not r.refused).values(), default=0) > 1


def _seeds(records: Iterable[RunRecord]) -> Counter[str]:
    return Counter(name for name, _ in {(r.name, r.spec.seed) for r in records})


def _listed(words: Iterable[str]) -> str:
    return " and ".join(dict.fromkeys(words))
