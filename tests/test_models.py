"""The classifier: two heads on one extractor, and a precision that does not change what is learned."""

import numpy as np
import pytest
import torch

from aeda_core import metrics, models
from aeda_core.datasets import cmnist
from aeda_core.methods import METHODS, Plan


def test_bf16_learns_what_fp32_learns(embedded):
    """fp32 is the reference: on the same seeds the mean bACC differs by less than the seeds do among themselves.

    On backgrounds that mean nothing, where seeds differ little, so that the comparison is a sharp one.
    """
    recipe = cmnist.Recipe(n_train=2000, n_validation=500, correlation=0.5)
    training, held_out = cmnist.training(embedded, recipe), cmnist.validation(embedded, recipe)

    def bacc(precision, seed):
        torch.manual_seed(seed)
        model, plan = models.small_cnn(precision=precision), Plan(epochs=4, batch_size=32, averaging=0.9)
        method = METHODS["oracle"](model, training, plan, seed)
        for number in range(1, 5):
            method.epoch(number)
        return metrics.bacc(metrics.confusion(method.learner.averaged.module, held_out))

    fp32, bf16 = ([bacc(precision, seed) for seed in range(3)] for precision in ("fp32", "bf16"))
    assert min(fp32) > 90, "too little was learned for a comparison"
    assert abs(np.mean(fp32) - np.mean(bf16)) < np.ptp(fp32)


def test_logits_and_weights_stay_float32_in_bf16():
    """The losses, and the small steps of an optimiser, need the digits that bf16 has not."""
    model = models.small_cnn(width=4, precision="bf16")
    assert {output.dtype for output in model(torch.rand(2, 3, 28, 28))} == {torch.float32}
    assert {parameter.dtype for parameter in model.parameters()} == {torch.float32}


def test_both_heads_read_the_same_features():
    model = models.small_cnn(width=4, n_features=16, bias_hidden=8)
    images = torch.rand(3, 3, 28, 28)
    target, bias = model(images)
    features = model.features(images)
    assert torch.equal(target, model.target_head(features))
    assert torch.equal(bias, model.bias_head(features))
    assert (features.shape, target.shape, bias.shape) == ((3, 16), (3, 10), (3, 2))


def test_an_unknown_precision_is_a_sentence():
    with pytest.raises(ValueError, match="precision is 'fp8'; it is one of bf16, fp32"):
        models.small_cnn(precision="fp8")
