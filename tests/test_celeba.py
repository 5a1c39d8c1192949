"""CelebA's reader on folders that were made for it: noise in place of faces."""

import os
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from PIL import Image

from aeda_core import datasets
from aeda_core.datasets import DataError, avatars, celeba
from aeda_core.datasets.rates import NAMES, RATES, share_of_women

REAL = Path(os.environ.get("AEDA_DATA", "")) / "celeba"


@pytest.fixture(autouse=True)
def elsewhere(tmp_path, monkeypatch):
    """Nothing is kept in the project, and nothing is remembered from another test."""
    monkeypatch.setattr(celeba, "CACHE", tmp_path / "cache")
    monkeypatch.setattr(celeba, "DATA", tmp_path / "data")
    monkeypatch.setattr(avatars, "DATA", tmp_path / "data")
    monkeypatch.delenv("AEDA_DATA", raising=False)
    celeba._load.cache_clear()
    yield
    celeba._load.cache_clear()


def people(n, seed=0):
    generator = np.random.default_rng(seed)
    table = pd.DataFrame(generator.integers(0, 2, (n, 40)), columns=list(NAMES))
    return table.set_axis([f"{i:06d}.jpg" for i in range(1, n + 1)])


def write(root, table, identities, images=None, inner=False):
    """A folder in the official layout; `images` are the names that are there, all by default."""
    folder = root / "celeba"
    pictures = folder / "img_align_celeba" / ("img_align_celeba" if inner else "")
    pictures.mkdir(parents=True)
    generator = np.random.default_rng(1)
    for name in table.index if images is None else images:
        noise = generator.integers(0, 256, (218, 178, 3), dtype=np.uint8)
        Image.fromarray(noise).save(pictures / name)
    rows = (2 * table - 1).to_csv(sep=" ", header=False)
    (folder / "list_attr_celeba.txt").write_text(f"{len(table)}\n{' '.join(table.columns)}\n{rows}")
    lines = [f"{name} {identity}\n" for name, identity in zip(table.index, identities, strict=True)]
    (folder / "identity_CelebA.txt").write_text("".join(lines))
    return folder


@pytest.fixture
def folder(tmp_path):
    """Thirty images of as many people."""
    return write(tmp_path, people(30), range(100, 130))


