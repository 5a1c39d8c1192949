"""Eq. (1), bACC, confusion, consistency, against tables worked by hand, fairlearn and sklearn."""

import itertools

import numpy as np
import pandas as pd
import pytest
import torch
from fairlearn.metrics import MetricFrame
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from sklearn.metrics import accuracy_score, confusion_matrix

from aeda_core import metrics
from aeda_core.datasets import BiasedImages
from aeda_core.metrics import UndefinedMetric

# Predicted class in the columns, true class in the rows:
#
#            red (b=0)         brown (b=1)
#            0    1            0    1
#   t=0      8    2            30   10         accuracy  0.8   0.75
#   t=1      5    5            0    10         accuracy  0.5   1.0
#
# Eq. (1)  t=0: |0.8 − 0.75| = 0.05    t=1: |0.5 − 1.0| = 0.5     model bias  0.55
# bACC     (0.8 + 0.75 + 0.5 + 1.0) / 4 = 76.25 %   (53 of 70 images are right: 75.7 %, which bACC is not)
# rows     t=0: (|0.8 − 0.75| + |0.2 − 0.25|) / 2 = 0.05    t=1: (|0.5 − 0| + |0.5 − 1|) / 2 = 0.5
#          consistency  1 − (0.05 + 0.5) / 2 = 0.725
TABLE = [[[8, 2], [5, 5]], [[30, 10], [0, 10]]]


class TestByHand:
    def test_group_accuracy(self):
        np.testing.assert_allclose(metrics.group_accuracy(TABLE), [[0.8, 0.75], [0.5, 1.0]])

    def test_bacc(self):
        assert metrics.bacc(TABLE) == pytest.approx(76.25)

    def test_bias_of_each_target(self):
        np.testing.assert_allclose(metrics.bias_per_target(TABLE), [0.05, 0.5])

    def test_model_bias_is_the_sum(self):
        assert metrics.model_bias(TABLE) == pytest.approx(0.55)

    def test_consistency(self):
        assert metrics.consistency(TABLE) == pytest.approx(0.725)

    @pytest.mark.parametrize(
        ("red", "brown", "expected"),
        [
            ([[7, 3], [1, 9]], [[7, 3], [1, 9]], 1),
            ([[7, 3], [1, 9]], [[14, 6], [1, 9]], 1),  # twice as many images, the same shares
            ([[9, 0], [4, 0]], [[0, 9], [0, 4]], 0),
            ([[9, 0], [4, 0]], [[9, 0], [0, 4]], 0.5),
        ],
        ids=["identical", "same-shares", "disjoint", "one-row-of-two"],
    )
    def test_consistency_at_its_ends(self, red, brown, expected):
        assert metrics.consistency([red, brown]) == expected

    def test_original_of_the_paper_is_at_the_ends(self):
        """A model that looks only at the background: every group is all right or all wrong."""
        blind = np.zeros((2, 10, 10), int)
        blind[0, :, 0], blind[1, :, 5] = 7, 7
        assert metrics.bacc(blind) == pytest.approx(10)
        assert metrics.model_bias(blind) == 2
        assert metrics.consistency(blind) == 0


@pytest.fixture(params=[2, 3], ids="{} bias values".format)
def predictions(request):
    """Targets, bias values and predictions of 1,100 images: more than one chunk, uneven groups, right half the time."""
    generator = np.random.default_rng(request.param)
    target = generator.choice(4, 1100, p=[0.1, 0.2, 0.3, 0.4])
    bias = generator.integers(request.param, size=1100)
    predicted = np.where(generator.random(1100) < 0.5, target, generator.integers(4, size=1100))
    return target, bias, predicted


def count(target, bias, predicted, n_bias):
    counts = np.zeros((n_bias, 4, 4), int)
    np.add.at(counts, (bias, target, predicted), 1)
    return counts


class TestAgainstFairlearn:
    @pytest.fixture
    def frame(self, predictions):
        target, bias, predicted = predictions
        return MetricFrame(
            metrics=accuracy_score,
            y_true=target,
            y_pred=predicted,
            sensitive_features=pd.Series(bias, name="b"),
            control_features=pd.Series(target, name="t"),
        )

    @pytest.fixture
    def counts(self, predictions):
        return count(*predictions, n_bias=predictions[1].max() + 1)

    def test_group_accuracies(self, frame, counts):
        np.testing.assert_allclose(metrics.group_accuracy(counts), frame.by_group.unstack("b").to_numpy(float))

    def test_bacc(self, frame, counts):
        assert metrics.bacc(counts) == pytest.approx(100 * frame.by_group.mean())

    def test_bias(self, frame, counts):
        gaps = frame.difference(method="between_groups")
        np.testing.assert_allclose(metrics.bias_per_target(counts), gaps.to_numpy(float))
        assert metrics.model_bias(counts) == pytest.approx(gaps.sum())


