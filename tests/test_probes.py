"""r(m) and Eq. (7): what adversarial examples still say of the bias, in the extreme cases where the answer is known."""

import math

import pytest
import torch

from aeda_core.probes import feature_difference, generalisation_accuracy, probe


class TestFeatureDifference:
    def test_by_hand(self):
        # image 1: |1−2| + |−1−0| + |2−2| = 2, over |1| + |−1| + |2| = 4: 0.5
        # image 2: |0−0| + |3−6| + |0−0| = 3, over 3: 1.0        mean 0.75; pooled it would be 5/7
        f_ori = torch.tensor([[1.0, -1.0, 2.0], [0.0, 3.0, 0.0]])
        f_adv = torch.tensor([[2.0, 0.0, 2.0], [0.0, 6.0, 0.0]])
        assert feature_difference(f_ori, f_adv) == pytest.approx(0.75)

    def test_equal_features_differ_by_0(self):
        assert feature_difference(torch.ones(3, 4), torch.ones(3, 4)) == 0

    def test_scale_of_the_features_does_not_matter(self):
        """What the division in Eq. (7) is for: f's scale drifts while it trains."""
        f_ori, f_adv = torch.rand(2, 50, 8, generator=torch.Generator().manual_seed(0)).unbind()
        assert feature_difference(9 * f_ori, 9 * f_adv) == pytest.approx(feature_difference(f_ori, f_adv), rel=1e-5)

    def test_an_extractor_that_is_dead_on_an_image_leaves_a_number(self):
        assert math.isfinite(feature_difference(torch.zeros(2, 4), torch.zeros(2, 4)))


class TestGeneralisationAccuracy:
    """Features of red and brown: two clouds ten standard deviations apart."""

    @pytest.fixture
    def clouds(self):
        bias = torch.arange(400) % 2
        noise = torch.randn(400, 8, generator=torch.Generator().manual_seed(0))
        return noise + 10 * bias[:, None], bias

    def test_1_where_examples_look_like_the_attacked_class(self, clouds):
        """Each example has the features of an original of the other bias value."""
        f_ori, bias = clouds
        f_adv = f_ori.roll(1, 0)
        assert generalisation_accuracy(f_ori, f_adv, bias, attacked=1 - bias) == 1

    def test_0_where_examples_look_like_their_own_originals(self, clouds):
        """Sec. 2.3: f ignores the perturbation, and the head learns the flipped labels."""
        f_ori, bias = clouds
        assert generalisation_accuracy(f_ori, f_ori, bias, attacked=1 - bias) == 0

    def test_chance_where_the_features_say_nothing(self):
        """Right by luck: binomial, within five standard deviations of one half."""
        n = 4000
        generator = torch.Generator().manual_seed(0)
        f_ori, f_adv = torch.randn(2, n, 8, generator=generator).unbind()
        bias, attacked = torch.randint(2, (2, n), generator=generator).unbind()
        r = generalisation_accuracy(f_ori, f_adv, bias, attacked)
        assert abs(r - 0.5) < 5 * math.sqrt(0.25 / n)

    def test_trained_on_examples_and_tested_on_originals(self, clouds):
        """Not the other way round: examples at 0 and 4 are told apart at 2, which suits originals at 0 and 10; these
        are told apart at 5, where all examples lie on one side."""
        f_ori, bias = clouds
        f_adv = torch.randn(400, 8, generator=torch.Generator().manual_seed(1)) + 4 * bias[:, None]
        assert generalisation_accuracy(f_ori, f_adv, bias, attacked=bias) == 1

    def test_scale_of_the_features_does_not_matter(self, clouds):
        """An extractor with tiny or huge features is judged by what they say, not by whether the fit gets there."""
        f_ori, bias = clouds
        for scale in (1e-4, 1e4):
            assert generalisation_accuracy(f_ori * scale, f_ori.roll(1, 0) * scale, bias, 1 - bias) == 1


class TestProbe:
    BIAS = torch.tensor([0, 1] * 10)

    def test_shares_by_hand(self, readout, written):
        """The bias head answers what is written: 15 of 20 originals right, 4 of 20 examples taken for the attacked."""
        originals, examples = self.BIAS.clone(), self.BIAS.clone()
        originals[:5] = 1 - originals[:5]
        examples[:4] = 1 - examples[:4]
        row = probe(readout(2), written(originals), written(examples), self.BIAS, 1 - self.BIAS)
        assert row["bias_head"] == pytest.approx(15 / 20)
        assert row["fooled"] == pytest.approx(4 / 20)
        # in 12 features of ±1 those of image 5 alone differ, in 2 of them, by 2 each: 4/12 in one image of 20
        assert row["difference"] == pytest.approx(4 / 12 / 20)

    @pytest.mark.parametrize(("examples", "r"), [(BIAS, 0), (1 - BIAS, 1)])
    def test_r_of_images(self, readout, written, examples, r):
        assert probe(readout(2), written(self.BIAS), written(examples), self.BIAS, 1 - self.BIAS)["r"] == r

    @pytest.mark.parametrize("training", [True, False])
    def test_looks_in_eval_mode_and_changes_nothing(self, readout, written, training):
        model = readout(2)
        images = written(self.BIAS)
        expected = probe(model, images, images, self.BIAS, 1 - self.BIAS)
        model.extractor = torch.nn.Sequential(model.extractor, torch.nn.Dropout(0.9))
        model.train(training)
        before = {name: value.clone() for name, value in model.state_dict().items()}
        assert probe(model, images, images, self.BIAS, 1 - self.BIAS) == expected
        assert {module.training for module in model.modules()} == {training}
        assert all(p.requires_grad and p.grad is None for p in model.parameters())
        assert all(torch.equal(value, before[name]) for name, value in model.state_dict().items())
