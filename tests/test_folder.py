"""A folder and a CSV: what is read, how it is dealt out, and what each mistake is answered."""

from __future__ import annotations

import os
from dataclasses import replace

import numpy as np
import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from made import with_damage
from PIL import Image

from aeda_core.datasets import decoded, pictures
from aeda_core.datasets.base import DataError
from aeda_core.datasets.folder import Folder, read_folder

COLOURS = {"red": (200, 0, 0), "blue": (0, 0, 200)}
HEADER = "path,shape,colour,who,part"


def rows(n: int = 12) -> list[list[str]]:
    """Of `n` pictures, two of each person: every shape in every colour."""
    return [
        [f"{i:02}.png", ("round", "square", "long")[i % 3], ("red", "blue")[i // 3 % 2], f"p{i // 2}",
         ("train", "test")[i // 2 % 2]] for i in range(n)
    ]  # fmt: skip


def text(table: list[list[str]], header: str = HEADER) -> str:
    return "\n".join([header, *map(",".join, table)]) + "\n"


@pytest.fixture
def place(tmp_path):
    """Twelve pictures in a folder, their CSV, and a cache."""
    (tmp_path / "in").mkdir()
    for name, _, colour, *_ in rows():
        Image.new("RGB", (20, 30), COLOURS[colour]).save(tmp_path / "in" / name)
    (tmp_path / "labels.csv").write_text(text(rows()))
    return tmp_path


def read(place, **how) -> Folder:
    return read_folder(
        place / "in",
        place / "labels.csv",
        **{"target": "shape", "bias": "colour", "size": 16, "cache": place / "cache", **how},
    )


def test_reads_pictures_and_labels(place):
    folder = read(place, identity="who", split="part")
    assert folder.data.images.shape == (12, 3, 16, 16)
    assert folder.data.target_names == ("long", "round", "square") and folder.data.bias_names == ("blue", "red")
    assert folder.data.targets[:3].tolist() == [1, 2, 0]
    assert folder.data.images[0, :, 8, 8].tolist() == [200, 0, 0]
    assert folder.data.identities.tolist() == [i // 2 for i in range(12)]
    assert folder.splits[:4] == ("train", "train", "test", "test")
    assert folder.paths[0] == "00.png" and folder.name == "in" and folder.notes == ()


def test_columns_of_yes_and_no_are_attributes(place):
    table = [[*row[:1], str(i % 2), ("Yes", "no")[i // 2 % 2], ("-1", "1")[i // 4 % 2]] for i, row in enumerate(rows())]
    (place / "labels.csv").write_text(text(table, "path,smiling,young,male"))
    folder = read(place, target=["smiling", "young"], bias="male")
    assert folder.data.targets[:3].tolist() == [[0, 1], [1, 1], [0, 0]]
    assert folder.data.target_names == ("smiling", "young") and folder.data.bias_names == ("no male", "male")
    assert read(place, target="smiling", bias="male").data.task_names == ("no smiling", "smiling")


def test_numbers_are_in_their_order(place):
    (place / "labels.csv").write_text(text([[row[0], str((9, 10, 2)[i % 3]), row[2]] for i, row in enumerate(rows())],
                                           "path,digit,colour"))  # fmt: skip
    assert read(place, target="digit").data.target_names == ("2", "9", "10")


def test_what_was_decoded_is_found_again_by_content(place, monkeypatch):
    first = read(place)
    (place / "in").rename(place / "elsewhere")
    monkeypatch.setattr(pictures, "square", lambda *_: pytest.fail("decoded twice"))
    again = read_folder(
        place / "elsewhere", place / "labels.csv", target="shape", bias="colour", size=16, cache=place / "cache"
    )
    assert torch.equal(again.data.images, first.data.images)
    monkeypatch.undo()
    Image.new("RGB", (20, 30), "white").save(place / "elsewhere" / "00.png")
    changed = read_folder(
        place / "elsewhere", place / "labels.csv", target="shape", bias="colour", size=16, cache=place / "cache"
    )
    assert changed.data.images[0].min() == 255


def test_a_cache_cannot_change_what_is_kept(place):
    read(place).data.images.zero_()
    assert read(place).data.images.sum() > 0


@pytest.mark.parametrize("suffix", [".npy", ".json"])
@pytest.mark.parametrize("content", [b"", b"{", b"[1]"])
def test_a_damaged_cache_is_made_anew(place, suffix, content):
    """A full disk leaves such."""
    first = read(place, cache=str(place / "cache")).data.images.clone()
    (damaged,) = (place / "cache").glob(f"*{suffix}")
    damaged.write_bytes(content)
    assert torch.equal(read(place).data.images, first)


def test_a_cache_of_other_pictures_is_made_anew(place):
    first = read(place).data.images.clone()
    (kept,) = (place / "cache").glob("*.npy")
    np.save(kept, np.zeros((3, 3, 16, 16), np.uint8))
    assert torch.equal(read(place).data.images, first)


@pytest.fixture(scope="module")
def decoded_once(tmp_path_factory):
    """The file of a cache, what is kept beside it, and how to ask for its images; and how often they were decoded."""
    path, times = tmp_path_factory.mktemp("cache") / "kept.npy", []

    def decode(images):
        times.append(1)
        images[:] = np.arange(images.size).reshape(images.shape) % 251
        return {"1": "unreadable"}

    def ask():
        images, notes = decoded.images(path, (2, 3, 4, 4), decode)
        return images.copy(), notes

    images, notes = ask()
    return path, path.with_suffix(".json"), ask, times, images, notes


@given(st.data())
def test_a_cache_damaged_at_any_byte_is_made_anew(decoded_once, data):
    """A bit flips, or the end is lost, in the pixels or in what is noted of them."""
    pixels, noted, ask, times, images, notes = decoded_once
    path = data.draw(st.sampled_from([pixels, noted]))
    path.write_bytes(with_damage(data, path.read_bytes()))
    before = len(times)
    found, said = ask()
    assert np.array_equal(found, images) and said == notes
    assert len(times) == before + 1 or path == noted  # of JSON some bytes say nothing


PICTURES = {
    "grey": (Image.new("L", (8, 8), 90), (90, 90, 90)),
    "sixteen bits": (Image.fromarray(np.full((8, 8), 0x8080, np.uint16)), (128, 128, 128)),
    "palette": (Image.new("RGB", (8, 8), (0, 200, 0)).convert("P", palette=Image.Palette.ADAPTIVE), (0, 200, 0)),
    "transparent": (Image.new("RGBA", (8, 8), (0, 0, 0, 0)), (255, 255, 255)),
    "black and white": (Image.new("1", (8, 8), 1), (255, 255, 255)),
}


@pytest.mark.parametrize("kind", PICTURES)
def test_pictures_of_any_kind(tmp_path, kind):
    image, expected = PICTURES[kind]
    image.save(tmp_path / "a.png")
    assert pictures.square(tmp_path / "a.png", 16)[8, 8].tolist() == list(expected)


@pytest.mark.parametrize("suffix", ["jpg", "webp", "png"])
def test_the_largest_square_in_the_middle(tmp_path, suffix):
    image = Image.new("RGB", (60, 20), "black")
    image.paste((255, 255, 255), (20, 0, 40, 20))
    image.save(tmp_path / f"a.{suffix}", quality=95)
    assert pictures.square(tmp_path / f"a.{suffix}", 16)[2:14, 2:14].min() > 235


def test_a_picture_is_turned_as_it_was_held(tmp_path):
    image = Image.new("RGB", (20, 20), "black")
    image.paste((255, 255, 255), (0, 0, 20, 10))
    exif = image.getexif()
    exif[0x0112] = 3  # upside down
    image.save(tmp_path / "a.jpg", exif=exif, quality=95)
    turned = pictures.square(tmp_path / "a.jpg", 16)
    assert turned[:6].max() < 20 and turned[10:].min() > 235


@pytest.mark.filterwarnings("error")
def test_parts_of_groups_smaller_than_the_number_of_parts(place):
    """Two lone pictures are no group of their own that could be dealt to three parts."""
    folder = read(place)
    bias = torch.zeros(12, dtype=torch.int64)
    bias[:2] = 1
    parts = replace(folder, data=replace(folder.data, bias=bias)).folds(3)
    assert sorted(i for _, part in parts for i in part.tolist()) == list(range(12))


def test_parts_keep_identities_together_and_groups_even(place):
    folder = read(place, identity="who")
    parts = folder.folds(3, seed=1)
    assert sorted(torch.cat([part for _, part in parts]).tolist()) == list(range(12))
    for rest, part in parts:
        assert not {*folder.data.identities[rest].tolist()} & {*folder.data.identities[part].tolist()}
    assert [part.tolist() for _, part in folder.folds(3, seed=1)] == [part.tolist() for _, part in parts]
    alone = read(place).folds(2)
    assert [read(place).data[part].group_sizes().tolist() for _, part in alone] == [[[1, 1]] * 3] * 2


def test_a_share_is_held_out(place):
    rest, held_out = read(place).held_out(0.25)
    assert len(held_out) == 3 and len(rest) == 9
    with pytest.raises(DataError, match=r"a share of 0\.7 cannot be held out"):
        read(place).held_out(0.7)
    with pytest.raises(DataError, match="20 parts cannot be made of 12 identities"):
        read(place).folds(20)


# --- what is left out, with a note ------------------------------------------------------------------------------------


def missing(place):
    (place / "in" / "00.png").unlink()


def too_long_a_name(place):
    (place / "labels.csv").write_text(changed(0, 0, "x" * 300))


def unnamed(place):
    Image.new("RGB", (8, 8)).save(place / "in" / "extra.jpg")


def damaged(place):
    (place / "in" / "00.png").write_bytes((place / "in" / "00.png").read_bytes()[:60])


def no_picture(place):
    (place / "in" / "00.png").write_text("no picture")


def huge(place):
    Image.new("1", (20_000, 6_000)).save(place / "in" / "00.png")


def enormous(place):
    Image.new("1", (20_000, 10_000)).save(place / "in" / "00.png")


def unlabelled(place):
    (place / "labels.csv").write_text(text([["00.png", "", "red", "p0", "train"], *rows()[1:]]))


def repeated(place):
    (place / "labels.csv").write_text(text([*rows(), ["./00.png", *rows()[0][1:]]]))


def empty_group(place):
    (place / "labels.csv").write_text(text([row for row in rows() if row[1:3] != ["round", "red"]]))


NOTES = {
    missing: "1 picture is missing: 00.png.",
    too_long_a_name: "1 picture is missing: xxx",
    unnamed: "1 picture has no row in the CSV: extra.jpg.",
    damaged: "1 picture cannot be read and is left out: 00.png",
    no_picture: "00.png (it is no PNG, JPEG or WebP)",
    huge: "00.png (it has 20000 × 6000 pixels, more than 100,000,000)",
    enormous: "00.png (it has more than 100,000,000 pixels)",
    unlabelled: "1 row lacks a label and is left out: 00.png.",
    repeated: "1 row repeats an earlier one: ./00.png.",
    empty_group: "1 group has no picture: round, red.",
}


@pytest.mark.parametrize("fault", NOTES, ids=lambda fault: fault.__name__)
def test_what_is_left_out_is_said(place, fault):
    fault(place)
    folder = read(place)
    assert any(NOTES[fault] in note for note in folder.notes), folder.notes
    assert (
        len(folder)
        == len(folder.paths)
        == len(folder.data.targets)
        == (12 if fault in (unnamed, repeated) else len(folder))
    )
    assert fault in (unnamed, repeated, empty_group) or "00.png" not in folder.paths


# --- what nothing can be made of --------------------------------------------------------------------------------------


def changed(row: int, column: int, value: str) -> str:
    table = rows()
    table[row][column] = value
    return text(table)


def column_of(values: list[str], name: str) -> str:
    return text([[row[0], value, row[2]] for row, value in zip(rows(), values, strict=True)], f"path,{name},colour")


CSVS = {
    "empty": (b"", {}, "is empty; it needs a header and a row for each picture"),
    "blank lines": (b"\n\n\n", {}, "is empty"),
    "only a header": (HEADER.encode(), {}, "has a header and no rows"),
    "latin-1": (text(rows()).replace("round", "ründ").encode("latin-1"), {}, "is not in UTF-8"),
    "utf-16": (text(rows()).encode("utf-16"), {}, "is not in UTF-8"),
    "semicolons": (text(rows()).replace(",", ";"), {}, "separate the columns by commas"),
    "tabs": (text(rows()).replace(",", "\t"), {}, "separate the columns by commas"),
    "open quote": (text(rows()) + '"12.png,round', {}, "is not CSV"),
    "comma without quotes": (changed(3, 1, "round, mostly"), {}, "line 5 of .* has 6 columns and the header 5"),
    "short row": (text(rows()) + "12.png,round\n", {}, "line 14 of .* has 2 columns"),
    "no such column": (None, {"target": "shap"}, "has no column 'shap'; it has path, .*; did you mean 'shape'?"),
    "no such bias": (None, {"bias": "sex"}, "has no column 'sex'"),
    "no path column": (None, {"path": "file"}, "has no column 'file'"),
    "no such identity": (None, {"identity": "person"}, "has no column 'person'"),
    "twice in the header": (text(rows(), "path,shape,shape,who,part"), {"bias": "who"}, "the column 'shape' 2 times"),
    "asked for twice": (None, {"bias": "shape"}, "the column 'shape' is asked for twice"),
    "no path": (changed(2, 0, ""), {}, "line 4 of .* has no path"),
    "out of the folder": (changed(2, 0, "../labels.csv"), {}, "'../labels.csv' in line 4 of .* leaves"),
    "from the root": (changed(2, 0, "/etc/passwd"), {}, "'/etc/passwd' in line 4 of .* leaves"),
    "round about": (changed(2, 0, "x/../../labels.csv"), {}, "leaves"),
    "rows that disagree": (text([*rows(), ["00.png", "long", "red", "p0", "train"]]), {},
                           "line 2 of .* and line 14 of .* disagree: its shape is 'round' and 'long'"),
    "no labels": (column_of([""] * 12, "shape"), {}, "no row of .* has all of shape, colour"),
    "one target": (column_of(["round"] * 12, "shape"), {}, "the column 'shape' of .* is 'round' in every picture"),
    "one bias value": (text([[*r[:2], "red"] for r in rows()], "path,shape,colour"), {}, "'colour' of .* is 'red' in"),
    "once": (changed(3, 1, "oval"), {}, "line 5 of .* is the only one whose shape is 'oval'"),
    "bias value once": (changed(3, 2, "green"), {}, "line 5 of .* is the only one whose colour is 'green'"),
    "case": (changed(3, 1, "Round"), {}, "has 'round' and 'Round', which differ in case alone"),
    "no yes and no": (None, {"target": ["shape", "who"]}, "has 'round' as shape, and one of several"),
    "always yes": (column_of(["yes"] * 12, "shape"), {"target": ["shape"]}, "'shape' of .* is 'yes' in every"),
    "one identity": (text([[*r[:3], "p0", r[4]] for r in rows()]), {"identity": "who"}, "is 'p0' throughout"),
    "unknown split": (changed(4, 4, "holdout"), {"split": "part"}, "line 6 of .* has the split 'holdout'; it is"),
    "identity on two sides": (changed(1, 4, "test"), {"split": "part", "identity": "who"}, "show one identity"),
    "no pictures": (text([[f"{i}.gif", *r[1:]] for i, r in enumerate(rows())]), {}, "none of the 12 pictures that"),
    "no target": (None, {"target": ()}, "no target is named; name a column"),
    "too small": (None, {"size": 8}, "size is 8; pictures can be brought to 16 to 512 pixels"),
    "too large": (None, {"size": 100_000}, "size is 100000"),
    "no size": (None, {"size": 32.5}, "size is 32.5"),
}  # fmt: skip
"""By what is wrong: the CSV (None: as it should be), what `read_folder` is told, and what it says."""


@pytest.mark.parametrize("fault", CSVS)
def test_every_mistake_is_answered_in_a_sentence(place, fault):
    content, told, sentence = CSVS[fault]
    if content is not None:
        (place / "labels.csv").write_bytes(content.encode() if isinstance(content, str) else content)
    with pytest.raises(DataError, match=sentence):
        read(place, **told)


def test_a_column_of_measurements_is_no_label(tmp_path):
    (tmp_path / "labels.csv").write_text(
        text([[f"{i}.png", f"{i / 7:.3f}", "red"] for i in range(60)], "path,age,colour")
    )
    for i in range(60):
        Image.new("L", (4, 4)).save(tmp_path / f"{i}.png")
    with pytest.raises(DataError, match=r"'age' of .* has 60 different values, .* labels are at most 50"):
        read_folder(tmp_path, tmp_path / "labels.csv", target="age", bias="colour", cache=tmp_path / "cache")


@pytest.mark.parametrize(
    ("images", "labels", "sentence"),
    [("nowhere", "labels.csv", "there is no folder"), ("labels.csv", "labels.csv", "there is no folder"),
     ("in", "nowhere.csv", "there is no file"), ("in", "in", "there is no file")],
)  # fmt: skip
def test_no_folder_no_file(place, images, labels, sentence):
    with pytest.raises(DataError, match=sentence):
        read_folder(place / images, place / labels, target="shape", bias="colour")


def test_a_link_that_leads_out_is_refused(place):
    (place / "in" / "00.png").unlink()
    os.symlink(place / "labels.csv", place / "in" / "00.png")
    with pytest.raises(DataError, match="leaves"):
        read(place)


def test_two_names_of_one_picture_are_refused(place):
    """It would be in the training and in the test images at once, or have two labels."""
    os.symlink("00.png", place / "in" / "link.png")
    (place / "labels.csv").write_text(text([*rows(), ["link.png", "long", "red", "p0", "train"]]))
    with pytest.raises(
        DataError, match=r"line 2 of .* and line 14 of .* are about one picture.* '00.png' or 'link.png'"
    ):
        read(place)


def test_all_pictures_damaged(place):
    for file in (place / "in").iterdir():
        file.write_bytes(b"\x89PNG\r\n\x1a\n")
    with pytest.raises(DataError, match=r"none of the pictures that .* names can be read"):
        read(place)


def test_a_cache_that_cannot_be_written(place):
    (place / "cache").write_text("a file is in the way")
    with pytest.raises(DataError, match="what was decoded cannot be kept in"):
        read(place)


@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    st.one_of(
        st.binary(max_size=300), st.text(max_size=300).map(lambda t: (HEADER + "\n" + t).encode("utf-8", "replace"))
    )
)
def test_garbage_in_the_csv_is_answered(place, garbage):
    (place / "labels.csv").write_bytes(garbage)
    with pytest.raises(DataError) as answered:
        read(place)
    assert str(answered.value).strip().endswith((".", "?"))


@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.data())
def test_a_damaged_picture_is_left_out_or_read(place, data):
    whole = (place / "in" / "01.png").read_bytes()
    at = data.draw(st.integers(0, len(whole) - 1))
    broken = whole[:at] + bytes([whole[at] ^ data.draw(st.integers(1, 255))]) + whole[at + 1 :]
    (place / "in" / "00.png").write_bytes(broken)
    folder = read(place)
    assert len(folder) == 12 or (len(folder) == 11 and "00.png" in folder.notes[0])
