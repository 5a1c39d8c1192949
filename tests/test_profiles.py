"""What a reader may and may not tell a chapter. papermill only logs what it does not know, so we refuse it."""

import pytest

from aeda_core import datasets
from aeda_core.experiments import cmnist
from aeda_core.experiments.cmnist import CMNISTParameters
from aeda_core.profiles import ParameterError


@pytest.mark.parametrize("name", ["smoke", "laptop", "paper", "recorded"])
def test_only_recorded_does_not_train(name):
    assert CMNISTParameters.load(name).live == (name != "recorded")


def test_recorded_asks_for_what_paper_makes():
    paper, recorded = CMNISTParameters.load("paper"), CMNISTParameters.load("recorded")
    assert paper.model_dump(exclude={"profile"}) == recorded.model_dump(exclude={"profile"})


@pytest.mark.parametrize("name", ["smoke", "laptop"])
def test_small_profiles_can_be_had_from_the_stand_in(name):
    """`make book` and `make test` work where there is no MNIST and no network."""
    (spec,) = cmnist.specs(CMNISTParameters.load(name, data_root="embedded", seeds=1), ("original",))
    assert len(datasets.build(spec.data, "embedded").training) == spec.data["n_train"]


@pytest.mark.parametrize(
    ("given", "words"),
    [
        ({"profil": "smoke"}, "there is no parameter 'profil'; did you mean 'profile'?"),
        ({"zzz": 1}, "there is no parameter 'zzz'; known are"),
        ({"profile": "huge"}, "parameter profile is 'huge'"),
        ({"epsilon": "abc"}, "parameter epsilon is 'abc'"),
        ({"epsilon": -0.1}, "parameter epsilon is -0.1"),
        ({"epsilon": float("nan")}, "parameter epsilon is nan"),
        ({"lambda_": 1.5}, "parameter lambda_ is 1.5"),
        ({"steps": 0}, "parameter steps is 0"),
        ({"steps": 2.5}, "parameter steps is 2.5"),
        ({"seeds": 0}, "parameter seeds is 0"),
        ({"seeds": True}, "parameter seeds is True"),
    ],
)
def test_what_does_not_fit_is_one_sentence(given, words):
    with pytest.raises(ParameterError) as error:
        CMNISTParameters.load(**given)
    assert words in str(error.value)
    assert "\n" not in str(error.value)


@pytest.mark.parametrize(("text", "value"), [("1e-1", 0.1), ("0.25", 0.25)])
def test_papermills_strings_are_numbers(text, value):
    """`papermill -y 'epsilon: 1e-1'` hands over the string."""
    assert CMNISTParameters.load(epsilon=text).epsilon == value


def test_notebook_namespace_is_read_whole():
    namespace = {"__name__": "x", "_i": "1", "In": ["a"], "get_ipython": print, "profile": "smoke", "epsilon": 0.1}
    parameters = CMNISTParameters.from_notebook(namespace)
    assert (parameters.profile, parameters.epsilon) == ("smoke", 0.1)
    with pytest.raises(ParameterError, match="'epsilom'; did you mean 'epsilon'"):
        CMNISTParameters.from_notebook(namespace | {"epsilom": 0.1})


def test_notebooks_show_the_sentence_alone():
    with pytest.raises(ParameterError) as error:
        CMNISTParameters.load(steps=0)
    (line,) = error.value._render_traceback_()
    assert line.startswith("ParameterError: parameter steps is 0")
