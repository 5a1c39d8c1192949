"""Chapter 11: the folder that it makes is read as it was meant, and the reports that it shows are of its parameters."""

import csv
import html
import json
from dataclasses import replace

import numpy as np
import pytest
from PIL import Image

from aeda_core.display import your_data as shown
from aeda_core.experiments import your_data
from aeda_core.experiments.your_data import BACKGROUNDS, HIGH, LOW, Reports, YourDataParameters
from aeda_core.runs import MissingRecord

SMALL = YourDataParameters.load("smoke", n_images=1000, correlation=0.8)
REPORTS = Reports(
    audit="an audit",
    audit_page="<!DOCTYPE html><title>an audit</title>",
    fairer="a comparison",
    fairer_page="<!DOCTYPE html><title>a comparison</title>",
    verdict="Original is recommended.",
    files=("model.json", "model.safetensors"),
    profile="laptop",
    device="a processor",
)


@pytest.fixture(scope="module")
def place(tmp_path_factory):
    return your_data.write_pictures(SMALL, tmp_path_factory.mktemp("your_data"))


@pytest.fixture(scope="module")
def folder(place):
    return your_data.read(place)


@pytest.fixture(scope="module")
def rows(place):
    with (place / "labels.csv").open(newline="", encoding="utf-8") as file:
        return list(csv.DictReader(file))


class TestPictures:
    def test_a_row_says_what_its_picture_shows(self, place, rows):
        for row in rows[2:50]:
            pixels = np.asarray(Image.open(place / "images" / row["path"]))
            assert tuple(pixels[0, 0]) == BACKGROUNDS[row["background"]]

    def test_the_background_goes_with_the_class_as_often_as_asked(self, rows):
        own = {split: [] for split in your_data.SPLITS}
        for row in rows:
            own[row["split"]].append(row["background"] == (HIGH if int(row["digit"]) > 4 else LOW))
        assert {split: len(some) for split, some in own.items()} == {"train": 600, "validation": 200, "test": 200}
        assert np.mean(own["train"]) == pytest.approx(SMALL.correlation, abs=0.05)
        assert np.mean(own["validation"] + own["test"]) == pytest.approx(1 / 3, abs=0.1)

    def test_what_was_spoilt_is_noticed_and_left_out(self, folder, rows):
        missing, unnamed, damaged = folder.notes
        assert "missing: 0000.png" in missing and "no row in the CSV: copy.png" in unnamed and "0001.png" in damaged
        assert folder.paths == tuple(row["path"] for row in rows[2:])

    def test_they_are_the_same_each_time(self, folder, tmp_path):
        again = your_data.read(your_data.write_pictures(SMALL, tmp_path))
        assert again.data.images.equal(folder.data.images) and again.paths == folder.paths


@pytest.fixture
def kept(tmp_path, monkeypatch):
    """REPORTS, kept for the recorded chapter."""
    monkeypatch.setattr(your_data, "KEPT", tmp_path / "your_data.json")
    monkeypatch.setattr(your_data, "made", lambda p, folder: REPORTS)
    your_data.keep()
    return your_data.KEPT


class TestReports:
    def test_recorded_shows_what_was_kept(self, folder, kept):
        assert your_data.reports(YourDataParameters.load("recorded"), folder) == REPORTS

    def test_recorded_has_none_of_other_parameters(self, folder, kept):
        with pytest.raises(MissingRecord, match=r"no reports are kept for correlation=0\.5; take the profile smoke"):
            your_data.reports(YourDataParameters.load("recorded", correlation=0.5), folder)

    def test_recorded_has_none_where_nothing_was_kept(self, folder, kept):
        kept.unlink()
        with pytest.raises(MissingRecord, match="no reports are kept for seeds=1"):
            your_data.reports(YourDataParameters.load("recorded"), folder)

    def test_those_that_are_committed_are_of_the_chapter_as_it_is(self):
        """A default that is changed asks for `aeda sweep your_data`."""
        asked = YourDataParameters.load("recorded").model_dump(exclude={"profile", "data_root"})
        assert json.loads(your_data.KEPT.read_text(encoding="utf-8"))["parameters"] == asked


class TestShown:
    def test_a_report_is_framed_whole_and_may_run_nothing(self):
        page = shown.audited(REPORTS)._repr_html_()
        frame = page[page.index("<iframe") : page.index("</iframe>")]
        assert " sandbox " in frame and html.escape(REPORTS.audit_page) in frame

    def test_smoke_says_that_it_means_nothing(self):
        assert "numbers mean nothing" in str(shown.audited(replace(REPORTS, profile="smoke")))
        assert "numbers mean nothing" not in str(shown.audited(REPORTS))

    def test_every_group_has_its_number(self, folder):
        sizes = shown.groups(folder).data
        assert sizes.to_numpy().astype(int).tolist() == folder.data.group_sizes().tolist()

    def test_the_figure_says_in_words_what_it_shows(self, folder):
        figure = shown.fig_pictures(folder.data)
        assert all(name in figure.alt for name in BACKGROUNDS)