class TestConfusion:
    @pytest.fixture
    def data(self, predictions, written):
        target, bias, predicted = predictions
        return BiasedImages(
            written(predicted),
            torch.from_numpy(target),
            torch.from_numpy(bias),
            torch.arange(len(target)),
            tuple("abcd"),
            tuple("xyz")[: bias.max() + 1],
        )

    def test_against_sklearn(self, data, predictions, readout):
        target, bias, predicted = predictions
        counts = metrics.confusion(readout(4), data)
        for b in range(len(data.bias_names)):
            here = bias == b
            np.testing.assert_array_equal(counts[b], confusion_matrix(target[here], predicted[here], labels=range(4)))

    def test_groups_that_do_not_occur_keep_their_place(self, data, readout):
        counts = metrics.confusion(readout(4), data[data.targets == 1])
        assert counts.shape == (len(data.bias_names), 4, 4)
        assert counts[:, [0, 2, 3]].sum() == 0

    @pytest.mark.parametrize("training", [True, False])
    def test_evaluated_in_eval_mode_which_is_then_undone(self, data, readout, training):
        """With dropout in training mode nearly every answer would be lost."""
        model = readout(4)
        expected = metrics.confusion(model, data)
        model.extractor = torch.nn.Sequential(model.extractor, torch.nn.Dropout(0.99))
        model.train(training)
        np.testing.assert_array_equal(metrics.confusion(model, data), expected)
        assert {module.training for module in model.modules()} == {training}


class TestEmptyGroup:
    METRICS = (
        *("group_accuracy", "bacc", "bias_per_target", "model_bias"),
        "consistency",
    )
    COUNTS = np.array([[[1, 1], [2, 0]], [[0, 0], [1, 1]]])

    @pytest.mark.parametrize("metric", METRICS)
    def test_is_undefined(self, refused, metric):
        """Neither 0 nor 1 nor a NaN that spreads into a table unseen."""
        with refused(UndefinedMetric, "target task 0", "bias value 1", "undefined"):
            getattr(metrics, metric)(self.COUNTS)


@st.composite
def tables(draw):
    """Counts (B, T, T) without an empty group."""
    n_bias, n_targets = draw(st.integers(2, 4)), draw(st.integers(2, 5))
    counts = draw(arrays(np.int64, (n_bias, n_targets, n_targets), elements=st.integers(0, 50)))
    right = np.arange(n_targets)
    counts[:, right, right] += counts.sum(2) == 0
    return counts


class TestProperties:
    @given(counts=tables(), data=st.data())
    def test_names_of_bias_values_do_not_matter(self, counts, data):
        other = counts[data.draw(st.permutations(range(len(counts))))]
        assert metrics.bacc(other) == pytest.approx(metrics.bacc(counts))
        assert metrics.model_bias(other) == pytest.approx(metrics.model_bias(counts))

    @given(counts=tables(), data=st.data())
    def test_names_of_classes_do_not_matter(self, counts, data):
        order = np.array(data.draw(st.permutations(range(counts.shape[1]))))
        other = counts[:, order][:, :, order]
        assert metrics.bacc(other) == pytest.approx(metrics.bacc(counts))
        assert metrics.model_bias(other) == pytest.approx(metrics.model_bias(counts))
        np.testing.assert_allclose(metrics.bias_per_target(other), metrics.bias_per_target(counts)[order])

    @given(counts=tables(), factor=st.integers(2, 9))
    def test_size_of_a_group_does_not_matter(self, counts, factor):
        """Each group weighs the same however many images it has: what makes bACC balanced."""
        other = counts.copy()
        other[0, 0] *= factor
        assert metrics.bacc(other) == pytest.approx(metrics.bacc(counts))
        assert metrics.model_bias(other) == pytest.approx(metrics.model_bias(counts))

    @given(counts=tables())
    def test_the_same_on_every_background_is_unbiased(self, counts):
        same = np.stack([counts[0]] * 2)
        assert metrics.model_bias(same) == 0
        assert metrics.consistency(same) == 1


