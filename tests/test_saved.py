"""A model in a folder: what is written is what was trained, and loading it takes little and executes nothing."""

import json

import numpy as np
import onnxruntime
import pytest
import torch
from safetensors.torch import load_file, save_file
from torch import nn

from aeda_core.errors import Problem
from aeda_core.models import Classifier
from aeda_core.own import saved
from aeda_core.own.network import Build


@pytest.fixture
def images():
    return torch.randint(0, 256, (5, 3, 32, 32), dtype=torch.uint8)


def model(network="small_cnn", classes=True):
    options = {"weights": ""} if network == "efficientnet_lite0" else {}
    build = Build(network, {"n_targets": 3, "n_bias": 2, **options})
    return saved.without_bias_head(build(), build, ("cat", "dog", "<b>"), classes, size=32)


def own(classifier):
    return saved.without_bias_head(classifier, lambda: classifier, ("a", "b", "c"), True, 32)


@pytest.mark.parametrize("network", ["small_cnn", "efficientnet_lite0"])
@pytest.mark.parametrize("classes", [True, False])
def test_every_file_computes_what_was_trained(tmp_path, images, network, classes):
    trained = model(network, classes)
    assert saved.save_model(trained, tmp_path) == []
    assert {path.name for path in tmp_path.iterdir()} == {"model.json", "model.onnx", "model.safetensors", "network.py"}
    expected = trained.probabilities(images)
    assert torch.allclose(saved.load_model(tmp_path).probabilities(images), expected, atol=1e-6)
    session = onnxruntime.InferenceSession(tmp_path / "model.onnx", providers=["CPUExecutionProvider"])
    (given,) = session.run(["probabilities"], {"images": images.float().numpy() / 255})
    assert np.abs(given - expected.numpy()).max() < saved.AGREE
    assert torch.allclose(expected.sum(1), torch.ones(5)) == classes


def test_the_bias_head_stays_at_home(tmp_path):
    saved.save_model(model(), tmp_path)
    assert {name.split(".")[0] for name in load_file(tmp_path / "model.safetensors")} == {"extractor", "target_head"}


def test_an_onnx_file_that_differs_is_not_written(tmp_path, monkeypatch, refused):
    monkeypatch.setattr(saved, "_computed", lambda path, images: np.zeros((8, 3)))
    with refused(Problem, "model.onnx is not written"):
        saved.save_model(model(), tmp_path)
    assert {path.name for path in tmp_path.iterdir()} == {"model.json", "model.safetensors", "network.py"}


@pytest.mark.parametrize("size", [12, 28, 33, 50])
def test_maxima_are_adaptive_max_pooling(size):
    x = torch.rand(2, 4, size, size + 3)
    assert torch.equal(saved._Maxima(3)(x), nn.AdaptiveMaxPool2d(3)(x))


def test_without_the_extra_the_rest_is_written(tmp_path, monkeypatch):
    monkeypatch.setattr(saved.importlib.util, "find_spec", lambda name: None)
    (note,) = saved.save_model(model(), tmp_path)
    assert "pip install 'aeda-core[photos]'" in note and not (tmp_path / "model.onnx").exists()


class TestOwnNetwork:
    @pytest.fixture
    def folder(self, tmp_path):
        classifier = Classifier(nn.Sequential(nn.Flatten(), nn.Linear(3 * 32 * 32, 4)), 4, 3)
        (note,) = saved.save_model(
            saved.without_bias_head(classifier, lambda: classifier, ("a", "b", "c"), True, 32), tmp_path
        )
        assert "network.py is not written" in note
        return tmp_path

    def test_goes_back_into_its_class(self, folder, images):
        loaded = saved.load_model(folder, nn.Sequential(nn.Flatten(), nn.Linear(3 * 32 * 32, 4)))
        assert loaded.probabilities(images).shape == (5, 3)

    def test_that_onnx_cannot_express_is_a_sentence(self, tmp_path):
        class Bessel(nn.Module):
            def forward(self, x):
                return torch.special.bessel_j0(x).flatten(1)

        classifier = Classifier(Bessel(), 3 * 32 * 32, 3)
        _, note = saved.save_model(own(classifier), tmp_path)
        assert note.startswith("model.onnx is not written: ") and "bessel" in note and note.endswith(".")
        assert sorted(path.name for path in tmp_path.iterdir()) == ["model.json", "model.safetensors"]

    def test_is_asked_for(self, folder, refused):
        with refused(Problem, "load_model(folder, extractor=…)"):
            saved.load_model(folder)


class TestDamaged:
    @pytest.fixture
    def folder(self, tmp_path):
        saved.save_model(model(), tmp_path)
        return tmp_path

    def test_no_model(self, tmp_path, refused):
        with refused(Problem, "holds no model.json"):
            saved.load_model(tmp_path)

    @pytest.mark.parametrize("text", ["", "{}", "[1]", '{"format": 2}'])
    def test_another_description(self, folder, refused, text):
        (folder / "model.json").write_text(text)
        with refused(Problem, "model.json' is no description of a model"):
            saved.load_model(folder)

    def test_an_unknown_network(self, folder, refused):
        about = json.loads((folder / "model.json").read_text())
        (folder / "model.json").write_text(json.dumps({**about, "network": "os"}))
        with refused(Problem, "'os', none of efficientnet_lite0, small_cnn"):
            saved.load_model(folder)

    def test_weights_cut_short(self, folder, refused):
        path = folder / "model.safetensors"
        path.write_bytes(path.read_bytes()[:1000])
        with refused(Problem, "does not hold the weights"):
            saved.load_model(folder)

    def test_weights_of_another_network(self, folder, refused):
        save_file({"extractor.0.weight": torch.zeros(1)}, folder / "model.safetensors")
        with refused(Problem, "does not hold the weights"):
            saved.load_model(folder)

    def test_no_weights(self, folder, refused):
        (folder / "model.safetensors").unlink()
        with refused(Problem, "has no model.safetensors"):
            saved.load_model(folder)
