"""The audit: numbers against fairlearn and scipy, cross-fitting, predictions of others, and the command."""

import json
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
import torch
from fairlearn.metrics import MetricFrame
from hypothesis import assume, given
from hypothesis import strategies as st
from PIL import Image
from scipy import stats
from sklearn.metrics import accuracy_score
from typer.testing import CliRunner

from aeda_core import audit, audit_predictions, cli, metrics
from aeda_core.datasets import BiasedImages, DataError
from aeda_core.datasets.folder import Folder
from aeda_core.errors import Problem
from aeda_core.own import audit as auditing
from aeda_core.own import training
from aeda_core.own.measured import deal, measure, wilson

TARGETS, VALUES = ("cat", "dog", "owl"), ("indoors", "outdoors", "water")


@pytest.fixture(autouse=True)
def trained_elsewhere(tmp_path, monkeypatch):
    """What is trained here is none of the reader's."""
    monkeypatch.setattr(training, "TRAINED", tmp_path / "trained")


def labelled(target, bias, identities=None, n_targets=3, n_bias=2):
    """Labels without pixels."""
    n = len(target)
    return BiasedImages(
        torch.empty(n, 3, 0, 0, dtype=torch.uint8),
        torch.as_tensor(target),
        torch.as_tensor(bias),
        torch.arange(n) if identities is None else torch.as_tensor(identities),
        TARGETS[:n_targets],
        VALUES[:n_bias],
    )


@pytest.fixture(params=[2, 3], ids="{} bias values".format)
def drawn(request):
    """Labels and predictions of 400 images, half of which are right."""
    generator = np.random.default_rng(request.param)
    target, bias = generator.choice(3, 400, p=[0.2, 0.3, 0.5]), generator.integers(request.param, size=400)
    predicted = np.where(generator.random(400) < 0.5, target, generator.integers(3, size=400))
    return labelled(target, bias, n_bias=request.param), torch.from_numpy(predicted)


