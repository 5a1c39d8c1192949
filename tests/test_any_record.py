"""No legal record may break a page: whatever came out of the runs, every table, figure and claim says something true.

The specs are those that the chapters ask for; what came out of them is drawn: all right, all wrong, no bias at all, a
digit that is never predicted, a task without test or training faces, an attack that never began, a method that refused.
"""

import re
import warnings
from collections.abc import Callable, Sequence
from contextlib import contextmanager
from dataclasses import dataclass

import numpy as np
import pytest
from hypothesis import Phase, given, settings
from hypothesis import strategies as st
from made import MADE

from aeda_core import metrics
from aeda_core.datasets.celeba import ATTRIBUTES
from aeda_core.display import captions, digits, faces, look, plots, summary, tables
from aeda_core.display import few_shot as table3
from aeda_core.display import label_switch as switch
from aeda_core.display import sensitivity as varied
from aeda_core.experiments import CHAPTERS, celeba, cmnist, few_shot, label_switch, online, sensitivity
from aeda_core.findings import claims, costs, scorecard
from aeda_core.findings.judge import RULE, Claim
from aeda_core.runs import RunRecord, RunSpec

GROUP = 12  # test images
KINDS = ("right", "wrong", "one class", "fair", "any", "no image")
COURSES = ("still", "nothing", "any")
NO_NUMBER = re.compile(r"(?<![A-Za-z])(nan|NaN|NaT|inf|Infinity|None)(?![A-Za-z])")


# --- what may come out of a run -------------------------------------------------------------------------------------


def counts_of(spec: RunSpec, kind: str, chance: np.random.Generator) -> list:
    """Legal counts for the test set of `spec`: (17, 2, 2, 2), (1, 2, 2) or (2, 10, 10)."""
    on_faces, only_bias = spec.data["name"] == "celeba", spec.data.get("targets") == "bias"
    attributes, biases, classes = (
        (17, 2, 2) if on_faces and not only_bias else (1, 1 if only_bias else 2, 2 if only_bias else 10)
    )
    right = np.eye(classes, dtype=int) * GROUP
    shares = chance.dirichlet(np.ones(classes), (attributes, biases, classes))
    drawn = chance.multinomial(GROUP, shares)
    counts = {
        "right": np.broadcast_to(right, drawn.shape),
        "wrong": np.broadcast_to(np.roll(right, 1, axis=1), drawn.shape),
        "one class": np.broadcast_to(GROUP * np.eye(classes, dtype=int)[[0] * classes], drawn.shape),
        "fair": np.broadcast_to(drawn[:, :1], drawn.shape),
    }.get(kind, drawn).copy()
    if kind == "no image" and on_faces and not only_bias:
        counts[0], counts[1, 1, 1] = 0, 0  # an attribute that cannot be judged, and one of another's two tasks
    elif kind == "no image" and not only_bias:
        counts[:, :, 4] = 0  # digits of one's own need not have all ten in their test set
    return (counts if on_faces and not only_bias else counts[0]).tolist()


def groups_of(spec: RunSpec, chance: np.random.Generator) -> list:
    if spec.data["name"] == "cmnist":
        return chance.integers(0, 50, (10, 2)).tolist()
    groups = chance.integers(0, 50, (34, 2))
    groups[5] = 0  # an attribute that nobody in training has
    return groups.tolist()


def epochs_of(spec: RunSpec, course: str, chance: np.random.Generator) -> list[dict[str, float]]:
    """A row an epoch; those of the attack begin where it does."""
    names = ["loss", "bacc", "bias"]
    probes = ["r", "difference", "fooled", "bias_head"] if spec.method.startswith("aeda") else []
    fixed = {"still": 0.5, "nothing": 0.0}.get(course)
    rows = []
    for number in range(1, spec.plan["epochs"] + 1):
        measured = names + (probes if number > spec.options.get("start", 0) else [])
        rows.append({"epoch": number} | {name: chance.random() if fixed is None else fixed for name in measured})
    return rows


def record_of(
    spec: RunSpec, kind: str, course: str, seed: int, data: str, profile: str, refused: bool = False
) -> RunRecord:
    chance = np.random.default_rng(seed)
    made = {
        "data": data,
        "device": "a CPU",
        "seconds": 1.0,
        "python": "3",
        "packages": {"torch": "2"},
        **MADE,
        "profile": profile,
    }
    if refused:
        return RunRecord(spec=spec, refused="a group is empty.", groups=groups_of(spec, chance), provenance=made)
    counts = counts_of(spec, kind, chance)
    known = metrics.defined(counts)
    bootstrap = {"bacc": [50.0] * 8, "bias": (metrics.model_bias(counts, known) * chance.uniform(0.9, 1.1, 8)).tolist()}
    return RunRecord(
        spec=spec,
        epochs=epochs_of(spec, course, chance),
        groups=groups_of(spec, chance),
        confusion=counts,
        bootstrap=bootstrap if len(counts) == 17 else None,
        provenance=made,
    )


REFUSING = {"undersampling", "reweighting"}
LENGTHS = ({"epochs": 1, "start": 0}, {"epochs": 2, "start": 1}, {"epochs": 3, "start": 3})  # the last never attacks


