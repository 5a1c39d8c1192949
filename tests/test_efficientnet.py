"""EfficientNet-Lite0: the network that the ImageNet weights were trained in, without its batch norms."""

import math
import sys

import pytest
import torch
from torch import nn
from torch.nn import functional as F

from aeda_core import models
from aeda_core.datasets import DataError
from aeda_core.methods import METHODS, Plan
from aeda_core.networks import imagenet


class Reference(nn.Module):
    """The network as published, with batch norms; its layers are named as those of the file with the weights."""

    def __init__(self):
        super().__init__()
        self._conv_stem, self._bn0 = nn.Conv2d(3, 32, 3, 2, bias=False), nn.BatchNorm2d(32, eps=1e-3)
        self._blocks, channels = nn.ModuleList(), 32
        widths, repeats = (16, 24, 40, 80, 112, 192, 320), (1, 2, 2, 3, 3, 4, 1)
        strides, sizes = (1, 2, 2, 2, 1, 2, 1), (3, 3, 5, 3, 5, 5, 3)
        for outputs, n, stride, size in zip(widths, repeats, strides, sizes, strict=True):
            for number in range(n):
                block, wide = nn.Module(), channels * (1 if outputs == 16 else 6)
                if wide != channels:
                    block._expand_conv = nn.Conv2d(channels, wide, 1, bias=False)
                    block._bn0 = nn.BatchNorm2d(wide, eps=1e-3)
                step = stride if number == 0 else 1
                block._depthwise_conv = nn.Conv2d(wide, wide, size, step, groups=wide, bias=False)
                block._bn1 = nn.BatchNorm2d(wide, eps=1e-3)
                block._project_conv = nn.Conv2d(wide, outputs, 1, bias=False)
                block._bn2 = nn.BatchNorm2d(outputs, eps=1e-3)
                self._blocks.append(block)
                channels = outputs
        self._conv_head, self._bn1 = nn.Conv2d(320, 1280, 1, bias=False), nn.BatchNorm2d(1280, eps=1e-3)
        self._fc = nn.Linear(1280, 1000)

    @staticmethod
    def same(convolution, x):
        """As TensorFlow pads: an output for every `stride` pixels, an odd pixel at the right and the bottom."""
        size, stride = convolution.kernel_size[0], convolution.stride[0]
        total = max((math.ceil(x.shape[-1] / stride) - 1) * stride + size - x.shape[-1], 0)
        before, after = total // 2, total - total // 2
        return convolution(F.pad(x, (before, after, before, after)))

    def forward(self, x):
        x = F.relu6(self._bn0(self.same(self._conv_stem, x)))
        for block in self._blocks:
            y = F.relu6(block._bn0(block._expand_conv(x))) if hasattr(block, "_expand_conv") else x
            y = F.relu6(block._bn1(self.same(block._depthwise_conv, y)))
            y = block._bn2(block._project_conv(y))
            x = x + y if x.shape == y.shape else y
        return F.relu6(self._bn1(self._conv_head(x))).mean((2, 3))


@pytest.mark.parametrize("size", [32, 63, 96])
def test_computes_what_the_published_network_computes(size):
    reference = Reference().eval()
    reference.load_state_dict(torch.load(imagenet.weights_file(), weights_only=True))
    images = torch.rand(4, 3, size, size)
    with torch.no_grad():
        ours, theirs = models.build("efficientnet_lite0", n_targets=2).features(images), reference(images * 2 - 1)
    assert theirs.std() > 0.05
    assert torch.allclose(ours, theirs, atol=1e-4)


def test_nothing_is_left_that_mixes_the_images_of_a_batch():
    model = models.build("efficientnet_lite0", n_targets=17).train()
    images = torch.rand(3, 3, 32, 32)
    target, bias = model(images)
    assert (target.shape, bias.shape) == ((3, 17), (3, 2))
    assert torch.allclose(model(images[:1])[0], target[:1], atol=1e-4)
    assert list(model.buffers()) == []
    assert all(parameter.requires_grad for parameter in model.parameters())


def test_drawn_weights_let_features_tell_images_apart():
    """Neither silent nor saturated at 6 after 16 blocks without batch normalisation."""
    model = models.build("efficientnet_lite0", n_targets=2, weights="")
    features = model.features(torch.rand(16, 3, 64, 64))
    assert features.std(0).mean() > 0.005
    assert ((features > 0) & (features < 6)).float().mean() > 0.5


def test_reinitialised_is_drawn_by_its_seed(biased_images):
    """So a method with a source of its own trains this network, too."""
    model = models.build("efficientnet_lite0", n_targets=3)
    one, same, other = (models.reinitialised(model, seed) for seed in (1, 1, 2))
    first = next(zip(*(network.parameters() for network in (one, same, other, model)), strict=True))
    assert torch.equal(first[0], first[1])
    assert not torch.equal(first[0], first[2]) and not torch.equal(first[0], first[3])
    method = METHODS["aeda_pre"](model, biased_images, Plan(epochs=1), 0, source_epochs=1)
    assert math.isfinite(method.epoch(1))


class TestWeights:
    def test_without_the_extra_it_is_a_sentence(self, monkeypatch, refused):
        monkeypatch.setitem(sys.modules, imagenet.PACKAGE, None)
        assert not imagenet.installed()
        with refused(DataError, "pip install 'aeda-core[photos]'"):
            models.build("efficientnet_lite0", n_targets=2)

    def test_another_file_is_refused(self, monkeypatch, refused):
        monkeypatch.setattr(imagenet, "SHA256", imagenet.SHA256[:8] + "0" * 56)
        with refused(DataError, "efficientnet-lite0-57934424.pth", "sha256"):
            imagenet.weights_file()

    def test_others_are_refused(self):
        with pytest.raises(ValueError, match="weights is 'cifar'; it is 'imagenet-57934424'"):
            models.build("efficientnet_lite0", n_targets=2, weights="cifar")
