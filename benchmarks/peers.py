"""The same attack by four other libraries: targeted, L∞, 10 steps, no random start, towards given bias values.

Each builder takes the network as the libraries want it (images in, bias logits out, in eval mode) and returns a
function of images (N, 3, H, W) in [0, 1] and labels (N,) that returns X_adv. foolbox, ART and rai-toolbox look at the
result once more before they hand it over, a pass forward or two of their own. `plain_loop` is the attack written out;
`check` holds all against it.
"""

from __future__ import annotations

import os
import tempfile
import warnings
from collections.abc import Callable, Mapping

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from aeda_core.attack import CHUNK
from aeda_core.models import Classifier

EPSILON, STEP, STEPS = 0.3, 0.06, 10
BY_HAND = 6
"""Images on which the peers are checked."""
Perturb = Callable[[Tensor, Tensor], Tensor]


class BiasTask(nn.Module):
    """The bias classifier h_b∘f alone."""

    def __init__(self, model: Classifier) -> None:
        super().__init__()
        self.model = model

    def forward(self, images: Tensor) -> Tensor:
        return self.model.bias_head(self.model.features(images))


def plain_loop(network: nn.Module) -> Perturb:
    """The attack as a tutorial has it: `backward()`, which fills the gradients of the weights too."""

    def perturb(images: Tensor, towards: Tensor) -> Tensor:
        x_adv = images.clone()
        for _ in range(STEPS):
            x_adv = x_adv.detach().requires_grad_()
            network.zero_grad()
            F.cross_entropy(network(x_adv), towards).backward()
            x_adv = x_adv.detach() - STEP * x_adv.grad.sign()
            x_adv = (images + (x_adv - images).clamp(-EPSILON, EPSILON)).clamp(0, 1)
        return x_adv

    return perturb


def torchattacks_pgd(network: nn.Module) -> Perturb:
    import torchattacks

    pgd = torchattacks.PGD(network, eps=EPSILON, alpha=STEP, steps=STEPS, random_start=False)
    pgd.set_mode_targeted_by_label(quiet=True)
    return pgd


def foolbox_pgd(network: nn.Module) -> Perturb:
    import foolbox

    model = foolbox.PyTorchModel(network, bounds=(0, 1), device="cpu")
    pgd = foolbox.attacks.LinfPGD(abs_stepsize=STEP, steps=STEPS, random_start=False)
    towards = foolbox.criteria.TargetedMisclassification
    return lambda images, labels: pgd(model, images, towards(labels), epsilons=EPSILON)[1]


def art_pgd(network: nn.Module) -> Perturb:
    os.environ.setdefault("ART_DATA_PATH", tempfile.gettempdir())  # it writes a configuration on import
    from art.attacks.evasion import ProjectedGradientDescentPyTorch
    from art.estimators.classification import PyTorchClassifier

    classifier = PyTorchClassifier(
        network, nn.CrossEntropyLoss(), (3, 28, 28), nb_classes=2, clip_values=(0, 1), device_type="cpu"
    )
    pgd = ProjectedGradientDescentPyTorch(
        classifier, eps=EPSILON, eps_step=STEP, max_iter=STEPS, targeted=True, batch_size=CHUNK, verbose=False
    )
    return lambda images, labels: torch.from_numpy(pgd.generate(images.numpy(), labels.numpy()))


def rai_pgd(network: nn.Module) -> Perturb:
    """Its own optimiser keeps δ in the ball but not x + δ in [0, 1]; what is missing goes where it means it to."""
    from rai_toolbox.optim import LinfProjectedOptim
    from rai_toolbox.perturbations import gradient_ascent

    # it asks torch for a tensor's storage in a way that is about to go
    warnings.filterwarnings("ignore", "TypedStorage is deprecated")

    class InTheBox(LinfProjectedOptim):
        images: Tensor

        def _post_step_transform_(self, param: Tensor, optim_group: dict) -> None:
            super()._post_step_transform_(param, optim_group)
            param.clamp_(-self.images, 1 - self.images)

    def perturb(images: Tensor, labels: Tensor) -> Tensor:
        box = type("Box", (InTheBox,), {"images": images})
        return gradient_ascent(
            model=network,
            data=images,
            target=labels,
            optimizer=box,
            steps=STEPS,
            targeted=True,
            epsilon=EPSILON,
            lr=STEP,
        )[0]

    return perturb


PEERS: dict[str, Callable[[nn.Module], Perturb]] = {
    "torchattacks": torchattacks_pgd,
    "foolbox": foolbox_pgd,
    "art": art_pgd,
    "rai_toolbox": rai_pgd,
}


def check(network: nn.Module, others: Mapping[str, Perturb], images: Tensor, towards: Tensor) -> None:
    """Raise ValueError unless all of `others` do what `plain_loop` does to the first BY_HAND of `images`: the same
    pixels, but for one in a hundred, whose gradient is next to 0 and whose sign rounding may turn; in the ball and in
    [0, 1]; with the same images fooled."""
    images, towards = images[:BY_HAND], towards[:BY_HAND]
    expected = plain_loop(network)(images, towards)
    fooled = network(expected).argmax(1) == towards
    for name, perturb in others.items():
        x_adv = perturb(images, towards)
        differs = float(((x_adv - expected).abs() > 1e-5).float().mean())
        reach = float((x_adv - images).abs().max())
        if differs > 0.01 or reach > EPSILON + 1e-6 or x_adv.min() < 0 or x_adv.max() > 1:
            raise ValueError(
                f"{name} does another attack: {differs:.1%} of the pixels differ, the largest step is {reach}."
            )
        if not torch.equal(network(x_adv).argmax(1) == towards, fooled):
            raise ValueError(f"{name} fools the network on other images than the attack written out.")
