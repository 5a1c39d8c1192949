"""Plain training; every other method is a subclass that changes the part it is about."""

from __future__ import annotations

from collections.abc import Iterable

import torch
from torch import Tensor, nn

from aeda_core.datasets.base import BiasedImages
from aeda_core.methods.learner import Learner, Plan
from aeda_core.models import Classifier, pixels, target_loss


class Original:
    """`original`: minimise L_target over the training set as it is.

    model: trained in place
    data:  the training set, resident on the model's device
    plan:  length and speed of training
    seed:  decides everything that is drawn
    """

    def __init__(self, model: Classifier, data: BiasedImages, plan: Plan, seed: int) -> None:
        self.model, self.data, self.plan = model, self.select(data, seed), plan
        self.weights = self.weigh(seed)
        self.learner = Learner(model, self.parameters(), plan, len(self.data), seed)
        self.mirrored = torch.zeros_like(self.data.bias, dtype=torch.bool)

    def select(self, data: BiasedImages, seed: int) -> BiasedImages:
        """The part of the training set that is trained on."""
        return data

    def weigh(self, seed: int) -> Tensor | None:
        """How much each label counts, of the shape of the targets; None: all the same."""
        return self.task_weights(self.data.group_sizes().sum(1)) if self.plan.task_balance else None

    def task_weights(self, sizes: Tensor) -> Tensor:
        """Weights that even out the target tasks, given how many labels each of them has (assumption: task-balance)."""
        n_kinds = 2 if self.data.targets.ndim == 2 else len(sizes)
        labels = sizes.view(-1, n_kinds).sum(1, keepdim=True)
        weights = (labels / (n_kinds * sizes.view(-1, n_kinds))) ** self.plan.task_balance
        return weights.flatten().float()[self.data.tasks]

    def parameters(self) -> Iterable[nn.Parameter]:
        """f and h_t."""
        yield from self.model.extractor.parameters()
        yield from self.model.target_head.parameters()

    def epoch(self, number: int) -> Tensor:
        """Train for one epoch, the `number`-th from 1; returns the mean loss, still on the device."""
        return self.train_on(self.draw_epoch())

    def draw_epoch(self) -> Tensor:
        """Draws which images are mirrored in this epoch, and returns the order in which they are trained on."""
        order = self.learner.shuffled(len(self.data))
        if self.plan.mirror:
            self.mirrored = self.learner.shuffled(len(self.data)) % 2 == 0
        return order

    def images(self, index: Tensor) -> Tensor:
        """uint8 training images with these indices, as this epoch sees them."""
        return self.oriented(self.data.images[index], index)

    def oriented(self, images: Tensor, index: Tensor) -> Tensor:
        """`images` of the training images `index`, turned to how this epoch sees them, or back again."""
        if not self.plan.mirror:
            return images
        return torch.where(self.mirrored[index].view(-1, 1, 1, 1), images.flip(-1), images)

    def train_on(self, index: Tensor) -> Tensor:
        """One pass over the training images `index`; returns the mean loss."""
        self.model.train()
        losses = [self.learner.step(self.loss(batch)) for batch in self.learner.batches(index)]
        return torch.stack(losses).mean()

    def loss(self, batch: Tensor) -> Tensor:
        """The loss of the training images with these indices (n,)."""
        features = self.model.features(pixels(self.images(batch)))
        return self.target_loss(self.model.target_head(features), batch)

    def target_loss(self, logits: Tensor, batch: Tensor) -> Tensor:
        """L_target of these logits, given for the training images with these indices."""
        return target_loss(logits, self.data.targets[batch], None if self.weights is None else self.weights[batch])

    def latest_examples(self, index: Tensor) -> Tensor | None:
        """X_adv as of now, uint8, of the training images `index`; None where a method makes none."""
        return None

    def state_dict(self) -> dict:
        """Everything besides the weights that the next epoch depends on."""
        return {"learner": self.learner.state_dict()}

    def load_state_dict(self, state: dict) -> None:
        self.learner.load_state_dict(state["learner"])
