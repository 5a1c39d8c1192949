"""The methods that came after the paper: each does what its own paper says, worked by hand on six images."""

import io
import math
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from torch.nn import functional as F

from aeda_core.datasets import BiasedImages
from aeda_core.errors import Problem
from aeda_core.methods import METHODS, STUDIES, EmptyGroup, Plan, biased, jtt
from aeda_core.methods.flac import flac_loss
from aeda_core.models import pixels, target_loss

LN2 = math.log(2)
PLAN = Plan(epochs=2, batch_size=4, learning_rate=1e-2)
ALL = torch.arange(6)
QUICK = {"biasadv": {"steps": 1}, "badd": {"capture_epochs": 1, "head_epochs": 2}, "flac": {"capture_epochs": 1}}
CHANCES = torch.tensor([1 / 2, 1 / 2, 1 / 4, 1 / 2, 1 / 8, 1 / 4])
"""Of the right class of each of six images; their cross-entropies are 1, 1, 2, 1, 3 and 2 times ln 2."""


@pytest.fixture
def six():
    """Classes 000111 on bias values 001110: group (0, 0) has two images, (0, 1) and (1, 0) one, (1, 1) two."""
    generator = torch.Generator().manual_seed(0)
    images = torch.randint(0, 256, (6, 3, 12, 12), generator=generator, dtype=torch.uint8)
    targets, bias = torch.tensor([0, 0, 0, 1, 1, 1]), torch.tensor([0, 0, 1, 1, 1, 0])
    return BiasedImages(images, targets, bias, ALL, ("zero", "one"), ("red", "blue"))


@pytest.fixture
def attributes(six):
    """The same images with two attributes each."""
    targets = torch.tensor([[0, 1], [0, 0], [0, 1], [1, 0], [1, 1], [1, 0]])
    return BiasedImages(**{**vars(six), "targets": targets, "target_names": ("round", "large")})


@pytest.fixture
def start(make_model, six):
    def start(name, data=six, plan=PLAN, **options):
        model = make_model(n_targets=len(data.target_names), n_bias=max(2, len(data.bias_names)))
        return (METHODS | STUDIES)[name](model, data, plan, 0, **QUICK.get(name, {}) | options)

    return start


@pytest.fixture
def logits(six):
    """Two logits of each image, so that its class has its chance of CHANCES."""
    both = torch.stack([CHANCES, 1 - CHANCES], dim=1)
    return torch.where(six.targets[:, None] == 0, both, both.flip(1)).log()


def trained(method):
    for number in range(1, method.plan.epochs + 1):
        method.epoch(number)
    return {
        **method.model.state_dict(),
        **{f"averaged {k}": v for k, v in method.learner.averaged.state_dict().items()},
    }


def same(one, other):
    return all(torch.equal(one[name], other[name]) for name in other)


@pytest.mark.parametrize(
    ("name", "options"),
    [
        ("jtt", {"upweight": 1}),
        ("spectral_decoupling", {"penalty": 0}),
        ("flac", {"alpha": 0}),
        ("biasadv", {"weight": 0}),
    ],
)
def test_without_its_own_part_it_is_plain_training(start, name, options):
    """To the bit. With it, it is not."""
    plain = trained(start("original"))
    assert same(trained(start(name, **options)), plain)
    if name != "jtt":  # whether the first classifier errs is another matter
        assert not same(trained(start(name)), plain)


def test_domain_independent_training_in_one_domain_is_plain_training(start, six):
    alone = BiasedImages(**{**vars(six), "bias": 0 * six.bias, "bias_names": ("red",)})
    assert same(trained(start("domain_independent", alone)), trained(start("original", alone)))


@pytest.mark.parametrize("name", ["groupdro", "dfr", "lisa"])
def test_what_needs_conflicting_images_refuses_without(make_model, one_colour_a_class, refused, name):
    with refused(EmptyGroup, name, "such as aeda_robust"):
        METHODS[name](make_model(), one_colour_a_class, PLAN, 0)


@pytest.mark.parametrize("name", ["jtt", "lff", "domain_independent", "spectral_decoupling", "badd", "flac", "biasadv"])
def test_what_does_not_need_them_trains_without(make_model, one_colour_a_class, name):
    method = METHODS[name](make_model(), one_colour_a_class, Plan(epochs=1, batch_size=16), 0, **QUICK.get(name, {}))
    assert math.isfinite(method.epoch(1))


