"""What an epoch does: each method does the thing it is named after, draws from its seed alone, and can be stopped."""

import copy
import io
import math

import pytest
import torch
from scipy.special import log_softmax
from torch.nn import functional as F

from aeda_core.attack import Attack
from aeda_core.datasets import BiasedImages
from aeda_core.methods import METHODS, EmptyGroup, Plan
from aeda_core.methods import aeda_online as aeda_module
from aeda_core.methods.adversarial_debiasing import AdversarialDebiasing
from aeda_core.methods.aeda_online import AEDAOnce, AEDAOnline
from aeda_core.methods.aeda_pre import AEDAPre
from aeda_core.methods.aeda_robust import AEDARobust, AEDARobustPerBatch
from aeda_core.models import pixels
from aeda_core.profiles import ParameterError

N, BATCH = 60, 16
BATCHES = math.ceil(N / BATCH)
ATTACK = {"epsilon": 0.2, "step_size": 0.08, "steps": 2}
OPTIONS = {
    "aeda_pre": {**ATTACK, "source_epochs": 10},
    "aeda_once": {**ATTACK, "start": 0},
    "aeda_online": {**ATTACK, "start": 0},
    "aeda_robust": {**ATTACK, "start": 0},
    "aeda_robust_per_batch": {**ATTACK, "start": 0},
}
ONLINE = [AEDAOnline, AEDARobust]
PLAN = Plan(epochs=4, batch_size=BATCH, learning_rate=1e-2)


@pytest.fixture
def start(make_model, biased_images):
    """A method about to begin: of this name or class, on a fresh tiny model."""

    def start(method, data=biased_images, seed=0, plan=None, **options):
        kind = METHODS[method] if isinstance(method, str) else method
        if isinstance(method, str):
            options = OPTIONS.get(method, {}) | options
        return kind(make_model(n_targets=len(data.target_names)), data, plan or PLAN, seed, **options)

    return start


def weights(module):
    return {name: value.clone() for name, value in module.state_dict().items()}


def same(a, b):
    return a.keys() == b.keys() and all(torch.equal(a[name], b[name]) for name in a)


def parts_changed(before, after):
    return {name.split(".")[0] for name in before if not torch.equal(before[name], after[name])}


def cross_entropies(logits, labels):
    """−log softmax at the label, of each row, in numpy."""
    return -log_softmax(logits.detach().double().numpy(), axis=1)[range(len(labels)), labels.tolist()]


class TestOriginal:
    def test_trains_f_and_the_target_head_alone(self, start):
        """Were the bias head trained along, `original` would have seen the bias labels."""
        method = start("original")
        before = weights(method.model)
        method.epoch(1)
        assert parts_changed(before, weights(method.model)) == {"extractor", "target_head"}

    def test_an_epoch_sees_every_image_once(self, start, monkeypatch):
        method = start("original")
        seen = []
        loss = method.loss
        monkeypatch.setattr(method, "loss", lambda batch: seen.extend(batch.tolist()) or loss(batch))
        method.epoch(1)
        assert sorted(seen) == list(range(N))
        assert seen != sorted(seen)


