"""The one loop: stopped anywhere it goes on as if it had not been."""

import pytest
import torch

from aeda_core import training
from aeda_core.methods import METHODS, Plan

EPOCHS = 3
OPTIONS = {"aeda_pre": {"source_epochs": 1, "steps": 1}, "aeda_robust": {"steps": 1, "start": 1}, "original": {}}


def start(method, make_model, data, seed=0):
    torch.manual_seed(seed)
    return METHODS[method](make_model(), data, Plan(epochs=EPOCHS, batch_size=16), seed, **OPTIONS[method])


class Killed(BaseException):
    """Stands for SIGINT: no handler of ours may catch it."""


@pytest.mark.parametrize("method", OPTIONS)
@pytest.mark.parametrize("killed_after", [1, 2])
def test_a_killed_run_resumes_to_the_same_result(method, killed_after, make_model, biased_images, tmp_path):
    straight, rows = training.train(start(method, make_model, biased_images), biased_images)

    done = 0

    def kill():
        nonlocal done
        done += 1
        if done == killed_after:
            raise Killed

    checkpoint = tmp_path / "run.pt"
    with pytest.raises(Killed):
        training.train(start(method, make_model, biased_images), biased_images, checkpoint, kill)
    trained = []
    resumed = start(method, make_model, biased_images)
    epoch = resumed.epoch
    resumed.epoch = lambda number: trained.append(number) or epoch(number)
    after, resumed_rows = training.train(resumed, biased_images, checkpoint)

    assert trained == list(range(killed_after + 1, EPOCHS + 1))
    assert resumed_rows == rows
    for a, b in zip(straight.state_dict().values(), after.state_dict().values(), strict=True):
        assert torch.equal(a, b)


def test_killed_while_writing_leaves_the_last_checkpoint(make_model, biased_images, tmp_path, monkeypatch):
    checkpoint = tmp_path / "run.pt"
    method = start("original", make_model, biased_images)
    training._save(method, [{"epoch": 1}], checkpoint)
    before = checkpoint.read_bytes()

    def torn(state, path):
        path.write_bytes(b"half")
        raise Killed

    monkeypatch.setattr(torch, "save", torn)
    with pytest.raises(Killed):
        training._save(method, [{"epoch": 2}], checkpoint)
    assert checkpoint.read_bytes() == before


def test_rows_tell_of_held_out_images_and_of_examples(make_model, biased_images):
    _, rows = training.train(start("aeda_robust", make_model, biased_images), biased_images)
    assert [row["epoch"] for row in rows] == [1, 2, 3]
    assert "r" not in rows[0]  # start=1: no example yet
    assert {"loss", "bacc", "bias", "r", "difference", "fooled", "bias_head"} <= rows[1].keys()
    assert all(0 <= row["r"] <= 1 and 0 <= row["bacc"] <= 100 for row in rows[1:])
