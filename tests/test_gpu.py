"""What only a GPU can show; nowhere else can these run."""

import pytest
import torch

from aeda_core import models
from aeda_core.attack import Attack
from aeda_core.methods import METHODS, Plan
from aeda_core.training import train

pytestmark = pytest.mark.skipif(not torch.cuda.is_available(), reason="there is no GPU here")


@pytest.fixture
def on_gpu(biased_images):
    return biased_images.to("cuda")


def test_the_attack_is_that_of_the_cpu(make_model, biased_images, on_gpu):
    model, attack = make_model(), Attack(steps=2)
    towards = biased_images.other_bias()
    here = attack.on_uint8(model, biased_images.images, towards, biased_images.targets)
    there = attack.on_uint8(model.cuda(), on_gpu.images, towards.cuda(), on_gpu.targets)
    assert (here != there.cpu()).double().mean() < 0.01  # signs of gradients near 0 differ


def test_weights_are_drawn_alike_everywhere(make_model):
    here, there = models.reinitialised(make_model(), 3), models.reinitialised(make_model().cuda(), 3)
    assert all(torch.equal(a, b.cpu()) for a, b in zip(here.parameters(), there.parameters(), strict=True))


@pytest.mark.parametrize("name", ["original", "aeda_pre", "aeda_robust", "cyclegan"])
def test_a_run_resumes(name, make_model, on_gpu, tmp_path):
    def start():
        return METHODS[name](make_model().cuda(), on_gpu, Plan(epochs=2, batch_size=16), 0)

    def stop(done):
        raise KeyboardInterrupt

    _, rows = train(start(), on_gpu)
    with pytest.raises(KeyboardInterrupt):
        train(start(), on_gpu, tmp_path / "run", stop)
    _, resumed = train(start(), on_gpu, tmp_path / "run")
    assert [row["loss"] for row in resumed] == pytest.approx([row["loss"] for row in rows], rel=0.05)
