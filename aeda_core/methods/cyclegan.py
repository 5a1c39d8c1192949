"""CycleGAN [Zhu et al. 2017], the paper's baseline that supplies the minority samples: Sec. 4.1, Tables 1 and 2.

Two generators learn from unpaired images to translate each bias value into the other. Then every training image gets
its translation as an example with the target label that it had. The generators never look at a target: where it goes
together with the bias value, as in C-MNIST, they may change both.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import Any

import torch
from pydantic import Field
from torch import Tensor, nn
from torch.nn import functional as F

from aeda_core.methods.augmented import Augmented
from aeda_core.methods.base import Method
from aeda_core.methods.learner import finite
from aeda_core.methods.needs import ImagesOfAtLeast, TwoDomains
from aeda_core.models import in_chunks, pixels

CYCLE = 10.0
"""Weight of the cycle loss beside the adversarial one [Zhu et al.]."""
LEARNING_RATE, BETAS = 2e-4, (0.5, 0.999)
"""Of Adam [Zhu et al.]; the rate is constant for the first half of the steps and then falls along a line to 0."""
POOL = 50
"""Earlier translations that a discriminator may be shown once more [Zhu et al.]."""
SMALLEST = 8
"""Height and width that the networks need at least."""


class CycleGAN(Augmented):
    """`cyclegan`: the examples are translations to the other bias value, made once, beforehand; then Eq. (4).

    Where the options depart from Zhu et al., who have 256×256 photographs and days: a batch of 1, 64 channels in both
    networks and 6 residual blocks for images of 128×128 pixels. Their identity loss weighs 5 where colours are to stay,
    and otherwise 0, which leaves a generator freer to change things. With `gan_residual` a generator paints a change,
    which is added to the image, where theirs paint the whole image, which after a short training is still blurred.
    """

    name, label, order = "cyclegan", "CycleGAN", 50
    needs = (TwoDomains(), ImagesOfAtLeast(SMALLEST))

    class Options(Method.Options):
        """How the translation is learned. A discriminator has twice the channels of a generator."""

        gan_epochs: int = Field(4, ge=1, description="training of the CycleGAN")
        gan_batch_size: int = Field(16, ge=1, description="images of each bias value in a batch of the CycleGAN")
        gan_identity: float = Field(5.0, ge=0, description="weight of its identity loss")
        gan_residual: bool = Field(False, description="whether its generators add to their input")
        gan_width: int = Field(16, ge=1, description="channels of its generators")
        gan_blocks: int = Field(4, ge=1, description="residual blocks of its generators")

    options: Options

    def to_prepare(self) -> Translation:
        """The translation, to be learned."""
        domains = [self.data.images[index] for index in self.of_value()]
        return Translation(self.options, domains, self.model.precision, self.seed)

    def use(self, prepared: Translation) -> None:
        for index, images, other in zip(self.of_value(), prepared.domains, (1, 0), strict=True):
            self.examples[index] = prepared(images, other)
        self.has_examples = True

    def of_value(self) -> list[Tensor]:
        """The training images of bias value 0, and those of 1."""
        return [(self.data.bias == value).nonzero().flatten() for value in (0, 1)]


class Translation:
    """For each of two bias values, a generator that paints it and a discriminator that knows it.

    domains:   the images of bias value 0 and those of 1, uint8 (N, 3, H, W), not equally many
    precision: as in `models.Classifier`
    seed:      decides everything that is drawn
    """

    def __init__(self, settings: CycleGAN.Options, domains: list[Tensor], precision: str, seed: int) -> None:
        self.settings, self.domains, self.precision = settings, domains, precision
        self.device = domains[0].device
        # `seed` itself has drawn the classifier and draws its batches
        own_seed = int(torch.randint(2**31, (), generator=torch.Generator().manual_seed(seed)))
        self.generator = torch.Generator().manual_seed(own_seed)
        size, width = min(domains[0].shape[-2:]), settings.gan_width
        with torch.random.fork_rng():
            torch.manual_seed(own_seed)
            self.generators = nn.ModuleList(
                Generator(width, settings.gan_blocks, settings.gan_residual) for _ in domains
            )
            self.discriminators = nn.ModuleList(discriminator(size, 2 * width) for _ in domains)
            for networks in (self.generators, self.discriminators):
                networks.apply(_draw_weights).to(self.device).to(memory_format=torch.channels_last)
        self.longest = max(map(len, domains))
        steps = settings.gan_epochs * math.ceil(self.longest / settings.gan_batch_size)
        self.optimisers = [
            torch.optim.Adam(part.parameters(), lr=LEARNING_RATE, betas=BETAS)
            for part in (self.generators, self.discriminators)
        ]
        self.schedules = [
            torch.optim.lr_scheduler.LambdaLR(optimiser, lambda step: min(1, 2 - 2 * step / steps))
            for optimiser in self.optimisers
        ]
        self.pools = [_Pool(self.generator) for _ in domains]
        self.done = 0

    def __call__(self, images: Tensor, value: int) -> Tensor:
        """uint8 images (N, 3, H, W) translated to bias value `value`, uint8."""

        def paint(x: Tensor) -> Tensor:
            painted = self._run(self.generators[value], x * 2 - 1)
            return ((painted.clamp(-1, 1) + 1) * 127.5).round().to(torch.uint8)

        return in_chunks(paint, images)

    def epochs(self) -> Iterator[None]:
        """Train the epochs that are left: the generators and the discriminators in turns, a step each."""
        while self.done < self.settings.gan_epochs:
            size = self.settings.gan_batch_size
            orders = [self._order(len(images), self.longest).split(size) for images in self.domains]
            for batch in zip(*orders, strict=True):
                real = [pixels(images[index]) * 2 - 1 for images, index in zip(self.domains, batch, strict=True)]
                self.discriminators.requires_grad_(False)
                loss, painted = self.generator_loss(real)
                _step(self.optimisers[0], self.schedules[0], loss)
                self.discriminators.requires_grad_(True)
                shown = [pool.exchange(images.detach()) for pool, images in zip(self.pools, painted, strict=True)]
                _step(self.optimisers[1], self.schedules[1], self.discriminator_loss(real, shown))
            self.done += 1
            finite(loss, f"the CycleGAN in epoch {self.done}")
            yield

    def _parts(self) -> tuple[Any, ...]:
        return self.generators, self.discriminators, *self.optimisers, *self.schedules

    def state_dict(self) -> dict[str, Any]:
        """Everything that the epochs that are left depend on."""
        return {
            "parts": [part.state_dict() for part in self._parts()],
            "pools": [pool.kept for pool in self.pools],
            "generator": self.generator.get_state(),
            "done": self.done,
        }

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Go on from what `state_dict` gave."""
        for part, kept in zip(self._parts(), state["parts"], strict=True):
            part.load_state_dict(kept)
        for pool, shown in zip(self.pools, state["pools"], strict=True):
            pool.kept = None if shown is None else shown.to(self.device)
        self.generator.set_state(state["generator"])
        self.done = state["done"]

    def generator_loss(self, real: list[Tensor]) -> tuple[Tensor, list[Tensor]]:
        """Least-squares adversarial loss, cycle consistency and identity for images in [-1, 1] of bias values 0 and 1;
        with them, for each bias value, what was painted in it from the other's images."""
        losses, painted, keeping = [], [], self.settings.gan_identity
        for value, other in ((0, 1), (1, 0)):
            given = torch.cat([real[other], real[value]]) if keeping else real[other]
            translated, same = self._run(self.generators[value], given).tensor_split([len(real[other])])
            verdict = self._run(self.discriminators[value], translated)
            back = self._run(self.generators[other], translated)
            losses.append(F.mse_loss(verdict, torch.ones_like(verdict)))
            losses.append(CYCLE * F.l1_loss(back, real[other]))
            if keeping:
                losses.append(keeping * F.l1_loss(same, real[value]))
            painted.append(translated)
        return torch.stack(losses).sum(), painted

    def discriminator_loss(self, real: list[Tensor], painted: list[Tensor]) -> Tensor:
        """1 is the answer for real images of the discriminator's bias value, 0 for painted ones."""
        losses = []
        for judge, images, paintings in zip(self.discriminators, real, painted, strict=True):
            verdicts = self._run(judge, torch.cat([images, paintings]))
            answers = torch.zeros_like(verdicts)
            answers[: len(images)] = 1
            losses.append(F.mse_loss(verdicts, answers))
        return torch.stack(losses).sum()

    def _run(self, network: nn.Module, images: Tensor) -> Tensor:
        with torch.autocast(self.device.type, torch.bfloat16, enabled=self.precision == "bf16"):
            answers: Tensor = network(images).float()
        return answers

    def _order(self, n: int, length: int) -> Tensor:
        """0..n-1 in random order, again and again until there are `length`."""
        rounds = [torch.randperm(n, generator=self.generator) for _ in range(math.ceil(length / n))]
        return torch.cat(rounds)[:length].to(self.device)


