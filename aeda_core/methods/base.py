"""What all methods share: an epoch of training f and h_t. A method is a subclass that changes the part it is about."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any, ClassVar, Protocol, cast

import torch
from torch import Tensor, nn

from aeda_core import parallel
from aeda_core.datasets.base import BiasedImages
from aeda_core.errors import Problem, require_number
from aeda_core.methods.learner import Learner, Plan
from aeda_core.methods.needs import Need
from aeda_core.models import Classifier, label_losses, pixels, target_loss
from aeda_core.profiles import Checked


class Preparation(Protocol):
    """What a method trains before its first epoch, such as a classifier to attack."""

    def epochs(self) -> Iterator[None]:
        """Train the epochs that are left, one at a time."""

    def state_dict(self) -> dict[str, Any]:
        """Everything that the epochs that are left depend on."""

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Go on from what `state_dict` gave."""


class Method:
    """Minimise L_target over a training set, an epoch at a time.

    model:   trained in place; its target head has an output for each target name, its bias head one for each bias value
    data:    the training set, resident on the model's device
    plan:    length and speed of training
    seed:    decides everything that is drawn
    options: those that the class lists in `Options`

    Raises ParameterError for an option that is unknown or out of range, and Problem (EmptyGroup, where a group has no
    image) if `data` lacks what the class says it `needs`.

    A class with a `name` of its own is a method that can be asked for by that name (see `methods.METHODS`):

    label: what tables and figures call it
    order: its place among the others in tables and figures; the paper's methods come in the paper's order
    ours:  whether it is an addition of this project, which the paper does not have
    study: whether it is trained to find something else out (Sec. 2.2, App. B) and is no method against bias
    needs: facts about the training set that it relies on
    divisible: whether the loss of a batch is the mean of what each of its images loses by itself, so that several
           processes can share a batch (see `parallel`)
    """

    name: ClassVar[str]
    label: ClassVar[str]
    order: ClassVar[int] = 1000
    ours: ClassVar[bool] = False
    study: ClassVar[bool] = False
    needs: ClassVar[tuple[Need, ...]] = ()
    divisible: ClassVar[bool] = False

    class Options(Checked):
        """What the method can be told; a field is an option with its type, range, default and description."""

        what: ClassVar[str] = "option"

    options: Options

    attacked: Tensor
    """int64 (N,), of methods with `latest_examples`: the bias value that each example is to show."""

    def __init__(self, model: Classifier, data: BiasedImages, plan: Plan, seed: int, **options: object) -> None:
        self.options = self.Options.checked(**options)
        if parallel.size() > 1 and not self.divisible:
            raise Problem(
                f"{getattr(self, 'name', type(self).__name__)} does more than minimise a mean over images, and several "
                "processes would not come to the result of one; train it without torchrun."
            )
        if not len(data):
            raise Problem("the training set has no image, and there is nothing to learn from; give at least one.")
        for need in self.needs:
            need.check(getattr(self, "name", type(self).__name__), data)
        _require_outputs(model, data)
        require_number("seed", seed, "it is a whole number from 0 to 2^63 - 1", least=0, below=2**63, whole=True)
        self.model, self.plan, self.seed = model, plan, seed
        self.data = self.select(data)
        self.weights = self.weigh()
        self.learner = Learner(model, self.parameters(), plan, len(self.data), seed)
        self.mirrored = torch.zeros_like(self.data.bias, dtype=torch.bool)
        self.preparation = self.to_prepare()

    def to_prepare(self) -> Preparation | None:
        """What is to be trained before the first epoch; None: nothing."""
        return None

    @property
    def averaged(self) -> Classifier:
        """The classifier with averaged weights, which is what training comes to."""
        return cast(Classifier, self.learner.averaged.module)

    def select(self, data: BiasedImages) -> BiasedImages:
        """The part of the training set that is trained on."""
        return data

    def weigh(self) -> Tensor | None:
        """How much each label counts, of the shape of the targets; None: all the same."""
        return self.task_weights(self.data.group_sizes().sum(1)) if self.plan.task_balance else None

    def task_weights(self, sizes: Tensor) -> Tensor:
        """Weights that even out the target tasks, given how many labels each of them has (assumption: task-balance)."""
        n_kinds = 2 if self.data.targets.ndim == 2 else len(sizes)
        labels = sizes.view(-1, n_kinds).sum(1, keepdim=True)
        weights = (labels / (n_kinds * sizes.view(-1, n_kinds))) ** self.plan.task_balance
        return weights.flatten().float()[self.data.tasks]

    def parameters(self) -> Iterable[nn.Parameter]:
        """What the loss trains: f and h_t."""
        yield from self.model.extractor.parameters()
        yield from self.model.target_head.parameters()

    def prepare(self) -> Iterator[None]:
        """Train what is to be trained before the first epoch, an epoch of it at a time, and use it; nothing where that
        is done."""
        if self.preparation is not None:
            yield from self.preparation.epochs()
            self.use(self.preparation)
            self.preparation = None

    def use(self, prepared: Any) -> None:
        """Take what the epochs need from `prepared`, which is what `to_prepare` gave, trained."""

    def epoch(self, number: int) -> Tensor:
        """Train for one epoch, the `number`-th from 1, all that comes before it being prepared; returns the mean loss,
        still on the device."""
        for _ in self.prepare():
            pass
        return self.train_on(self.draw_epoch())

    def draw_epoch(self) -> Tensor:
        """Draws which images are mirrored in this epoch, and returns the order in which they are trained on."""
        order = self.order_of_epoch()
        if self.plan.mirror:
            self.mirrored = self.learner.shuffled(len(self.data)) % 2 == 0
        return order

    def order_of_epoch(self) -> Tensor:
        """Indices of the training images that an epoch sees, in their order: as many as there are images."""
        return self.learner.shuffled(len(self.data))

    def images(self, index: Tensor) -> Tensor:
        """uint8 training images with these indices, as this epoch sees them."""
        return self.mirror(self.data.images[index], index)

    def mirror(self, images: Tensor, index: Tensor) -> Tensor:
        """`images`, which belong to the training images `index`, with those flipped that this epoch sees mirrored.

        To flip them again gives them back as they were.
        """
        if not self.plan.mirror:
            return images
        return torch.where(self.mirrored[index].view(-1, 1, 1, 1), images.flip(-1), images)

    def train_on(self, index: Tensor) -> Tensor:
        """One pass over the training images `index`; returns the mean loss."""
        self.model.train()
        losses = [self.learner.step(parallel.summand(self.loss, batch)) for batch in self.learner.batches(index)]
        return parallel.total(torch.stack(losses)).mean()

    def loss(self, batch: Tensor) -> Tensor:
        """The loss of the training images with these indices (n,)."""
        features = self.model.features(pixels(self.images(batch)))
        return self.target_loss(self.logits(features, batch), batch)

    def logits(self, features: Tensor, batch: Tensor) -> Tensor:
        """Target logits in training, from the features of the training images with these indices."""
        logits: Tensor = self.model.target_head(features)
        return logits

    def target_loss(self, logits: Tensor, batch: Tensor) -> Tensor:
        """L_target of these logits, given for the training images with these indices."""
        return target_loss(logits, self.data.targets[batch], None if self.weights is None else self.weights[batch])

    def label_losses(self, logits: Tensor, batch: Tensor) -> Tensor:
        """The losses that `target_loss` is the mean of, of the shape of the targets."""
        losses = label_losses(logits, self.data.targets[batch])
        return losses if self.weights is None else losses * self.weights[batch]

    def latest_examples(self, index: Tensor) -> Tensor | None:
        """X_adv as of now, uint8, of the training images `index`; None where a method makes none."""
        return None

    def state_dict(self) -> dict[str, Any]:
        """Everything besides the weights that the next epoch depends on."""
        preparation = None if self.preparation is None else self.preparation.state_dict()
        return {"learner": self.learner.state_dict(), "preparation": preparation}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Go on from what `state_dict` gave."""
        self.learner.load_state_dict(state["learner"])
        preparation = state["preparation"]
        self.preparation = None if preparation is None else self.to_prepare()
        if self.preparation is not None:
            self.preparation.load_state_dict(preparation)


def _require_outputs(model: Classifier, data: BiasedImages) -> None:
    """Raise Problem unless the heads of `model` have the outputs that the labels of `data` need."""
    if model.n_targets != len(data.target_names):
        raise Problem(
            f"the model's target head has {model.n_targets} outputs and the data has {len(data.target_names)} targets; "
            f"build the model with n_targets={len(data.target_names)}."
        )
    if model.n_bias < len(data.bias_names):
        raise Problem(
            f"the model's bias head has {model.n_bias} outputs and the data has {len(data.bias_names)} bias values; "
            f"build the model with n_bias={len(data.bias_names)}."
        )