class TestBalancing:
    @pytest.mark.parametrize("method", ["undersampling", "reweighting"])
    def test_an_empty_group_is_refused(self, start, refused, one_colour_a_class, method):
        """The – of Table 1: what is not there can be neither drawn nor weighed."""
        with refused(EmptyGroup, method, "3 of its 6 groups", "'top, blue'", "aeda_robust"):
            start(method, one_colour_a_class)

    def test_undersampling_evens_the_groups_of_each_class(self, start, biased_images):
        """[[14, 6], [5, 15], [12, 8]]: as many as of the rarest, no image twice."""
        kept = start("undersampling").data
        assert kept.group_sizes().tolist() == [[6, 6], [5, 5], [8, 8]]
        assert len(kept.identities.unique()) == len(kept) == 38
        assert torch.equal(kept.images, biased_images.images[kept.identities])
        assert torch.equal(kept.targets, biased_images.targets[kept.identities])

    def test_undersampling_draws_by_seed(self, start):
        a, b, other = (set(start("undersampling", seed=seed).data.identities.tolist()) for seed in (0, 0, 1))
        assert a == b != other

    def test_weights_are_those_of_the_paper_on_reweighing(self, start):
        """Kamiran and Calders 2012, their worked example: of ten applicants 4 men and 2 women are accepted, 1 man and 3
        women are not; weights 0.75, 1.5, 2 and 0.67."""
        targets, bias = torch.tensor([0] * 6 + [1] * 4), torch.tensor([0] * 4 + [1] * 2 + [0] + [1] * 3)
        images = torch.zeros(10, 3, 12, 12, dtype=torch.uint8)
        data = BiasedImages(images, targets, bias, torch.arange(10), ("accepted", "rejected"), ("male", "female"))
        expected = [0.75] * 4 + [1.5] * 2 + [2.0] + [2 / 3] * 3
        assert start("reweighting", data).weights.tolist() == pytest.approx(expected)

    def test_weighted_target_and_bias_are_independent(self, start, biased_images):
        method = start("reweighting")
        total = torch.zeros(3, 2, dtype=torch.float64)
        total.index_put_((biased_images.targets, biased_images.bias), method.weights.double(), accumulate=True)
        independent = total.sum(1, keepdim=True) * total.sum(0) / total.sum()
        torch.testing.assert_close(total, independent, rtol=1e-6, atol=0)
        assert total.sum() == pytest.approx(N)
        unweighted = biased_images.group_sizes().double()
        assert not torch.allclose(unweighted, unweighted.sum(1, keepdim=True) * unweighted.sum(0) / N, rtol=0.1)

    def test_weights_weigh_the_loss(self, start, biased_images):
        method, batch = start("reweighting"), torch.tensor([3, 0, 41, 7])
        losses = cross_entropies(method.model(pixels(biased_images.images[batch]))[0], biased_images.targets[batch])
        weighted = sum(w * loss for w, loss in zip(method.weights[batch].tolist(), losses, strict=True)) / 4
        assert method.loss(batch).item() == pytest.approx(weighted, rel=1e-5)


class TestAdversarialDebiasing:
    BATCH = torch.arange(20)

    @pytest.fixture
    def method(self, start):
        def at(done, strength=1.0):
            """With `done` of ten steps behind it."""
            method = start(AdversarialDebiasing, plan=Plan(epochs=10, batch_size=N), strength=strength)
            method.learner.steps = done
            return method

        return at

    def plain(self, method, weight_target, weight_bias):
        """Gradients without any reversal, by parameter name."""
        model = copy.deepcopy(method.model)
        data = method.data[self.BATCH]
        target_logits, bias_logits = model(pixels(data.images))
        loss = weight_target * F.cross_entropy(target_logits, data.targets)
        (loss + weight_bias * F.cross_entropy(bias_logits, data.bias)).backward()
        return {name: p.grad for name, p in model.named_parameters()}

    def reversed(self, method):
        method.loss(self.BATCH).backward()
        return {name: p.grad for name, p in method.model.named_parameters()}

    @pytest.mark.parametrize("strength", [0.1, 1.0, 3.0])
    @pytest.mark.parametrize(("done", "growth"), [(0, 0), (1, 2 / (1 + math.exp(-1)) - 1), (10, math.tanh(5))])
    def test_what_reaches_f_from_the_bias_loss_is_reversed(self, method, strength, done, growth):
        """A target head of zeros sends f nothing, so all that f gets is the bias loss's: −strength · growth of it.
        Growth is 2 / (1 + exp(−10 p)) − 1 = tanh(5 p) with progress p: 0, 0.462 at a tenth, 0.9999 at the end."""
        method = method(done, strength)
        torch.nn.init.zeros_(method.model.target_head.weight)
        plain, reversed_ = self.plain(method, 0, 1), self.reversed(method)
        for name in (name for name in plain if name.startswith("extractor")):
            assert plain[name].abs().max() > 1e-4
            torch.testing.assert_close(reversed_[name], -strength * growth * plain[name], rtol=1e-4, atol=1e-7)

    def test_heads_learn_as_ever(self, method):
        """h_b still learns the bias, h_t the target: only what passes h_b on its way to f is turned round."""
        method = method(done=7, strength=2.0)
        plain, reversed_ = self.plain(method, 1, 1), self.reversed(method)
        for name in (name for name in plain if "head" in name):
            torch.testing.assert_close(reversed_[name], plain[name], rtol=1e-4, atol=1e-7)

    def test_strength_0_is_plain_training_of_f(self, method):
        method = method(done=10, strength=0.0)
        plain, reversed_ = self.plain(method, 1, 0), self.reversed(method)
        for name in (name for name in plain if name.startswith("extractor")):
            torch.testing.assert_close(reversed_[name], plain[name], rtol=1e-4, atol=1e-7)