def _step(optimiser: torch.optim.Optimizer, schedule: torch.optim.lr_scheduler.LRScheduler, loss: Tensor) -> None:
    optimiser.zero_grad(set_to_none=True)
    loss.backward()
    optimiser.step()
    schedule.step()


class _Pool:
    """Keeps POOL earlier translations and shows one of them in place of about every second new one, which it keeps."""

    def __init__(self, generator: torch.Generator) -> None:
        self.generator = generator
        self.kept: Tensor | None = None

    def exchange(self, images: Tensor) -> Tensor:
        if self.kept is None or len(self.kept) < POOL:
            self.kept = torch.cat([images[:0] if self.kept is None else self.kept, images])[:POOL]
            return images
        rows = torch.randperm(len(self.kept), generator=self.generator)[: len(images)].to(images.device)
        earlier = (torch.rand(len(rows), generator=self.generator) < 0.5).nonzero().flatten().to(images.device)
        shown = images.clone()
        shown[earlier] = self.kept[rows[earlier]]
        self.kept[rows[earlier]] = images[earlier]
        return shown


class Generator(nn.Module):
    """Images (N, 3, H, W) in [-1, 1] → the same in another bias value.

    That of Zhu et al., made small, and enlarging by nearest neighbours and a convolution in place of a transposed one.
    """

    def __init__(self, width: int, blocks: int, residual: bool) -> None:
        super().__init__()
        self.residual = residual
        self.reduce = nn.Sequential(
            *_convolution(3, width, 7),
            *_convolution(width, 2 * width, 3, stride=2),
            *_convolution(2 * width, 4 * width, 3, stride=2),
        )
        self.blocks = nn.ModuleList(
            nn.Sequential(*_convolution(4 * width, 4 * width, 3), *_convolution(4 * width, 4 * width, 3)[:-1])
            for _ in range(blocks)
        )
        self.enlarge = nn.Sequential(
            nn.Upsample(scale_factor=2), *_convolution(4 * width, 2 * width, 3),
            nn.Upsample(scale_factor=2), *_convolution(2 * width, width, 3),
            nn.Conv2d(width, 3, 7, padding=3, padding_mode="reflect"),
        )  # fmt: skip

    def forward(self, images: Tensor) -> Tensor:
        x = self.reduce(images)
        for block in self.blocks:
            x = x + block(x)
        painted = self.enlarge(x)[..., : images.shape[-2], : images.shape[-1]]  # sides that 4 does not divide grew
        # no bounds on the sum: at them no gradient would come back, and the discriminator learns them
        return images + painted if self.residual else torch.tanh(painted)


