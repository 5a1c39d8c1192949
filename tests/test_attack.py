"""The attack is Eq. (3), steps as torchattacks does, stays in its ball and leaves the model as it was."""

import math

import pytest
import torch
import torchattacks
from hypothesis import given
from hypothesis import strategies as st
from scipy.special import log_softmax
from torch import nn

from aeda_core import attack as attack_module
from aeda_core.attack import NORMS, Attack
from aeda_core.datasets import cmnist
from aeda_core.models import Classifier, bias_loss, frozen, pixels, target_loss

EPSILON = {"linf": 0.2, "l2": 2.0}
STEP = {"linf": 0.08, "l2": 0.5}


@pytest.fixture
def model(make_model):
    """Fitted for a moment, so that its gradients have the sizes and zeros that they have in use."""
    model = make_model(n_targets=10)
    optimiser = torch.optim.Adam(model.parameters(), 1e-2)
    generator = torch.Generator().manual_seed(0)
    for _ in range(10):
        bias = torch.randint(2, (32,), generator=generator)
        images = torch.rand(32, 3, 12, 12, generator=generator) * 0.5 + 0.5 * bias.view(-1, 1, 1, 1)
        targets = torch.randint(10, (32,), generator=generator)
        target_logits, bias_logits = model(images)
        optimiser.zero_grad()
        (target_loss(target_logits, targets) + bias_loss(bias_logits, bias)).backward()
        optimiser.step()
    optimiser.zero_grad()
    return model.eval()


@pytest.fixture(params=["noise", "digits"])
def batch(request, embedded):
    """Images in [0, 1], b_attack and targets: noise, and C-MNIST, most of whose pixels lie at 0 or 1."""
    if request.param == "digits":
        data = cmnist.training(embedded, cmnist.Recipe(n_train=64, n_validation=1))[:32]
        return pixels(data.images), 1 - data.bias, data.targets
    generator = torch.Generator().manual_seed(1)
    labels = (torch.randint(n, (32,), generator=generator) for n in (2, 10))
    return torch.rand(32, 3, 12, 12, generator=generator), *labels


class BiasTask(nn.Module):
    """What torchattacks attacks: one task, one output."""

    def __init__(self, model):
        super().__init__()
        self.model = model

    def forward(self, images):
        return self.model(images)[1]


class TestAgainstTorchattacks:
    """torchattacks' PGD without random start, in targeted mode, is I-FGSM of Eq. (2)."""

    @staticmethod
    def peer(kind, model, norm, steps, **options):
        peer = kind(BiasTask(model), EPSILON[norm], STEP[norm], steps, random_start=False, **options)
        peer.set_mode_targeted_by_label(quiet=True)
        return peer

    @pytest.mark.parametrize("steps", [1, 5, 10])
    def test_linf(self, model, batch, steps):
        images, towards, _ = batch
        ours = Attack("linf", EPSILON["linf"], STEP["linf"], steps, lambda_=1)(model, images, towards)
        theirs = self.peer(torchattacks.PGD, model, "linf", steps)(images, towards)
        assert (theirs - images).abs().amax() > 0.9 * min(EPSILON["linf"], steps * STEP["linf"])
        torch.testing.assert_close(ours, theirs, atol=1e-6, rtol=0)

    @pytest.mark.parametrize("steps", [1, 5, 10])
    def test_l2(self, model, batch, steps):
        """They divide the gradient by its length + 1e-10, we by max(length, 1e-12). Where the bias head is sure, the
        length is 1e-7 and the 1e-10 shows, so it is set to 0 here. Theirs also needs gradients that are contiguous."""
        model.to(memory_format=torch.contiguous_format)
        images, towards, _ = batch
        ours = Attack("l2", EPSILON["l2"], STEP["l2"], steps, lambda_=1)(model, images, towards)
        theirs = self.peer(torchattacks.PGDL2, model, "l2", steps, eps_for_division=0.0)(images, towards)
        assert (theirs - images).flatten(1).norm(dim=1).amax() > 0.5 * min(EPSILON["l2"], steps * STEP["l2"])
        torch.testing.assert_close(ours, theirs, atol=1e-6, rtol=0)


class DoubleClassifier(Classifier):
    """The classifier in float64, where a difference quotient has twelve digits."""

    def features(self, images):
        return self.extractor(images * 2 - 1)