@pytest.fixture
def attacks(monkeypatch):
    """Every call of the attack on training images, as (model, originals, towards, targets)."""
    calls = []
    on_uint8 = Attack.on_uint8

    def spy(self, *arguments):
        calls.append(arguments)
        return on_uint8(self, *arguments)

    monkeypatch.setattr(Attack, "on_uint8", spy)
    return calls


class TestAttackSchedule:
    @pytest.mark.parametrize(
        ("kind", "options", "expected"),
        [
            pytest.param(AEDAPre, {"source_epochs": 1}, [1, 0, 0, 0], id="pre: beforehand"),
            pytest.param(AEDAOnce, {"start": 0}, [1, 0, 0, 0], id="once: at once"),
            pytest.param(AEDAOnce, {}, [0, 1, 0, 0], id="once: after a first epoch"),
            pytest.param(AEDAOnce, {"start": 2}, [0, 0, 1, 0], id="once: later"),
            pytest.param(AEDAOnline, {"start": 0}, [1, 1, 1, 1], id="online: once an epoch"),
            pytest.param(AEDAOnline, {"start": 1}, [0, 1, 1, 1], id="online: after a first epoch"),
            pytest.param(AEDARobust, {"start": 3}, [0, 0, 0, 1], id="robust: in the last epoch"),
            pytest.param(AEDARobust, {"start": 0, "stop": 2}, [1, 1, 0, 0], id="robust: until the second"),
            pytest.param(AEDARobust, {"start": 1, "stop": 1}, [0, 0, 0, 0], id="robust: stopped before it began"),
            pytest.param(AEDAOnline, {"start": 0, "refresh": 1}, [BATCHES] * 4, id="each batch"),
            pytest.param(AEDARobustPerBatch, {"start": 0}, [BATCHES] * 4, id="per batch, unasked"),
            pytest.param(AEDAOnline, {"start": 1, "every": 2}, [0, 1, 0, 1], id="every other epoch"),
            pytest.param(
                AEDAOnline, {"start": 1, "refresh": 1, "stop": 2}, [0, BATCHES, 0, 0], id="each batch of one epoch"
            ),
            pytest.param(AEDARobust, {"start": 0, "refresh": 3}, [2] * 4, id="every third of four batches"),
            pytest.param(AEDARobust, {"start": 0, "refresh": 99}, [1] * 4, id="seldom: still once an epoch"),
        ],
    )
    def test_attacks_in_each_epoch(self, start, attacks, kind, options, expected):
        method = start(kind, **ATTACK, **options)
        counts = []
        for number in range(1, 5):
            attacks.clear()
            method.epoch(number)
            counts.append(len(attacks))
            if attacks:  # in whatever portions: every image, once
                assert sum(len(call[1]) for call in attacks) == N
        assert counts == expected

    @pytest.mark.parametrize("kind", ONLINE)
    def test_online_attacks_the_classifier_that_is_being_trained(self, start, attacks, kind):
        method = start(kind, **ATTACK, start=0)
        method.epoch(1)
        assert attacks[0][0] is method.model

    def test_pre_attacks_a_trained_classifier_of_its_own(self, start, attacks, biased_images):
        """Of both tasks, and better than chance on them: else there is nothing to attack."""
        start("aeda_pre", source_epochs=30).epoch(1)
        source = attacks[0][0]
        target_logits, bias_logits = source(pixels(biased_images.images))
        assert (bias_logits.argmax(1) == biased_images.bias).double().mean() > 0.9
        assert (target_logits.argmax(1) == biased_images.targets).double().mean() > 0.5

    def test_pre_attacks_weights_that_have_nothing_to_do_with_its_own(self, start, attacks):
        """With so small a learning rate both are as they began, and they began from different draws."""
        method = start("aeda_pre", plan=Plan(epochs=4, batch_size=BATCH, learning_rate=1e-9))
        method.epoch(1)
        source, own = attacks[0][0].extractor[0].weight.flatten(), method.model.extractor[0].weight.flatten()
        assert abs(torch.corrcoef(torch.stack([source, own]))[0, 1]) < 0.5

    @pytest.mark.parametrize("method", sorted(OPTIONS))
    def test_attacked_towards_the_other_bias_value_with_the_originals_target(self, start, attacks, method):
        method = start(method)
        method.epoch(1)
        data = method.data
        _, originals, towards, targets = (
            torch.cat(x) if i else x for i, x in enumerate(zip(*(a[:4] for a in attacks), strict=True))
        )
        order = torch.stack([(data.images == image).flatten(1).all(1).nonzero().squeeze() for image in originals])
        assert sorted(order.tolist()) == list(range(N))
        assert torch.equal(towards, 1 - data.bias[order])
        assert torch.equal(targets, data.targets[order])

    @pytest.mark.parametrize("kind", [AEDAOnce, AEDAPre])
    def test_examples_stay_after_the_only_attack(self, start, kind):
        """And are trained on to the end, as the paper's are."""
        method = start(kind, **ATTACK)
        method.epoch(1)
        method.epoch(2)
        examples = method.examples.clone()
        method.epoch(3)
        assert torch.equal(method.examples, examples)
        assert method.has_examples

    @pytest.mark.parametrize("kind", ONLINE)
    def test_steps_of_an_epoch_in_their_order(self, start, monkeypatch, kind):
        """X_adv of f and h_b as they stand, Eq. (4), then Eq. (5) or (6) on the f that Eq. (4) left."""
        method, steps = start(kind, **ATTACK, start=0, refresh=2), []
        for name in ("renew", "train_on", "train_bias_head"):
            step = getattr(method, name)
            monkeypatch.setattr(method, name, lambda *given, n=name, s=step: steps.append((n, given[-1])) or s(*given))
        method.epoch(1)
        assert [name for name, _ in steps] == ["renew", "train_on", "train_bias_head"] * 2
        for block in (steps[:3], steps[3:]):
            assert len({tuple(index.tolist()) for _, index in block}) == 1

    @pytest.mark.parametrize(
        "options",
        [{"start": -1}, {"refresh": 0}, {"every": 0}, {"bias_epochs": 0}],
        ids=lambda options: next(iter(options)),
    )
    def test_a_schedule_that_cannot_be(self, start, refused, options):
        ((name, value),) = options.items()
        with refused(ParameterError, f"option {name} is {value}: it should be greater than or equal to"):
            start(AEDARobust, **options)