class TestGroupDRO:
    def test_by_hand(self, start, logits):
        """Mean losses of the groups: 1, 2, 2 and (1 + 3) / 2 times ln 2. With η = 1 the weights of 1/4 grow by 2, 4, 4
        and 4, so q is 1/7, 2/7, 2/7, 2/7 and the loss (1 + 4 + 4 + 4) / 7 · ln 2."""
        method = start("groupdro", eta=1.0)
        assert method.groups.tolist() == [0, 0, 1, 3, 3, 2]
        assert method.target_loss(logits, ALL).item() == pytest.approx(13 / 7 * LN2)
        assert method.q.tolist() == pytest.approx([1 / 7, 2 / 7, 2 / 7, 2 / 7])

    def test_a_group_that_a_batch_lacks_keeps_its_share_of_the_rest(self, start, logits):
        """Only the first group's two images: its weight grows by 2, so q is 2/5 and three times 1/5."""
        method = start("groupdro", eta=1.0)
        assert method.target_loss(logits[:2], ALL[:2]).item() == pytest.approx(2 / 5 * LN2)
        assert method.q.tolist() == pytest.approx([2 / 5, 1 / 5, 1 / 5, 1 / 5])

    def test_small_groups_seem_harder_by_the_adjustment(self, start, logits):
        """C / √n is 1, √2, √2 and 1 for C = √2."""
        method = start("groupdro", eta=1.0, adjustment=math.sqrt(2))
        method.target_loss(logits, ALL)
        grown = np.array([2 * math.e, 4 * math.exp(math.sqrt(2)), 4 * math.exp(math.sqrt(2)), 4 * math.e])
        assert method.q.tolist() == pytest.approx((grown / grown.sum()).tolist())

    def test_even_weights_and_groups_are_the_plain_loss(self, start, logits):
        method, one_of_each = start("groupdro", eta=0.0), torch.tensor([0, 2, 5, 3])
        plain = target_loss(logits[one_of_each], method.data.targets[one_of_each])
        assert method.target_loss(logits[one_of_each], one_of_each).item() == pytest.approx(plain.item())

    def test_groups_are_drawn_evenly(self, start, three_colours):
        """Sizes from 3 to 17; the share of each of 9 groups in 7,200 draws has a standard error of 0.004."""
        method = start("groupdro", three_colours)
        drawn = torch.cat([method.order_of_epoch() for _ in range(100)])
        shares = method.groups[drawn].bincount(minlength=9) / len(drawn)
        assert shares.tolist() == pytest.approx([1 / 9] * 9, abs=0.016)

    def test_each_attribute_has_weights_of_its_own(self, start, attributes):
        method = start("groupdro", attributes, eta=1.0)
        method.target_loss(torch.randn(6, 2), ALL)
        assert method.q.view(2, 4).sum(1).tolist() == pytest.approx([1, 1])
        # absent, red; absent, blue; present, red; present, blue
        assert method.sizes.tolist() == [2, 1, 1, 2, 2, 1, 1, 2]


class TestJTT:
    def test_errors_are_what_the_first_classifier_gets_wrong(self, start, monkeypatch, readout, written, six):
        answers = [0, 1, 0, 1, 0, 1]
        data = BiasedImages(**{**vars(six), "images": written(answers)})
        monkeypatch.setattr(jtt, "trained", lambda *_: SimpleNamespace(model=readout(2)))
        method = METHODS["jtt"](readout(2), data, PLAN, 0)
        assert method.errors_of_first().tolist() == [False, True, False, False, True, False]

    def test_errors_are_copied(self, start):
        """One of six images counts 10 times: it is 10 of the 15 that an epoch is drawn from."""
        method = start("jtt", upweight=10)
        method.errors = torch.tensor([False, False, True, False, False, False])
        drawn = torch.cat([method.order_of_epoch() for _ in range(1000)])
        assert len(drawn) == 6000
        assert (drawn == 2).double().mean().item() == pytest.approx(10 / 15, abs=0.02)
        assert drawn.bincount(minlength=6)[[0, 1, 3, 4, 5]].min() > 0

    def test_without_errors_it_is_plain_training(self, start, monkeypatch):
        method = start("jtt")
        monkeypatch.setattr(method, "errors_of_first", lambda: torch.zeros(6, dtype=torch.bool))
        assert same(trained(method), trained(start("original")))

    def test_labels_of_attributes_are_weighed(self, start, attributes):
        """Two errors of twelve labels count four times: (2 · 4 + 10) / 12 = 1.5 on average."""
        method = start("jtt", attributes, upweight=4)
        method.errors = torch.zeros(6, 2, dtype=torch.bool)
        method.errors[0, 1] = method.errors[3, 0] = True
        logits = torch.randn(6, 2)
        losses = F.binary_cross_entropy_with_logits(logits, attributes.targets.float(), reduction="none")
        losses[0, 1] *= 4
        losses[3, 0] *= 4
        assert method.target_loss(logits, ALL).item() == pytest.approx((losses / 1.5).mean().item())


