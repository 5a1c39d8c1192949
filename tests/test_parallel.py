"""Several processes that share a run come to the weights of one."""

import json
import os
import subprocess
import sys
import textwrap

import pytest
import torch
from typer.testing import CliRunner

from aeda_core import checkpoints, cli, parallel
from aeda_core.datasets.base import PROJECT
from aeda_core.errors import Problem
from aeda_core.methods import METHODS, Plan

DIVISIBLE = [name for name, kind in METHODS.items() if kind.divisible]


@pytest.fixture
def begun(make_model, biased_images):
    def begin(name, **plan):
        return METHODS[name](make_model(), biased_images, Plan(**{"epochs": 2, "batch_size": 16, **plan}), 0)

    return begin


def in_each_of(n, monkeypatch, asked):
    """What `asked` gives in each of `n` processes; they are played one after the other."""
    found = []
    for rank in range(n):
        monkeypatch.setattr(parallel, "size", lambda: n)
        monkeypatch.setattr(parallel, "rank", lambda rank=rank: rank)
        found.append(asked())
    monkeypatch.undo()
    return found


@pytest.mark.parametrize("n_images", [1, 2, 3, 17])
@pytest.mark.parametrize("name", DIVISIBLE)
def test_the_parts_of_a_batch_add_up_to_its_loss(begun, name, n_images, monkeypatch):
    """Also where they differ in size, where labels count differently, and where some process would have no image."""
    method, batch = begun(name, task_balance=1.0, mirror=True), torch.arange(n_images)
    method.mirrored[::2] = True
    parts = in_each_of(3, monkeypatch, lambda: parallel.summand(method.loss, batch))
    torch.testing.assert_close(sum(parts), method.loss(batch))
    assert parallel.summand(method.loss, batch) == method.loss(batch)


def test_what_attacks_or_pairs_images_is_refused(begun, refused, monkeypatch):
    others = [name for name in METHODS if name not in DIVISIBLE]
    assert "aeda_robust" in others and "lisa" in others
    monkeypatch.setattr(parallel, "size", lambda: 2)
    for name in others:
        with refused(Problem, f"{name} does more than", "without torchrun"):
            begun(name)


SCRIPT = """
    import sys, torch
    from pathlib import Path
    from aeda_core import checkpoints, models, parallel
    from aeda_core.datasets import load
    from aeda_core.methods import METHODS, Plan
    from aeda_core.training import train

    torch.set_num_threads(1)
    splits = load("cmnist", "embedded", n_train=200, n_validation=60, size=12, correlation=0.5)
    with parallel.group():
        for name in sys.argv[2:]:
            torch.manual_seed(0)
            model = models.small_cnn(width=4, n_features=16)
            method = METHODS[name](model, splits.training, Plan(epochs=3, batch_size=32, mirror=True), 0)
            _, rows = train(method, splits.validation)
            if not parallel.rank():
                checkpoints.save(Path(sys.argv[1], f"{name}-{parallel.size()}"), [method.model.state_dict(), rows])
"""


def together(n, *command, **environment):
    """`command` of Python as `n` processes that torchrun begins."""
    launch = ["-m", "torch.distributed.run", "--standalone", "--nproc-per-node", str(n)]
    known = os.environ | {"PYTHONPATH": str(PROJECT), "OMP_NUM_THREADS": "1", **environment}
    return subprocess.run(
        [sys.executable, *launch, *map(str, command)], cwd=PROJECT, env=known, capture_output=True, text=True
    )


@pytest.mark.slow
def test_two_processes_come_to_the_weights_of_one_with_the_doubled_batch(tmp_path):
    """Within 5e-4 after 21 steps, of which the last of each epoch has 8 images; half the batch moves weights by 0.01.

    Where a gradient is 0 but for rounding, AdamW makes a step of it: on some processors weights differ by 5e-5.
    """
    script, names = tmp_path / "script.py", ["original", "adversarial_debiasing", "reweighting"]
    script.write_text(textwrap.dedent(SCRIPT))
    for n in (1, 2):
        done = together(n, script, tmp_path, *names)
        assert done.returncode == 0, done.stderr
    for name in names:
        (one, rows), (two, others) = (checkpoints.load(tmp_path / f"{name}-{n}") for n in (1, 2))
        assert max((one[key] - two[key]).abs().max().item() for key in one) < 5e-4
        assert [row["loss"] for row in others] == pytest.approx([row["loss"] for row in rows], abs=1e-5)


@pytest.mark.slow
def test_a_run_by_torchrun_is_written_once_and_says_how_it_was_trained(tmp_path):
    asked = ["-m", "aeda_core", "run", "original", "--profile", "smoke", "--data", "embedded"]
    done = together(2, *asked, AEDA_RUNS=str(tmp_path))
    assert done.returncode == 0, done.stderr
    assert done.stdout.count("bACC") == 1
    (record,) = tmp_path.glob("runs/live/cmnist/*.json")
    assert json.loads(record.read_text())["provenance"]["capability"].endswith(", 2 processes")
    assert not list((tmp_path / "checkpoints").iterdir())


def test_other_commands_do_not_share_anything(monkeypatch):
    monkeypatch.setattr(parallel, "size", lambda: 2)
    monkeypatch.setattr(parallel, "rank", lambda: 0)
    answer = CliRunner().invoke(cli.app, ["sweep"])
    assert isinstance(answer.exception, Problem)
    assert str(answer.exception).endswith("call `aeda sweep` without it.")
