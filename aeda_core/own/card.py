"""The model card: what a saved classifier was trained on, what it is worth, and what it must not be used for.

Its headings are those of Hugging Face's model cards.
"""

from __future__ import annotations

import html
import re
from importlib.resources import files
from string import Template
from typing import TYPE_CHECKING

import aeda_core
from aeda_core.own import mitigate_report
from aeda_core.own.report import Table
from aeda_core.own.saved import About

if TYPE_CHECKING:
    from aeda_core.own.mitigate import Mitigated

ANOTHER = """The network is not part of this project, so loading the weights takes its class:
`aeda_core.own.saved.load_model(".", extractor=TheClass())`."""


def written(found: Mitigated, about: About) -> str:
    """The card of the classifier that `found` recommends, in Markdown."""
    data = found.parts
    undefined = found.tested[0].evaluation.undefined
    left_out = f"For want of test images of every bias value nothing is said about {_listed(undefined)}. "
    return _template("card.md").substitute(
        name=_plain(found.name),
        verdict=_plain(str(found)),
        network=found.network,
        method=found.tested[found.verdict.better].label,
        size=about.size,
        output="probabilities that add up to 1" if about.classes else "for each a probability that it is present",
        targets=_listed(about.targets),
        version=aeda_core.__version__,
        groups=_listed(data.test.bias_names),
        undefined=left_out if undefined else "",
        start=_start(about),
        n_training=f"{len(data.training):,}",
        n_validation=f"{len(data.validation):,}",
        n_test=f"{len(data.test):,}",
        training_groups=_markdown(mitigate_report.sizes(data.training, "training images")),
        epochs=found.epochs,
        trials=_markdown(mitigate_report.trials(found)),
        results=_markdown(mitigate_report.results(found)),
        test_groups=_markdown(mitigate_report.accuracies(found)),
    )


def _start(about: About) -> str:
    """How the weights are loaded with torch and safetensors alone."""
    if not about.network:
        return ANOTHER
    activation = "softmax(1)" if about.classes else "sigmoid()"
    return _template("start.md").substitute(size=about.size, activation=activation).strip()


def _template(name: str) -> Template:
    return Template(files("aeda_core.own").joinpath(name).read_text(encoding="utf-8"))


def _markdown(table: Table) -> str:
    """A table in Markdown, its caption before it."""
    rules = [":---"] * table.words + ["---:"] * (len(table.head) - table.words)
    rows = [[_plain(cell) for cell in table.head], rules, *([_plain(cell) for cell in row] for row in table.rows)]
    return "\n".join([table.caption, "", *(f"| {' | '.join(row)} |" for row in rows)])


def _listed(names: tuple[str, ...]) -> str:
    return ", ".join(map(_plain, names))


def _plain(text: str) -> str:
    """Text of the data's that Markdown and HTML take for text, on one line."""
    return re.sub(r"([\\`*_{}\[\]#|~$])", r"\\\1", html.escape(" ".join(text.split()), quote=False))