@dataclass(frozen=True)
class Case:
    """What the runs of a chapter come to; small enough to be read where a test fails.

    kind, course: of KINDS and COURSES, the same for all runs; None: each has its own
    refuse:       the seeds whose training set has an empty group
    """

    profile: str
    data: str
    seeds: int
    length: dict[str, int]
    correlation: float
    kind: str | None
    course: str | None
    refuse: tuple[int, ...]
    chance: int

    def records(self, specs: Sequence[RunSpec]) -> list[RunRecord]:
        """A record for each of `specs`."""
        chance = np.random.default_rng(self.chance)
        made = []
        for spec in specs:
            kind = self.kind or str(chance.choice(KINDS[:-1]))  # all are tested on the same images
            course = self.course or str(chance.choice(COURSES))
            refused = spec.method in REFUSING and spec.seed in self.refuse
            made.append(record_of(spec, kind, course, int(chance.integers(2**31)), self.data, self.profile, refused))
        return made

    def on_digits(self) -> list[RunRecord]:
        p = cmnist.CMNISTParameters.load(seeds=self.seeds, correlation=self.correlation, **self.length)
        return self.records(cmnist.specs(p))

    def on_faces(self) -> list[RunRecord]:
        """Without cyclegan in half of the cases, which is trained on fewer folds."""
        methods = [m for m in celeba.METHODS if m != "cyclegan" or self.chance % 2]
        return self.records(celeba.specs(celeba.CelebAParameters.load(seeds=self.seeds, **self.length), tuple(methods)))

    def over_epochs(self, specs: Callable[[online.OnlineParameters], list[RunSpec]]) -> list[list[RunRecord]]:
        """Of chapter 03 or 07, on faces and on digits."""
        asked = specs(online.OnlineParameters.load(seeds=self.seeds, **self.length))
        short = [s.model_copy(update={"plan": s.plan | {"epochs": self.length["epochs"]}}) for s in asked]
        return by_data(self.records([spec for spec in short if spec.seed < self.seeds]))

    def switched(self) -> list[list[RunRecord]]:
        return by_data(self.records(label_switch.specs(label_switch.LabelSwitchParameters.load(seeds=self.seeds))))

    def few_shots(self) -> list[RunRecord]:
        return self.records(few_shot.specs(few_shot.FewShotParameters.load(seeds=self.seeds, epochs=2)))

    def choices(self) -> dict:
        p = sensitivity.SensitivityParameters.load(seeds=self.seeds, extremes=self.chance % 2 == 0)
        plans = {name: sensitivity.plan(p, choice) for name, choice in sensitivity.CHOICES.items()}
        asked = {spec.id: spec for plan in plans.values() for own in plan.values() for spec in own}
        found = dict(zip(asked, self.records(list(asked.values())), strict=True))
        return {n: {key: [found[s.id] for s in own] for key, own in plan.items()} for n, plan in plans.items()}


def by_data(records: Sequence[RunRecord]) -> list[list[RunRecord]]:
    return [[r for r in records if r.spec.data["name"] == name] for name in ("celeba", "cmnist")]


@st.composite
def cases(draw) -> Case:
    profile, data = draw(
        st.sampled_from([("paper", "the real set"), ("laptop", "stand-in: drawn"), ("smoke", "drawn")])
    )
    return Case(
        profile,
        data,
        seeds=draw(st.sampled_from([1, 2])),
        length=draw(st.sampled_from(LENGTHS)),
        correlation=draw(st.sampled_from([1.0, 0.9])),
        kind=draw(st.sampled_from([*KINDS, None])),
        course=draw(st.sampled_from([*COURSES, None])),
        refuse=draw(st.sampled_from([(), (0,), (0, 1)])),
        chance=draw(st.integers(0, 999)),
    )


def some(n: int):
    """`n` cases; a case that fails is small as it is, and what it draws takes too long for it to be made smaller."""
    return settings(max_examples=n, phases=[Phase.explicit, Phase.generate])


# --- what must be said of it ----------------------------------------------------------------------------------------


@contextmanager
def strictly():
    """Not only our own code's warnings count, for numpy warns in its own name of what we ask of it."""
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        yield


def words_of(shown: object) -> str:
    """All that a reader can read of it."""
    if isinstance(shown, look.Figure):
        return re.sub(r"data:image/png;base64,[^\"]*", "", shown.svg) + shown.alt + shown.caption
    if isinstance(shown, tables.Table):
        return repr(shown) + re.sub("<[^>]*>", " ", shown._repr_html_())
    assert isinstance(shown, (tables.Prose, str))
    return repr(shown)


def holds(kind: type, make, *given) -> None:
    with strictly():
        shown = make(*given)
        words = words_of(shown)
    assert type(shown) is kind
    assert len(words) > 40
    found = NO_NUMBER.search(words)
    assert found is None, words[max(0, found.start() - 80) : found.end() + 40]