class TestMeasured:
    def test_interval_of_a_share_against_scipy(self):
        for right, n in [(0, 5), (3, 7), (40, 40), (123, 456)]:
            expected = stats.binomtest(right, n).proportion_ci(method="wilson")
            assert wilson(right / n, n) == pytest.approx((expected.low, expected.high))

    def test_floor_is_the_permutation_floor_where_every_image_shows_someone_else(self, drawn):
        data, predicted = drawn
        expected = metrics.permutation_floor(metrics.count(data, predicted))
        assert measure(data, predicted).overall.floor == pytest.approx(expected, rel=0.05)

    def test_copies_of_an_image_are_dealt_out_together(self):
        """Ten alike of each person say no more about chance than one."""
        right, bias = np.arange(30) % 3 > 0, np.arange(30) % 2
        once = deal(right, bias, np.arange(30), 2, np.random.default_rng(0))
        copies = [np.repeat(each, 10) for each in (right, bias, np.arange(30))]
        assert deal(*copies, 2, np.random.default_rng(0)).mean() == pytest.approx(once.mean(), rel=0.05)

    def test_copies_of_an_image_narrow_no_interval(self, drawn):
        data, predicted = drawn
        twice = torch.arange(len(data)).repeat_interleave(2)
        alone, copied = measure(data, predicted), measure(data[twice], predicted[twice])
        assert copied.overall.bacc == alone.overall.bacc
        assert [group.accuracy for group in copied.groups] == [group.accuracy for group in alone.groups]

    def test_chance_is_not_called_a_finding_and_a_finding_not_chance(self):
        data = labelled(np.arange(300) % 3, np.arange(300) // 3 % 2)
        right = data.targets.clone()
        assert not any(gap.clear for gap in measure(data, right).gaps)
        unfair = torch.where((data.targets == 1) & (data.bias == 0), 2, right)
        (found,) = [gap for gap in measure(data, unfair).gaps if gap.clear]
        assert (found.target, found.most, found.least, found.gap.value) == ("dog", "outdoors", "indoors", 1)

    def test_imbalance_and_gap_go_together_where_the_many_are_predicted_well(self):
        """Nine of ten cats are indoors, half of the dogs, one of ten owls; accuracies go with these shares."""
        sizes = {(0, 0): 90, (0, 1): 10, (1, 0): 50, (1, 1): 50, (2, 0): 10, (2, 1): 90}
        target, bias = (np.repeat([key[place] for key in sizes], list(sizes.values())) for place in (0, 1))
        # the first images of a group are right, as many as its share of the target says
        within = np.concatenate([np.arange(n) for n in sizes.values()])
        share = np.repeat([n / 100 for n in sizes.values()], list(sizes.values()))
        size = np.repeat(list(sizes.values()), list(sizes.values()))
        predicted = np.where(within < share * size, target, (target + 1) % 3)
        found = measure(labelled(target, bias), torch.from_numpy(predicted))
        assert found.correlation is None  # three points
        assert [(pair.share, round(pair.gap, 3)) for pair in found.pairs] == [(0.9, 0.8), (0.5, 0), (0.1, -0.8)]

    def test_correlation_is_spearmans(self, drawn):
        data, predicted = drawn
        found = measure(data, predicted)
        points = np.array([(pair.share, pair.gap) for pair in found.pairs])
        if len(data.bias_names) == 2:
            assert found.correlation is None
        else:
            assert found.correlation == pytest.approx(stats.spearmanr(*points.T).statistic)

    def test_an_empty_group_is_undefined_and_the_others_are_measured(self):
        found = measure(labelled([0, 0, 1, 1], [0, 1, 0, 0]), torch.tensor([0, 1, 1, 1]))
        assert found.undefined == ("dog", "owl")
        assert [gap.target for gap in found.gaps] == ["cat"]
        assert {(group.target, group.bias) for group in found.groups if group.accuracy is None} == {
            ("dog", "outdoors"),
            ("owl", "indoors"),
            ("owl", "outdoors"),
        }

    def test_attributes_are_two_tasks_each(self):
        data = replace(labelled([0, 0, 0, 0], [0, 1, 0, 1]), targets=torch.tensor([[0, 1], [1, 0], [0, 1], [1, 1]]),
                       target_names=("wet", "loud"))  # fmt: skip
        found = measure(data, data.targets)
        assert found.undefined == ("no wet", "wet", "no loud")
        assert [(gap.target, gap.gap.value) for gap in found.gaps] == [("loud", 0)]


def written(file, /, **columns):
    pd.DataFrame(columns).to_csv(file, index=False)
    return file


class TestPredictions:
    @given(st.lists(st.tuples(*[st.sampled_from("abc")] * 2, st.sampled_from("xyz")), min_size=1, max_size=49))
    def test_against_fairlearn(self, tmp_path_factory, rows):
        target, predicted, bias = zip(*rows, strict=True)
        assume(len(set(zip(target, bias, strict=True))) > len(set(target)))  # otherwise both are one column
        file = written(tmp_path_factory.mktemp("csv") / "p.csv", target=target, predicted=predicted, bias=bias)
        found = audit_predictions(file).numbers
        frame = MetricFrame(
            metrics=accuracy_score, y_true=target, y_pred=predicted, sensitive_features=pd.Series(bias, name="b"),
            control_features=pd.Series(target, name="t"),
        )  # fmt: skip
        accuracies = {(group["target"], group["bias"]): group["accuracy"] for group in found["groups"]}
        for group, accuracy in frame.by_group.items():
            assert (accuracies[group] is None) == np.isnan(accuracy)
            assert accuracies[group] is None or accuracies[group]["value"] == pytest.approx(accuracy)
        whole = frame.by_group.unstack("b").dropna()
        gaps = (whole.max(axis=1) - whole.min(axis=1)).to_dict()
        assert {gap["target"]: gap["gap"]["value"] for gap in found["gaps"]} == pytest.approx(gaps)
        if gaps:
            assert found["overall"]["bias"]["value"] == pytest.approx(sum(gaps.values()))

    def test_several_targets_of_yes_and_no(self, tmp_path):
        file = written(tmp_path / "p.csv", wet=["yes", "no"] * 4, loud=[1, 1, 0, 0] * 2, wet_=["yes", "no"] * 4,
                       loud_=[1] * 8, place=["in"] * 4 + ["out"] * 4)  # fmt: skip
        report = audit_predictions(file, target=["wet", "loud"], predicted=["wet_", "loud_"], bias="place")
        accuracy = {(each["target"], each["bias"]): each["accuracy"]["value"] for each in report.numbers["groups"]}
        assert accuracy[("no loud", "in")] == 0
        assert accuracy[("loud", "in")] == accuracy[("no wet", "out")] == 1

    def test_rows_without_a_label_are_left_out_and_counted(self, tmp_path):
        file = written(
            tmp_path / "p.csv", target=["a", "b", "", "a"], predicted=["a", "a", "a", "a"], bias=list("xyxy")
        )
        report = audit_predictions(file)
        assert report.notes == ("1 of 4 rows lack a label and are left out.",)
        assert report.numbers["images"] == 3

    def test_identities_are_counted(self, tmp_path):
        file = written(
            tmp_path / "p.csv", target=list("abab"), predicted=list("abab"), bias=list("xxyy"), who=list("mmnn")
        )
        assert audit_predictions(file, identity="who").numbers["identities"] == 2

    @pytest.mark.parametrize(
        ("text", "given", "words"),
        [
            ("", {}, ["is empty"]),
            ("target,bias,predicted\n", {}, ["has a header and no rows"]),
            ("target,bias\na,x\n", {}, ["has no column 'predicted'", "it has target, bias"]),
            ("target;bias;predicted\na;x;a\n", {}, ["has no comma"]),
            ("target,bias,predicted\na,x\n", {}, ["line 2", "has 2 columns and the header 3"]),
            ("target,target,bias,predicted\na,a,x,a\n", {}, ["has the column 'target' 2 times"]),
            ("target,bias,predicted\n,x,a\nnan,y,a\n", {}, ["no row", "has all of target, predicted, bias"]),
            ("target,bias,predicted\na,x,a\nb,x,a\n", {}, ["one value, x"]),
            ("target,bias,predicted\na,x,a\n", {"bias": "target"}, ["the column 'target' is asked for twice"]),
            ("target,bias,predicted\na,x,a\n", {"target": ["target", "bias"]}, ["2 columns of targets and 1 of"]),
            ("target,bias,predicted\nmaybe,x,1\n", {"target": ["target"]}, ["'target'", "has 'maybe'", "yes or no"]),
            (
                "target,bias,predicted\n" + "".join(f"{n / 7},x,1\n" for n in range(60)),
                {},
                ["'target'", "61 different values", "into classes first"],
            ),
        ],
    )  # fmt: skip
    def test_what_is_wrong_is_a_sentence(self, tmp_path, refused, text, given, words):
        file = tmp_path / "p.csv"
        file.write_text(text)
        with refused(Problem, *words):
            audit_predictions(file, **given)

    def test_no_file(self, tmp_path, refused):
        with refused(DataError, "there is no file", "none.csv"):
            audit_predictions(tmp_path / "none.csv")

    @given(st.binary(max_size=200) | st.text(alphabet='target,biaspredcx"\n\r\0;é', max_size=200).map(str.encode))
    def test_garbage_is_refused_in_a_sentence(self, tmp_path_factory, garbage):
        file = tmp_path_factory.mktemp("garbage") / "p.csv"
        file.write_bytes(b"target,bias,predicted\n" + garbage)
        try:
            audit_predictions(file)
        except Problem as problem:
            assert str(problem).endswith(".")


@pytest.fixture
def people(biased_images):
    """60 images of 20 people."""
    return replace(biased_images, identities=torch.arange(60) // 3)


class TestAudit:
    def test_nobody_is_predicted_by_a_classifier_that_has_seen_them(self, people, make_model, monkeypatch):
        seen = []

        def trained(method, data, *_, **__):
            seen.append(set(data.identities.tolist()))
            return make_model(seed=len(seen))

        monkeypatch.setattr(auditing, "fit_once", trained)
        folder = Folder(people, (), None, (), "people")
        found = auditing.cross_fitted(folder, "small_cnn", 4, 1, 0, False, False)
        parts = folder.folds(4, 0)
        assert sorted(i for _, part in parts for i in part.tolist()) == list(range(60))
        for number, (_, part) in enumerate(parts, 1):
            assert seen[number - 1].isdisjoint(people.identities[part].tolist())
            expected = metrics.predicted(make_model(seed=number), people[part])
            torch.testing.assert_close(found.logits[part].argmax(1), expected)

    def test_the_same_call_trains_nothing_more_and_says_the_same(self, people, monkeypatch):
        first = audit(people, folds=2, epochs=1, progress=False)
        monkeypatch.setattr(training, "fit", lambda *_, **__: pytest.fail("trained again"))
        again = audit(people, folds=2, epochs=1, progress=False)
        assert first.numbers == again.numbers
        assert first.numbers["trained"]["folds"] == 2

    def test_a_split_is_judged_by_its_test_images_alone(self, people, make_model, monkeypatch):
        seen = []

        def trained(method, data, *_, **__):
            seen.extend(data.identities.tolist())
            return make_model(seed=0)

        monkeypatch.setattr(auditing, "fit_once", trained)
        splits = tuple(("train", "validation", "test")[who % 3] for who in people.identities.tolist())
        names = tuple(f"{number}.png" for number in range(60))
        found = audit(Folder(people, names, splits, (), "people"), network="small_cnn", epochs=1, progress=False)
        tested = people.identities % 3 == 2
        assert sorted(seen) == people.identities[people.identities % 3 == 0].tolist()
        expected = metrics.bacc(metrics.count(people[tested], metrics.predicted(make_model(seed=0), people[tested])))
        assert found.numbers["overall"]["bacc"]["value"] == pytest.approx(expected)
        assert "judged by those that it gives for testing" in str(found)

    @pytest.mark.parametrize("only", ["train", "test"])
    def test_a_split_without_a_side_is_refused(self, people, only, refused):
        folder = Folder(people, (), (only,) * 60, (), "people")
        with refused(DataError, f"has {60 * (only == 'train')} images to train on and {60 * (only == 'test')} to test"):
            audit(folder, progress=False)

    def test_images_are_in_the_report_only_if_asked_for(self, people):
        assert "data:image" not in audit(people, folds=2, epochs=1, progress=False).page()
        assert "data:image/png" in audit(people, folds=2, epochs=1, progress=False, show_images=True).page()

    @pytest.mark.parametrize("values", [("red",), ()], ids=["one value", "none"])
    def test_one_bias_value_is_refused(self, biased_images, refused, values):
        same = replace(biased_images, bias=torch.zeros(60, dtype=torch.int64), bias_names=values or ("",))
        with refused(Problem, "one value"):
            audit(same)

    def test_no_epochs_are_refused(self, people, refused):
        with refused(Problem, "epochs is 0"):
            audit(people, epochs=0)


@pytest.fixture
def folder(biased_images, tmp_path):
    """A folder of PNG files and its CSV."""
    (tmp_path / "images").mkdir()
    names = []
    for number, image in enumerate(biased_images.images):
        names.append(f"{number}.png")
        Image.fromarray(image.permute(1, 2, 0).numpy()).save(tmp_path / "images" / names[-1])
    targets = [biased_images.target_names[t] for t in biased_images.targets]
    written(tmp_path / "labels.csv", path=names, place=targets, colour=[VALUES[b] for b in biased_images.bias])
    return tmp_path


class TestCommand:
    @pytest.fixture
    def aeda(self, folder, monkeypatch):
        monkeypatch.setattr("aeda_core.datasets.pictures.DATA", folder)

        def call(*words):
            return CliRunner().invoke(cli.app, ["audit", *map(str, words)])

        return call

    def test_a_folder_and_a_csv_become_a_report(self, aeda, folder):
        report = folder / "new" / "report.html"
        done = aeda(folder / "images", folder / "labels.csv", "--target", "place", "--bias", "colour", "--size", 16,
                    "--folds", 2, "--epochs", 1, "--report", report)  # fmt: skip
        assert done.exit_code == 0, done.output
        assert "Bias audit of images" in done.stdout
        assert "60 images: 3 target tasks, 2 bias values." in done.stdout
        assert str(report) in done.stdout
        assert numbers_of(report.read_text())["trained"]["epochs"] == 1

    def test_predictions_need_no_images(self, aeda, folder):
        file = written(folder / "p.csv", target=list("abab"), predicted=list("abaa"), bias=list("xxyy"))
        done = aeda("--predictions", file, "--report", folder / "r.html")
        assert done.exit_code == 0, done.output
        assert numbers_of((folder / "r.html").read_text())["overall"]["bacc"]["value"] == 75

    def test_stopping_loses_nothing(self, aeda, folder, monkeypatch):
        whole, calls = auditing.fit_once, []

        def stopped(*given, **settings):
            calls.append(given)
            if len(calls) == 2:
                raise KeyboardInterrupt
            return whole(*given, **settings)

        monkeypatch.setattr(auditing, "fit_once", stopped)
        words = (folder / "images", folder / "labels.csv", "--target", "place", "--bias", "colour", "--size", 16,
                 "--folds", 2, "--epochs", 1, "--report", folder / "r.html")  # fmt: skip
        done = aeda(*words)
        assert done.exit_code == 130
        assert "the same command goes on" in done.stderr
        kept = list((folder / "trained").glob("*.safetensors"))
        assert len(kept) == 1
        assert aeda(*words).exit_code == 0
        assert kept[0] in (folder / "trained").glob("*.safetensors")

    @pytest.mark.parametrize(
        ("words", "said"),
        [
            ((), "name the folder"),
            (("images", "labels.csv", "--target", "shape"), "no column 'shape'"),
            (("images", "labels.csv", "--report", "r.pdf"), "a report is an HTML file"),
            (("images", "--predictions", "p.csv"), "leave the folder out"),
            (("--predictions", "p.csv", "--target", "a", "--target", "b"), "a --predicted for each --target"),
        ],
    )
    def test_a_mistake_is_a_sentence(self, aeda, folder, monkeypatch, words, said):
        monkeypatch.chdir(folder)
        done = aeda(*words)
        assert isinstance(done.exception, Problem)
        assert said in str(done.exception)


def numbers_of(page):
    """What a report embeds."""
    return json.loads(page.split('id="numbers">')[1].split("</script>")[0])