class TestLfF:
    def test_generalised_cross_entropy_by_hand(self, start, logits, six, make_model):
        """With q = 1/2: 2 · (1 − √p)."""
        method = biased.Biased(make_model(n_targets=2), six, PLAN, 0, q=0.5)
        assert method.target_loss(logits, ALL).item() == pytest.approx((2 * (1 - CHANCES.sqrt())).mean().item())

    def test_its_gradient_is_that_of_cross_entropy_times_p_to_the_q(self, logits, six, make_model):
        method = biased.Biased(make_model(n_targets=2), six, PLAN, 0, q=0.7)
        given = logits.clone().requires_grad_()
        (own,) = torch.autograd.grad(method.target_loss(given, ALL), given)
        (plain,) = torch.autograd.grad(F.cross_entropy(given, six.targets), given)
        torch.testing.assert_close(own, CHANCES[:, None] ** 0.7 * plain)

    def test_difficulty_by_hand(self, start, logits):
        """L_B is 1, 1, 2 and 1, 3, 2 times ln 2 in the two classes, and L_D ln 2. As shares of the largest of the class
        they are 1/2, 1/2, 1 and 1/3, 1, 2/3, and all 1. Then the two change places, and with a decay of 3/4 an average
        is 3/4 of the old and 1/4 of the new loss."""
        method, even = start("lff", decay=0.75), torch.zeros(6, 2)
        first = method.difficulty(logits, even, ALL)
        assert first.tolist() == pytest.approx([1 / 3, 1 / 3, 1 / 2, 1 / 4, 1 / 2, 2 / 5])
        second = method.difficulty(even, logits, ALL)
        losses = np.array([1, 1, 2, 1, 3, 2])
        b, d = 3 * losses + 1, 3 + losses
        b, d = b / b.reshape(2, 3).max(1).repeat(3), d / d.reshape(2, 3).max(1).repeat(3)
        assert second.tolist() == pytest.approx((b / (b + d)).tolist())

    def test_a_class_is_compared_with_all_of_its_images_seen_so_far(self, start, logits):
        """The two images of class 0 with a loss of ln 2 were half as hard as the third, which this batch lacks."""
        method = start("lff", decay=0.75)
        method.difficulty(logits, torch.zeros(6, 2), ALL)
        again = method.difficulty(logits[:2], torch.zeros(2, 2), ALL[:2])
        assert again.tolist() == pytest.approx([1 / 3, 1 / 3])

    def test_each_attribute_has_classes_of_its_own(self, start, attributes):
        method = start("lff", attributes)
        method.difficulty(torch.randn(6, 2), torch.randn(6, 2), ALL)
        assert method.largest().shape == (2, 4)
        for i, (task, kept) in enumerate([(0, [0, 1, 2]), (0, [3, 4, 5]), (1, [1, 3, 5]), (1, [0, 2, 4])]):
            torch.testing.assert_close(method.largest()[:, i], method.averages[:, kept, task].amax(1))

    def test_two_that_agree_halve_the_loss(self, start):
        method = start("lff")
        method.biased.model.load_state_dict(method.model.state_dict())
        plain = start("original").loss(ALL)
        assert method.loss(ALL).item() == pytest.approx(plain.item() / 2)

    def test_only_the_biased_one_takes_its_step(self, start):
        method = start("lff")
        before = [method.model.target_head.weight.clone(), method.biased.model.target_head.weight.clone()]
        method.loss(ALL)
        assert torch.equal(method.model.target_head.weight, before[0])
        assert not torch.equal(method.biased.model.target_head.weight, before[1])