class TestEq3:
    """λ·L_bias(x, b_attack) + (1 − λ)·L_target(x, t), by difference quotients of the logits."""

    @pytest.fixture
    def double(self, model):
        double = DoubleClassifier(model.extractor, 16, 10).double()
        double.target_head, double.bias_head = model.target_head.double(), model.bias_head.double()
        return double.eval()

    @staticmethod
    def eq3(model, images, towards, targets, lambda_):
        """Eq. (3) of each image, from logits, in numpy."""
        with torch.no_grad():
            target_logits, bias_logits = (logits.numpy() for logits in model(images))
        rows = range(len(images))
        l_bias = -log_softmax(bias_logits, axis=1)[rows, towards.tolist()]
        l_target = -log_softmax(target_logits, axis=1)[rows, targets.tolist()]
        return torch.from_numpy(lambda_ * l_bias + (1 - lambda_) * l_target)

    def gradient(self, model, image, towards, targets, lambda_, h=1e-6):
        """Central differences of Eq. (3) in every pixel of one image (1, C, H, W)."""
        n = image.numel()
        steps = h * torch.eye(n, dtype=torch.float64).view(n, *image.shape[1:])
        both = torch.cat([image + steps, image - steps])
        up, down = self.eq3(model, both, towards.expand(2 * n), targets.expand(2 * n), lambda_).split(n)
        return ((up - down) / (2 * h)).view_as(image)

    @pytest.fixture
    def inside(self):
        """Four images far enough from 0 and 1 that nothing is clamped."""
        generator = torch.Generator().manual_seed(2)
        images = 0.3 + 0.4 * torch.rand(4, 3, 12, 12, generator=generator, dtype=torch.float64)
        return images, torch.tensor([0, 1, 1, 0]), torch.tensor([3, 0, 9, 3])

    @pytest.mark.parametrize("lambda_", [0.0, 0.1, 0.5, 1.0])
    def test_a_step_goes_down_the_gradient(self, double, inside, lambda_):
        """One L2 step of length s is s times the unit vector against the gradient, in each image by itself."""
        images, towards, targets = inside
        step = 1e-3
        x_adv = Attack("l2", 1.0, step, 1, lambda_)(double, images, towards, targets)
        for i in range(len(images)):
            expected = -self.gradient(double, images[i : i + 1], towards[i], targets[i], lambda_)[0]
            taken = (x_adv[i] - images[i]) / step
            torch.testing.assert_close(taken, expected / expected.norm(), atol=1e-6, rtol=1e-5)

    def test_both_terms_are_felt(self, double, inside):
        """Guards the test above: if one term ruled, λ could be anything."""
        image, towards, targets = (x[:1] for x in inside)
        bias, target = (self.gradient(double, image, towards, targets, lambda_).flatten() for lambda_ in (1.0, 0.0))
        assert 0.05 < bias.norm() / target.norm() < 20
        assert abs(torch.cosine_similarity(bias, target, dim=0)) < 0.9

    @pytest.mark.parametrize("lambda_", [0.5, 1.0])
    def test_signed_steps_have_the_gradients_signs(self, double, inside, lambda_):
        images, towards, targets = (x[:1] for x in inside)
        x_adv = Attack("linf", 1.0, 1e-3, 1, lambda_)(double, images, towards, targets)
        gradient = self.gradient(double, images, towards, targets, lambda_)
        sure = gradient.abs() > 1e-6
        assert sure.double().mean() > 0.9
        torch.testing.assert_close((x_adv - images)[sure], -1e-3 * gradient.sign()[sure], atol=1e-12, rtol=0)

    @pytest.mark.parametrize("norm", NORMS)
    def test_fooled_while_the_target_is_kept(self, model, norm):
        """What Eq. (3) is for: L_bias towards b_attack falls a lot; with λ < 1 L_target stays lower than with λ = 1."""
        generator = torch.Generator().manual_seed(3)
        images, towards = torch.rand(64, 3, 12, 12, generator=generator), torch.arange(64) % 2
        with torch.no_grad():
            targets = model(images)[0].argmax(1)
        losses = {}
        for lambda_ in (0.5, 1.0):
            x_adv = Attack(norm, EPSILON[norm], STEP[norm], 5, lambda_)(model, images, towards, targets)
            with torch.no_grad():
                target_logits, bias_logits = model(x_adv)
            losses[lambda_] = target_loss(target_logits, targets), bias_loss(bias_logits, towards)
        with torch.no_grad():
            before = bias_loss(model(images)[1], towards)
        assert losses[1.0][1] < losses[0.5][1] < before / 2
        assert losses[0.5][0] < losses[1.0][0]


