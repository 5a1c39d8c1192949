"""aeda_core: adversarial example-based data augmentation for visual debiasing (Zhang and Sang, ACM MM 2020).

A classifier of digits whose background colour gives them away in training, and means nothing in testing:

>>> import torch
>>> from aeda_core import METHODS, Plan, evaluate, load, small_cnn, train
>>> digits = load("cmnist", "embedded", n_train=500, n_validation=100)
>>> _ = torch.manual_seed(0)
>>> model = small_cnn(n_targets=10, width=8)
>>> method = METHODS["aeda_robust"](model, digits.training, Plan(epochs=2), seed=0, epsilon=0.3)
>>> classifier, epochs = train(method, digits.validation)
>>> result = evaluate(classifier, digits.test)
>>> print(result)  # doctest: +ELLIPSIS
bACC ... %, model bias ...
0, red: ... %
...
>>> sorted(epochs[-1])
['bacc', 'bias', 'bias_head', 'difference', 'epoch', 'fooled', 'loss', 'r']

Images of your own go into `BiasedImages`, a network of your own into `Classifier`. Nothing is imported before it is
asked for.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from aeda_core.attack import Attack as Attack
    from aeda_core.datasets import BiasedImages as BiasedImages
    from aeda_core.datasets import DataError as DataError
    from aeda_core.datasets import Splits as Splits
    from aeda_core.datasets import load as load
    from aeda_core.datasets.folder import Folder as Folder
    from aeda_core.datasets.folder import read_folder as read_folder
    from aeda_core.errors import Problem as Problem
    from aeda_core.methods import METHODS as METHODS
    from aeda_core.methods import STUDIES as STUDIES
    from aeda_core.methods import Method as Method
    from aeda_core.methods import Plan as Plan
    from aeda_core.metrics import Evaluation as Evaluation
    from aeda_core.metrics import evaluate as evaluate
    from aeda_core.models import Classifier as Classifier
    from aeda_core.models import small_cnn as small_cnn
    from aeda_core.models import vgg16 as vgg16
    from aeda_core.own.audit import audit as audit
    from aeda_core.own.audit import audit_predictions as audit_predictions
    from aeda_core.own.report import Report as Report
    from aeda_core.profiles import ParameterError as ParameterError
    from aeda_core.training import train as train

__version__ = "0.1.0"

_MODULES = {
    "attack": ("Attack",),
    "datasets": ("BiasedImages", "DataError", "Splits", "load"),
    "datasets.folder": ("Folder", "read_folder"),
    "errors": ("Problem",),
    "methods": ("METHODS", "STUDIES", "Method", "Plan"),
    "metrics": ("Evaluation", "evaluate"),
    "models": ("Classifier", "small_cnn", "vgg16"),
    "own.audit": ("audit", "audit_predictions"),
    "own.report": ("Report",),
    "profiles": ("ParameterError",),
    "training": ("train",),
}
"""By module of this package, the names that are public here."""

_HOME = {name: module for module, names in _MODULES.items() for name in names}

__all__ = [*_HOME]


def __getattr__(name: str) -> Any:
    if name not in _HOME:
        raise AttributeError(f"module '{__name__}' has no attribute '{name}'")
    return getattr(importlib.import_module(f"{__name__}.{_HOME[name]}"), name)


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
