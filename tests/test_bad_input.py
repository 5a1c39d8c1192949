"""Every mistake of a reader gets one sentence that names the thing and the value, whichever way in he takes."""

import sys
import tomllib
from dataclasses import replace
from math import inf, nan
from pathlib import Path

import pytest
import torch

import aeda_core
from aeda_core import cli, methods, models
from aeda_core.errors import Problem
from aeda_core.experiments.cmnist import CMNISTParameters

TABLE = tomllib.loads(Path(__file__).with_name("bad_input.toml").read_text(encoding="utf-8"))


def cases(way):
    return [pytest.param(case["give"], case["says"], id=str(case["give"])) for case in TABLE[way]]


def is_sentence(message):
    return "\n" not in message and message[-1] in ".?"


@pytest.mark.parametrize(("give", "says"), cases("command"))
def test_command(give, says, monkeypatch, capsys, tmp_path):
    folder, file = tmp_path / "empty", tmp_path / "file"
    folder.mkdir()
    file.touch()
    monkeypatch.setenv("COLUMNS", "1000")
    monkeypatch.setattr(sys, "argv", ["aeda", *give.format(folder=folder, file=file).split()])
    with pytest.raises(SystemExit) as ended:
        cli.main()
    out, err = capsys.readouterr()
    assert (ended.value.code, out) == (2, "")
    assert says in err and "Traceback" not in err
    assert "Usage" in err or is_sentence(err.strip())


def test_aeda_data_that_is_a_file(monkeypatch, tmp_path, refused):
    (tmp_path / "file").touch()
    monkeypatch.setenv("AEDA_DATA", str(tmp_path / "file"))
    with refused(Problem, "is not a folder"):
        aeda_core.load("cmnist")


@pytest.mark.parametrize(("give", "says"), cases("parameter"))
def test_parameter(give, says):
    with pytest.raises(Problem) as problem:
        CMNISTParameters.from_notebook(give)
    assert says in str(problem.value) and is_sentence(str(problem.value))


@pytest.fixture(scope="module")
def data():
    return aeda_core.load("cmnist", "embedded", n_train=100, n_validation=60).training


@pytest.mark.parametrize(("give", "says"), cases("python"))
def test_python(give, says, data):
    public = {name: getattr(aeda_core, name) for name in aeda_core.__all__}
    names = {**public, "data": data, "inf": inf, "nan": nan, "torch": torch, "replace": replace}
    with pytest.raises(Problem) as problem:
        eval(give, {**names, "methods": methods, "models": models})
    assert says in str(problem.value)


def test_there_are_many():
    assert sum(map(len, TABLE.values())) >= 60
