"""What Sec. 2.3 and App. A look at while a classifier trains: do the adversarial examples still say anything new?"""

from __future__ import annotations

import torch
from torch import Tensor

from aeda_core.errors import Problem
from aeda_core.models import Classifier, frozen, in_chunks


def generalisation_accuracy(f_ori: Tensor, f_adv: Tensor, bias: Tensor, attacked: Tensor) -> float:
    """r(m), Sec. 2.3: the accuracy on originals of a bias head that was trained on adversarial examples alone.

    The paper's three operations at epoch m, the first of which is the training itself: fix f; train h_b^generalize on
    f(X_adv) with the attacked labels; test it on f(X_ori) with the true ones (assumption: transfer-head).
    f_ori, f_adv: features (N, D) of originals and of their adversarial examples
    bias, attacked: (N,), the true and the attacked bias values

    Raises Problem if all attacked bias values are the same, for then the head has nothing to tell apart. It is asked of
    the first images of the training set, so this happens where they are sorted by bias.
    """
    if (attacked == attacked[0]).all():
        raise Problem(
            f"all {len(attacked)} examples that r(m) is about were attacked towards bias value {int(attacked[0])}, and "
            "a bias head cannot learn from one value; the training set seems to be sorted by bias: shuffle it."
        )
    from sklearn.linear_model import LogisticRegression  # takes a second, and only methods with examples need it
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import StandardScaler

    head = make_pipeline(StandardScaler(), LogisticRegression(max_iter=500))
    head.fit(f_adv.cpu().numpy(), attacked.cpu().numpy())
    return float(head.score(f_ori.cpu().numpy(), bias.cpu().numpy()))


def feature_difference(f_ori: Tensor, f_adv: Tensor) -> float:
    """Eq. (7), App. A: ‖f(x) − f(x_adv)‖₁ / ‖f(x)‖₁, the mean over the images."""
    return float(((f_ori - f_adv).abs().sum(1) / f_ori.abs().sum(1).clamp_min(1e-12)).mean())


def probe(model: Classifier, originals: Tensor, examples: Tensor, bias: Tensor, attacked: Tensor) -> dict[str, float]:
    """All of it, for uint8 originals and their adversarial examples (N, 3, H, W):

    r            r(m), in [0, 1]
    difference   Eq. (7)
    fooled       the share of examples that the current h_b takes for the attacked value
    bias_head    the share of originals that it takes for the true one
    """
    with frozen(model):
        f_ori, f_adv = in_chunks(model.features, originals), in_chunks(model.features, examples)
        with torch.no_grad():
            seen_ori, seen_adv = model.bias_head(f_ori).argmax(1), model.bias_head(f_adv).argmax(1)
    return {
        "r": generalisation_accuracy(f_ori, f_adv, bias, attacked),
        "difference": feature_difference(f_ori, f_adv),
        "fooled": float((seen_adv == attacked).float().mean()),
        "bias_head": float((seen_ori == bias).float().mean()),
    }
