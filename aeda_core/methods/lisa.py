"""Learning invariant predictors with selective augmentation [Yao et al. 2022]."""

from __future__ import annotations

import numpy as np
import torch
from pydantic import Field
from torch import Tensor

from aeda_core.methods.base import Method
from aeda_core.methods.needs import AnotherOfTheTask, OneClassAnImage
from aeda_core.models import pixels


class LISA(Method):
    """`lisa`: training on mixtures of two images alone. They have either the same label and different bias values, or
    the same bias value and different labels; labels are mixed as the images are [Yao et al. 2022].

    Which of the two is drawn for each batch, the shares of a mixture for each pair, as in the authors' code. There both
    images come from groups that are drawn evenly, of two classes and two bias values. Here the first is drawn as ever,
    and the second from all training images that go with it, of however many classes and values.
    """

    name, label, order, ours = "lisa", "LISA", 170, True
    needs = (OneClassAnImage(), AnotherOfTheTask())

    class Options(Method.Options):
        intra_label: float = Field(0.5, ge=0, le=1, description="p_sel, chance of a batch to mix bias values")
        concentration: float = Field(2.0, gt=0, description="α: the share of an image is drawn from Beta(α, α)")

    options: Options

    def loss(self, batch: Tensor) -> Tensor:
        same_label = torch.rand((), generator=self.learner.generator).item() < self.options.intra_label
        partners = self.partners(batch, same_label)
        shares = self.shares(len(batch))
        images = pixels(self.images(batch)), pixels(self.images(partners))
        mixed = shares.view(-1, 1, 1, 1) * images[0] + (1 - shares).view(-1, 1, 1, 1) * images[1]
        logits = self.model.target_head(self.model.features(mixed))
        losses = shares * self.label_losses(logits, batch) + (1 - shares) * self.label_losses(logits, partners)
        return losses.mean()

    def partners(self, batch: Tensor, same_label: bool) -> Tensor:
        """For each image of the batch a training image with the same label and another bias value, or with the same
        bias value and another label; the image itself where there is none."""
        targets, bias = self.data.targets, self.data.bias
        label_agrees, bias_agrees = targets[batch, None] == targets, bias[batch, None] == bias
        fits = label_agrees & ~bias_agrees if same_label else bias_agrees & ~label_agrees
        alone = ~fits.any(1)
        fits[alone, batch[alone]] = True
        drawn = torch.multinomial(fits.float().cpu(), 1, generator=self.learner.generator)
        return drawn.flatten().to(batch.device)

    def shares(self, n: int) -> Tensor:
        """float32 (n,) in [0, 1]: λ, how much of each mixture is the image of the batch."""
        seed = int(torch.randint(2**31, (), generator=self.learner.generator))
        drawn = np.random.default_rng(seed).beta(self.options.concentration, self.options.concentration, n)
        return torch.from_numpy(drawn).float().to(self.learner.device)
