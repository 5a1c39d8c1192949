"""One run in several processes on CPUs, data-parallel: `torchrun --nproc-per-node 2 -m aeda_core run original`.

Every process holds all training images and the same weights. Each takes its part of a batch, and the gradients of the
parts are added up, so that a step is that of one process with the whole batch, but for the order in which numbers are
added. The first process (rank 0) alone writes: records, checkpoints, progress.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from concurrent.futures import Executor, Future
from contextlib import contextmanager
from typing import Any, TypeVar

import torch
from torch import Tensor, distributed
from torch.optim import Optimizer

from aeda_core.errors import Problem

T = TypeVar("T")


@contextmanager
def group() -> Iterator[None]:
    """In the block, the processes that torchrun began work together; without torchrun nothing changes.

    Raises Problem on a machine with a GPU, where this was never tried.
    """
    if not (distributed.is_available() and distributed.is_torchelastic_launched()):
        yield
        return
    if torch.cuda.is_available():
        raise Problem("torchrun shares a run among CPUs, and here is a GPU; call without torchrun, or hide the GPU.")
    distributed.init_process_group("gloo")
    try:
        yield
    finally:
        distributed.destroy_process_group()


def size() -> int:
    """How many processes work together on a run."""
    return distributed.get_world_size() if distributed.is_available() and distributed.is_initialized() else 1


def rank() -> int:
    """Which of them this one is, from 0; 0 where it is alone."""
    return distributed.get_rank() if size() > 1 else 0


@contextmanager
def first_before_others() -> Iterator[None]:
    """The first process is through the block before the others begin it."""
    if rank():
        distributed.barrier()
    yield
    if size() > 1 and not rank():
        distributed.barrier()


def summand(loss: Callable[[Tensor], Tensor], batch: Tensor) -> Tensor:
    """What this process adds to the loss of `batch` (n,), indices of images.

    loss: of a batch, the mean of what its images lose
    """
    n = size()
    if n == 1:
        return loss(batch)
    if len(batch) < n:  # a part would be empty
        return loss(batch) / n
    part = batch[rank() :: n]
    return loss(part) * (len(part) / len(batch))


def total(summands: Tensor) -> Tensor:
    """The sum of `summands` over the processes, in all of them."""
    if size() > 1:
        distributed.all_reduce(summands)
    return summands


def add_gradients(optimiser: Optimizer) -> None:
    """The gradients of what `optimiser` trains become their sums over the processes, in one exchange."""
    if size() == 1:
        return
    parameters = (p for part in optimiser.param_groups for p in part["params"])
    gradients = [p.grad for p in parameters if p.grad is not None]
    sums = total(torch.cat([gradient.reshape(-1) for gradient in gradients]))
    for gradient, added in zip(gradients, sums.split([g.numel() for g in gradients]), strict=True):
        gradient.copy_(added.view(gradient.shape))


class Together(Executor):
    """Does in this process, at once, what is submitted to it in all of them, and waits for the others."""

    def submit(self, fn: Callable[..., T], /, *args: Any, **kwargs: Any) -> Future[T]:
        future: Future[T] = Future()
        try:
            future.set_result(fn(*args, **kwargs))
        except Exception as error:
            future.set_exception(error)
        else:
            distributed.barrier()
        return future


def executor() -> Executor | None:
    """The one for runs that several processes share; None where this process is alone."""
    return Together() if size() > 1 else None