@st.composite
def attacks(draw, **fixed):
    """Any attack, and the images for it: in [0, 1], often at its ends."""
    options = {
        "norm": st.sampled_from(sorted(NORMS)),
        "epsilon": st.floats(0, 3),
        "step_size": st.floats(1e-3, 3),
        "steps": st.integers(1, 3),
        "lambda_": st.floats(0, 1),
    } | fixed
    attack = Attack(**{name: draw(values) for name, values in options.items()})
    generator = torch.Generator().manual_seed(draw(st.integers(0, 2**31)))
    images = torch.randint(-100, 356, (3, 3, 12, 12), generator=generator).clamp(0, 255).to(torch.uint8)
    return attack, images, torch.randint(2, (3,), generator=generator), torch.randint(3, (3,), generator=generator)


def lengths(delta, norm):
    return delta.abs().flatten(1).amax(1) if norm == "linf" else delta.flatten(1).norm(dim=1)


@pytest.fixture(scope="module")
def any_model():
    """One for all examples of a property."""
    with torch.random.fork_rng():
        torch.manual_seed(0)
        return Classifier(nn.Sequential(nn.Conv2d(3, 4, 5, 4), nn.ReLU(), nn.Flatten(), nn.Linear(16, 8)), 8, 3)


class TestProperties:
    @given(case=attacks())
    def test_in_the_ball_and_in_0_to_1(self, any_model, case):
        attack, images, towards, targets = case
        originals = pixels(images)
        x_adv = attack(any_model, originals, towards, targets)
        assert x_adv.shape == originals.shape
        assert 0 <= x_adv.min() <= x_adv.max() <= 1
        assert (lengths(x_adv - originals, attack.norm) <= attack.epsilon + 1e-6).all()  # 1e-6: float32

    @given(case=attacks(epsilon=st.just(0.0)))
    def test_epsilon_0_is_identity(self, any_model, case):
        attack, images, towards, targets = case
        assert torch.equal(attack(any_model, pixels(images), towards, targets), pixels(images))
        assert torch.equal(attack.on_uint8(any_model, images, towards, targets), images)

    @given(case=attacks(epsilon=st.floats(0, 0.3)))
    def test_whole_grey_levels_stay_in_the_ball(self, any_model, case):
        """Cut to the grid, not rounded out of the ball; a pixel may gain the 1e-3 levels that forgive float error."""
        attack, images, towards, targets = case
        stored = attack.on_uint8(any_model, images, towards, targets)
        assert stored.dtype == torch.uint8
        slack = 1e-3 if attack.norm == "linf" else 1e-3 * math.sqrt(images[0].numel())
        moved = lengths(stored.double() - images.double(), attack.norm)
        assert (moved <= attack.epsilon * 255 + slack).all()

    @given(case=attacks())
    def test_the_grid_loses_less_than_a_level(self, any_model, case):
        """Towards the original, so that what is stored is what was found and not less by more than the grid demands."""
        attack, images, towards, targets = case
        stored = attack.on_uint8(any_model, images, towards, targets).float()
        found = attack(any_model, pixels(images), towards, targets) * 255
        assert ((stored - found).abs() < 1 + 1e-3).all()
        assert ((stored - images).abs() <= (found - images).abs() + 2e-3).all()

    @given(case=attacks())
    def test_same_input_same_result(self, any_model, case):
        attack, images, towards, targets = case
        once = attack(any_model, pixels(images), towards, targets)
        torch.rand(1)  # whatever else was drawn
        assert torch.equal(attack(any_model, pixels(images), towards, targets), once)

    @given(case=attacks())
    def test_inputs_are_left_as_they_were(self, any_model, case):
        attack, images, towards, targets = case
        originals = pixels(images)
        attack(any_model, originals, towards, targets)
        assert torch.equal(originals, pixels(images))
        assert not originals.requires_grad


@pytest.mark.parametrize(("towards", "direction"), [(0, 1), (1, -1)], ids=["brighter", "darker"])
@pytest.mark.parametrize("levels", [1, 8, 51])
def test_a_whole_number_of_levels_is_reached(levels, towards, direction):
    """ε = 0.2 is 51 grey levels: float error must not make it 50. A linear model pushes every pixel all the way."""
    model = Classifier(nn.Flatten(), 12, 2)
    with torch.no_grad():
        model.bias_head.weight[0], model.bias_head.weight[1] = 1.0, -1.0
    images = torch.arange(252, dtype=torch.uint8).view(-1, 3, 2, 2)
    towards = torch.full((len(images),), towards)
    stored = Attack("linf", levels / 255, levels / 510, 5, 1.0).on_uint8(model, images, towards, towards)
    assert torch.equal(stored.int(), (images.int() + direction * levels).clamp(0, 255))