class TestDFR:
    def test_a_share_of_each_group_is_held_out(self, start, three_colours):
        """Group sizes [[16, 4, 4], [3, 17, 4], [5, 4, 15]]; a quarter, rounded up."""
        method = start("dfr", three_colours, share=0.25)
        assert method.held_out.group_sizes().tolist() == [[4, 1, 1], [1, 5, 1], [2, 1, 4]]
        assert set(method.held_out.identities.tolist()) | set(method.data.identities.tolist()) == set(range(72))
        assert len(method.held_out) + len(method.data) == 72

    def test_even_groups(self, start, three_colours):
        method = start("dfr", three_colours, share=0.5)
        drawn = method.held_out[method.even_groups(method.held_out.targets, seed=0)]
        assert drawn.group_sizes().tolist() == [[2, 2, 2]] * 3
        assert len(drawn.identities.unique()) == len(drawn)

    def test_only_the_last_epoch_changes_the_last_layer(self, start, biased_images):
        method = start("dfr", biased_images)
        plain = METHODS["original"](start("dfr", biased_images).model, method.data, PLAN, 0)
        method.epoch(1), plain.epoch(1)
        heads = [m.learner.averaged.module.target_head for m in (method, plain)]
        assert torch.equal(heads[0].weight, heads[1].weight)
        method.epoch(2), plain.epoch(2)
        assert not torch.equal(heads[0].weight, heads[1].weight)
        assert torch.equal(*(m.learner.averaged.module.extractor[0].weight for m in (method, plain)))

    @pytest.mark.parametrize("n_classes", [2, 3])
    def test_the_new_layer_uses_what_does_not_depend_on_the_bias(self, readout, written, n_classes):
        """Feature t is the class and feature 3 + b the bias value, and nine in ten training images have b = t."""
        targets = torch.arange(20 * n_classes) % n_classes
        bias = torch.where(torch.arange(len(targets)) < 18 * n_classes, targets, (targets + 1) % n_classes)
        images = torch.maximum(written(targets), written(3 + bias))
        names = ("a", "b", "c")[:n_classes], ("d", "e", "f")[:n_classes]
        data = BiasedImages(images, targets, bias, torch.arange(len(targets)), *names)
        if n_classes == 3:  # a group of each pair
            extra = torch.arange(3)
            more = torch.maximum(written(extra), written(3 + (extra + 2) % 3))
            data = BiasedImages(
                torch.cat([images, more]),
                torch.cat([targets, extra]),
                torch.cat([bias, (extra + 2) % 3]),
                torch.arange(len(targets) + 3),
                *names,
            )
        method = METHODS["dfr"](readout(n_classes, n_classes), data, PLAN, 0, share=0.1, c=100.0)
        method.retrain_last_layer()
        head = method.learner.averaged.module.target_head
        spread = (head.weight - head.weight.mean(0)).abs().amax(0)
        assert spread[:n_classes].min() > 10 * spread[3 : 3 + n_classes].max()

    def test_attributes_have_a_regression_each(self, start, attributes):
        doubled = attributes[ALL.repeat(4)]
        method = start("dfr", doubled, share=0.5, subsets=2)
        trained(method)
        assert method.learner.averaged.module.target_head.weight.shape == (2, 16)


