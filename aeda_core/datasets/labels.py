"""A CSV of labels, read strictly: what is wrong with it is said with the line where it stands."""

from __future__ import annotations

import csv
import difflib
import io
import posixpath
import re
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from aeda_core.datasets.base import DataError

MOST_LABELS = 50
"""A column with more different values than this holds a measurement or a name, and no label."""

NO_LABEL = ("", "na", "n/a", "nan", "null")
YES, NO = ("1", "yes", "y", "true", "present"), ("0", "-1", "no", "n", "false", "absent")
"""What a column of yes and no may say, in any case."""


@dataclass(frozen=True)
class Labels:
    """A column as numbers.

    numbers:   int64 (rows,), places in `names`
    names:     of the labels: numbers in their order, words in that of the alphabet
    yes_or_no: whether the column says yes and no; `names` are then `no COLUMN` and `COLUMN`
    """

    numbers: Tensor
    names: tuple[str, ...]
    yes_or_no: bool


@dataclass(frozen=True)
class Table:
    """The columns that were asked for, as text without space around it.

    columns: by name, a text for each row of the CSV
    lines:   the line of the file that each row ends on
    rows:    the rows that are used, which have all labels and are not there twice
    notes:   what was said of the others
    """

    file: Path
    columns: dict[str, list[str]]
    lines: list[int]
    rows: list[int]
    notes: tuple[str, ...]

    def value(self, row: int, column: str) -> str:
        """The text of `column` in `row`."""
        return self.columns[column][row]

    def line(self, row: int) -> str:
        """Where `row` stands, for a sentence."""
        return f"line {self.lines[row]} of '{self.file}'"

    def labels(self, column: str, rows: Sequence[int]) -> Labels:
        """The labels of `rows`. Raises DataError where they are none that one could learn and test."""
        texts = [self.value(row, column) for row in rows]
        counts = Counter(texts)
        if _is_yes_or_no(counts):
            return self.attribute(column, rows)
        if len(counts) > MOST_LABELS:
            raise DataError(
                f"the column '{column}' of '{self.file}' has {len(counts)} different values, {listed(counts)}; labels "
                f"are at most {MOST_LABELS}: put measurements into classes first."
            )
        self._two_or_more(column, counts)
        self._no_twins(column, counts)
        for name, count in counts.items():
            if count == 1:
                raise DataError(
                    f"{self.line(rows[texts.index(name)])} is the only one whose {column} is '{name}', and one picture "
                    "cannot be learned from and tested on; correct the label, add pictures, or leave the row out."
                )
        names = sorted(counts, key=in_order(counts))
        numbers = {name: number for number, name in enumerate(names)}
        return Labels(torch.tensor([numbers[text] for text in texts]), tuple(names), yes_or_no=False)

    def attribute(self, column: str, rows: Sequence[int]) -> Labels:
        """The yes (1) and no (0) of `rows`. Raises DataError where a text is neither, or all are the same."""
        texts = [self.value(row, column) for row in rows]
        for row, text in zip(rows, texts, strict=True):
            if text.lower() not in YES + NO:
                raise DataError(
                    f"{self.line(row)} has '{text}' as {column}, and one of several targets says yes or no, with one "
                    f"of {', '.join((*YES, *NO))}."
                )
        said = [text.lower() in YES for text in texts]
        self._two_or_more(column, Counter("yes" if yes else "no" for yes in said))
        return Labels(torch.tensor(said, dtype=torch.int64), (f"no {column}", column), yes_or_no=True)

    def _two_or_more(self, column: str, counts: Counter[str]) -> None:
        if len(counts) < 2:
            raise DataError(
                f"the column '{column}' of '{self.file}' is '{next(iter(counts))}' in every picture that can be used; "
                "it takes at least two values to tell apart."
            )

    def _no_twins(self, column: str, counts: Counter[str]) -> None:
        seen: dict[str, str] = {}
        for name in counts:
            twin = seen.setdefault(name.casefold(), name)
            if twin != name:
                raise DataError(
                    f"the column '{column}' of '{self.file}' has '{twin}' and '{name}', which differ in case alone; "
                    "write them alike."
                )


def read_labels(file: Path, wanted: Sequence[str]) -> Table:
    """The columns `wanted` of a CSV, the first of which holds paths; separated by commas, in UTF-8, with a header.

    Raises DataError for a file that is no such thing, lacks a column, or says different things of one path.
    """
    if len(set(wanted)) < len(wanted):
        twice = next(name for name in wanted if wanted.count(name) > 1)
        raise DataError(f"the column '{twice}' is asked for twice; path, target, bias, identity and split differ.")
    header, cells, lines = parsed(file)
    for name in wanted:
        require_column(file, header, name)
    columns = {name: [row[header.index(name)].strip() for row in cells] for name in wanted}
    table = Table(file, columns, lines, list(range(len(cells))), ())
    rows, notes = _usable(table, wanted)
    return Table(file, columns, lines, rows, tuple(notes))


