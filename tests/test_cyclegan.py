"""CycleGAN: the losses of Zhu et al. by hand, colours that do change, and draws that come from the seed alone."""

import dataclasses

import pytest
import torch
from torch import nn

from aeda_core.errors import Problem
from aeda_core.methods import METHODS, Plan, cyclegan
from aeda_core.methods.cyclegan import CycleGAN, Generator, Translation, discriminator
from aeda_core.models import pixels, target_loss
from aeda_core.profiles import ParameterError

QUICK = {"gan_epochs": 1, "gan_width": 4, "gan_blocks": 1}
PLAN = Plan(epochs=3, batch_size=16, learning_rate=1e-2)


@pytest.fixture
def start(make_model, biased_images):
    """A run about to begin, with networks too small and trained too shortly to be good for anything."""

    def start(data=biased_images, seed=0, **options):
        return CycleGAN(make_model(), data, PLAN, seed, **QUICK | options)

    return start


@pytest.fixture
def translation(biased_images):
    """About to be trained, from ten red images to twenty blue ones and back, by whatever colours they really have."""

    def make(seed=0, **settings):
        domains = list(biased_images.images[:30].split([10, 20]))
        return Translation(CycleGAN.Options(**QUICK | settings), domains, "fp32", seed)

    return make


class Plus(nn.Module):
    """A generator that adds a constant."""

    def __init__(self, constant):
        super().__init__()
        self.constant = constant

    def forward(self, images):
        return images + self.constant


class Mean(nn.Module):
    """A discriminator that answers with each image's mean, twice."""

    def forward(self, images):
        return images.mean((1, 2, 3)).view(-1, 1, 1, 1).repeat(1, 1, 1, 2)


def plain(value, n):
    return torch.full((n, 3, 8, 8), value)


class TestLosses:
    """By hand, for images of one grey each: 0.2 for bias value 0, −0.4 for 1."""

    @pytest.fixture
    def by_constants(self, translation):
        def make(**settings):
            made = translation(**settings)
            made.generators = nn.ModuleList([Plus(0.1), Plus(-0.3)])
            made.discriminators = nn.ModuleList([Mean(), Mean()])
            return made

        return make

    def test_of_the_generators(self, by_constants):
        """Painted in 0 are −0.4 + 0.1 = −0.3, in 1 0.2 − 0.3 = −0.1: adversarial 1.3² + 1.1² = 2.9. There and back is
        off by 0.2 either way: 10 · 0.4. Painted in their own value, images are off by 0.1 and 0.3: 5 · 0.4."""
        loss, painted = by_constants().generator_loss([plain(0.2, 2), plain(-0.4, 3)])
        assert loss.item() == pytest.approx(1.69 + 1.21 + 10 * 0.4 + 5 * 0.4, rel=1e-5)
        torch.testing.assert_close(painted[0], plain(-0.3, 3))
        torch.testing.assert_close(painted[1], plain(-0.1, 2))

    def test_of_the_generators_without_identity(self, by_constants):
        """The same less the last term, and the images that have the bias value already are not even painted."""
        loss, painted = by_constants(gan_identity=0).generator_loss([plain(0.2, 2), plain(-0.4, 3)])
        assert loss.item() == pytest.approx(1.69 + 1.21 + 10 * 0.4, rel=1e-5)
        torch.testing.assert_close(painted[0], plain(-0.3, 3))

    def test_of_the_discriminators(self, by_constants):
        """Half of (1 − 0.2)² + 0.7², and half of (1 + 0.4)² + 0.1²: real images are to answer 1, painted ones 0."""
        real, painted = [plain(0.2, 2), plain(-0.4, 2)], [plain(0.7, 2), plain(0.1, 2)]
        loss = by_constants().discriminator_loss(real, painted)
        assert loss.item() == pytest.approx((0.64 + 0.49) / 2 + (1.96 + 0.01) / 2, rel=1e-5)