class TestAttributes:
    """Two target tasks for each attribute, from counts (A, B, 2, 2)."""

    COUNTS = np.array([[[[8, 2], [1, 3]], [[5, 5], [0, 2]]], [[[9, 0], [3, 1]], [[4, 1], [1, 1]]]])

    @pytest.fixture
    def data(self):
        generator = torch.Generator().manual_seed(0)
        return BiasedImages(
            torch.zeros(50, 3, 2, 2, dtype=torch.uint8),
            torch.randint(0, 2, (50, 3), generator=generator),
            torch.randint(0, 2, (50,), generator=generator),
            identities=torch.arange(50),
            target_names=("Smiling", "Young", "Chubby"),
            bias_names=("female", "male"),
        )

    def test_tasks_are_absence_and_presence_of_each_attribute(self):
        expected = [[0.8, 0.5], [0.75, 1.0], [1.0, 0.8], [0.25, 0.5]]
        assert metrics.group_accuracy(self.COUNTS) == pytest.approx(np.array(expected))
        assert metrics.bacc(self.COUNTS) == pytest.approx(100 * np.mean(expected))
        assert metrics.model_bias(self.COUNTS) == pytest.approx(0.3 + 0.25 + 0.2 + 0.25)

    def test_counts_are_those_of_each_attribute_alone(self, data):
        predicted = torch.randint(0, 2, (50, 3), generator=torch.Generator().manual_seed(1))
        counts = metrics.count(data, predicted)
        assert counts.shape == (3, 2, 2, 2)
        for attribute in range(3):
            for b, t, p in np.ndindex(2, 2, 2):
                chosen = (data.bias == b) & (data.targets[:, attribute] == t) & (predicted[:, attribute] == p)
                assert counts[attribute, b, t, p] == chosen.sum()

    def test_group_sizes_are_those_of_the_tasks(self, data):
        assert data.task_names == ("no Smiling", "Smiling", "no Young", "Young", "no Chubby", "Chubby")
        sizes = metrics.count(data, data.targets).sum(axis=3)
        assert data.group_sizes().tolist() == sizes.swapaxes(1, 2).reshape(6, 2).tolist()

    def test_an_attribute_with_an_empty_group_is_left_out_and_named(self):
        counts = self.COUNTS.copy()
        counts[1, 1, 1] = 0
        assert metrics.defined(counts).tolist() == [True, True, True, False]
        with pytest.raises(metrics.UndefinedMetric, match="target task 3 and bias value 1"):
            metrics.model_bias(counts)
        assert metrics.model_bias(counts, metrics.defined(counts)) == pytest.approx(0.3 + 0.25 + 0.2)


class TestFloor:
    """What a fair model would show on small groups."""

    def test_is_the_mean_over_all_deals_of_right_and_wrong(self):
        counts = np.array(
            [[[2, 1], [0, 2]], [[1, 1], [1, 0]]]
        )  # task 0: 2 of 3 and 1 of 2 right; task 1: 2 of 2, 0 of 1
        deals = [abs(sum(d[:3]) / 3 - sum(d[3:]) / 2) for d in set(itertools.permutations([1, 1, 1, 0, 0]))]
        other = [abs(sum(d[:2]) / 2 - d[2]) for d in set(itertools.permutations([1, 1, 0]))]
        assert metrics.permutation_floor(counts) == pytest.approx(np.mean(deals) + np.mean(other))

    def test_goes_with_the_size_of_the_groups(self):
        small, large = np.array([[[6, 4], [4, 6]]] * 2), np.array([[[600, 400], [400, 600]]] * 2)
        assert metrics.permutation_floor(small) > 5 * metrics.permutation_floor(large) > 0

    def test_is_zero_for_a_model_that_is_never_wrong(self):
        assert metrics.permutation_floor([[[6, 0], [0, 6]], [[3, 0], [0, 9]]]) == 0


class TestBootstrap:
    """Other persons could have been tested."""

    def test_is_centred_on_what_was_measured_and_as_wide_as_binomials(self):
        generator = torch.Generator().manual_seed(0)
        n = 4000
        data = BiasedImages(
            torch.zeros(n, 3, 1, 1, dtype=torch.uint8),
            torch.randint(0, 2, (n, 1), generator=generator),
            torch.randint(0, 2, (n,), generator=generator),
            torch.arange(n),
            ("Smiling",),
            ("female", "male"),
        )
        wrong = torch.rand(n, 1, generator=generator) < torch.where(data.bias == 0, 0.1, 0.4)[:, None]
        predicted = torch.where(wrong, 1 - data.targets, data.targets)
        counts = metrics.count(data, predicted)
        drawn = metrics.bootstrap(data, predicted, replicates=500)
        sizes, accuracy = counts.sum(axis=3)[0].T, metrics.group_accuracy(counts)
        spread = np.sqrt((accuracy * (1 - accuracy) / sizes).sum())
        assert np.mean(drawn["bias"]) == pytest.approx(metrics.model_bias(counts), abs=3 * spread / np.sqrt(500))
        assert np.std(drawn["bias"]) == pytest.approx(spread, rel=0.15)
        assert np.mean(drawn["bacc"]) == pytest.approx(metrics.bacc(counts), abs=0.2)

    def test_classes_of_one_label_are_resampled_too(self, biased_images):
        drawn = metrics.bootstrap(biased_images, biased_images.targets, replicates=5)
        assert drawn == {"bacc": [100.0] * 5, "bias": [0.0] * 5}