def parsed(file: Path) -> tuple[list[str], list[list[str]], list[int]]:
    """The header, the cells of each row, and the line that it ends on."""
    if not file.is_file():
        raise DataError(f"there is no file '{file}'; name the CSV with the labels.")
    try:
        text = file.read_bytes().decode("utf-8-sig")
    except UnicodeDecodeError as reason:
        raise DataError(f"'{file}' is not in UTF-8 (byte {reason.start}); save it as UTF-8.") from reason
    except OSError as reason:
        raise DataError(f"'{file}' cannot be read: {reason.strerror}.") from reason
    reader = csv.reader(io.StringIO(text, newline=""), strict=True)
    found: list[list[str]] = []
    lines: list[int] = []
    try:
        for row in reader:
            if row:
                found.append(row)
                lines.append(reader.line_num)
    except csv.Error as reason:
        raise DataError(f"line {reader.line_num} of '{file}' is not CSV: {reason}.") from reason
    if not found:
        raise DataError(f"'{file}' is empty; it needs a header and a row for each picture.")
    header = [name.strip() for name in found[0]]
    if len(header) == 1 and any(mark in header[0] for mark in ";\t|"):
        raise DataError(f"the header of '{file}' has no comma: '{header[0]}'; separate the columns by commas.")
    for row, line in zip(found, lines, strict=True):
        if len(row) != len(header):
            raise DataError(
                f"line {line} of '{file}' has {len(row)} columns and the header {len(header)}; put a text that holds a "
                "comma in quotes."
            )
    if len(found) == 1:
        raise DataError(f"'{file}' has a header and no rows; it needs one for each picture.")
    return header, found[1:], lines[1:]


def require_column(file: Path, header: list[str], name: str) -> None:
    """Raise DataError unless the header has the column, and once."""
    times = header.count(name)
    if times > 1:
        raise DataError(f"the header of '{file}' has the column '{name}' {times} times; give each a name of its own.")
    if times == 0:
        near = difflib.get_close_matches(name, header, 1)
        meant = f"; did you mean '{near[0]}'?" if near else "."
        raise DataError(f"'{file}' has no column '{name}'; it has {listed(header, most=12)}{meant}")


def _usable(table: Table, wanted: Sequence[str]) -> tuple[list[int], list[str]]:
    """The rows with all labels, the first of those that say the same of one path; and what is to be said of others."""
    path, *labels = wanted
    first: dict[str, int] = {}
    rows, unlabelled, twice = [], [], []
    for row in table.rows:
        if not table.value(row, path):
            raise DataError(f"{table.line(row)} has no {path}; fill it in, or leave the row out.")
        if any(table.value(row, name).lower() in NO_LABEL for name in labels):
            unlabelled.append(table.value(row, path))
            continue
        earlier = first.setdefault(posixpath.normpath(table.value(row, path)), row)
        if earlier == row:
            rows.append(row)
            continue
        for name in labels:
            if table.value(row, name) != table.value(earlier, name):
                raise DataError(
                    f"{table.line(earlier)} and {table.line(row)} are about '{table.value(row, path)}' and disagree: "
                    f"its {name} is '{table.value(earlier, name)}' and '{table.value(row, name)}'; leave one out."
                )
        twice.append(table.value(row, path))
    if not rows:
        raise DataError(f"no row of '{table.file}' has all of {', '.join(labels)}; fill them in.")
    notes = []
    if unlabelled:
        notes.append(counted(unlabelled, "row lacks a label and is left out", "rows lack a label and are left out"))
    if twice:
        notes.append(counted(twice, "row repeats an earlier one", "rows repeat earlier ones"))
    return rows, notes


def _is_yes_or_no(counts: Counter[str]) -> bool:
    said = {text.lower() for text in counts}
    return said <= {*YES, *NO} and bool(said & {*YES}) and bool(said & {*NO})


def in_order(counts: Counter[str]) -> Callable[[str], Any]:
    """By which labels are sorted: as numbers where all are whole numbers."""
    numbers = all(re.fullmatch("-?[0-9]{1,9}", text) for text in counts)
    return (lambda text: (int(text), text)) if numbers else str


def listed(names: Sequence[str] | Counter[str], separator: str = ", ", most: int = 3) -> str:
    """The first of `names`, and how many more there are."""
    shown = list(names)[:most]
    return separator.join(shown) + (f" and {len(names) - most:,} more" if len(names) > most else "")


def counted(names: Sequence[str], one: str, more: str, separator: str = ", ") -> str:
    """How many `names` there are, what is the matter with one or more of them, and the first."""
    return f"{len(names):,} {one if len(names) == 1 else more}: {listed(names, separator)}."
