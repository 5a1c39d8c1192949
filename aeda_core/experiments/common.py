"""What several experiments ask."""

from __future__ import annotations

import functools
import json
import time
from collections.abc import Callable, Mapping
from copy import copy
from typing import Any

import torch

from aeda_core import models, provenance, runs
from aeda_core.datasets import DataError, DataSet
from aeda_core.datasets.base import DATA
from aeda_core.methods import named
from aeda_core.profiles import Parameters
from aeda_core.runs import RunRecord, RunSpec, write_atomically

Parts = Mapping[str, Mapping[str, Any]]
"""Values by their name, by the part of a RunSpec that they stand in: `data`, `model`, `plan` or `options`."""


def option(method: str, name: str, **changes: Any) -> Any:
    """The field of a chapter's parameter that is the option `name` of `method`: type, range, description, default.

    changes: `default` or `description`, where the chapter has another one
    """
    field = copy(named(method).Options.model_fields[name])
    for attribute, value in changes.items():
        setattr(field, attribute, value)
    return field


def options(method: str, p: Parameters, chapter: type[Parameters]) -> dict[str, Any]:
    """The options of `method` that are parameters of `chapter`, with their values in `p`."""
    return {name: getattr(p, name) for name in named(method).Options.model_fields if name in chapter.model_fields}


def spec(method: str, seed: int, *parts: Parts) -> RunSpec:
    """The run of `method` with this seed, with the values of all `parts`; where they say different things, with those
    of the last."""
    names = ("data", "model", "plan", "options")
    given = {name: {k: v for part in parts for k, v in part.get(name, {}).items()} for name in names}
    return RunSpec(method=method, seed=seed, **given)


def compared(method: str, p: Parameters, chapter: type[Parameters]) -> list[Parts]:
    """What `method` has of its own wherever methods are compared: its options, and what differs from them."""
    differs: dict[str, Parts] = {
        # a learning rate of its own, and a bias head that can keep up with f
        "adversarial_debiasing": {
            "plan": {"learning_rate": p.adversary_rate},
            "model": {"bias_hidden": p.adversary_hidden},
        },
        # examples that are made only once must be made against something that has learned
        "aeda_once": {"options": {"start": max(1, p.start)}},
        "aeda_robust_per_batch": {"options": {"refresh": 1}},
    }
    return [{"options": options(method, p, chapter)}, differs.get(method, {})]


def records(specs: Callable[..., list[RunSpec]], p: Parameters, *selection: Any) -> list[RunRecord]:
    """The records of `specs(p, *selection)`: looked up, and where `p` is live trained if they are missing."""
    return runs.run_all(specs(p, *selection), profile=p.profile, data_root=p.data_root)


def recorded(specs: Callable[..., list[RunSpec]], chapter: type[Parameters]) -> list[RunRecord]:
    """The committed records of `specs` by the full protocol, whatever a chapter's own profile."""
    return records(specs, chapter.load("recorded"))


def by_data(found: list[RunRecord]) -> tuple[list[RunRecord], list[RunRecord]]:
    """The records on faces, and those on digits."""
    return tuple([record for record in found if record.spec.data["name"] == name] for name in ("celeba", "cmnist"))


PAYS = 1.2
"""How many times as fast a network has to train in bf16 for `auto` to take it."""

MEASURED = DATA / "cache" / "precision.json"
"""What was measured on this machine, so that `auto` says the same in every process."""


def precision(asked: str, network: Mapping[str, Any]) -> str:
    """`asked`, or for `auto` bf16 where the hardware has it and trains `network` (see `models.build`) faster."""
    if asked != "auto":
        return asked
    return "bf16" if has_bf16() and _speed_up(json.dumps(network, sort_keys=True)) >= PAYS else "fp32"


def has_bf16() -> bool:
    """Whether the hardware computes in bfloat16, or has to emulate it."""
    if torch.cuda.is_available():
        return torch.cuda.is_bf16_supported(including_emulation=False)
    return torch.ops.mkldnn._is_mkldnn_bf16_supported()


@functools.cache
def _speed_up(network: str) -> float:
    """Seconds of a few training steps in fp32 over those in bf16; measured once on a machine and kept."""
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    machine = provenance.machine(device)
    key = provenance.digest([network, machine["device"], machine["capability"], machine["packages"]["torch"]])
    kept = json.loads(MEASURED.read_text()) if MEASURED.exists() else {}
    if key not in kept:
        kept[key] = _seconds(network, "fp32", device) / _seconds(network, "bf16", device)
        write_atomically(MEASURED, json.dumps(kept) + "\n")
    return kept[key]


def _seconds(network: str, in_precision: str, device: torch.device, steps: int = 3) -> float:
    """The least of the seconds that a pass forward and back takes, on one thread as runs do."""
    options = json.loads(network)
    size, threads, taken = options.get("size", 28), torch.get_num_threads(), []
    with torch.random.fork_rng():
        model = models.build(**{"n_targets": 10, **options, "precision": in_precision}).to(device)
        images = torch.rand(32, 3, size, size, device=device)
    torch.set_num_threads(1)
    try:
        for _ in range(1 + steps):  # the first is the warm-up
            began = time.perf_counter()
            model(images)[0].sum().backward()
            if device.type == "cuda":
                torch.cuda.synchronize()
            taken.append(time.perf_counter() - began)
    finally:
        torch.set_num_threads(threads)
    return min(taken[1:])


def fingerprint(p: Parameters, data: type[DataSet], **recipe: Any) -> str:
    """The fingerprint of the data that runs of `p` are about, whatever the `recipe`, which says how it is to be read.
    Raises DataError if `paper` would get a stand-in."""
    if not p.live:
        return data.fingerprint  # asking for committed records does not take having the data
    if p.profile == "paper" and data.only_stand_in(p.data_root):
        raise _not_real(data, f"only {data.stand_in}")  # and before they are made
    found = data.read(p.data_root, data.Recipe(**recipe))
    if p.profile == "paper" and found.fingerprint != data.fingerprint:
        raise _not_real(data, found.source)
    return found.fingerprint


def _not_real(data: type[DataSet], found: str) -> DataError:
    return DataError(
        f"profile paper is for {data.real}, and here are {found}; name a folder that has it by --data, data_root or "
        "AEDA_DATA (see data/README.md), or choose profile laptop, which takes what there is."
    )
