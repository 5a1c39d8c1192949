"""The public library: its example, what importing it costs, and that it works where there is no checkout."""

import doctest
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
import torch

import aeda_core
from aeda_core import metrics
from aeda_core.datasets import BiasedImages
from aeda_core.datasets.base import PROJECT
from aeda_core.metrics import UndefinedMetric

HEAVY = {"sklearn", "scipy", "torchvision", "IPython", "pandas", "matplotlib", "torch._dynamo"}


def python(code, *options, **settings):
    """What `code` prints in a Python of its own. Fails if it fails."""
    done = subprocess.run([sys.executable, *options, "-c", code], capture_output=True, text=True, **settings)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout.strip()


def test_the_example_in_the_docstring():
    result = doctest.testmod(aeda_core)
    assert result.attempted >= 8 and result.failed == 0


def test_public_names_are_there_and_cheap():
    """Every name of `__all__`, without a package that takes a second and is not needed to train."""
    code = f"import sys; from aeda_core import *; print(sorted({HEAVY} & set(sys.modules)), METHODS['original'].label)"
    assert python(code, env=os.environ | {"PYTHONPATH": str(PROJECT)}) == "[] Original"


def test_the_package_alone_imports_not_even_torch():
    code = "import sys, aeda_core; print('torch' in sys.modules, 'Plan' in dir(aeda_core))"
    assert python(code, env=os.environ | {"PYTHONPATH": str(PROJECT)}) == "False True"


def test_what_is_not_public_is_no_attribute():
    with pytest.raises(AttributeError, match="no attribute 'evaluat'"):
        _ = aeda_core.evaluat


class TestEvaluate:
    @pytest.fixture
    def images(self, written):
        """Class and bias value of eight images, and what `readout` answers: three of the eight are wrong."""
        targets, bias = torch.tensor([0, 0, 0, 0, 1, 1, 1, 1]), torch.tensor([0, 0, 1, 1, 0, 0, 1, 1])
        answers = [0, 0, 0, 1, 1, 1, 0, 0]
        return BiasedImages(written(answers), targets, bias, torch.arange(8), ("cat", "dog"), ("day", "night"))

    def test_by_hand(self, readout, images):
        """(1 + ½ + 1 + 0) / 4 = 62.5 %; ½ + 1 = 1.5."""
        result = aeda_core.evaluate(readout(2), images)
        assert (result.bacc, result.bias, result.undefined) == (62.5, 1.5, ())
        assert result.groups == {("cat", "day"): 1, ("cat", "night"): 0.5, ("dog", "day"): 1, ("dog", "night"): 0}
        assert str(result).splitlines()[:2] == ["bACC 62.5 %, model bias 1.50", "cat, day: 100.0 %"]
        assert metrics.bacc(result.confusion) == result.bacc

    def test_a_task_with_an_empty_group_is_left_out_and_named(self, readout, images):
        result = aeda_core.evaluate(readout(2), images[:6])
        assert (result.bacc, result.bias, result.undefined) == (75, 0.5, ("dog",))
        assert ("dog", "night") not in result.groups and result.groups["dog", "day"] == 1

    def test_without_any_whole_task_nothing_is_defined(self, readout, images, refused):
        with refused(UndefinedMetric, "no target task has an image of each bias value"):
            aeda_core.evaluate(readout(2), images[:2])


@pytest.fixture(scope="module")
def installed(tmp_path_factory):
    """The package as a user gets it: a wheel, installed into an empty folder."""
    folder = tmp_path_factory.mktemp("wheel")
    source, target = folder / "source", folder / "installed"
    shutil.copytree(PROJECT / "aeda_core", source / "aeda_core", ignore=shutil.ignore_patterns("__pycache__"))
    for name in ("pyproject.toml", "README.md", "LICENSE"):
        shutil.copy(PROJECT / name, source)
    pip = [sys.executable, "-m", "pip", "--disable-pip-version-check", "--quiet"]
    build = [*pip, "wheel", "--no-deps", "--no-build-isolation", "--wheel-dir", folder, source]
    subprocess.run(build, check=True, capture_output=True)
    (wheel,) = folder.glob("aeda_core-*.whl")
    subprocess.run([*pip, "install", "--no-deps", "--target", target, wheel], check=True, capture_output=True)
    return target


@pytest.mark.slow
class TestInstalled:
    @staticmethod
    def run(installed, code, cwd, **environment):
        """`code` with the installed package and nothing of the checkout."""
        first = f"import sys; sys.path.insert(0, {str(installed)!r}); import aeda_core; "
        assert str(PROJECT) not in str(installed)
        clean = {name: value for name, value in os.environ.items() if not name.startswith(("AEDA", "PYTHON"))}
        one_thread = {"OMP_NUM_THREADS": "1"}  # threads wait for each other where the cores are shared
        return python(first + code, "-I", "-B", cwd=cwd, env=clean | one_thread | environment)

    def test_the_example_runs_and_leaves_nothing_beside_it(self, installed, tmp_path):
        before = sorted(installed.rglob("*"))
        code = "import doctest; print(aeda_core.__file__, doctest.testmod(aeda_core).failed)"
        where, failed = self.run(installed, code, tmp_path, AEDA_HOME=str(tmp_path / "home")).split()
        assert (Path(where).parent.parent, failed) == (installed, "0")
        assert sorted(installed.rglob("*")) == before
        assert list(tmp_path.iterdir()) == []

    @pytest.mark.parametrize("variable", ["AEDA_HOME", "XDG_CACHE_HOME"])
    def test_data_go_to_the_users_own_folder(self, installed, tmp_path, variable):
        """The second is where Linux has its cache folder; elsewhere platformdirs knows."""
        if variable == "XDG_CACHE_HOME" and sys.platform != "linux":
            pytest.skip("a variable of Linux")
        code = "from aeda_core import provenance, runs; print(runs.RUNS, provenance.commit())"
        place, commit = self.run(installed, code, tmp_path, **{variable: str(tmp_path / "mine")}).split()
        assert Path(place).is_relative_to(tmp_path / "mine")
        assert commit == "unknown"

    def test_every_data_file_is_in_the_wheel(self, installed):
        files = {path for path in (PROJECT / "aeda_core").rglob("*.*") if path.suffix not in (".py", ".pyc")}
        assert {".csv", ".txt", ".toml", ".svg"} <= {path.suffix for path in files}
        assert [path for path in files if not (installed / path.relative_to(PROJECT)).is_file()] == []


def test_the_command_says_what_it_lacks_without_the_books_packages():
    code = "import sys; sys.modules['typer'] = None; from aeda_core.__main__ import main; main()"
    environment = os.environ | {"PYTHONPATH": str(PROJECT)}
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, env=environment)
    assert done.returncode == 1
    assert "needs typer" in done.stderr and "pip install 'aeda-core[book]'" in done.stderr
    assert "Traceback" not in done.stderr
