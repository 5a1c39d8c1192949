"""What can be said of benchmarks/gpu.sh without a GPU."""

import os
import subprocess
import sys
import tarfile

import pytest
import torch

from aeda_core import models
from aeda_core.datasets.base import PROJECT
from benchmarks import throughput

CELEBA = ["img_align_celeba/000001.jpg", "list_attr_celeba.txt", "identity_CelebA.txt"]


def gpu(*words, **environment):
    known = os.environ | {"PYTHON": sys.executable, "PYTHONPATH": str(PROJECT), **environment}
    return subprocess.run(
        ["bash", "benchmarks/gpu.sh", *map(str, words)], cwd=PROJECT, env=known, capture_output=True, text=True
    )


def test_data_are_packed_as_they_are_found_again(tmp_path):
    for name in [*(f"celeba/{each}" for each in CELEBA), "celeba/list_bbox_celeba.txt", "mnist/MNIST/raw/some"]:
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text(name)
    for what, files in (("celeba", CELEBA), ("mnist", ["MNIST/raw/some"])):
        pack = tmp_path / f"{what}.tar.gz"
        done = gpu("pack", what, pack, AEDA_DATA=str(tmp_path))
        assert done.returncode == 0, done.stderr
        with tarfile.open(pack) as packed:
            found = {member.name for member in packed if member.isfile()}
        assert found == {f"{what}/{name}" for name in files}


@pytest.mark.parametrize(
    ("words", "said"),
    [
        ((), "call it as"),
        (("pack", "digits", "x"), "nothing to pack called 'digits'"),
        pytest.param(
            ("run", "x"), "torch sees no GPU here.",
            marks=pytest.mark.skipif(torch.cuda.is_available(), reason="there is a GPU here"),
        ),
    ],
)  # fmt: skip
def test_what_cannot_be_done_is_a_sentence(words, said):
    done = gpu(*words)
    assert done.returncode == 2 and said in done.stderr
    assert not (PROJECT / "x").exists()


def test_throughput_is_measured(monkeypatch):
    """The steps that the script takes on a GPU run on a CPU, too."""
    small = {"small_cnn": (12, lambda: models.small_cnn(width=2, n_features=4))}
    monkeypatch.setattr(throughput, "NETWORKS", small)
    monkeypatch.setattr(throughput, "ROUNDS", 1)
    found = list(throughput.measured(20, (10,), ("original", "aeda_robust")))
    assert len(found) == 3
    assert all(line["images/s"] > 0 for line in found)
