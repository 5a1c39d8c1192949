"""The classifier: two heads on one extractor, and a precision that does not change what is learned."""

import hashlib

import numpy as np
import pytest
import torch
from torchvision.models import vgg
from torchvision.transforms import Normalize

from aeda_core import metrics, models
from aeda_core.datasets import DataError, cmnist
from aeda_core.experiments import common
from aeda_core.methods import METHODS, Plan


@pytest.mark.skipif(not common.has_bf16(), reason="this processor emulates bfloat16, at a tenth of the speed")
def test_bf16_learns_what_fp32_learns(embedded):
    """fp32 is the reference: on the same seeds the mean bACC differs by less than the seeds do among themselves.

    On backgrounds that mean nothing, where seeds differ little, so that the comparison is a sharp one.
    """
    recipe = cmnist.Recipe(n_train=2000, n_validation=500, correlation=0.5)
    training, held_out = cmnist.training(embedded, recipe), cmnist.validation(embedded, recipe)

    def bacc(precision, seed):
        torch.manual_seed(seed)
        model, plan = models.small_cnn(precision=precision), Plan(epochs=4, batch_size=32, averaging=0.9)
        method = METHODS["oracle"](model, training, plan, seed)
        for number in range(1, 5):
            method.epoch(number)
        return metrics.bacc(metrics.confusion(method.learner.averaged.module, held_out))

    fp32, bf16 = ([bacc(precision, seed) for seed in range(3)] for precision in ("fp32", "bf16"))
    assert min(fp32) > 90, "too little was learned for a comparison"
    assert abs(np.mean(fp32) - np.mean(bf16)) < np.ptp(fp32)


def test_logits_and_weights_stay_float32_in_bf16():
    """The losses, and the small steps of an optimiser, need the digits that bf16 has not."""
    model = models.small_cnn(width=4, precision="bf16")
    assert {output.dtype for output in model(torch.rand(2, 3, 28, 28))} == {torch.float32}
    assert {parameter.dtype for parameter in model.parameters()} == {torch.float32}


def test_both_heads_read_the_same_features():
    model = models.small_cnn(width=4, n_features=16, bias_hidden=8)
    images = torch.rand(3, 3, 28, 28)
    target, bias = model(images)
    features = model.features(images)
    assert torch.equal(target, model.target_head(features))
    assert torch.equal(bias, model.bias_head(features))
    assert (features.shape, target.shape, bias.shape) == ((3, 16), (3, 10), (3, 2))


def test_an_unknown_precision_is_a_sentence():
    with pytest.raises(ValueError, match="precision is 'fp8'; it is one of bf16, fp32"):
        models.small_cnn(precision="fp8")


class TestVGG16:
    """The network for faces."""

    def test_is_torchvisions_at_full_width(self):
        ours = models.vgg16(17, size=32)
        theirs = vgg.make_layers(vgg.cfgs["D"])
        theirs.load_state_dict({k: v for k, v in ours.extractor.state_dict().items() if int(k.split(".")[0]) < 30})
        images = torch.rand(2, 3, 32, 32)
        assert torch.allclose(ours.extractor[:30](images), theirs[:30](images), atol=1e-5)

    @pytest.mark.parametrize(("size", "width"), [(32, 0.125), (48, 0.0625), (96, 0.0625)])
    def test_takes_faces_of_any_size(self, size, width):
        target, bias = models.vgg16(17, size=size, width=width)(torch.rand(3, 3, size, size))
        assert (target.shape, bias.shape) == ((3, 17), (3, 2))

    def test_refuses_faces_that_it_would_halve_to_nothing(self):
        with pytest.raises(ValueError, match=r"size is 15; .* at least 16 pixels"):
            models.vgg16(17, size=15)

    def test_starts_from_weights_in_a_file_that_its_name_vouches_for(self, tmp_path, monkeypatch):
        monkeypatch.setattr(models, "DATA", tmp_path)
        (tmp_path / "weights").mkdir()
        file = tmp_path / "weights" / "vgg16.pth"
        convolutions = vgg.make_layers(vgg.cfgs["D"]).state_dict()
        torch.save({f"features.{key}": value for key, value in convolutions.items()}, file)
        digest = hashlib.sha256(file.read_bytes()).hexdigest()[:8]
        named = file.rename(file.with_name(f"vgg16-{digest}.pth"))
        model = models.vgg16(17, size=32, weights=named.name)
        kept = torch.load(named, weights_only=True)["features.28.weight"]
        assert any(torch.equal(parameter, kept) for parameter in model.parameters())
        images = torch.rand(1, 3, 32, 32)
        normalised = Normalize((0.485, 0.456, 0.406), (0.229, 0.224, 0.225))(images)
        assert torch.allclose(model.extractor[0](images * 2 - 1), normalised, atol=1e-5)
        theirs = Normalize([2 * m - 1 for m in (0.485, 0.456, 0.406)], [2 * s for s in (0.229, 0.224, 0.225)])
        assert torch.equal(model.extractor[0](images * 2 - 1), theirs(images * 2 - 1))
        assert "0.mean" not in model.extractor.state_dict()

    def test_weights_that_are_missing_or_others_are_a_sentence(self, tmp_path, monkeypatch, refused):
        monkeypatch.setattr(models, "DATA", tmp_path)
        with refused(DataError, "vgg16-00000000.pth", "there is no file"):
            models.vgg16(17, size=32, weights="vgg16-00000000.pth")
        (tmp_path / "weights").mkdir()
        (tmp_path / "weights" / "vgg16-00000000.pth").write_bytes(b"other")
        with refused(DataError, "vgg16-00000000.pth", "sha256"):
            models.vgg16(17, size=32, weights="vgg16-00000000.pth")


def test_an_unknown_network_is_a_sentence():
    with pytest.raises(
        ValueError, match="there is no network 'resnet'; known are small_cnn, vgg16, efficientnet_lite0"
    ):
        models.build("resnet")