def discriminator(size: int, width: int) -> nn.Sequential:
    """Images (N, 3, H, W) in [-1, 1] → (N, 1, h, w): for each patch, whether it looks real.

    The PatchGAN of Zhu et al.: it halves the image three times, or as often as leaves at least 4 of `size` pixels. Its
    patches have 22 pixels a side where it halves twice (28×28), 46 where it halves three times (48×48).
    """
    layers = [nn.Conv2d(3, width, 4, stride=2, padding=1), nn.LeakyReLU(0.2)]
    for _ in range(min(3, int(math.log2(size)) - 2) - 1):
        layers += [nn.Conv2d(width, 2 * width, 4, stride=2, padding=1), nn.InstanceNorm2d(2 * width), nn.LeakyReLU(0.2)]
        width *= 2
    return nn.Sequential(*layers, nn.Conv2d(width, 1, 4, padding=1))


def _convolution(inputs: int, outputs: int, size: int, stride: int = 1) -> list[nn.Module]:
    padded = nn.Conv2d(inputs, outputs, size, stride, padding=size // 2, padding_mode="reflect")
    return [padded, nn.InstanceNorm2d(outputs), nn.ReLU()]


def _draw_weights(module: nn.Module) -> None:
    """From N(0, 0.02), as Zhu et al. do."""
    if isinstance(module, nn.Conv2d):
        nn.init.normal_(module.weight, std=0.02)
        if module.bias is not None:
            nn.init.zeros_(module.bias)