class TestTraining:
    def test_learning_rate_is_halfway_constant_and_then_falls_to_0(self, translation, monkeypatch):
        rates, step = [], cyclegan._step

        def spy(optimiser, *rest):
            rates.append(optimiser.param_groups[0]["lr"] / cyclegan.LEARNING_RATE)
            step(optimiser, *rest)

        monkeypatch.setattr(cyclegan, "_step", spy)
        list(translation(gan_epochs=2, gan_batch_size=5).epochs())
        expected = [1, 1, 1, 1, 1, 0.75, 0.5, 0.25]
        assert rates[0::2] == pytest.approx(expected)  # of the generators
        assert rates[1::2] == pytest.approx(expected)  # of the discriminators

    def test_an_epoch_sees_all_images_and_the_rarer_ones_again(self, translation):
        order = translation()._order(4, 10)
        assert len(order) == 10
        assert sorted(order[:4].tolist()) == sorted(order[4:8].tolist()) == [0, 1, 2, 3]
        assert len(set(order[8:].tolist())) == 2

    def test_all_four_networks_learn(self, translation):
        made = translation()
        before = [p.clone() for p in (*made.generators.parameters(), *made.discriminators.parameters())]
        list(made.epochs())
        after = (*made.generators.parameters(), *made.discriminators.parameters())
        changed = [not torch.equal(a, b) for a, b in zip(before, after, strict=True) if a.ndim == 4]
        assert all(changed)

    @pytest.mark.parametrize("size", [8, 9, 13, 28, 48])
    def test_translations_are_as_large_as_their_originals(self, size):
        images = torch.zeros(2, 3, size, size + 1)
        assert Generator(2, 1, residual=False)(images).shape == images.shape

    def test_a_residual_generator_that_paints_nothing_leaves_the_image(self):
        """One that is not has then painted grey."""
        images = torch.rand(2, 3, 9, 9) * 2 - 1
        for residual, expected in [(True, images), (False, torch.zeros_like(images))]:
            generator = Generator(2, 1, residual)
            for parameter in generator.enlarge[-1].parameters():
                nn.init.zeros_(parameter)
            assert torch.equal(generator(images), expected)

    def test_what_is_painted_too_bright_is_white(self, translation):
        """A change that is added may leave the range; grey levels are cut off there and do not begin anew at black."""
        made = translation()
        made.generators = nn.ModuleList([Plus(0.1), Plus(-3.0)])
        images = torch.tensor([0, 100, 250], dtype=torch.uint8).view(1, 3, 1, 1).repeat(1, 1, 8, 8)
        assert made(images, 0)[0, :, 0, 0].tolist() == [13, 113, 255]  # 0.1 of 127.5 is 12.75
        assert made(images, 1)[0, :, 0, 0].tolist() == [0, 0, 0]

    @pytest.mark.parametrize(("size", "patch"), [(8, 10), (28, 22), (48, 46), (128, 46)])
    def test_discriminators_look_at_patches(self, size, patch):
        """As large as said: the pixels that an answer in the middle depends on. Without instance normalisation,
        through which everything depends a little on everything."""
        judge = nn.Sequential(*(x for x in discriminator(size, 2) if not isinstance(x, nn.InstanceNorm2d)))
        images = torch.rand(1, 3, 256, 256).requires_grad_()
        answers = judge(images)
        answers[0, 0, answers.shape[2] // 2, answers.shape[3] // 2].backward()
        rows = images.grad.abs().sum((0, 1, 3)).nonzero()
        assert len(rows) == patch
        assert discriminator(size, 2)(images[..., :size, :size]).shape[1] == 1


def test_pool_shows_earlier_images_and_loses_none():
    """50 pass as they come; then what is shown and what is kept are together what there was."""
    pool = cyclegan._Pool(torch.Generator().manual_seed(0))
    numbered = torch.arange(90.0).view(-1, 1)
    first = numbered[:50]
    assert torch.equal(torch.cat([pool.exchange(first[:30]), pool.exchange(first[30:])]), first)
    shown = pool.exchange(numbered[50:])
    assert sorted([*shown.flatten().tolist(), *pool.kept.flatten().tolist()]) == list(range(90))
    assert 10 <= (shown < 50).sum() <= 30  # about half of 40


class TestExamples:
    @pytest.mark.parametrize("precision", ["fp32", "bf16"])
    def test_are_seen_in_the_other_colour(self, make_model, biased_images, precision):
        """What a reader would look for first. The background is what the bar leaves free: the median over the image."""
        method = CycleGAN(
            make_model(precision=precision),
            biased_images,
            PLAN,
            0,
            gan_epochs=20,
            gan_batch_size=8,
            gan_width=8,
            gan_blocks=1,
        )
        method.epoch(1)
        background = method.examples.flatten(2).float().median(2).values
        colours = torch.tensor([[255.0, 0, 0], [0, 0, 255]])
        seen = torch.cdist(background, colours).argmin(1)
        assert (seen == method.attacked).double().mean() > 0.95

    def test_are_trained_on_with_the_originals_targets(self, start):
        """Eq. (4), as `aeda_pre` does."""
        method, batch = start(), torch.tensor([5, 0, 33, 59, 12])
        method.epoch(1)
        data = method.data[batch]
        logits = [method.model(pixels(images))[0] for images in (data.images, method.examples[batch])]
        on_both = [target_loss(x, data.targets).item() for x in logits]
        assert abs(on_both[0] - on_both[1]) > 1e-4  # or the equality below would show nothing
        assert method.loss(batch).item() == pytest.approx(sum(on_both) / 2, rel=1e-5)

    def test_are_made_once(self, start, monkeypatch):
        """Also when the run goes on from a checkpoint: what is in it need not be made anew."""
        trained, epochs = [], Translation.epochs
        monkeypatch.setattr(Translation, "epochs", lambda *given: trained.append(1) or epochs(*given))
        method = start()
        method.epoch(1)
        method.epoch(2)
        resumed = start()
        resumed.load_state_dict(method.state_dict())
        resumed.epoch(3)
        assert len(trained) == 1
        assert torch.equal(resumed.examples, method.examples)

    def test_come_of_images_and_bias_values_alone(self, start, biased_images):
        """Targets of other images, or of attributes instead of classes, and the examples are the same."""
        targets = biased_images.targets
        attributes = torch.stack([targets == 0, biased_images.bias == 0, targets == 1], 1).long()
        others = [
            dataclasses.replace(biased_images, targets=targets.flip(0)),
            dataclasses.replace(biased_images, targets=attributes, target_names=("zero", "of bias 0", "one")),
        ]
        methods = [start(), *map(start, others)]
        for method in methods:
            list(method.prepare())
        assert torch.equal(methods[1].examples, methods[0].examples)
        assert torch.equal(methods[2].examples, methods[0].examples)


class TestSeed:
    def test_the_global_generator_is_neither_used_nor_moved(self, start):
        examples = []
        for drawn_before in (0, 1):
            torch.manual_seed(drawn_before)
            method = start()
            before = torch.get_rng_state()
            list(method.prepare())
            assert torch.equal(torch.get_rng_state(), before)
            examples.append(method.examples)
        assert torch.equal(*examples)

    def test_weights_are_not_those_that_the_seed_itself_draws(self, translation):
        """`seed` draws the classifier; the translators' weights come of another draw, and differ from seed to seed."""
        drawn = [next(translation(seed).generators[0].parameters()).flatten() for seed in (0, 1)]
        torch.manual_seed(0)
        by_seed = next(
            nn.ModuleList(Generator(4, 1, False) for _ in range(2)).apply(cyclegan._draw_weights).parameters()
        )
        for a, b in [(drawn[0], by_seed.flatten()), (drawn[0], drawn[1])]:
            assert abs(torch.corrcoef(torch.stack([a, b]))[0, 1]) < 0.3

    def test_the_two_generators_begin_apart(self, translation):
        a, b = (next(network.parameters()).flatten() for network in translation().generators)
        assert not torch.equal(a, b)


class TestRefusals:
    def test_more_than_two_bias_values(self, start, refused, biased_images):
        data = dataclasses.replace(biased_images, bias_names=("red", "blue", "green"))
        with refused(Problem, "two bias values", "3 (red, blue, green)"):
            start(data)

    def test_a_bias_value_without_images(self, start, refused, biased_images):
        with refused(Problem, "none of them is 'blue'"):
            start(biased_images[biased_images.bias == 0])

    def test_images_too_small(self, start, refused, biased_images):
        with refused(Problem, "7×12", "8×8"):
            start(dataclasses.replace(biased_images, images=biased_images.images[:, :, :7]))

    def test_a_loss_that_weighs_less_than_nothing(self, start, refused):
        with refused(ParameterError, "gan_identity is -1"):
            start(gan_identity=-1)

    @pytest.mark.parametrize("name", ["gan_epochs", "gan_batch_size", "gan_width", "gan_blocks"])
    def test_an_option_below_1(self, start, refused, name):
        with refused(ParameterError, f"{name} is 0"):
            start(**{name: 0})


def test_is_registered():
    assert METHODS["cyclegan"] is CycleGAN