class TestEq4:
    """L_target over {X_ori, X_adv}."""

    @pytest.mark.parametrize("method", sorted(OPTIONS))
    def test_examples_lie_in_the_ball_around_their_originals(self, start, method):
        method = start(method)
        method.epoch(1)
        moved = (method.examples.int() - method.data.images.int()).abs().flatten(1).amax(1)
        assert method.examples.dtype == torch.uint8
        assert moved.max() <= 51  # ε = 0.2 in grey levels
        assert moved.min() > 0

    @pytest.mark.parametrize("method", sorted(OPTIONS))
    def test_both_sets_with_the_originals_targets(self, start, method):
        method, batch = start(method), torch.tensor([5, 0, 33, 59, 12])
        method.epoch(1)
        data = method.data[batch]
        on_originals = cross_entropies(method.model(pixels(data.images))[0], data.targets)
        on_examples = cross_entropies(method.model(pixels(method.examples[batch]))[0], data.targets)
        assert abs(on_originals.mean() - on_examples.mean()) > 1e-4  # or the equality below would show nothing
        by_hand = (on_originals.sum() + on_examples.sum()) / 10
        assert method.loss(batch).item() == pytest.approx(by_hand, rel=1e-5)

    @pytest.mark.parametrize("kind", ONLINE)
    def test_originals_alone_before_the_first_attack(self, start, kind):
        """Footnote 7: a preliminary target classifier comes first."""
        method, batch = start(kind, **ATTACK, start=1), torch.tensor([5, 0, 33])
        method.epoch(1)
        assert method.latest_examples(batch) is None
        data = method.data[batch]
        by_hand = cross_entropies(method.model(pixels(data.images))[0], data.targets).mean()
        assert method.loss(batch).item() == pytest.approx(by_hand, rel=1e-5)