class TestLISA:
    def test_partners(self, start):
        """Of classes 000111 on 001110: by label 0, 1 → 2; 2 → 0, 1; 3, 4 → 5; 5 → 3, 4; by bias 0, 1 → 5; 2 → 3, 4."""
        method = start("lisa")
        drawn = torch.stack([method.partners(ALL, same_label=True) for _ in range(50)]).T
        assert [set(row.tolist()) for row in drawn] == [{2}, {2}, {0, 1}, {5}, {5}, {3, 4}]
        drawn = torch.stack([method.partners(ALL, same_label=False) for _ in range(50)]).T
        assert [set(row.tolist()) for row in drawn] == [{5}, {5}, {3, 4}, {2}, {2}, {0, 1}]

    def test_mixtures_by_hand(self, start, monkeypatch):
        method, shares = start("lisa"), torch.tensor([0.1, 0.3, 0.5, 0.7, 0.9, 1.0])
        partners = torch.tensor([2, 2, 0, 5, 5, 3])
        monkeypatch.setattr(method, "partners", lambda *_: partners)
        monkeypatch.setattr(method, "shares", lambda _: shares)
        images, by_image = pixels(method.data.images), shares.view(-1, 1, 1, 1)
        logits = method.model(by_image * images + (1 - by_image) * images[partners])[0]
        one_hot = F.one_hot(method.data.targets, 2)
        soft = shares[:, None] * one_hot + (1 - shares[:, None]) * one_hot[partners]
        assert method.loss(ALL).item() == pytest.approx(F.cross_entropy(logits, soft).item(), rel=1e-5)

    def test_shares_are_of_a_beta_distribution(self, start):
        """Beta(2, 2) has mean 1/2 and variance 1/20."""
        shares = start("lisa").shares(20_000)
        assert shares.mean().item() == pytest.approx(1 / 2, abs=0.01)
        assert shares.var().item() == pytest.approx(1 / 20, abs=0.005)

    def test_attributes_are_refused(self, start, attributes, refused):
        with refused(Problem, "lisa", "2 (round, large)", "one class an image"):
            start("lisa", attributes)


class TestDomainIndependent:
    def test_each_image_trains_the_head_of_its_bias_value(self, start):
        method = start("domain_independent")
        torch.nn.init.normal_(method.heads.weight, generator=torch.Generator().manual_seed(0))
        features = method.model.features(pixels(method.data.images)).detach()
        weight, bias = method.heads.weight.view(2, 2, -1), method.heads.bias.view(2, 2)
        by_hand = torch.stack([weight[b] @ x + bias[b] for x, b in zip(features, method.data.bias, strict=True)])
        torch.testing.assert_close(method.logits(features, ALL), by_hand)

    @pytest.mark.parametrize("which", ["model", "attributes"])
    def test_the_target_head_is_the_mean_of_the_heads(self, start, six, attributes, which):
        """So that it adds up their logits, but for a factor that no decision depends on."""
        method = start("domain_independent", attributes if which == "attributes" else six)
        method.epoch(1)
        features = torch.randn(5, 16)
        mean = method.heads(features).view(5, 2, 2).mean(1)
        torch.testing.assert_close(method.model.target_head(features), mean)
        assert not torch.equal(method.heads.weight[:2], method.heads.weight[2:])


class TestSpectralDecoupling:
    def test_by_hand(self, start, attributes):
        """λ/2 · ‖logits‖²: of classes (9 + 16) / 2 · 0.2 beside the cross-entropy."""
        method = start("spectral_decoupling", penalty=0.2)
        logits = torch.tensor([[3.0, 4.0]] * 6)
        plain = F.cross_entropy(logits, method.data.targets).item()
        assert method.target_loss(logits, ALL).item() == pytest.approx(plain + 2.5)
        method = start("spectral_decoupling", attributes, penalty=0.2, centre=1.0)
        plain = F.binary_cross_entropy_with_logits(logits, attributes.targets.float()).item()
        assert method.target_loss(logits, ALL).item() == pytest.approx(plain + 0.1 * (4 + 9) / 2)


