"""The register of assumptions: what the paper leaves open, what was chosen, and whose idea that is.

A docstring says `(assumption: id)` where the code takes a choice; a test holds both sides together.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass

import pandas as pd

from aeda_core.report.tables import Table


@dataclass(frozen=True)
class Assumption:
    """open: what the paper does not say. ours: what is done here. source: paper, field (common practice) or ours, and
    why. chapter: where it matters."""

    id: str
    open: str
    ours: str
    source: str
    chapter: str


REGISTER = (
    Assumption(
        "cmnist-colours",
        "which red and which brown, and the colour of the stroke",
        "red (255, 0, 0), brown (165, 42, 42), white strokes",
        "ours: the web's colours of these names",
        "05",
    ),
    Assumption(
        "cmnist-size",
        "how many training digits C-MNIST has",
        "6,000",
        "field: the data set of this name has ten colours, so one colour a digit leaves about a tenth",
        "05",
    ),
    Assumption(
        "cmnist-network",
        "the network for digits",
        "three convolutions of 32, 64 and 64 channels, one dense layer of 128",
        "ours: small, and it learns unbiased digits to 98 %",
        "05",
    ),
    Assumption(
        "face-attributes",
        "which 17 attributes are left after the exclusions of footnote 2",
        "those named in chapter 01",
        "paper: the only reading found that gives 17",
        "01",
    ),
    Assumption(
        "face-crop", "how faces are cut out and how large they are", "a square around the face, 48 × 48", "ours", "06"
    ),
    Assumption(
        "face-network",
        "how VGG-16 is used on images of this size",
        "a quarter of its channels, no fifth pooling, no batch normalisation, no weights from elsewhere",
        "ours: what two CPU cores can train",
        "06",
    ),
    Assumption(
        "optimiser",
        "optimiser, learning rate, batch, number of epochs",
        "AdamW with warm-up and cosine decay, averaged weights, the same for all methods",
        "field",
        "05",
    ),
    Assumption(
        "task-balance",
        "whether rare labels count more",
        "the labels of a rare task count more, for all methods alike",
        "ours: otherwise the network says no to whatever is rare",
        "06",
    ),
    Assumption(
        "attack-budget",
        "norm, ε, step and number of steps of I-FGSM, and λ of Eq. (3)",
        "L∞; on digits ε 0.3 in 5 steps and λ 0.98; on faces see chapter 06",
        "ours: chosen on held-out training images",
        "10",
    ),
    Assumption(
        "bias-head",
        "the architecture of h_b, its optimiser and how long it is trained in an epoch",
        "linear, as h_t is; AdamW; one pass; on faces slowly in aeda_robust, see chapter 06",
        "ours: the least that the paper's words allow; the rate chosen on held-out people",
        "10",
    ),
    Assumption(
        "start",
        "when the first attack comes; footnote 7 asks for a trained classifier",
        "at once on digits, after half of the epochs on faces",
        "ours: chosen on held-out training images",
        "10",
    ),
    Assumption(
        "eq4",
        "how originals and examples are mixed in Eq. (4) and (6)",
        "each batch holds originals and their own examples, all with the same weight",
        "ours: the sum that the equations write",
        "04",
    ),
    Assumption(
        "warm",
        "whether an attack begins at the original or at the example of the epoch before",
        "at the original; aeda_robust_warm goes on from the example, in one step",
        "field: the paper's examples are made anew; going on saves steps where the network changes little",
        "10",
    ),
    Assumption(
        "refresh",
        "whether an epoch's examples are made all at once",
        "all at once for aeda_online and aeda_robust; before each batch for aeda_robust_per_batch",
        "paper for the first, ours for the second",
        "10",
    ),
    Assumption(
        "source",
        "what classifier aeda_pre attacks",
        "one of both tasks with the same network, trained for ten epochs",
        "ours: Sec. 3.2 wants a bias classifier, Eq. (3) the target label as well",
        "03",
    ),
    Assumption(
        "robust-source",
        "how the robust source of Sec. 2.2 and 2.3 is made",
        "adversarial training on its bias head alone, the radius growing through the first 70 % of it",
        "field, and ours: with all of the radius from the start a source of faces learns little",
        "02",
    ),
    Assumption(
        "transfer-head",
        "what h_b^generalize is and how it is trained",
        "a logistic regression on the features of 1,000 training images",
        "ours: fitted to its optimum, so that r(m) depends on the features alone",
        "03",
    ),
    Assumption(
        "few-shot-inter",
        "how inter-class pseudo-samples are made",
        "Eq. (3) with the two tasks exchanged",
        "ours",
        "09",
    ),
    Assumption(
        "few-shot-robust",
        "what their class head is trained on",
        "originals and pseudo-samples with their true digits, as in Eq. (6)",
        "ours",
        "09",
    ),
    Assumption(
        "few-shot-copies",
        "how four images weigh against hundreds",
        "each shot stands in the training set 100 times; a row of its own shows what that does alone",
        "ours",
        "09",
    ),
    Assumption(
        "few-shot-precision",
        "what is called precision, and what it is where a digit is never predicted",
        "TP / (TP + FP), and 0 there; accuracy, TP / (TP + FN), beside it",
        "field",
        "09",
    ),
)


def register() -> Table:
    """All of REGISTER."""
    rows = pd.DataFrame([asdict(each) for each in REGISTER]).set_index("id").rename_axis(None)
    titles = {"open": "left open", "ours": "chosen here", "source": "whose idea", "chapter": "chapter"}
    return Table(
        rows.rename(columns=titles),
        "What the paper leaves open, and what is done here. Paper: it says so; field: common practice; ours: a choice "
        "of this book.",
        words=("left open", "chosen here", "whose idea"),
    )
