"""Nothing that is read can run: no data, record, checkpoint or weights; and what is installed is what is locked."""

import ast
import re

import pytest

from aeda_core.datasets.base import PROJECT

SOURCES = sorted([*PROJECT.glob("aeda_core/**/*.py"), *PROJECT.glob("benchmarks/*.py")])
MODULES = {"pickle", "cloudpickle", "dill", "joblib", "marshal", "shelve"}
BUILTINS = {"compile", "eval", "exec", "__import__"}


def risks(source):
    """The lines of `source` that could run what they read."""
    tree = ast.parse(source)
    for node in ast.walk(tree):
        named = []
        if isinstance(node, ast.Import):
            named = [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            named = [node.module or ""]
        if {name.partition(".")[0] for name in named} & MODULES:
            yield node.lineno
        if not isinstance(node, ast.Call):
            continue
        called, given = ast.unparse(node.func), {each.arg: ast.unparse(each.value) for each in node.keywords}
        if (
            called in BUILTINS
            or called in ("os.system", "os.popen", "yaml.load")
            or (called.endswith("torch.load") and given.get("weights_only") != "True")
            or given.get("allow_pickle", "False") != "False"
            or given.get("shell", "False") != "False"
        ):
            yield node.lineno


@pytest.mark.parametrize("path", SOURCES, ids=lambda path: path.relative_to(PROJECT).as_posix())
def test_nothing_runs_what_it_reads(path):
    """`torch.load` of weights alone reads numbers: two networks come in its format."""
    assert list(risks(path.read_text(encoding="utf-8"))) == []


@pytest.mark.parametrize(
    "line",
    [
        "import pickle",
        "from joblib import load",
        "eval(text)",
        "torch.load(path)",
        "torch.load(path, weights_only=False)",
        "np.load(path, allow_pickle=True)",
        "subprocess.run(text, shell=True)",
    ],
)
def test_what_would_run_is_found(line):
    assert list(risks(line)) == [1]


def test_whatever_is_installed_from_a_lock_has_to_have_its_hash():
    """Of `make env` and of `make bench`; only the project itself, which is here, is installed without."""
    makefile = (PROJECT / "Makefile").read_text(encoding="utf-8").replace("\\\n", " ")
    installs = re.findall(r"(?:\$\(PIP\)|pip) .*?install .*", makefile)
    assert len(installs) >= 4
    for install in installs:
        own = re.search(r"install --no-build-isolation --no-deps -e \.$", install)
        assert own or "--require-hashes" in install, install
