"""Target and bias that are one column: said before anything is trained, and no number is given."""

from functools import partial

import numpy as np
import pandas as pd
import pytest
import torch

from aeda_core import audit, audit_predictions, mitigate
from aeda_core.datasets import BiasedImages, DataError
from aeda_core.own import audit as auditing
from aeda_core.own import mitigate as mitigating
from aeda_core.own.comparable import caution, exceptions, require_comparable


def labelled(sizes, copies=1):
    """Images without pixels, in groups of these `sizes` (tasks, B), `copies` of each identity."""
    sizes = np.asarray(sizes)
    groups = [(t, b) for (t, b), n in np.ndenumerate(sizes) for _ in range(n)]
    target, bias = torch.tensor(groups).repeat_interleave(copies, dim=0).T
    names = (tuple("abc"[: len(sizes)]), tuple("xyz"[: sizes.shape[1]]))
    identities = torch.arange(len(groups)).repeat_interleave(copies)
    return BiasedImages(torch.zeros(len(target), 3, 16, 16, dtype=torch.uint8), target, bias, identities, *names)


@pytest.mark.parametrize(
    ("sizes", "refused"),
    [
        ([[50, 0], [0, 50]], True),
        ([[50, 0], [50, 0], [0, 50]], True),
        ([[500, 4], [4, 500]], True),
        ([[500, 5], [0, 500]], False),
        ([[2, 1], [1, 2]], False),
        ([[50, 50], [0, 50]], False),
    ],
    ids=["one column", "a bias value of two tasks", "a handful of exceptions", "enough of them", "few images", "apart"],
)
def test_one_column_is_refused(sizes, refused):
    if refused:
        with pytest.raises(DataError, match="target and bias variable are the same here"):
            require_comparable(labelled(sizes))
    else:
        require_comparable(labelled(sizes))


def test_copies_of_a_person_are_no_further_exceptions(refused):
    with refused(DataError, "2,000 of 2,008 labels"):
        require_comparable(labelled([[500, 4], [0, 500]], copies=2))


def test_attributes_are_two_tasks_each():
    """`wet` is the bias variable itself, and `loud` is not: there is something to compare."""
    data = labelled([[20, 0], [0, 20]])
    loud = torch.arange(40) % 2
    wet = data.targets
    both = BiasedImages(
        data.images, torch.stack([wet, loud], 1), data.bias, data.identities, ("wet", "loud"), data.bias_names
    )
    require_comparable(both)
    assert exceptions(both) == (20, 80)


def test_where_all_rests_on_few_it_is_said():
    (said,) = caution(labelled([[500, 6], [0, 500]]))
    assert "6 of 1,006 labels" in said
    assert caution(labelled([[500, 60], [0, 500]])) == []


@pytest.mark.parametrize("call", [audit, mitigate])
def test_nothing_is_trained(call, monkeypatch, refused):
    for module in (auditing, mitigating):
        monkeypatch.setattr(module, "fit_once", lambda *_, **__: pytest.fail("trained"))
    with refused(DataError, "target and bias variable are the same", "name another bias variable"):
        partial(call, progress=False)(labelled([[50, 0], [0, 50]]))


def test_predictions_are_not_judged_either(tmp_path, refused):
    file = tmp_path / "p.csv"
    pd.DataFrame({"target": list("ab" * 30), "bias": list("xy" * 30), "predicted": list("ab" * 30)}).to_csv(file)
    with refused(DataError, "60 of 60 labels"):
        audit_predictions(file)
