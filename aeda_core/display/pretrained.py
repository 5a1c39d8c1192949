"""What chapter 13 shows: two networks side by side, and what was tried over the radius of the attack."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from aeda_core.display.look import Figure, canvas, finished, legend, look, point, styled
from aeda_core.display.plots import AXES
from aeda_core.display.tables import TITLES, Table, rows
from aeda_core.findings.faces import of_method, over_original
from aeda_core.findings.measures import DECIMALS, estimates, frame
from aeda_core.findings.paper import TABLE2, label
from aeda_core.runs import RunRecord


def networks(records: Mapping[str, Sequence[RunRecord]]) -> Table:
    """What was trained on every network, and all that attacks a robust bias head; `records` by what a network is
    called."""
    by_network = {network: dict.fromkeys(run.spec.method for run in runs) for network, runs in records.items()}
    on_all = set.intersection(*map(set, by_network.values()))
    cells = {}
    for network, runs in records.items():
        for method in by_network[network]:
            if method not in on_all and not method.startswith("aeda_robust"):
                continue
            row = {
                title: estimates(frame(of_method(runs, method)), measure)[method].text(DECIMALS[measure])
                for measure, title in TITLES.items()
            }
            if method != "original":
                gain, share = over_original(runs, method)
                row |= {"bACC over Original's": gain.text(2), "bias, share of Original's": share.text(2)}
            cells[f"{network}: {label(method)}"] = row
    data = rows(cells, "network and method").fillna("")
    return Table.of("networks", data, [run for runs in records.values() for run in runs], **_papers())


def _papers() -> dict[str, str]:
    original, robust = (TABLE2[method] for method in ("original", "aeda_robust"))
    return {
        "original": f"{original['bacc']:.2f} % and {original['bias']:.2f}",
        "gain": f"{robust['bacc'] - original['bacc']:.2f}",
        "share": f"{robust['bias'] / original['bias']:.2f}",
    }


@styled
def fig_radius(tried: Sequence[RunRecord]) -> Figure:
    """What was tried for AEDA over the radius ε, beside Original with the same plan, on people who choose."""
    attacked = [run for run in tried if "epsilon" in run.spec.options]
    plan = attacked[0].spec.plan
    (original,) = (run for run in tried if run.spec.method == "original" and run.spec.plan == plan)
    groups: dict[tuple[str, str], list[RunRecord]] = {}
    for run in attacked:
        groups.setdefault((run.spec.method, _but_radius(run)), []).append(run)
    drawn, axes = canvas(2.6, 1, 2)
    words = []
    for ax, measure in zip(axes, TITLES, strict=True):
        labels = {name: label(name) for name in ("original", *(method for method, _ in groups))}
        ax.axhline(getattr(original, measure), label=labels.pop("original"), **look("original"))
        for (method, setting), own in groups.items():
            own = sorted(own, key=lambda run: run.spec.options["epsilon"])
            at, values = [run.spec.options["epsilon"] for run in own], [getattr(run, measure) for run in own]
            ax.plot(at, values, **(look(method) | point(method)), markersize=5, label=labels.pop(method, None))
            told = (f"{v:.{DECIMALS[measure]}f} at {e:g}" for e, v in zip(at, values, strict=True))
            words.append(f"{TITLES[measure]}, {label(method)}, {setting}: {', '.join(told)}")
        words.append(f"{TITLES[measure]}, Original: {getattr(original, measure):.{DECIMALS[measure]}f}")
        ax.set(xlabel="radius ε of the attack", ylabel=AXES[measure])
        ax.grid(axis="y")
    legend(drawn, "upper left", 3, *axes[0].get_legend_handles_labels())
    methods = " and ".join(dict.fromkeys(run.spec.method for run in attacked))
    return finished(drawn, "pretrained-radius", [original, *attacked], words="; ".join(words), methods=methods)


def _but_radius(run: RunRecord) -> str:
    options = run.spec.options
    rate, begins = options["bias_learning_rate"], options["start"] + 1
    return f"λ {options['lambda_']:g}, rate of the bias head {rate:g}, from epoch {begins}"