class TestBAdd:
    def test_h_t_sees_the_sum(self, start):
        method = start("badd")
        method.bias_features = torch.randn(6, 16)
        features = method.model.features(pixels(method.data.images))
        by_hand = F.cross_entropy(method.model.target_head(features + method.bias_features), method.data.targets)
        assert method.loss(ALL).item() == pytest.approx(by_hand.item(), rel=1e-5)

    def test_without_bias_features_it_is_plain_training(self, start, monkeypatch):
        method = start("badd", head_epochs=0)
        monkeypatch.setattr(method, "features_of_bias", lambda: torch.zeros(6, 16))
        assert same(trained(method), trained(start("original")))

    def test_in_the_end_h_t_learns_to_do_without_the_bias(self, start, monkeypatch):
        """The features that are added tell the label, so that h_t is poor without them until it is trained alone; f
        stays as it is."""
        averaged = []
        for head_epochs in (0, 50):
            method = start("badd", head_epochs=head_epochs)
            telling = 50 * (2.0 * method.data.targets[:, None] - 1).repeat(1, 16)
            monkeypatch.setattr(method, "features_of_bias", lambda telling=telling: telling)
            trained(method)
            averaged.append(method.averaged)
        images = pixels(method.data.images)
        before, after = averaged
        losses = [F.cross_entropy(model(images)[0], method.data.targets).item() for model in averaged]
        assert losses[1] < losses[0]
        assert torch.equal(before.features(images), after.features(images))
        assert not torch.equal(before.target_head.weight, after.target_head.weight)

    def test_the_bias_classifier_learns_the_bias(self, start, biased_images):
        """Its features tell the background of each image, which a linear rule shows."""
        method = start("badd", biased_images, capture_epochs=20)
        method.epoch(1)
        with_one = torch.cat([method.bias_features, torch.ones(60, 1)], dim=1)
        rule = torch.linalg.lstsq(with_one, 2.0 * biased_images.bias - 1).solution
        assert ((with_one @ rule > 0) == (biased_images.bias == 1)).double().mean() > 0.95


class TestFLAC:
    LENGTHS = torch.tensor([[1.0], [3.0], [0.5], [2.0], [4.0], [1.5]])
    """Of the features of six images; nothing depends on them."""
    BIAS = torch.tensor([0.0, 0.02, 1.5, 1.53, 1.51, 0.01])
    """Directions of the features, in radians, as the bias classifier sees the images: up to 0.03 apart within a bias
    value, at least 1.48 between them."""
    OWN = torch.tensor([0.0, 0.3, 0.6, 0.9, 1.3, 2.0])
    """Those of f."""

    def features(self, angles):
        return self.LENGTHS * torch.stack([angles.cos(), angles.sin()], dim=1)

    def test_by_hand(self, six):
        """Pairs against the bias have one label and different bias values, or the other way round: of image 0 these are
        2 and 5, of image 2 they are 0, 1, 3 and 4. At an angle φ two directions are 2 sin(φ/2) apart."""

        def similarity(angles, i, j):
            return 1 / (1 + math.sqrt(2 * math.sin(abs(angles[i] - angles[j]) / 2)))

        terms = []
        for i in range(6):
            pairs = [j for j in range(6) if (six.targets[i] == six.targets[j]) != (six.bias[i] == six.bias[j])]
            p = np.array([1 - similarity(self.BIAS, i, j) for j in pairs])
            q = np.array([similarity(self.OWN, i, j) for j in pairs])
            p, q = p / p.sum(), q / q.sum()
            terms += list((p - q) * np.log(p / q))
        assert len(terms) == 16
        loss = flac_loss(self.features(self.OWN), self.features(self.BIAS), six.targets)
        assert loss.item() == pytest.approx(np.mean(terms), rel=2e-3)

    def test_no_pair_against_the_bias_is_no_loss(self):
        """The bias value is the label."""
        labels = torch.tensor([0, 0, 1, 1])
        features = torch.randn(4, 3, requires_grad=True)
        loss = flac_loss(features, 9.0 * labels[:, None], labels)
        assert loss.item() == 0
        loss.backward()
        assert not features.grad.any()


class TestBiasAdv:
    @pytest.fixture
    def method(self, start):
        method = start("biasadv", epsilon=0.2, step_size=0.05, steps=4, keep=0.5)
        method.epoch(1)
        return method

    def losses(self, method, images):
        with torch.no_grad():
            return [
                F.cross_entropy(model(images)[0], method.data.targets).item()
                for model in (method.biased.model, method.model)
            ]

    def test_the_attack_climbs_its_objective_within_the_ball(self, method):
        images = pixels(method.data.images)
        examples = method.bias_adversarial(images, ALL)
        (attacked, kept), (before, kept_before) = self.losses(method, examples), self.losses(method, images)
        assert attacked - 0.5 * kept > before - 0.5 * kept_before
        assert (examples - images).abs().max() <= 0.2 + 1e-6
        assert examples.min() >= 0 and examples.max() <= 1

    def test_loss_by_hand(self, method, monkeypatch):
        method.options = method.options.model_copy(update={"weight": 3.0})
        examples = torch.rand(6, 3, 12, 12)
        monkeypatch.setattr(method, "bias_adversarial", lambda *_: examples)
        on_images, on_examples = (self.losses(method, x)[1] for x in (pixels(method.data.images), examples))
        assert method.loss(ALL).item() == pytest.approx((on_images + 3 * on_examples) / 4, rel=1e-5)


