"""A classifier in a folder: its weights without pickle, the same as ONNX, and what it takes to load them."""

from __future__ import annotations

import copy
import importlib.util
import os
import warnings
from pathlib import Path
from types import ModuleType
from typing import Any, Literal

import numpy as np
import torch
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict, ValidationError
from safetensors import SafetensorError
from safetensors.torch import load_file, save
from torch import Tensor, nn
from torch.onnx import OnnxExporterError

from aeda_core import storage
from aeda_core.errors import Problem
from aeda_core.models import Classifier, in_chunks
from aeda_core.networks import efficientnet, small
from aeda_core.own.network import Build

NETWORKS: dict[str, ModuleType] = {"efficientnet_lite0": efficientnet, "small_cnn": small}
"""By name the file that defines a network's `extractor`; it is copied beside the weights as network.py."""

AGREE = 1e-4
"""How far the probabilities of the ONNX file may be from the network's."""


class About(BaseModel):
    """model.json: what the weights are of.

    network: the name of its extractor in NETWORKS; empty for a network of the reader's own
    classes: whether exactly one of `targets` is predicted, or each of them is present or absent by itself
    size:    height and width of the images that it takes
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    format: Literal[1] = 1
    network: str
    n_features: int
    targets: tuple[str, ...]
    classes: bool
    size: int
    images: str = "float32 (N, 3, size, size), RGB in [0, 1]: the largest square in the middle, resized"


class Model(nn.Module):
    """f and h_t alone: images float32 (N, 3, size, size) in [0, 1] to the probabilities (N, T) of `about.targets`.

    The bias head is left out: whoever takes the model home is not to guess people's bias values with it.
    """

    def __init__(self, extractor: nn.Module, target_head: nn.Module, about: About) -> None:
        super().__init__()
        self.extractor, self.target_head, self.about = extractor, target_head, about

    def forward(self, images: Tensor) -> Tensor:
        logits: Tensor = self.target_head(self.extractor(images * 2 - 1))
        return logits.softmax(1) if self.about.classes else logits.sigmoid()

    def probabilities(self, images: Tensor) -> Tensor:
        """float32 (N, T) of uint8 images (N, 3, size, size)."""
        return in_chunks(self, images)


def without_bias_head(
    classifier: Classifier, network: Any, targets: tuple[str, ...], classes: bool, size: int
) -> Model:
    """What is saved of a classifier that `network` built."""
    name = network.name if isinstance(network, Build) else ""
    about = About(
        network=name, n_features=classifier.target_head.in_features, targets=targets, classes=classes, size=size
    )
    return Model(classifier.extractor, classifier.target_head, about).eval()


def save_model(model: Model, folder: Path) -> list[str]:
    """Write model.safetensors, model.json, network.py and model.onnx; returns sentences about what is not written.

    Raises Problem if the ONNX file does not compute what the network does.
    """
    state = {name: value.detach().contiguous() for name, value in model.state_dict().items()}
    storage.write(folder / "model.safetensors", save(state))
    storage.write(folder / "model.json", model.about.model_dump_json(indent=2) + "\n")
    notes = []
    if model.about.network:
        source = Path(str(NETWORKS[model.about.network].__file__))
        storage.write(folder / "network.py", source.read_bytes())
    else:
        notes.append("network.py is not written: the network is your own, and loading the weights takes its class.")
    if all(importlib.util.find_spec(name) for name in ("onnx", "onnxruntime")):
        try:
            _write_onnx(model, folder / "model.onnx")
        except OnnxExporterError as error:
            notes.append(f"model.onnx is not written: {str(error).splitlines()[0].rstrip('.')}.")
    else:
        notes.append("model.onnx is not written: `pip install 'aeda-core[photos]'` brings what it takes.")
    return notes


def load_model(folder: str | Path, extractor: nn.Module | None = None) -> Model:
    """The model that `save_model` wrote to `folder`. Nothing of the folder is executed.

    extractor: the network f, where it was the reader's own
    Raises Problem if the folder holds no model, or one that does not fit together.
    """
    folder = Path(folder)
    about = _about(folder / "model.json")
    if extractor is None:
        if about.network not in NETWORKS:
            raise Problem(
                f"the network of '{folder}' is {about.network!r}, none of {', '.join(NETWORKS)}; load it from Python "
                "with load_model(folder, extractor=…)."
            )
        extractor = NETWORKS[about.network].extractor()
    model = Model(extractor, nn.Linear(about.n_features, len(about.targets)), about)
    weights = folder / "model.safetensors"
    try:
        model.load_state_dict(load_file(weights))
    except FileNotFoundError:
        raise Problem(f"'{folder}' has no model.safetensors; copy the whole folder that `save` wrote.") from None
    except (SafetensorError, RuntimeError) as error:
        reason = str(error).splitlines()[0].rstrip(".:")
        raise Problem(f"'{weights}' does not hold the weights of this network ({reason}); save it again.") from None
    return model.eval()


def _about(path: Path) -> About:
    try:
        return About.model_validate_json(path.read_bytes())
    except FileNotFoundError:
        raise Problem(
            f"'{path.parent}' holds no model.json; name a folder that `save` or `aeda mitigate` wrote."
        ) from None
    except ValidationError as error:
        first = error.errors()[0]
        where = ".".join(map(str, first["loc"])) or "it"
        raise Problem(
            f"'{path}' is no description of a model ({where}: {first['msg']}); save the model again."
        ) from None


def _write_onnx(model: Model, path: Path) -> None:
    """The network as ONNX, which is named `path` once it was read again and computes what the network does."""
    partial = path.with_name(f".{path.name}.{os.getpid()}.partial")
    images = torch.rand(8, 3, model.about.size, model.about.size, generator=torch.Generator().manual_seed(0))
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of its successor, which needs one package more
            torch.onnx.export(
                _with_maxima(model),
                (images[:2],),
                partial,
                input_names=["images"],
                output_names=["probabilities"],
                dynamic_axes={"images": {0: "n"}, "probabilities": {0: "n"}},
                dynamo=False,
            )
        with torch.no_grad():
            apart = float(np.abs(_computed(partial, images) - model(images).numpy()).max())
        if not apart <= AGREE:
            raise Problem(
                f"model.onnx is not written: it was {apart:.2g} away from the network, which is saved beside it."
            )
        os.replace(partial, path)
    finally:
        partial.unlink(missing_ok=True)


class _Maxima(nn.Module):
    """AdaptiveMaxPool2d in operations that ONNX has, for images of one size."""

    def __init__(self, n: int) -> None:
        super().__init__()
        self.n = n

    def forward(self, x: Tensor) -> Tensor:
        rows, columns = (
            [(i * size // self.n, -(-(i + 1) * size // self.n)) for i in range(self.n)]
            for size in map(int, x.shape[2:])
        )
        maxima = [torch.stack([x[:, :, a:b, c:d].amax((2, 3)) for c, d in columns], dim=2) for a, b in rows]
        return torch.stack(maxima, dim=2)


def _with_maxima(model: Model) -> Model:
    """The same model with _Maxima for AdaptiveMaxPool2d, which torch does not express in ONNX."""
    model = copy.deepcopy(model)
    for parent in list(model.modules()):
        for name, child in parent.named_children():
            if isinstance(child, nn.AdaptiveMaxPool2d) and isinstance(child.output_size, int):
                setattr(parent, name, _Maxima(child.output_size))
    return model


def _computed(path: Path, images: Tensor) -> NDArray[np.float32]:
    """What the ONNX file gives for these images."""
    import onnxruntime  # type: ignore[import-untyped]

    session = onnxruntime.InferenceSession(path, providers=["CPUExecutionProvider"])
    (probabilities,) = session.run(None, {"images": images.numpy()})
    return np.asarray(probabilities)
