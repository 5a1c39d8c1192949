"""AEDA with examples that are made while the classifier trains: Sec. 3.3 and 4.3 of the paper."""

from __future__ import annotations

from typing import Any, ClassVar

import torch
from pydantic import Field
from torch import Tensor

from aeda_core.datasets.base import BiasedImages
from aeda_core.methods.aeda import AEDA
from aeda_core.methods.learner import Plan
from aeda_core.models import Classifier, bias_loss, frozen, in_chunks


class AEDAOnline(AEDA):
    """`aeda_online` (Sec. 3.3): attack, target training and bias training take turns on one feature extractor.

    The paper counts its epochs from the first attack (footnote 7; assumption: start) and makes all examples anew once
    an epoch (assumption: refresh).
    """

    name, label, order = "aeda_online", "AEDA_online", 80

    adversarial_bias_training: ClassVar[bool] = False
    """Whether h_b is trained by Eq. (6), on examples too, or by Eq. (5), on originals alone."""

    class Options(AEDA.Options):
        start: int = Field(0, ge=0, description="epochs on the originals alone before the first attack")
        bias_epochs: int = Field(1, ge=1, description="passes of h_b over what was just trained on")
        bias_learning_rate: float = Field(1e-3, gt=0, description="of h_b")
        refresh: int | None = Field(
            None,
            ge=1,
            description="batches between two attacks, 1 attacks each before it is trained on; None: an epoch",
        )
        every: int = Field(1, ge=1, description="epochs from one with an attack to the next")
        stop: int | None = Field(None, description="last epoch in which examples are renewed (Fig. 10b); None: the end")

    options: Options

    def __init__(self, model: Classifier, data: BiasedImages, plan: Plan, seed: int, **options: object) -> None:
        super().__init__(model, data, plan, seed, **options)
        self.renewing = False
        self.bias_optimiser = torch.optim.AdamW(model.bias_head.parameters(), lr=self.options.bias_learning_rate)

    def epoch(self, number: int) -> Tensor:
        """The paper's three steps, its epochs counted from the attack: X_adv made
        with f and h_b as the last epoch left them, then Eq. (4), then Eq. (5) or
        (6). With `refresh` they take turns more often."""
        self.renewing = self.attacks_in(number)
        order = self.draw_epoch()
        batches = self.options.refresh or len(order)
        losses = []
        for block in order.split(batches * self.learner.plan.batch_size):
            if self.renewing:
                self.renew(self.model, block)
            losses.append(self.train_on(block))
            self.train_bias_head(block)
        return torch.stack(losses).double().mean()

    def attacks_in(self, number: int) -> bool:
        """Whether examples are renewed in the `number`-th epoch, from 1."""
        start, every, stop = self.options.start, self.options.every, self.options.stop
        return number > start and (number - start - 1) % every == 0 and (stop is None or number <= stop)

    def latest_examples(self, index: Tensor) -> Tensor | None:
        """While examples are renewed, those that the next epoch would begin with: X_adv^(m) of epoch m."""
        if not self.renewing:
            return super().latest_examples(index)
        mirrored, self.mirrored = self.mirrored, torch.zeros_like(self.mirrored)  # examples are kept as the data are
        x_adv = self.adversarial_attack(self.model, self.data.images[index], index, self.starting_points(index))
        self.mirrored = mirrored
        return x_adv

    def train_bias_head(self, index: Tensor) -> None:
        """Eq. (5): L_bias over X_ori; Eq. (6): over {X_ori, X_adv}, X_adv with its
        *true* bias label. f is fixed, so its features are computed once."""
        images, index = self.both(index) if self.adversarial_bias_training else (self.images(index), index)
        bias = self.data.bias[index]
        with frozen(self.model):
            features = in_chunks(self.model.features, images)
        for _ in range(self.options.bias_epochs):
            for batch in self.learner.batches(self.learner.shuffled(len(features))):
                loss = bias_loss(self.model.bias_head(features[batch]), bias[batch])
                self.bias_optimiser.zero_grad(set_to_none=True)
                loss.backward()
                self.bias_optimiser.step()

    def state_dict(self) -> dict[str, Any]:
        return super().state_dict() | {"bias_optimiser": self.bias_optimiser.state_dict()}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        super().load_state_dict(state)
        self.bias_optimiser.load_state_dict(state["bias_optimiser"])


class AEDAOnce(AEDAOnline):
    """`aeda_once` (Sec. 4.3): as `aeda_online`, but the examples are made only once, in the first epoch that may.

    `every` and `stop` change nothing in that.
    """

    name, label, order = "aeda_once", "AEDA_once", 70

    class Options(AEDAOnline.Options):
        # examples that are made only once have to be made against something that has learned
        start: int = Field(1, ge=0, description="epochs on the originals alone before the attack")

    options: Options

    def attacks_in(self, number: int) -> bool:
        return number == self.options.start + 1
