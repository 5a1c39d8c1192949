"""What a stopped run goes on from: one safetensors file, with the state's structure as JSON and a checksum of it all.

Reading one runs no code, whoever wrote it: it holds numbers, texts and arrays, and no pickled objects.
"""

from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import Any

import safetensors.torch
import torch
from safetensors import SafetensorError, safe_open
from torch import Tensor

from aeda_core import storage


class Damaged(Exception):
    """A checkpoint that is not what was written."""


def save(path: Path, state: object) -> None:
    """Write `state` to `path`, whole or not at all.

    state: tensors, numbers, texts, truth values and None, in any nesting of dictionaries, lists and tuples
    Raises TypeError for anything else, and StorageError where it cannot be written.
    """
    tensors: dict[str, Tensor] = {}
    structure = json.dumps(_take_out(state, tensors))
    head = {"structure": structure, "sha256": _checksum(structure, tensors)}
    storage.write(path, safetensors.torch.save(tensors, head))


def load(path: Path) -> Any:
    """What `save` was given: the same types, bits and memory layout, on the CPU. Raises Damaged."""
    try:
        with safe_open(path, framework="pt") as file:
            head = file.metadata() or {}
            tensors = {name: file.get_tensor(name).clone() for name in file.keys()}  # noqa: SIM118 it is no dictionary
    except SafetensorError as reason:
        raise Damaged(str(reason)) from None
    structure = head.get("structure", "")
    if head.get("sha256") != _checksum(structure, tensors):
        raise Damaged("its checksum is another")
    return _put_back(json.loads(structure), tensors)


def _checksum(structure: str, tensors: dict[str, Tensor]) -> str:
    digest = hashlib.sha256(structure.encode())
    for name, tensor in sorted(tensors.items()):
        digest.update(f"{name} {tensor.dtype} {tuple(tensor.shape)}".encode())
        digest.update(tensor.reshape(-1).view(torch.uint8).numpy().data)
    return digest.hexdigest()


def _take_out(value: object, tensors: dict[str, Tensor]) -> object:
    """`value` as JSON that says its types, its tensors moved to `tensors`."""
    match value:
        case Tensor():
            last = value.ndim == 4 and value.is_contiguous(memory_format=torch.channels_last)
            name = str(len(tensors))
            tensors[name] = (value.permute(0, 2, 3, 1) if last else value).detach().cpu().contiguous()
            return {"tensor": name, "channels_last": last}
        case dict():
            return {"dict": [[_take_out(key, tensors), _take_out(each, tensors)] for key, each in value.items()]}
        case list() | tuple():
            return {type(value).__name__: [_take_out(each, tensors) for each in value]}
        case None | bool() | int() | float() | str():
            return value
    raise TypeError(f"a checkpoint holds no {type(value).__name__}.")


def _put_back(value: Any, tensors: dict[str, Tensor]) -> Any:
    match value:
        case {"tensor": name, "channels_last": last}:
            return tensors[name].permute(0, 3, 1, 2) if last else tensors[name]
        case {"dict": items}:
            return {_put_back(key, tensors): _put_back(each, tensors) for key, each in items}
        case {"list": items}:
            return [_put_back(each, tensors) for each in items]
        case {"tuple": items}:
            return tuple(_put_back(each, tensors) for each in items)
    return value
