"""AEDA with a bias head that is adversarially trained: Sec. 3.4 of the paper, and one variant of ours."""

from __future__ import annotations

from pydantic import Field

from aeda_core.methods.aeda_online import AEDAOnline


class AEDARobust(AEDAOnline):
    """`aeda_robust` (Sec. 3.4): as `aeda_online`, and the bias head is adversarially trained by Eq. (6)."""

    name, label, order = "aeda_robust", "AEDA_robust", 90

    adversarial_bias_training = True


class AEDARobustPerBatch(AEDARobust):
    """`aeda_robust_per_batch`, ours: as `aeda_robust`, and each batch is attacked just before it is trained on."""

    name, label, order, ours = "aeda_robust_per_batch", "AEDA_robust, per batch (ours)", 100, True

    class Options(AEDARobust.Options):
        refresh: int | None = Field(1, ge=1, description="batches between two attacks; None: an epoch")

    options: Options