@pytest.mark.parametrize("norm", NORMS)
@pytest.mark.parametrize("chunk", [1, 7, 32])
def test_chunks_leave_no_seam(model, monkeypatch, norm, chunk):
    """Images are attacked a few at a time, with losses that are means over these few; the result must not show it.

    A convolution of another batch size may round otherwise and turn the sign of a gradient next to 0, so one pixel in a
    thousand may differ; a wrong label turns every second one."""
    generator = torch.Generator().manual_seed(4)
    images = torch.randint(256, (40, 3, 12, 12), generator=generator).to(torch.uint8)
    towards, targets = (torch.randint(n, (40,), generator=generator) for n in (2, 10))
    attack = Attack(norm, EPSILON[norm], STEP[norm], 3, 0.5)
    whole = attack.on_uint8(model, images, towards, targets)
    assert (whole != images).double().mean() > 0.3
    monkeypatch.setattr(attack_module, "CHUNK", chunk)
    parts = attack.on_uint8(model, images, towards, targets)
    assert (parts != whole).double().mean() < 1e-3


class TestModelIsLeftAsItWas:
    @pytest.fixture
    def mixed(self):
        """Dropout and batch norm, weights that need gradients and weights that do not, one with a gradient already."""
        torch.manual_seed(0)
        extractor = nn.Sequential(
            nn.Conv2d(3, 4, 3), nn.BatchNorm2d(4), nn.Dropout(), nn.Sequential(nn.ReLU(), nn.Dropout()), nn.Flatten()
        )
        model = Classifier(extractor, 400, 3)
        model.extractor[0].requires_grad_(False)
        model.target_head.weight.grad = torch.ones_like(model.target_head.weight)
        return model

    @staticmethod
    def attack(model):
        images = torch.rand(4, 3, 12, 12, generator=torch.Generator().manual_seed(0))
        return Attack(steps=2)(model, images, torch.tensor([0, 1, 0, 1]), torch.tensor([0, 1, 2, 0]))

    @pytest.mark.parametrize("training", [True, False])
    def test_mode(self, mixed, training):
        mixed.train(training)
        self.attack(mixed)
        assert {module.training for module in mixed.modules()} == {training}

    def test_mode_of_every_part(self, mixed):
        mixed.train()
        mixed.extractor[1].eval()  # batch norm with fixed statistics, a common way to fine-tune
        before = [module.training for module in mixed.modules()]
        self.attack(mixed)
        assert [module.training for module in mixed.modules()] == before

    def test_weights_statistics_and_gradients(self, mixed):
        mixed.train()
        before = {name: value.clone() for name, value in mixed.state_dict().items()}
        flags = [p.requires_grad for p in mixed.parameters()]
        self.attack(mixed)
        assert all(torch.equal(value, before[name]) for name, value in mixed.state_dict().items())
        assert [p.requires_grad for p in mixed.parameters()] == flags
        assert [name for name, p in mixed.named_parameters() if p.grad is not None] == ["target_head.weight"]
        assert (mixed.target_head.weight.grad == 1).all()

    def test_attacked_in_eval_mode(self, mixed):
        """Dropout in the attack would make the result depend on the draw."""
        in_training, in_eval = self.attack(mixed.train()), self.attack(mixed.eval())
        assert torch.equal(in_training, in_eval)

    def test_also_when_the_attack_breaks_off(self, mixed):
        mixed.train()
        with pytest.raises(RuntimeError, match="broken off"), frozen(mixed):
            raise RuntimeError("broken off")
        assert mixed.training
        assert mixed.target_head.weight.requires_grad
        assert not mixed.extractor[0].weight.requires_grad


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"epsilon": -0.1}, "epsilon is -0.1"),
        pytest.param({"epsilon": math.nan}, "epsilon is nan"),
        ({"lambda_": 1.5}, "lambda_ is 1.5"),
        ({"lambda_": -0.01}, "lambda_ is -0.01"),
        ({"lambda_": math.nan}, "lambda_ is nan"),
        ({"steps": 0}, "steps is 0"),
        ({"step_size": 0.0}, "step_size is 0.0"),
        pytest.param({"step_size": math.nan}, "step_size is nan"),
        ({"norm": "l1"}, "norm is 'l1'; it is one of linf, l2"),
    ],
)
def test_bad_options_are_named(refused, options, words):
    with refused(ValueError, words):
        Attack(**options)


def test_eq3_without_targets_is_named(model, refused):
    with refused(ValueError, "lambda_ is 0.5", "pass targets"):
        Attack(lambda_=0.5)(model, torch.rand(1, 3, 12, 12), torch.tensor([0]))
