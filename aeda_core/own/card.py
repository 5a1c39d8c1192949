"""The model card: what a saved classifier was trained on, what it is worth, and what it must not be used for.

Its headings are those of Hugging Face's model cards.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from importlib.resources import files
from string import Template
from typing import TYPE_CHECKING, Any

import aeda_core
from aeda_core.datasets.base import BiasedImages
from aeda_core.own.decision import Interval, interval
from aeda_core.own.saved import About

if TYPE_CHECKING:
    from aeda_core.own.mitigate import Mitigated

START = '''```python
import json

import torch
from safetensors.torch import load_file

from network import extractor  # network.py of this folder{whose}

about = json.load(open("model.json"))
model = torch.nn.ModuleDict(
    {{"extractor": extractor(), "target_head": torch.nn.Linear(about["n_features"], len(about["targets"]))}}
)
model.load_state_dict(load_file("model.safetensors"))
model.eval()


@torch.no_grad()
def probabilities(images):  # float32 (N, 3, {size}, {size}), RGB in [0, 1]
    return model["target_head"](model["extractor"](images * 2 - 1)).{activation}
```

It takes torch and safetensors. `model.onnx` gives the same with onnxruntime alone, and `aeda predict` with aeda-core.'''