class TestReader:
    def test_reads_what_was_written(self, folder):
        faces = celeba.load(str(folder.parent), 32)
        assert faces.images.shape == (30, 3, 32, 32)
        assert faces.attributes.tolist() == people(30).to_numpy().tolist()
        assert faces.identities.tolist() == list(range(100, 130))
        assert faces.source == "CelebA (30 aligned images of as many people; 30 of 30 were found)"

    def test_takes_the_folder_itself_too(self, folder):
        assert celeba.load(str(folder), 32).fingerprint == celeba.load(str(folder.parent), 32).fingerprint

    def test_cuts_the_face_out(self, folder):
        path = folder / "img_align_celeba" / "000001.jpg"
        picture = np.zeros((218, 178, 3), np.uint8)
        left, top, right, bottom = celeba.CROP
        picture[top:bottom, left:right] = 200
        Image.fromarray(picture).save(path, quality=100)
        off = np.abs(celeba.load(str(folder), 32).images[0].astype(int) - 200)
        assert off[:, 2:-2, 2:-2].max() < 6  # JPEG softens the border
        assert off.max() < 60

    def test_reads_kaggles_layout_alike(self, tmp_path, folder):
        kaggle = write(tmp_path / "kaggle", people(30), range(100, 130), inner=True)
        (kaggle / "list_attr_celeba.txt").unlink()
        (2 * people(30) - 1).rename_axis("image_id").to_csv(kaggle / "list_attr_celeba.csv")
        assert celeba.load(str(kaggle), 32).fingerprint == celeba.load(str(folder), 32).fingerprint

    def test_part_of_the_images_is_enough_and_is_counted(self, tmp_path):
        folder = write(tmp_path, people(30), range(30), images=["000003.jpg", "000007.jpg"])
        faces = celeba.load(str(folder), 32)
        assert "2 of 30 were found" in faces.source
        assert faces.identities.tolist() == [2, 6]

    def test_one_image_a_person(self, tmp_path):
        folder = write(tmp_path, people(6), [5, 5, 7, 7, 7, 8])
        assert celeba.load(str(folder), 32).identities.tolist() == [5, 7, 8]
        assert torch.equal(celeba.load(str(folder), 32).attributes[1], torch.tensor(people(6).to_numpy()[2]))

    def test_the_listed_images_are_taken_where_all_are_there(self, tmp_path, monkeypatch):
        folder = write(tmp_path, people(6), [5, 5, 7, 7, 7, 8])
        (tmp_path / "list.txt").write_text("2\n4")
        monkeypatch.setattr(celeba, "LISTED", tmp_path / "list.txt")
        faces = celeba.load(str(folder), 32)
        assert faces.attributes.tolist() == people(6).to_numpy()[[1, 3]].tolist()

    def test_the_list_names_nine_thousand_images(self):
        listed = [int(number) for number in celeba.LISTED.read_text().split()]
        assert len(set(listed)) == 9000
        assert min(listed) >= 1 and max(listed) <= 202_599

    def test_fingerprint_tells_images_attributes_and_identities_not_size(self, tmp_path, folder):
        reference = celeba.load(str(folder), 32).fingerprint
        assert celeba.load(str(folder), 40).fingerprint == reference
        other_label = people(30)
        other_label.iloc[3, 5] = 1 - other_label.iloc[3, 5]
        for i, (table, identities) in enumerate([(other_label, range(100, 130)), (people(30), range(101, 131))]):
            other = write(tmp_path / str(i), table, identities)
            assert celeba.load(str(other), 32).fingerprint != reference
        path = folder / "img_align_celeba" / "000004.jpg"
        path.write_bytes(path.read_bytes() + b"\0")
        celeba._load.cache_clear()
        assert celeba.load(str(folder), 32).fingerprint != reference

    def test_is_kept_by_content(self, folder, monkeypatch):
        first = np.array(celeba.load(str(folder), 32).images)
        celeba._load.cache_clear()
        monkeypatch.setattr(celeba.Image, "open", None)  # nothing may be decoded again
        again = celeba.load(str(folder), 32).images
        assert isinstance(again, np.memmap)
        assert np.array_equal(first, again)

    def test_is_made_anew_where_a_bit_flipped(self, folder):
        first = np.array(celeba.load(str(folder), 32).images)
        celeba._load.cache_clear()
        (kept,) = celeba.CACHE.glob("*.npy")
        content = bytearray(kept.read_bytes())
        content[-100] ^= 1
        kept.write_bytes(content)
        assert np.array_equal(first, celeba.load(str(folder), 32).images)

    def test_stays_whole_when_it_is_cut_off(self, folder, monkeypatch):
        def killed(*args):
            raise KeyboardInterrupt

        with monkeypatch.context() as patch:
            patch.setattr(celeba.os, "replace", killed)
            with pytest.raises(KeyboardInterrupt):
                celeba.load(str(folder), 32)
        assert celeba.load(str(folder), 32).images.shape == (30, 3, 32, 32)


class TestRefusals:
    """One sentence: the thing, the value, the way out."""

    def test_no_folder(self, refused):
        with refused(DataError, "data_root '/nowhere' is not a folder"):
            celeba.load("/nowhere")

    def test_a_folder_without_celeba(self, tmp_path, refused):
        with refused(DataError, str(tmp_path), "list_attr_celeba", "'embedded'"):
            celeba.load(str(tmp_path))

    def test_no_images(self, tmp_path, refused):
        folder = write(tmp_path, people(3), range(3), images=[])
        with refused(DataError, "img_align_celeba", "no .jpg"):
            celeba.load(str(folder))

    def test_a_truncated_image(self, folder, refused):
        path = folder / "img_align_celeba" / "000007.jpg"
        path.write_bytes(path.read_bytes()[:2000])
        with refused(DataError, "000007.jpg", "cannot be read"):
            celeba.load(str(folder), 32)

    def test_a_file_that_is_no_image(self, folder, refused):
        (folder / "img_align_celeba" / "000007.jpg").write_text("hello")
        with refused(DataError, "000007.jpg", "is no image"):
            celeba.load(str(folder), 32)

    def test_a_missing_attribute(self, tmp_path, refused):
        folder = write(tmp_path, people(5).drop(columns="Smiling"), range(5))
        with refused(DataError, "list_attr_celeba.txt", "no column Smiling"):
            celeba.load(str(folder))

    def test_fewer_rows_than_promised(self, folder, refused):
        path = folder / "list_attr_celeba.txt"
        path.write_text("\n".join(path.read_text().splitlines()[:-1]) + "\n")
        with refused(DataError, "promises 30 rows and has 29"):
            celeba.load(str(folder))

    def test_an_image_without_annotation(self, folder, refused):
        (folder / "img_align_celeba" / "000099.jpg").write_bytes(b"")
        with refused(DataError, "000099.jpg", "no annotation"):
            celeba.load(str(folder))

    def test_an_image_without_identity(self, folder, refused):
        path = folder / "identity_CelebA.txt"
        path.write_text("\n".join(path.read_text().splitlines()[1:]) + "\n")
        with refused(DataError, "000001.jpg", "no identity"):
            celeba.load(str(folder))

    def test_no_identities(self, folder, refused):
        (folder / "identity_CelebA.txt").unlink()
        with refused(DataError, "identity_CelebA.txt", "is missing"):
            celeba.load(str(folder))

    def test_other_faces_than_the_runs(self, folder, refused):
        data = {"name": "celeba", "fingerprint": "0" * 64, "size": 32, "folds": 5, "fold": 0, "n_validation": 5}
        with refused(DataError, "000000000000", "point data_root"):
            datasets.build(data, str(folder))

    @pytest.mark.parametrize(
        ("recipe", "words"),
        [
            ({"fold": 5}, "fold is 5"),
            ({"n_validation": 99}, "is 99"),
            ({"n_choosing": 30}, "n_choosing is 30; there are 30"),
        ],
    )
    def test_a_recipe_that_cannot_be(self, folder, refused, recipe, words):
        with refused(DataError, words):
            celeba.fold(celeba.load(str(folder), 32), celeba.Recipe(**{"size": 32, "n_validation": 5, **recipe}))