def judged(chapter, *records) -> None:
    with strictly():
        found = claims.judged(chapter, *records)
        about = {claim.where for claim in found}
        concerned = [each for each in CHAPTERS.values() if about & set(each.about)]
        summaries = [say(each, *records) for each in concerned for say in (summary.in_short, summary.shown)]
        shown = (scorecard.table(found), scorecard.counted(found), *map(repr, summaries))
    assert len({claim.id for claim in found}) == len(found) > 0
    for claim in found:
        assert isinstance(claim, Claim) and claim.verdict in RULE
        numbers = [v for v in (claim.ours, *(claim.ci95 or ())) if isinstance(v, float)]
        assert np.isfinite(numbers).all()
        assert claim.verdict in ("not run", "ours") or claim.profile == "paper"
    assert not any(NO_NUMBER.search(words_of(each)) for each in shown)


class TestDigits:
    @some(8)
    @given(cases())
    def test_tables_and_claims(self, case):
        records = case.on_digits()
        for make in (tables.table1, tables.backgrounds, tables.in_the_end, tables.settings):
            holds(tables.Table, make, records)
        for make in (tables.beside_paper, tables.ranking):
            holds(tables.Prose, make, records)
        holds(tables.Table, tables.tuning, records, records[:3])
        judged("cmnist", records)

    @some(2)
    @given(cases())
    def test_figures(self, case):
        records = case.on_digits()
        for make in (plots.fig_table, digits.fig8, plots.fig_curves, plots.fig_accuracy_fairness):
            holds(look.Figure, make, records)
        holds(look.Figure, plots.fig_curves, records, ("r", "difference", "fooled", "bias_head", "loss"))


class TestFaces:
    @some(12)
    @given(cases())
    def test_tables_and_claims(self, case):
        records = case.on_faces()
        for make in (tables.table2, tables.settings, faces.floors, faces.gap_table, faces.attribute_table):
            holds(tables.Table, make, records)
        for make in (tables.beside_paper, tables.ranking, faces.margins, faces.correlation_in_words, faces.together):
            holds(tables.Prose, make, records)
        holds(tables.Table, tables.tuning, records, records[:3])
        judged("celeba", records)

    @some(3)
    @given(cases())
    def test_figures(self, case):
        records = case.on_faces()
        for make in (plots.fig_table, plots.fig_curves, plots.fig_accuracy_fairness, faces.fig2, faces.fig10c):
            holds(look.Figure, make, records)
        holds(look.Figure, faces.fig_annotations, dict.fromkeys(ATTRIBUTES, 0.5), records)


@pytest.mark.parametrize(
    ("specs", "make"),
    [(online.transfer_specs, "transfer"), (online.online_specs, "online")],
)
class TestOverEpochs:
    @some(25)
    @given(cases())
    def test_tables_and_claims(self, specs, make, case):
        runs = case.over_epochs(specs)
        judged(make, *runs)
        for records in runs:
            holds(tables.Table, tables.in_the_end, records)

    @some(2)
    @given(cases())
    def test_figures(self, specs, make, case):
        for records in case.over_epochs(specs):
            holds(look.Figure, plots.fig_curves, records, ("r", "bias"))
            holds(look.Figure, plots.fig_curves, records, ("r",), ("aeda_once", "aeda_online"))


class TestLabelSwitch:
    @some(12)
    @given(cases())
    def test_table_and_claims(self, case):
        holds(tables.Table, switch.by_source, *case.switched())
        judged("label_switch", *case.switched())

    @some(3)
    @given(cases())
    def test_figures(self, case):
        for make in (switch.fig3, switch.fig_radius):
            holds(look.Figure, make, *case.switched())


class TestFewShot:
    @some(12)
    @given(cases())
    def test_tables_and_claims(self, case):
        records = case.few_shots()
        for make in (table3.table3, table3.tuning):
            holds(tables.Table, make, records)
        holds(tables.Prose, table3.gains, records)
        judged("few_shot", records)

    @some(4)
    @given(cases())
    def test_figure(self, case):
        holds(look.Figure, table3.fig_table3, case.few_shots())


class TestSensitivity:
    @some(5)
    @given(cases())
    def test_table(self, case):
        holds(tables.Table, varied.spans, case.choices())

    @some(2)
    @given(cases())
    def test_figure(self, case):
        holds(look.Figure, varied.fig_choices, case.choices(), ("epsilon", "refresh", "correlation"))


@pytest.mark.parametrize(
    ("chapter", "sets"),
    [
        ("celeba", 1),
        ("cmnist", 1),
        ("few_shot", 1),
        ("label_switch", 2),
        ("transfer", 2),
        ("online", 2),
    ],
)
def test_without_records_nothing_is_judged(chapter, sets):
    judged(chapter, *[[]] * sets)
    assert {claim.verdict for claim in claims.judged(chapter, *[[]] * sets)} <= {"not run", "ours"}


@some(5)
@given(cases())
def test_what_runs_cost_and_where_they_come_from(case):
    for part in (costs.table, costs.environments, captions.details):
        with strictly():
            assert not NO_NUMBER.search(re.sub("<[^>]*>", " ", part([*case.on_faces(), *case.on_digits()])))