class TestEq5And6:
    """L_bias over X_ori, or over {X_ori, X_adv}; f stays as it is."""

    @pytest.fixture
    def bias_losses(self, monkeypatch):
        """Every loss that bias training computes, with its labels."""
        calls = []
        bias_loss = aeda_module.bias_loss

        def spy(logits, bias):
            loss = bias_loss(logits, bias)
            calls.append((loss.item(), bias))
            return loss

        monkeypatch.setattr(aeda_module, "bias_loss", spy)
        return calls

    @pytest.mark.parametrize("kind", ONLINE)
    def test_only_the_bias_head_changes(self, start, kind):
        method = start(kind, **ATTACK, start=0)
        method.epoch(1)
        before = weights(method.model)
        method.train_bias_head(torch.arange(N))
        assert parts_changed(before, weights(method.model)) == {"bias_head"}

    @pytest.mark.parametrize(("kind", "eq"), [(AEDAOnline, 5), (AEDARobust, 6)])
    def test_by_hand(self, start, bias_losses, kind, eq):
        """In one batch, so that the loss before the only step is the whole equation. Examples count with their true
        bias value: with the attacked one the head would learn to be fooled."""
        knowing = {"bias_epochs": 20, "bias_learning_rate": 3e-2}  # a head that can be fooled
        method = start(kind, **ATTACK, **knowing, start=0, plan=Plan(epochs=4, batch_size=2 * N))
        method.epoch(1)
        method.epoch(2)
        method.options = method.options.model_copy(update={"bias_epochs": 1})
        bias_losses.clear()
        data, examples = method.data, method.examples
        on_originals = cross_entropies(method.model(pixels(data.images))[1], data.bias)
        on_examples = cross_entropies(method.model(pixels(examples))[1], data.bias)
        assert on_examples.mean() > on_originals.mean() + 0.05
        method.train_bias_head(torch.arange(N))
        by_hand = on_originals.mean() if eq == 5 else (on_originals.sum() + on_examples.sum()) / (2 * N)
        ((loss, labels),) = bias_losses
        assert loss == pytest.approx(by_hand, rel=1e-5)
        repeats = 1 if eq == 5 else 2
        assert torch.bincount(labels).tolist() == (repeats * torch.bincount(data.bias)).tolist()

    def test_robust_has_only_originals_before_the_first_attack(self, start, bias_losses):
        method = start(AEDARobust, **ATTACK, start=1)
        method.epoch(1)
        assert sum(len(labels) for _, labels in bias_losses) == N

    @pytest.mark.parametrize("bias_epochs", [1, 3])
    @pytest.mark.parametrize("refresh", [None, 1])
    def test_passes_of_bias_training(self, start, bias_losses, bias_epochs, refresh):
        method = start(AEDARobust, **ATTACK, start=0, refresh=refresh, bias_epochs=bias_epochs)
        method.epoch(1)
        assert sum(len(labels) for _, labels in bias_losses) == 2 * N * bias_epochs

    @pytest.mark.parametrize("kind", ONLINE)
    def test_a_head_that_learns_long_enough_knows_the_bias(self, start, biased_images, kind):
        """One that does not gives the attack nothing to follow."""
        method = start(kind, **ATTACK, bias_epochs=300, bias_learning_rate=1e-2)
        method.train_bias_head(torch.arange(N))
        answers = method.model(pixels(biased_images.images))[1].argmax(1)
        assert (answers == biased_images.bias).double().mean() > 0.95


class TestSeed:
    @staticmethod
    def train(method, epochs=2):
        for number in range(1, epochs + 1):
            method.epoch(number)
        return weights(method.model), weights(method.learner.averaged)

    @pytest.mark.parametrize("method", sorted(METHODS))
    def test_decides_everything_that_is_drawn(self, start, method):
        """Whatever else drew from torch's global generator, or did not."""
        results = []
        for drawn_before in (0, 1):
            torch.manual_seed(drawn_before)
            results.append(self.train(start(method)))
        (model, averaged), (again, averaged_again) = results
        assert same(model, again)
        assert same(averaged, averaged_again)

    @pytest.mark.parametrize("method", sorted(METHODS))
    def test_another_seed_is_another_run(self, start, method):
        torch.manual_seed(0)
        model, _ = self.train(start(method, seed=0))
        torch.manual_seed(0)
        other, _ = self.train(start(method, seed=1))
        assert not same(model, other)


@pytest.mark.parametrize("method", sorted(METHODS))
def test_stopped_and_gone_on_with_is_the_same_run(start, method):
    """Through bytes and into fresh objects, as after a crash."""
    torch.manual_seed(0)
    straight = start(method)
    straight.epoch(1)
    straight.epoch(2)

    torch.manual_seed(0)
    stopped = start(method)
    stopped.epoch(1)
    file = io.BytesIO()
    torch.save({"model": stopped.model.state_dict(), "method": stopped.state_dict()}, file)

    torch.manual_seed(99)
    resumed = start(method)
    file.seek(0)
    state = torch.load(file, weights_only=True)
    resumed.model.load_state_dict(state["model"])
    resumed.load_state_dict(state["method"])
    resumed.epoch(2)

    assert same(weights(resumed.model), weights(straight.model))
    assert same(weights(resumed.learner.averaged), weights(straight.learner.averaged))
    if hasattr(straight, "examples"):
        assert torch.equal(resumed.examples, straight.examples)