class TestFolds:
    @settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
    @given(
        images=st.lists(st.integers(1, 3), min_size=15, max_size=40),
        folds=st.integers(2, 5),
        seed=st.integers(0, 5),
        n_persons=st.sampled_from([0, 12]),
    )
    def test_nobody_is_in_two_parts_and_everybody_is_tested_once(self, images, folds, seed, n_persons):
        """However many images a person has, and in whatever order."""
        identities = np.random.default_rng(seed).permutation(np.repeat(np.arange(len(images)), images)).tolist()
        names = [f"{i:06d}.jpg" for i in range(1, len(identities) + 1)]
        chosen = celeba._one_each(names, pd.Series(identities, names))
        own = torch.tensor([identities[int(name[:6]) - 1] for name in chosen])
        attributes = torch.tensor(people(len(own), seed).to_numpy())
        faces = celeba.Faces(np.zeros((len(own), 3, 2, 2), np.uint8), attributes, own, "", "")
        tested = []
        for k in range(folds):
            parts = celeba.fold(faces, celeba.Recipe(2, folds, k, n_validation=2, n_persons=n_persons))
            seen = [identity for part in parts for identity in part.identities.tolist()]
            assert len(seen) == len(set(seen)) == (min(n_persons, len(own)) or len(own))
            tested += parts[2].identities.tolist()
        assert len(tested) == len(set(tested))

    @given(n=st.integers(20, 60), n_choosing=st.integers(1, 10), folds=st.integers(2, 5))
    @settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
    def test_who_chooses_is_the_same_for_all_folds_and_neither_trained_on_nor_tested(self, n, n_choosing, folds):
        faces = celeba.Faces(
            np.zeros((n, 3, 2, 2), np.uint8), torch.tensor(people(n).to_numpy()), torch.arange(n), "", ""
        )
        choosing, tested = set(), []
        for k in range(folds):
            recipe = celeba.Recipe(2, folds, k, n_choosing=n_choosing)
            training, held_out, test = (part.identities.tolist() for part in celeba.fold(faces, recipe))
            assert sorted(training + held_out + test) == list(range(n))
            choosing.add(tuple(held_out))
            tested += test
        assert len(choosing) == 1 and len(held_out) == n_choosing
        assert sorted(tested) == sorted(set(range(n)) - set(held_out))

    def test_targets_are_the_seventeen_and_the_bias_is_gender(self, folder):
        training, _, _ = celeba.fold(celeba.load(str(folder), 32), celeba.Recipe(size=32, n_validation=5))
        table = people(30)
        rows = table.iloc[training.identities.numpy() - 100]
        assert len(celeba.ATTRIBUTES) == 17
        assert training.targets.tolist() == rows[list(celeba.ATTRIBUTES)].to_numpy().tolist()
        assert training.bias.tolist() == rows["Male"].tolist()
        assert len(training.task_names) == 34

    def test_the_rarest_combination_is_dealt_out_evenly(self):
        table = people(500)
        table["Male"] = 1
        table["Rosy_Cheeks"] = (np.arange(500) % 50 == 0).astype(int)  # ten
        faces = celeba.Faces(
            np.zeros((500, 3, 2, 2), np.uint8), torch.tensor(table.to_numpy()), torch.arange(500), "", ""
        )
        rosy = celeba.ATTRIBUTES.index("Rosy_Cheeks")
        for k in range(5):
            test = celeba.fold(faces, celeba.Recipe(2, 5, k, n_validation=10))[2]
            assert test.targets[:, rosy].sum() == 2

    def test_the_bias_variable_can_be_the_target(self, folder):
        data = {"name": "celeba", "size": 32, "folds": 5, "fold": 0, "n_validation": 5, "targets": "bias"}
        data["fingerprint"] = celeba.load(str(folder), 32).fingerprint
        plain, switched = (
            datasets.build({k: v for k, v in data.items() if k != "targets" or keep}, str(folder)).training
            for keep in (False, True)
        )
        assert torch.equal(switched.targets, plain.bias)
        assert switched.target_names == ("female", "male")
        assert not switched.empty_groups()


