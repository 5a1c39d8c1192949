"""CycleGAN [Zhu et al. 2017], the paper's baseline that supplies the minority samples: Sec. 4.1, Tables 1 and 2.

Two generators learn from unpaired images to translate each bias value into the other. Then every training image gets
its translation as an example with the target label that it had. The generators never look at a target: where it goes
together with the bias value, as in C-MNIST, they may change both.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from aeda_core.datasets.base import BiasedImages
from aeda_core.errors import Problem
from aeda_core.methods.aeda import AEDA
from aeda_core.methods.learner import Plan
from aeda_core.models import Classifier, in_chunks, pixels

CYCLE, IDENTITY = 10.0, 5.0
"""Weights of the two L1 losses beside the adversarial one [Zhu et al.]."""
LEARNING_RATE, BETAS = 2e-4, (0.5, 0.999)
"""Of Adam [Zhu et al.]; the rate is constant for the first half of the steps and then falls along a line to 0."""
POOL = 50
"""Earlier translations that a discriminator may be shown once more [Zhu et al.]."""
SMALLEST = 8
"""Height and width that the networks need at least."""


class CycleGAN(AEDA):
    """`cyclegan`: the examples are translations to the other bias value, made once, beforehand; then Eq. (4).

    gan_epochs:     passes over the images of the more frequent bias value that train the generators
    gan_batch_size: images of each bias value in a step
    gan_width:      channels of the outermost convolutions; Zhu et al. have 64
    gan_blocks:     residual blocks of a generator; Zhu et al. have 6 for images of 128×128 pixels
    """

    def __init__(
        self,
        model: Classifier,
        data: BiasedImages,
        plan: Plan,
        seed: int,
        gan_epochs: int = 4,
        gan_batch_size: int = 16,
        gan_width: int = 16,
        gan_blocks: int = 4,
    ) -> None:
        if min(gan_epochs, gan_batch_size, gan_width, gan_blocks) < 1:
            raise ValueError(
                f"gan_epochs={gan_epochs}, gan_batch_size={gan_batch_size}, gan_width={gan_width}, "
                f"gan_blocks={gan_blocks}: all are at least 1."
            )
        _require_two_domains(data)
        super().__init__(model, data, plan, seed)
        self.gan_epochs, self.gan_batch_size = gan_epochs, gan_batch_size
        self.gan_width, self.gan_blocks, self.seed = gan_width, gan_blocks, seed

    def epoch(self, number: int) -> Tensor:
        if not self.has_examples:
            self.translate_all()
        return super().epoch(number)

    def translate_all(self) -> None:
        """Train the generators, and give every training image its example."""
        of_value = [(self.data.bias == value).nonzero().flatten() for value in (0, 1)]
        translation = Translation(self.gan_width, self.gan_blocks, self.model.precision, self.learner.device, self.seed)
        translation.train([self.data.images[index] for index in of_value], self.gan_epochs, self.gan_batch_size)
        for value, index in enumerate(of_value):
            self.examples[index] = translation(self.data.images[index], 1 - value)
        self.has_examples = True


def _require_two_domains(data: BiasedImages) -> None:
    if len(data.bias_names) != 2:
        raise Problem(
            f"cyclegan translates between two bias values and the data has {len(data.bias_names)} "
            f"({', '.join(data.bias_names)}); keep the images of two of them."
        )
    for value, name in enumerate(data.bias_names):
        if not (data.bias == value).any():
            raise Problem(
                f"cyclegan learns what '{name}' looks like from the training images, and none of them is '{name}'; "
                "use data in which both bias values occur."
            )
    if min(data.images.shape[-2:]) < SMALLEST:
        raise Problem(
            f"the images have {data.images.shape[-2]}×{data.images.shape[-1]} pixels and cyclegan's networks take at "
            f"least {SMALLEST}×{SMALLEST}; use larger images."
        )


class Translation:
    """For each of two bias values, a generator that paints it and a discriminator that knows it.

    precision: as in `models.Classifier`
    seed:      decides everything that is drawn, and nothing that is drawn here is drawn elsewhere
    """

    def __init__(self, width: int, blocks: int, precision: str, device: torch.device, seed: int) -> None:
        # `seed` itself has drawn the classifier and draws its batches
        own_seed = int(torch.randint(2**31, (), generator=torch.Generator().manual_seed(seed)))
        with torch.random.fork_rng():
            torch.manual_seed(own_seed)
            self.generators = nn.ModuleList(Generator(width, blocks) for _ in range(2))
            self.discriminators = nn.ModuleList(discriminator(width) for _ in range(2))
            for network in (self.generators, self.discriminators):
                network.apply(_draw_weights).to(device, memory_format=torch.channels_last)
        self.generator = torch.Generator().manual_seed(own_seed)
        self.device, self.precision = device, precision

    def __call__(self, images: Tensor, value: int) -> Tensor:
        """uint8 images (N, 3, H, W) translated to bias value `value`, uint8."""

        def paint(x: Tensor) -> Tensor:
            painted = self._run(self.generators[value], x * 2 - 1)
            return ((painted + 1) * 127.5).round().to(torch.uint8)

        return in_chunks(paint, images)

    def train(self, domains: list[Tensor], epochs: int, batch_size: int) -> None:
        """`epochs` passes over the larger of the two `domains`: images of bias value 0 and of 1, uint8 (N, 3, H, W)."""
        longest = max(map(len, domains))
        steps = epochs * math.ceil(longest / batch_size)
        networks = (self.generators, self.discriminators)
        optimisers = [torch.optim.Adam(part.parameters(), lr=LEARNING_RATE, betas=BETAS) for part in networks]
        schedules = [
            torch.optim.lr_scheduler.LambdaLR(optimiser, lambda step: min(1, 2 - 2 * step / steps))
            for optimiser in optimisers
        ]
        pools = [_Pool(self.generator) for _ in domains]
        for _ in range(epochs):
            orders = [self._order(len(images), longest).split(batch_size) for images in domains]
            for batch in zip(*orders, strict=True):
                real = [pixels(images[index]) * 2 - 1 for images, index in zip(domains, batch, strict=True)]
                self.discriminators.requires_grad_(False)
                loss, painted = self.generator_loss(real)
                _step(optimisers[0], schedules[0], loss)
                self.discriminators.requires_grad_(True)
                shown = [pool.exchange(images.detach()) for pool, images in zip(pools, painted, strict=True)]
                _step(optimisers[1], schedules[1], self.discriminator_loss(real, shown))

    def generator_loss(self, real: list[Tensor]) -> tuple[Tensor, list[Tensor]]:
        """Least-squares adversarial loss, cycle consistency and identity for images in [-1, 1] of bias values 0 and 1;
        with them, for each bias value, what was painted in it from the other's images."""
        losses, painted = [], []
        for value, other in ((0, 1), (1, 0)):
            both = self._run(self.generators[value], torch.cat([real[other], real[value]]))
            translated, same = both.split([len(real[other]), len(real[value])])
            verdict = self._run(self.discriminators[value], translated)
            back = self._run(self.generators[other], translated)
            losses.append(F.mse_loss(verdict, torch.ones_like(verdict)))
            losses.append(CYCLE * F.l1_loss(back, real[other]) + IDENTITY * F.l1_loss(same, real[value]))
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
            return network(images).float()

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

    def __init__(self, width: int, blocks: int) -> None:
        super().__init__()
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
            nn.Conv2d(width, 3, 7, padding=3, padding_mode="reflect"), nn.Tanh(),
        )  # fmt: skip

    def forward(self, images: Tensor) -> Tensor:
        x = self.reduce(images)
        for block in self.blocks:
            x = x + block(x)
        return self.enlarge(x)[..., : images.shape[-2], : images.shape[-1]]  # sides that 4 does not divide grew


def discriminator(width: int) -> nn.Sequential:
    """Images (N, 3, H, W) in [-1, 1] → (N, 1, h, w): for each patch of 22×22 pixels, whether it looks real; the
    PatchGAN of Zhu et al. with fewer layers, for theirs looks at 70×70."""
    return nn.Sequential(
        nn.Conv2d(3, width, 4, stride=2, padding=1), nn.LeakyReLU(0.2),
        nn.Conv2d(width, 2 * width, 4, stride=2, padding=1), nn.InstanceNorm2d(2 * width), nn.LeakyReLU(0.2),
        nn.Conv2d(2 * width, 1, 4, padding=1),
    )  # fmt: skip


def _convolution(inputs: int, outputs: int, size: int, stride: int = 1) -> list[nn.Module]:
    padded = nn.Conv2d(inputs, outputs, size, stride, padding=size // 2, padding_mode="reflect")
    return [padded, nn.InstanceNorm2d(outputs), nn.ReLU()]


def _draw_weights(module: nn.Module) -> None:
    """From N(0, 0.02), as Zhu et al. do."""
    if isinstance(module, nn.Conv2d):
        nn.init.normal_(module.weight, std=0.02)
        nn.init.zeros_(module.bias)
