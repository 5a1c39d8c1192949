"""A model and what trains it: batches, optimiser, schedule, averaged weights. All methods are given the same."""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn
from torch.optim.swa_utils import AveragedModel, get_ema_multi_avg_fn

from aeda_core import parallel
from aeda_core.errors import Problem, require_number


class Diverged(Problem):
    """A loss is infinite or no number, and what was trained with it is worth nothing."""


def finite(loss: Tensor, what: str) -> float:
    """The `loss` of an epoch of `what`. Raises Diverged where it is infinite or no number."""
    value = loss.detach().item()
    if not math.isfinite(value):
        raise Diverged(
            f"the loss of {what} is {value}; nothing of this epoch is kept, and a lower learning rate may help."
        )
    return value


@dataclass(frozen=True)
class Plan:
    """How long and how fast to train (assumption: optimiser). The defaults are the book's settings for C-MNIST.

    epochs:        passes over the training originals
    batch_size:    originals in a batch
    learning_rate: of AdamW, after a linear warm-up; decays along a cosine to 0
    weight_decay:  of AdamW
    warmup:        the share of all steps that the warm-up takes
    task_balance:  0 lets every label count the same, 1 every target task, however few images it has (assumption:
                   task-balance)
    mirror:        whether a random half of the images is mirrored, left to right, anew every epoch
    averaging:     decay of the exponential average of the weights, which is what gets evaluated; 0 averages nothing
    """

    epochs: int = 20
    batch_size: int = 64
    learning_rate: float = 1e-3
    weight_decay: float = 1e-2
    warmup: float = 0.05
    task_balance: float = 0.0
    mirror: bool = False
    averaging: float = 0.99

    def __post_init__(self) -> None:
        for name in ("epochs", "batch_size"):
            require_number(name, getattr(self, name), "it is a whole number of at least 1", least=1, whole=True)
        require_number("learning_rate", self.learning_rate, "it is finite and more than 0", above=0)
        require_number("weight_decay", self.weight_decay, "it is finite and 0 or more", least=0)
        require_number("task_balance", self.task_balance, "it lies in [0, 1]", least=0, most=1)
        for name in ("averaging", "warmup"):
            require_number(name, getattr(self, name), "it lies in [0, 1), 1 left out", least=0, below=1)


class Learner:
    """Trains `parameters` of `model` by `plan` on sets of `n_images`; every draw comes from `seed`."""

    def __init__(
        self, model: nn.Module, parameters: Iterable[nn.Parameter], plan: Plan, n_images: int, seed: int
    ) -> None:
        self.model, self.plan = model, plan
        self.device = next(model.parameters()).device
        self.generator = torch.Generator().manual_seed(seed)
        self.optimiser = torch.optim.AdamW(
            parameters, lr=plan.learning_rate, weight_decay=plan.weight_decay, fused=self.device.type == "cuda"
        )
        self.total_steps = plan.epochs * math.ceil(n_images / plan.batch_size)
        self.schedule = torch.optim.lr_scheduler.LambdaLR(self.optimiser, self._rate)
        self.averaged = AveragedModel(model, multi_avg_fn=get_ema_multi_avg_fn(plan.averaging))
        self.steps = 0

    def _rate(self, step: int) -> float:
        warmup = max(1, round(self.plan.warmup * self.total_steps))
        if step < warmup:
            return (step + 1) / warmup
        return 0.5 * (1 + math.cos(math.pi * (step - warmup) / max(1, self.total_steps - warmup)))

    @property
    def progress(self) -> float:
        """The share of all steps that are done, in [0, 1]."""
        return self.steps / self.total_steps

    def shuffled(self, n: int) -> Tensor:
        """A permutation of 0..n-1 on the model's device."""
        return torch.randperm(n, generator=self.generator).to(self.device)

    def drawn(self, weights: Tensor, n: int) -> Tensor:
        """`n` indices on the model's device, each drawn, with replacement, in proportion to `weights`."""
        return torch.multinomial(weights.float().cpu(), n, replacement=True, generator=self.generator).to(self.device)

    def batches(self, index: Tensor) -> Iterator[Tensor]:
        """`index`, a batch at a time."""
        yield from index.split(self.plan.batch_size)

    def step(self, loss: Tensor) -> Tensor:
        """One step down `loss`; returns it, detached and still on the device."""
        self.optimiser.zero_grad(set_to_none=True)
        loss.backward()
        parallel.add_gradients(self.optimiser)
        self.optimiser.step()
        self.schedule.step()
        self.averaged.update_parameters(self.model)
        self.steps += 1
        return loss.detach()

    def state_dict(self) -> dict[str, Any]:
        return {
            "optimiser": self.optimiser.state_dict(),
            "schedule": self.schedule.state_dict(),
            "averaged": self.averaged.state_dict(),
            "generator": self.generator.get_state(),
            "steps": self.steps,
        }

    def load_state_dict(self, state: dict[str, Any]) -> None:
        self.optimiser.load_state_dict(state["optimiser"])
        self.schedule.load_state_dict(state["schedule"])
        self.averaged.load_state_dict(state["averaged"])
        self.generator.set_state(state["generator"].cpu())
        self.steps = state["steps"]
