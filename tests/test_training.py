"""The one loop: stopped anywhere it goes on as if it had not been."""

import os

import pytest
import torch

from aeda_core import checkpoints, training
from aeda_core.methods import METHODS, STUDIES, Plan, named
from aeda_core.methods.learner import Diverged

EPOCHS = 2
OPTIONS = {
    "aeda_pre": {"source_epochs": 2, "source_radius": 0.05},
    "adversarial_switch": {"source_epochs": 2},
    "cyclegan": {"gan_epochs": 2, "gan_batch_size": 16, "gan_width": 2, "gan_blocks": 1},
    "aeda_robust_warm": {"share": 0.5, "reset": 2},
    "few_shot": {"few": (2,), "copies": 3, "start": 0},
}
PREPARED = {"aeda_pre": 2, "adversarial_switch": 2, "cyclegan": 2}
"""Epochs of what is trained before a method's own."""


@pytest.fixture
def start(make_model, biased_images):
    """A run about to begin, whatever was drawn before."""

    def start(name, seed=0):
        data, kind = biased_images, named(name)
        if STUDIES.get(name) and name != "few_shot":
            data = data[data.targets < 2]
            data = type(data)(*list(vars(data).values())[:4], ("top", "middle"), data.bias_names)
        steps = {"steps": 1} if "steps" in kind.Options.model_fields else {}
        plan = Plan(epochs=EPOCHS, batch_size=16, mirror=True)
        model = make_model(n_targets=len(data.target_names))
        return kind(model, data, plan, seed, **steps, **OPTIONS.get(name, {})), data

    return start


class Killed(BaseException):
    """Stands for SIGINT: no handler of ours may catch it."""


def kill(done):
    raise Killed


@pytest.mark.parametrize("name", [*METHODS, *STUDIES])
def test_a_run_killed_after_every_epoch_is_the_run_in_one_go(start, name, tmp_path):
    """Also of a source and of generators, and each time into new objects, as in a new process."""
    method, data = start(name)
    straight, rows = training.train(method, data)

    checkpoint, sittings = tmp_path / "run.safetensors", 0
    while sittings < EPOCHS + PREPARED.get(name, 0):
        sittings += 1
        torch.manual_seed(sittings)
        with pytest.raises(Killed):
            training.train(*start(name), checkpoint, kill)
    resumed, resumed_rows = training.train(*start(name), checkpoint)

    assert resumed_rows == rows
    for a, b in zip(straight.state_dict().values(), resumed.state_dict().values(), strict=True):
        assert torch.equal(a, b)


def test_killed_while_writing_leaves_the_last_checkpoint(start, tmp_path, monkeypatch):
    checkpoint = tmp_path / "run.safetensors"
    method, _ = start("original")
    training._save(method, [{"epoch": 1}], checkpoint)
    before = checkpoint.read_bytes()

    def torn(descriptor):
        raise Killed

    monkeypatch.setattr(os, "fsync", torn)
    with pytest.raises(Killed):
        training._save(method, [{"epoch": 2}], checkpoint)
    assert checkpoint.read_bytes() == before
    assert list(tmp_path.iterdir()) == [checkpoint]


def test_a_damaged_checkpoint_is_set_aside_and_the_run_begins_anew(start, tmp_path, capsys):
    checkpoint = tmp_path / "run.safetensors"
    _, rows = training.train(*start("original"), checkpoint)
    content = bytearray(checkpoint.read_bytes())
    content[-1] ^= 1
    checkpoint.write_bytes(content)
    _, again = training.train(*start("original"), checkpoint)
    assert again == rows
    assert (tmp_path / "run.safetensors.damaged").read_bytes() == content
    said = capsys.readouterr().out
    assert "is damaged" in said and said.count("\n") == 1


def test_a_checkpoint_of_other_code_is_refused(start, tmp_path, refused, monkeypatch):
    checkpoint = tmp_path / "run.safetensors"
    training.train(*start("original"), checkpoint)
    monkeypatch.setattr(training.provenance, "code", lambda: "0123")
    with refused(training.OtherCode, "of other code", "now 0123"):
        training.train(*start("original"), checkpoint)


@pytest.mark.parametrize("name", ["original", "aeda_pre", "cyclegan"])
def test_a_loss_that_is_no_number_is_a_sentence_and_nothing_is_kept(start, name, tmp_path, refused, monkeypatch):
    """Of a method, of its source and of its generators."""

    def cross_entropy(logits, _, reduction="mean"):
        losses = logits.sum(1) * torch.nan
        return losses if reduction == "none" else losses.mean()

    monkeypatch.setattr("aeda_core.models.F.cross_entropy", cross_entropy)
    monkeypatch.setattr("aeda_core.methods.cyclegan.F.l1_loss", lambda a, b: (a - b).sum() * torch.nan)
    with refused(Diverged, "nan", "nothing of this epoch is kept"):
        training.train(*start(name), tmp_path / "run.safetensors")
    assert list(tmp_path.iterdir()) == []


def test_a_checkpoint_holds_no_code(start, tmp_path):
    """It is read by what reads numbers alone; torch.load and pickle are nowhere near."""
    training.train(*start("aeda_robust"), tmp_path / "run.safetensors")
    state = checkpoints.load(tmp_path / "run.safetensors")
    assert set(state) == {"code", "model", "method", "rows"}


def test_rows_tell_of_held_out_images_and_of_examples(make_model, biased_images):
    plan = Plan(epochs=3, batch_size=16)
    method = METHODS["aeda_robust"](make_model(), biased_images, plan, 0, steps=1, start=1)
    _, rows = training.train(method, biased_images)
    assert [row["epoch"] for row in rows] == [1, 2, 3]
    assert "r" not in rows[0]  # start=1: no example yet
    assert {"loss", "bacc", "bias", "r", "difference", "fooled", "bias_head"} <= rows[1].keys()
    assert all(0 <= row["r"] <= 1 and 0 <= row["bacc"] <= 100 for row in rows[1:])