class TestRates:
    def test_add_up(self):
        men = RATES.loc["Male", "all"]
        mixed = RATES["women"] * (1 - men) + RATES["men"] * men
        assert np.allclose(mixed, RATES["all"], atol=1e-5)
        assert share_of_women("Male") == 0
        assert 0.9 < share_of_women("Arched_Eyebrows") < 0.95  # "above 15 : 1" in Sec. 3.2 is about one gender's share


class TestAvatars:
    def test_are_a_folder_that_the_same_reader_reads(self):
        folder = avatars.folder(12)
        faces = celeba._read(folder, 32, avatars.SOURCE)
        assert faces.images.shape == (12, 3, 32, 32)
        assert faces.source.startswith("stand-in: 12 avatars") and "no real faces" in faces.source

    def test_are_what_is_taken_without_celeba(self, monkeypatch):
        monkeypatch.setattr(avatars, "N", 12)
        monkeypatch.setattr(avatars.folder, "__defaults__", (12, 0))
        assert celeba.load("", 32).source == celeba.load("embedded", 32).source
        assert celeba.load("", 32).source.startswith("stand-in: ")

    def test_the_same_seed_draws_the_same(self, tmp_path, monkeypatch):
        first = celeba._read(avatars.folder(6, seed=3), 32, avatars.SOURCE).fingerprint
        monkeypatch.setattr(avatars, "DATA", tmp_path / "again")
        assert celeba._read(avatars.folder(6, seed=3), 32, avatars.SOURCE).fingerprint == first
        assert celeba._read(avatars.folder(6, seed=4), 32, avatars.SOURCE).fingerprint != first

    def test_attributes_come_at_celebas_rates(self):
        drawn = avatars.sample(20_000, np.random.default_rng(0))
        by_gender = drawn.groupby("Male").mean()
        for gender, column in ((0, "women"), (1, "men")):
            expected = RATES[column].drop("Male")
            assert np.allclose(by_gender.loc[gender][expected.index], expected, atol=0.025)

    def test_an_attribute_changes_the_picture(self):
        import json
        from importlib.resources import files

        from dicebear import Style

        style = Style(json.loads(files("dicebear_styles").joinpath("avataaars.json").read_text("utf-8")))
        plain = dict.fromkeys(NAMES, 0) | {"Young": 1}
        before = np.asarray(avatars.draw(style, plain, np.random.default_rng(0))).astype(int)
        for name in celeba.ATTRIBUTES:
            after = avatars.draw(style, plain | {name: 1 - plain[name]}, np.random.default_rng(0))
            assert np.abs(np.asarray(after).astype(int) - before).max() > 12, name

    def test_a_drawing_that_is_cut_off_leaves_nothing(self, monkeypatch, tmp_path):
        def killed(*args):
            raise KeyboardInterrupt

        monkeypatch.setattr(avatars, "draw", killed)
        with pytest.raises(KeyboardInterrupt):
            avatars.folder(3)
        assert list((tmp_path / "data" / "avatars").iterdir()) == []


@pytest.mark.skipif(not REAL.is_dir(), reason="needs CelebA: set AEDA_DATA")
def test_the_recorded_people_are_those_of_celeba(monkeypatch):
    faces = celeba.load(str(REAL), 32)
    assert faces.fingerprint == celeba.CELEBA_FINGERPRINT
    assert len(faces.identities.unique()) == 9000
