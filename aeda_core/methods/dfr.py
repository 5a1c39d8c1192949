"""Deep feature reweighting [Kirichenko et al. 2023]."""

from __future__ import annotations

from collections.abc import Iterator
from typing import cast

import numpy as np
import torch
from pydantic import Field
from torch import Tensor, nn

from aeda_core.datasets.base import BiasedImages
from aeda_core.methods.base import Method
from aeda_core.methods.needs import EveryGroup
from aeda_core.models import frozen, in_chunks


class DFR(Method):
    """`dfr`: plain training, and at its end h_t anew: a logistic regression with an L1 penalty on the features of
    held-out images in which all groups are even [Kirichenko et al. 2023, Sec. 5 and 6].

    The held-out images are a `share` of the training images of each group, rounded up, on which nothing else is
    trained. The authors have a validation set for that, and train f on all training images. As in their code features
    are standardised, there by the training images and here by all that are held out, and the weights are the mean over
    `subsets` draws of as many images of each group as the smallest has. With attributes each has its own regression.
    """

    name, label, order, ours = "dfr", "DFR", 160, True
    needs = (EveryGroup(),)

    class Options(Method.Options):
        share: float = Field(0.2, gt=0, lt=1, description="of each group's training images, those held out for h_t")
        subsets: int = Field(10, ge=1, description="draws of even groups that h_t is the mean over")
        c: float = Field(1.0, gt=0, description="C of the regression: the inverse of its penalty's strength")

    options: Options

    def select(self, data: BiasedImages) -> BiasedImages:
        held_out = torch.zeros_like(data.bias, dtype=torch.bool)
        generator = torch.Generator().manual_seed(self.seed)
        order = torch.randperm(len(data), generator=generator).to(data.bias.device)
        for members in groups(data, data.tasks.view(len(data), -1)[order], data.bias[order]):
            held_out[order[members[: int(np.ceil(self.options.share * len(members)))]]] = True
        self.held_out = data[held_out]
        return data[~held_out]

    def epoch(self, number: int) -> Tensor:
        loss = super().epoch(number)
        if number == self.plan.epochs:
            self.retrain_last_layer()
        return loss

    @torch.no_grad()
    def retrain_last_layer(self) -> None:
        """h_t of the averaged weights, which are what gets evaluated, fitted to even groups of held-out images."""
        model = self.averaged
        with frozen(model):
            features = in_chunks(model.features, self.held_out.images).double().cpu().numpy()
        targets = self.held_out.targets.view(len(features), -1).T
        fits = [self.fit(features, own, 2 if self.data.targets.ndim == 2 else model.n_targets) for own in targets]
        weight, bias = (np.concatenate(parts) for parts in zip(*fits, strict=True))
        head = cast(nn.Linear, model.target_head)
        head.weight.copy_(torch.from_numpy(weight))
        head.bias.copy_(torch.from_numpy(bias))

    def fit(self, features: np.ndarray, targets: Tensor, n_classes: int) -> tuple[np.ndarray, np.ndarray]:
        """Weights and intercepts of the outputs for one target (N,), the mean over `subsets` fits."""
        from sklearn.linear_model import LogisticRegression  # takes a second, and only this method needs it
        from sklearn.preprocessing import StandardScaler

        scaler = StandardScaler().fit(features)
        weights, intercepts = [], []
        for seed in range(self.options.subsets):
            index = self.even_groups(targets, seed).cpu().numpy()
            head = LogisticRegression(
                l1_ratio=1, solver="saga", C=self.options.c, tol=1e-3, max_iter=10_000, random_state=seed
            )
            head.fit(scaler.transform(features[index]), targets.cpu().numpy()[index])
            weights.append(head.coef_ / scaler.scale_)
            intercepts.append(head.intercept_ - weights[-1] @ scaler.mean_)
        weight, intercept = np.mean(weights, axis=0), np.mean(intercepts, axis=0)
        if self.data.targets.ndim == 1 and n_classes == 2:  # one row tells two classes apart, and h_t has two
            return np.concatenate([0 * weight, weight]), np.concatenate([0 * intercept, intercept])
        return weight, intercept

    def even_groups(self, targets: Tensor, seed: int) -> Tensor:
        """Indices of held-out images, as many of each group of `targets` (N,) and bias as its smallest group has."""
        generator = torch.Generator().manual_seed(seed)
        members = [m for m in groups(self.held_out, targets[:, None], self.held_out.bias) if len(m)]
        smallest = min(map(len, members))
        return torch.cat([m[torch.randperm(len(m), generator=generator)[:smallest].to(m.device)] for m in members])


def groups(data: BiasedImages, tasks: Tensor, bias: Tensor) -> Iterator[Tensor]:
    """For each group (task, bias value) the positions of its images in `tasks` (N, labels) and `bias` (N,)."""
    for task in range(len(data.task_names)):
        for value in range(len(data.bias_names)):
            yield ((tasks == task).any(1) & (bias == value)).nonzero().flatten()
