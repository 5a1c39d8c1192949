"""AEDA with examples that are made beforehand: Sec. 3.2 of the paper."""

from __future__ import annotations

from dataclasses import replace

import torch

from aeda_core.methods.aeda import AEDA
from aeda_core.methods.source import Source, SourceOptions, new_source, training_attack


class AEDAPre(AEDA):
    """`aeda_pre` (Sec. 3.2): the examples are made once, beforehand, against a classifier of their own.

    With a `source_radius` above 0 that classifier is adversarially trained (Sec. 2.3, "ADV switch (robust)").
    """

    name, label, order = "aeda_pre", "AEDA_pre", 60

    class Options(SourceOptions, AEDA.Options):
        """The attack, and the classifier that is attacked."""

    options: Options

    def to_prepare(self) -> Source:
        """The classifier that is attacked, to be trained on the same images."""
        plan = replace(self.plan, epochs=self.options.source_epochs)
        withstood = training_attack(self.options.norm, self.options.source_radius)
        return new_source(self.model, self.data, plan, self.seed, withstood)

    def use(self, prepared: Source) -> None:
        self.renew(prepared.averaged, torch.arange(len(self.data), device=self.learner.device))