class TestAttributes:
    """Several labels an image: each is weighed by itself."""

    @pytest.fixture
    def faces(self):
        generator = torch.Generator().manual_seed(0)
        bias = torch.randint(0, 2, (200,), generator=generator)
        likely = torch.tensor([[0.8, 0.2], [0.1, 0.1]])[:, bias].T
        return BiasedImages(
            torch.randint(0, 256, (200, 3, 12, 12), generator=generator, dtype=torch.uint8),
            (torch.rand(200, 2, generator=generator) < likely).long(),
            bias,
            torch.arange(200),
            ("Smiling", "Chubby"),
            ("female", "male"),
        )

    @pytest.fixture
    def begin(self, make_model, faces):
        def begin(name, plan=None, **options):
            return METHODS[name](make_model(n_targets=2), faces, plan or Plan(epochs=1, batch_size=50), 0, **options)

        return begin

    def totals(self, method):
        """Summed weight of each group, (tasks, B)."""
        totals = torch.zeros(4, 2, dtype=torch.double)
        index = (method.data.tasks, method.data.bias[:, None].expand_as(method.data.tasks))
        return totals.index_put(index, method.weights.double(), accumulate=True)

    def test_loss_is_binary_cross_entropy_of_each_attribute(self, begin, faces):
        method, batch = begin("original"), torch.arange(7)
        logits = method.model(pixels(faces.images[batch]))[0]
        chance = torch.where(faces.targets[batch] == 1, logits.sigmoid(), 1 - logits.sigmoid())
        assert method.loss(batch).item() == pytest.approx(-chance.log().mean().item(), rel=1e-5)

    @pytest.mark.parametrize("name", ["undersampling", "reweighting"])
    def test_balancing_evens_out_the_bias_values_of_every_task(self, begin, faces, name):
        totals = self.totals(begin(name))
        wanted = 0.5 if name == "undersampling" else (faces.bias == 0).double().mean().item()
        assert (totals[:, 0] / totals.sum(1)).tolist() == pytest.approx([wanted] * 4)
        if name == "reweighting":
            assert totals.sum(1).tolist() == pytest.approx(faces.group_sizes().sum(1).tolist())

    def test_undersampling_drops_labels_of_the_larger_group_only(self, begin, faces):
        method = begin("undersampling")
        kept = torch.zeros(4, 2, dtype=torch.long)
        kept.index_put_(
            (faces.tasks, faces.bias[:, None].expand_as(faces.tasks)), (method.weights > 0).long(), accumulate=True
        )
        assert torch.equal(kept, faces.group_sizes().min(1, keepdim=True).values.expand(4, 2))

    @pytest.mark.parametrize("name", ["original", "reweighting", "adversarial_debiasing"])
    def test_task_balance_gives_every_task_the_same_weight(self, begin, name):
        totals = self.totals(begin(name, Plan(epochs=1, batch_size=50, task_balance=1.0)))
        assert totals.sum(1).tolist() == pytest.approx([100] * 4)

    @pytest.mark.parametrize("name", sorted(METHODS.keys() - {"lisa"}))
    def test_every_method_trains_on_them(self, begin, name):
        assert math.isfinite(begin(name).epoch(1))


class TestMirror:
    """A random half of the images is seen mirrored, with its example."""

    @pytest.fixture
    def method(self, make_model, biased_images):
        plan = Plan(epochs=2, batch_size=20, mirror=True)
        return METHODS["aeda_robust"](make_model(), biased_images, plan, 0, start=0, steps=1)

    def test_half_is_turned_and_anew_every_epoch(self, method, biased_images):
        everything = torch.arange(60)
        method.epoch(1)
        first = method.mirrored
        assert first.sum() == 30
        turned = method.images(everything)
        assert torch.equal(turned[first], biased_images.images[first].flip(-1))
        assert torch.equal(turned[~first], biased_images.images[~first])
        method.epoch(2)
        assert not torch.equal(first, method.mirrored)

    def test_examples_are_kept_unturned_beside_their_originals(self, method, biased_images):
        method.epoch(1)
        distance = (method.examples.int() - biased_images.images.int()).abs().amax((1, 2, 3))
        assert distance.max() <= 255 * method.attack.epsilon + 1e-3
        assert distance.min() > 0
