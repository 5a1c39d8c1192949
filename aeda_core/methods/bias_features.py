"""Features that tell an image's bias value, from a classifier of the bias: what BAdd and FLAC share."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace
from typing import Any

import torch
from pydantic import Field
from torch import Tensor, nn

from aeda_core.datasets.base import BiasedImages
from aeda_core.methods.base import Method
from aeda_core.methods.learner import Plan
from aeda_core.methods.source import trained
from aeda_core.models import Classifier, bias_loss, frozen, in_chunks, pixels


class BiasClassifier(Method):
    """Trains f and h_b on the bias labels alone."""

    def parameters(self) -> Iterable[nn.Parameter]:
        yield from self.model.extractor.parameters()
        yield from self.model.bias_head.parameters()

    def loss(self, batch: Tensor) -> Tensor:
        return bias_loss(self.model.bias_head(self.model.features(pixels(self.images(batch)))), self.data.bias[batch])


class WithBiasFeatures(Method):
    """A method that is given the features (N, D) of a bias classifier with the same network, trained before it.

    They are those of the images as they are, also where an epoch sees them mirrored.
    """

    class Options(Method.Options):
        capture_epochs: int = Field(5, ge=1, description="training of the classifier of the bias")

    options: Options

    def __init__(self, model: Classifier, data: BiasedImages, plan: Plan, seed: int, **options: object) -> None:
        super().__init__(model, data, plan, seed, **options)
        self.bias_features = torch.empty(0, device=self.learner.device)

    def epoch(self, number: int) -> Tensor:
        if number == 1:
            self.bias_features = self.features_of_bias()
        return super().epoch(number)

    def features_of_bias(self) -> Tensor:
        """float32 (N, D), of all training images, from a trained BiasClassifier."""
        plan = replace(self.plan, epochs=self.options.capture_epochs)
        source = trained(BiasClassifier, self.model, self.data, plan, self.seed).model
        with frozen(source):
            return in_chunks(source.features, self.data.images)

    def state_dict(self) -> dict[str, Any]:
        return super().state_dict() | {"bias_features": self.bias_features}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        super().load_state_dict(state)
        self.bias_features = state["bias_features"].to(self.learner.device)
