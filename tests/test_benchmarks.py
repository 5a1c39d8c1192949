"""The benchmarks' file and page; the timings and the check of the peers are `make bench`'s own."""

import importlib.util
import json

import numpy as np
import pytest

from aeda_core.datasets.base import PROJECT
from aeda_core.findings import benchmarks, scorecard

spec = importlib.util.spec_from_file_location("benchmarks_table", PROJECT / "benchmarks" / "table.py")
table = importlib.util.module_from_spec(spec)
spec.loader.exec_module(table)

HEAD = {
    "device": "a CPU",
    "capability": "AVX2",
    "bf16_units": False,
    "threads": 2,
    "commit": "abc",
    "date": "2020-02-02",
    "versions": {"torch": "2"},
    "data": "drawn digits",
    "images": 96,
    "promised": {"attack.foolbox": 1.5},
}


def row(id_, ratio=1.0, spread=0.0, **changes):
    quartiles = [ratio - spread, ratio + spread]
    made = {"ours": 2.0, "other": 1.0, "ratio": ratio, "quartiles": quartiles, "unit": "s", "n": 3, "device": "a CPU"}
    return {"id": id_, **made, **changes}


@pytest.fixture
def path(tmp_path):
    return tmp_path / "benchmarks.json"


def kept(path):
    return {row["id"]: row["ratio"] for row in json.loads(path.read_text())["rows"]}


class TestPut:
    def test_merges_by_id_and_keeps_the_rest(self, path):
        table.put([row("book.laptop", 1), row("attack.art", 2)], HEAD, path=path)
        table.put([row("attack.art", 3), row("tests", 4)], path=path)
        assert kept(path) == {"attack.art": 3, "book.laptop": 1, "tests": 4}
        assert {key: value for key, value in json.loads(path.read_text()).items() if key != "rows"} == HEAD

    def test_takes_away_what_its_owner_no_longer_measures(self, path):
        table.put([row("scale.n.5"), row("scale.n.9"), row("tests")], path=path)
        table.put([row("scale.n.5", 2)], owned=("scale.",), path=path)
        assert kept(path) == {"scale.n.5": 2, "tests": 1}

    def test_an_id_twice_is_refused_and_nothing_written(self, path, refused):
        with refused(ValueError, "2 rows have 1 different ids"):
            table.put([row("tests"), row("tests")], path=path)
        assert not path.exists()

    def test_leaves_no_part_of_a_file(self, path):
        table.put([row("tests")], path=path)
        assert list(path.parent.iterdir()) == [path]


def test_row_has_the_median_and_quartiles_of_its_ratios():
    made = table.row("tests", 1234.567, 0.1, np.array([1.0, 2.0, 3.0, 4.0, 50.0]), "s")
    assert (made["ours"], made["ratio"], made["quartiles"], made["n"]) == (1235.0, 3.0, [2.0, 4.0], 5)


def test_contenders_take_turns_and_each_begins_a_round():
    order = []
    contenders = {name: lambda name=name: order.append(name) for name in "abc"}
    seconds = table.taking_turns(contenders, 3)
    assert "".join(order) == "abcbcacab"
    assert {name: times.shape for name, times in seconds.items()} == dict.fromkeys("abc", (3,))


class TestPage:
    def test_shows_what_the_file_says(self, path):
        rows = [
            row("attack.torchattacks.fp32", 1.01, 0.05, ours=712, other=705),
            row("attack.foolbox", 1.6, 0.1),
            row("attack.foolbox.frozen", 1.0, 0.1),
            row("epoch.aeda_robust/original", 7.5),
            row("once.aeda_robust/original", 12),
            row("epoch.something_new/original", 3.25),
            row("scale.steps.5", 7.5),
            row("scale.n.1000", 1, ours=4),
            row("memory.n.1000", 1, ours=600, other=590, unit="MiB"),
            row("book.laptop", 1, ours=900, other=None, quartiles=None),
        ]
        table.put(rows, HEAD | {"refused": {"undersampling": "It finds no image."}}, path=path)
        shown = benchmarks.page(path)
        for words in (
            "2020-02-02",
            "without units for bf16",
            "torchattacks under equal conditions there is no difference that the noise would not explain",
            "Beside foolbox as it comes, ours is faster",
            "AEDA_robust",
            "something new",
            "Under-sampling. It finds no image.",
            "`book.laptop`",
        ):
            assert words in shown
        assert shown.count("a CPU") == 2  # once in the head, once with the row that may come from elsewhere

    @pytest.mark.parametrize(("ratio", "word"), [(1.2, "faster"), (0.8, "slower"), (1.0, "no difference")])
    def test_words_follow_the_quartiles(self, ratio, word):
        assert word in benchmarks.said(row("attack.art", ratio, 0.1))

    def test_of_an_empty_file(self, path):
        path.write_text("{}")
        assert benchmarks.page(path) == "Nothing was measured yet."

    def test_is_current(self):
        assert benchmarks.page() in (PROJECT / "book" / "benchmarks.md").read_text()
        assert PROJECT / "book" / "benchmarks.md" in scorecard.PAGES
