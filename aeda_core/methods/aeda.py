"""Adversarial example-based data augmentation: Sec. 3.2 (pre), 3.3 (online) and 3.4 (robust) of the paper.

All of them train the target task on the originals and on X_adv, one adversarial example for each original, which a
bias classifier takes for the other bias value and which keeps its target label. They differ in whom they attack, how
often, and in what the bias head is trained on.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace

import torch
from torch import Tensor, nn

from aeda_core.attack import Attack
from aeda_core.datasets.base import BiasedImages
from aeda_core.methods.learner import Plan
from aeda_core.methods.original import Original
from aeda_core.models import Classifier, bias_loss, frozen, in_chunks, pixels, redrawn


class AEDA(Original):
    """What the variants share: X_adv, its attacked labels b', and target training on both sets.

    The rest of `options` are those of `attack.Attack`.
    """

    def __init__(self, model: Classifier, data: BiasedImages, plan: Plan, seed: int, **options: object) -> None:
        self.attack = Attack(**options)
        super().__init__(model, data, plan, seed)
        self.attacked = 1 - self.data.bias  # b': two bias values, so the other one
        self.examples = self.data.images.clone()
        self.has_examples = False

    def loss(self, batch: Tensor) -> Tensor:
        """Eq. (4): L_target over {X_ori, X_adv}, both with the original's label
        (assumption: eq4)."""
        images, batch = self.both(batch)
        logits = self.model.target_head(self.model.features(pixels(images)))
        return self.target_loss(logits, batch)

    def both(self, index: Tensor) -> tuple[Tensor, Tensor]:
        """{X_ori, X_adv} of the training images `index`, as this epoch sees them, and whose each is; before there are
        examples X_ori alone."""
        images = self.images(index)
        if not self.has_examples:
            return images, index
        return torch.cat([images, self.oriented(self.examples[index], index)]), index.repeat(2)

    def adversarial_attack(
        self, classifier: Classifier, images: Tensor, index: Tensor, start: Tensor | None = None
    ) -> Tensor:
        """X_adv of Eq. (3), uint8, against `classifier`: `images` are the training images `index`, as they are seen."""
        return self.attack.on_uint8(classifier, images, self.attacked[index], self.data.targets[index], start)

    def renew(self, classifier: Classifier, index: Tensor) -> None:
        """X_adv ← X_ori, for the training images `index`."""
        x_adv = self.adversarial_attack(classifier, self.images(index), index, self.starting_points(index))
        self.examples[index] = self.oriented(x_adv, index)
        self.has_examples = True

    def starting_points(self, index: Tensor) -> Tensor | None:
        """Where the attack on the training images `index` begins, as they are seen; None: at the images."""
        return None

    def latest_examples(self, index: Tensor) -> Tensor | None:
        return self.examples[index] if self.has_examples else None

    def state_dict(self) -> dict:
        return super().state_dict() | {"examples": self.examples, "has_examples": self.has_examples}

    def load_state_dict(self, state: dict) -> None:
        super().load_state_dict(state)
        self.examples, self.has_examples = state["examples"].to(self.data.images.device), state["has_examples"]


class Source(Original):
    """A classifier of both tasks, trained before the target's own: whom `aeda_pre` attacks (assumption: source).

    hardening: makes it robust (Sec. 2.2) by adversarial training [Madry et al. 2018]: it trains on what fools its bias
               head, in place of the originals. The radius grows from 0; a source that meets all of it from the start
               learns nothing on faces (assumption: robust-source)
    """

    GROWING = 0.7
    """The share of the training in which the radius grows."""

    def __init__(
        self, model: Classifier, data: BiasedImages, plan: Plan, seed: int, hardening: Attack | None = None
    ) -> None:
        self.hardening = hardening
        super().__init__(model, data, plan, seed)

    def parameters(self) -> Iterable[nn.Parameter]:
        return self.model.parameters()

    def loss(self, batch: Tensor) -> Tensor:
        images = pixels(self.images(batch))
        if self.hardening is not None:
            done = (self.learner.steps + 1) / (self.GROWING * self.learner.total_steps)
            attack = self.hardening.within(min(1.0, done) * self.hardening.epsilon)
            images = attack(self.model, images, 1 - self.data.bias[batch])
        target_logits, bias_logits = self.model(images)
        return self.target_loss(target_logits, batch) + bias_loss(bias_logits, self.data.bias[batch])


class AEDAPre(AEDA):
    """`aeda_pre` (Sec. 3.2): the examples are made once, beforehand, against a classifier of their own.

    source_epochs: how long that classifier is trained
    source_radius: ε of its own adversarial training (Sec. 2.3, "ADV switch (robust)"); 0 trains it on originals
    """

    def __init__(
        self,
        model: Classifier,
        data: BiasedImages,
        plan: Plan,
        seed: int,
        source_epochs: int = 10,
        source_radius: float = 0.0,
        **options: object,
    ) -> None:
        super().__init__(model, data, plan, seed, **options)
        self.source_plan = replace(plan, epochs=source_epochs)
        self.hardening = hardening(self.attack.norm, source_radius)
        self.seed = seed

    def epoch(self, number: int) -> Tensor:
        if not self.has_examples:
            self.renew(self.train_source(), torch.arange(len(self.data), device=self.learner.device))
        return super().epoch(number)

    def train_source(self) -> Classifier:
        return trained_source(self.model, self.data, self.source_plan, self.seed, self.hardening)


def hardening(norm: str, radius: float) -> Attack | None:
    """What a source has to withstand to be robust within `radius`; None where that is 0."""
    return Attack(norm=norm, epsilon=radius, step_size=radius / 2, steps=3, lambda_=1.0) if radius else None


def trained_source(
    model: Classifier, data: BiasedImages, plan: Plan, seed: int, hardening: Attack | None = None
) -> Classifier:
    """A trained Source with the network of `model`, not its weights."""
    source = Source(redrawn(model, seed), data, plan, seed, hardening)
    for number in range(1, plan.epochs + 1):
        source.epoch(number)
    return source.learner.averaged.module


class AEDAOnline(AEDA):
    """`aeda_online` (Sec. 3.3): attack, target training and bias training take turns on one feature extractor.

    start:         epochs of target training on the originals alone before the first attack (footnote 7; assumption:
                   start)
    refresh:       batches between two attacks. None is the paper's: all examples anew once an epoch. 1 attacks each
                   batch just before it is trained on (assumption: refresh)
    every:         epochs from one with an attack to the next; 1 is the paper's
    stop:          the last epoch in which examples are renewed (Fig. 10b); None goes on to the end
    bias_epochs:   passes of bias training over what was just trained on
    bias_learning_rate: of h_b's own AdamW
    """

    adversarial_bias_training = False

    def __init__(
        self,
        model: Classifier,
        data: BiasedImages,
        plan: Plan,
        seed: int,
        start: int = 1,
        refresh: int | None = None,
        every: int = 1,
        stop: int | None = None,
        bias_epochs: int = 1,
        bias_learning_rate: float = 1e-3,
        **options: object,
    ) -> None:
        if start < 0 or min(bias_epochs, every) < 1 or (refresh is not None and refresh < 1):
            raise ValueError(
                f"start={start}, bias_epochs={bias_epochs}, refresh={refresh}, every={every}: start is 0 or more, "
                "bias_epochs and every at least 1, refresh at least 1 batch or None for a whole epoch."
            )
        super().__init__(model, data, plan, seed, **options)
        self.start, self.refresh, self.every, self.stop, self.bias_epochs = start, refresh, every, stop, bias_epochs
        self.renewing = False
        self.bias_optimiser = torch.optim.AdamW(model.bias_head.parameters(), lr=bias_learning_rate)

    def epoch(self, number: int) -> Tensor:
        """The paper's three steps, its epochs counted from the attack: X_adv made
        with f and h_b as the last epoch left them, then Eq. (4), then Eq. (5) or
        (6). With `refresh` they take turns more often."""
        stopped = self.stop is not None and number > self.stop
        due = number > self.start and (number - self.start - 1) % self.every == 0
        self.renewing = due and not stopped
        order = self.draw_epoch()
        batches = self.refresh or len(order)
        losses = []
        for block in order.split(batches * self.learner.plan.batch_size):
            if self.renewing:
                self.renew(self.model, block)
            losses.append(self.train_on(block))
            self.train_bias_head(block)
        return torch.stack(losses).double().mean()

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
        for _ in range(self.bias_epochs):
            for batch in self.learner.batches(self.learner.shuffled(len(features))):
                loss = bias_loss(self.model.bias_head(features[batch]), bias[batch])
                self.bias_optimiser.zero_grad(set_to_none=True)
                loss.backward()
                self.bias_optimiser.step()

    def state_dict(self) -> dict:
        return super().state_dict() | {"bias_optimiser": self.bias_optimiser.state_dict()}

    def load_state_dict(self, state: dict) -> None:
        super().load_state_dict(state)
        self.bias_optimiser.load_state_dict(state["bias_optimiser"])


class AEDAOnce(AEDAOnline):
    """`aeda_once` (Sec. 4.3): as `aeda_online`, but the examples are made only once, in the first epoch that may."""

    def __init__(self, *args: object, start: int = 1, **options: object) -> None:
        super().__init__(*args, start=start, stop=start + 1, **options)


class AEDARobust(AEDAOnline):
    """`aeda_robust` (Sec. 3.4): as `aeda_online`, and the bias head is adversarially trained by Eq. (6)."""

    adversarial_bias_training = True


class AEDARobustPerBatch(AEDARobust):
    """`aeda_robust_per_batch`, ours: as `aeda_robust`, and each batch is attacked just before it is trained on."""

    def __init__(self, *args: object, refresh: int = 1, **options: object) -> None:
        super().__init__(*args, refresh=refresh, **options)


class AEDARobustWarm(AEDARobust):
    """`aeda_robust_warm`, ours: as `aeda_robust`, and an attack goes on from the example that it made the time before
    (cf. ATTA [Zheng et al. 2020]), so that one step is enough; it stays within ε of the original (assumption: warm).

    reset: epochs after which the attack begins at the originals again; None: never
    share: of the images, drawn anew every epoch, those that their examples stand in for; only these are attacked. None
           trains on all of both, Eq. (4), at twice the cost
    """

    def __init__(
        self,
        *args: object,
        steps: int = 1,
        reset: int | None = None,
        share: float | None = None,
        **options: object,
    ) -> None:
        if (reset is not None and reset < 1) or (share is not None and not 0 < share < 1):
            raise ValueError(
                f"reset={reset}, share={share}: reset is at least 1 epoch, share lies between 0 and 1; None for none."
            )
        super().__init__(*args, steps=steps, **options)
        self.reset, self.share = reset, share
        self.replaced = torch.zeros_like(self.data.bias, dtype=torch.bool)

    def starting_points(self, index: Tensor) -> Tensor:
        return self.oriented(self.examples[index], index)

    def epoch(self, number: int) -> Tensor:
        if self.reset is not None and (number - self.start - 1) % self.reset == 0:
            self.examples = self.data.images.clone()
        return super().epoch(number)

    def draw_epoch(self) -> Tensor:
        order = super().draw_epoch()
        if self.share is not None:
            self.replaced = self.learner.shuffled(len(self.data)) < self.share * len(self.data)
        return order

    def renew(self, classifier: Classifier, index: Tensor) -> None:
        super().renew(classifier, index if self.share is None else index[self.replaced[index]])

    def both(self, index: Tensor) -> tuple[Tensor, Tensor]:
        if self.share is None or not self.has_examples:
            return super().both(index)
        seen = torch.where(self.replaced[index].view(-1, 1, 1, 1), self.examples[index], self.data.images[index])
        return self.oriented(seen, index), index