@pytest.mark.parametrize("name", ["groupdro", "spectral_decoupling", "jtt"])
def test_gradients_of_the_loss_by_finite_differences(start, logits, name):
    method = start(name, **({"eta": 0.0} if name == "groupdro" else {}))
    given = logits.double().requires_grad_()
    assert torch.autograd.gradcheck(lambda x: method.target_loss(x, ALL), (given,))


def test_gradients_of_flac_by_finite_differences(six):
    features = torch.randn(6, 4, dtype=torch.double, requires_grad=True)
    bias = torch.randn(6, 4, dtype=torch.double)
    assert torch.autograd.gradcheck(lambda x: flac_loss(x, bias, six.targets), (features,))


CONTROLS = ("aeda_random", "aeda_shuffled", "aeda_untrained")


class TestControls:
    """`aeda_robust`, with its perturbations spoiled in one respect."""

    @pytest.fixture
    def perturbations(self, make_model, biased_images):
        def of(name):
            method = (METHODS | STUDIES)[name](make_model(), biased_images, PLAN, 0, steps=2, epsilon=0.2)
            method.renew(method.model, torch.arange(60))
            return method.examples.int() - biased_images.images.int()

        return of

    def test_random_signs_keep_the_sizes(self, perturbations, biased_images):
        """But where an image can hold only one of the two signs."""
        made, spoiled = perturbations("aeda_robust"), perturbations("aeda_random")
        images = biased_images.images.int()
        free = (images - made.abs() >= 0) & (images + made.abs() <= 255) & (made != 0)
        assert free.sum() > 1000
        assert torch.equal(made.abs()[free], spoiled.abs()[free])
        assert (made[free] == spoiled[free]).double().mean().item() == pytest.approx(0.5, abs=0.05)

    def test_shuffled_ones_are_anothers(self, perturbations, biased_images):
        made, spoiled = perturbations("aeda_robust"), perturbations("aeda_shuffled")
        cut = [(biased_images.images.int() + other).clamp(0, 255) - biased_images.images.int() for other in made]
        donors = torch.stack([(spoiled == each).flatten(1).all(1) for each in cut])
        assert donors.any(0).all()
        assert not torch.equal(made, spoiled)

    def test_an_untrained_head_stays_as_it_was(self, make_model, biased_images):
        method = STUDIES["aeda_untrained"](make_model(), biased_images, PLAN, 0, steps=1)
        before = method.model.bias_head.weight.clone()
        method.epoch(1)
        assert torch.equal(method.model.bias_head.weight, before)
        assert method.has_examples

    def test_they_are_no_rows_of_the_tables(self):
        assert set(CONTROLS) <= STUDIES.keys()


@pytest.mark.parametrize("name", [*CONTROLS, "dfr", "badd"])
def test_stopped_and_gone_on_with_is_the_same_run(make_model, biased_images, name):
    """Of DFR and BAdd their last epoch, too; the other methods have this test among all methods."""

    def begin():
        options = {"steps": 1} if name in CONTROLS else {"subsets": 2} if name == "dfr" else QUICK[name]
        return (METHODS | STUDIES)[name](make_model(), biased_images, Plan(epochs=2, batch_size=16), 0, **options)

    straight, stopped, resumed = begin(), begin(), begin()
    trained(straight)
    stopped.epoch(1)
    file = io.BytesIO()
    torch.save({"model": stopped.model.state_dict(), "method": stopped.state_dict()}, file)
    file.seek(0)
    state = torch.load(file, weights_only=True)
    resumed.model.load_state_dict(state["model"])
    resumed.load_state_dict(state["method"])
    resumed.epoch(2)
    assert same(resumed.learner.averaged.state_dict(), straight.learner.averaged.state_dict())
    assert same(resumed.model.state_dict(), straight.model.state_dict())
