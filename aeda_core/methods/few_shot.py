"""Pseudo-samples for classes with few images: App. B of the paper, as chapter 09 reads it."""

from __future__ import annotations

from typing import Any

import torch
from pydantic import Field
from torch import Tensor

from aeda_core.datasets.base import BiasedImages
from aeda_core.errors import Problem
from aeda_core.methods.aeda_robust import AEDARobust
from aeda_core.methods.learner import Plan
from aeda_core.models import Classifier, bias_loss, frozen, in_chunks, pixels, target_loss


class FewShot(AEDARobust):
    """`few_shot`: `aeda_robust`, whose examples are the intra-class pseudo-samples, and inter-class ones beside them.

    An inter-class pseudo-sample X_inter is an image of another class, attacked towards a few-shot class and labelled as
    that (assumption: few-shot-inter). The attack is Eq. (3) with the two tasks in each other's place: a class head of
    its own on f is to see the few-shot class, h_b is to see the colour that there was. That head learns by Eq. (6), on
    originals and X_inter with their *true* classes, as h_b does on colours (assumption: few-shot-robust).

    Each image of a few-shot class stands in the training set `copies` times (assumption: few-shot-copies), and with
    every attack a `share` of the other classes' images is drawn anew to be attacked towards a few-shot class.
    Without any few-shot class this is `aeda_robust`. With `robust` false the class head learns on originals alone, as
    by Eq. (5).
    """

    name, label, order, study = "few_shot", "AEDA_robust", 220, True

    class Options(AEDARobust.Options):
        # what chapter 09 found to suit few shots
        step_size: float = Field(0.2, gt=0, description="length of a step of the attack, in the same units")
        steps: int = Field(3, ge=1, description="steps of the attack")
        start: int = Field(1, ge=0, description="epochs before the first attack")
        few: tuple[int, ...] = Field((), description="the few-shot classes")
        copies: int = Field(100, ge=1, description="how often each shot stands in the training set")
        share: float = Field(
            0.5, ge=0, le=1, description="of the other digits' images, those attacked towards a few one"
        )
        robust: bool = Field(True, description="adversarial training of the class head, too")

    options: Options

    def __init__(self, model: Classifier, data: BiasedImages, plan: Plan, seed: int, **options: object) -> None:
        super().__init__(model, data, plan, seed, **options)
        self.share = self.options.share if self.options.few else 0.0
        if self.share and plan.task_balance:
            raise Problem(f"task_balance is {plan.task_balance}; copies and share balance the classes: take 0.")
        self.few = torch.tensor(self.options.few, dtype=torch.long, device=data.targets.device)
        self.many = ~torch.isin(self.data.targets, self.few)
        # the class attacked towards; the image's own where there is no X_inter
        self.towards = self.data.targets.clone()
        self.inter = self.data.images.clone()
        n_classes, n_bias = len(data.target_names), len(data.bias_names)
        with torch.random.fork_rng():
            torch.manual_seed(seed)
            # what `model` calls target is bias here, and the other way round
            self.exchanged = Classifier(
                model.extractor, model.n_features, n_bias, n_classes, precision=model.precision
            ).to(data.targets.device)
        self.exchanged.target_head, self.class_head = model.bias_head, self.exchanged.bias_head
        rate = self.bias_optimiser.param_groups[0]["lr"]
        self.class_optimiser = torch.optim.AdamW(self.class_head.parameters(), lr=rate)

    def select(self, data: BiasedImages) -> BiasedImages:
        few = torch.tensor(self.options.few, dtype=torch.long, device=data.targets.device)
        if not torch.isin(few, data.targets).all():
            raise Problem(f"few is {list(self.options.few)}; each few-shot class has at least one training image.")
        shots = torch.isin(data.targets, few).nonzero().flatten()
        repeated = shots.repeat(self.options.copies - 1)
        return data[torch.cat([torch.arange(len(data), device=shots.device), repeated])]

    def train_on(self, index: Tensor) -> Tensor:
        # found for all batches at once: a GPU that has to count in each of them stands still meanwhile
        has_inter = self.has_inter[index]
        counts = [part.sum() for part in self.learner.batches(has_inter)]
        made = index[has_inter].split(torch.stack(counts).tolist())
        self.model.train()
        batches = zip(self.learner.batches(index), made, strict=True)
        return torch.stack([self.learner.step(self.loss(*batch)) for batch in batches]).mean()

    def loss(self, batch: Tensor, made: Tensor | None = None) -> Tensor:
        """Eq. (4) over {X_ori, X_adv, X_inter}.

        made: those of `batch` that have an X_inter; by default they are looked up
        """
        if not (self.share and self.has_examples):
            return super().loss(batch)
        made = batch[self.has_inter[batch]] if made is None else made
        examples = self.mirror(self.examples[batch], batch), self.mirror(self.inter[made], made)
        labels = torch.cat([self.data.targets[batch].repeat(2), self.towards[made]])
        features = self.model.features(pixels(torch.cat([self.images(batch), *examples])))
        return target_loss(self.model.target_head(features), labels)

    @property
    def has_inter(self) -> Tensor:
        """bool (N,): which training images have an X_inter."""
        return self.towards != self.data.targets

    def renew(self, classifier: Classifier, index: Tensor) -> None:
        """X_adv and X_inter, made anew from the training images `index`."""
        super().renew(classifier, index)
        if not self.share:
            return
        draws = self.learner.generator
        drawn = (torch.rand(len(index), generator=draws) < self.share).to(index.device) & self.many[index]
        kinds = self.few[torch.randint(len(self.few), (len(index),), generator=draws).to(index.device)]
        self.towards[index] = torch.where(drawn, kinds, self.data.targets[index])
        if len(made := index[drawn]):
            images, bias = self.images(made), self.data.bias[made]
            attacked = self.attack.on_uint8(self.exchanged, images, self.towards[made], bias)
            self.inter[made] = self.mirror(attacked, made)

    def latest_examples(self, index: Tensor) -> None:
        """None: r(m) is not asked here."""

    def train_bias_head(self, index: Tensor) -> None:
        super().train_bias_head(index)
        if self.share:
            self.train_class_head(index)

    def train_class_head(self, index: Tensor) -> None:
        """Eq. (6) for the class head: over {X_ori, X_inter}, X_inter with its *true* class, f fixed."""
        made = index[self.has_inter[index]] if self.options.robust else index[:0]
        images = torch.cat([self.images(index), self.mirror(self.inter[made], made)])
        targets = self.data.targets[torch.cat([index, made])]
        with frozen(self.model):
            features = in_chunks(self.model.features, images)
        for batch in self.learner.batches(self.learner.shuffled(len(features))):
            loss = bias_loss(self.class_head(features[batch]), targets[batch])
            self.class_optimiser.zero_grad(set_to_none=True)
            loss.backward()
            self.class_optimiser.step()

    def state_dict(self) -> dict[str, Any]:
        return super().state_dict() | {
            "inter": self.inter,
            "towards": self.towards,
            "class_head": self.class_head.state_dict(),
            "class_optimiser": self.class_optimiser.state_dict(),
        }

    def load_state_dict(self, state: dict[str, Any]) -> None:
        super().load_state_dict(state)
        device = self.data.images.device
        self.inter, self.towards = state["inter"].to(device), state["towards"].to(device)
        self.class_head.load_state_dict(state["class_head"])
        self.class_optimiser.load_state_dict(state["class_optimiser"])
