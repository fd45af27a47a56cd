"""Training from end to end: what it learns, what it writes, and that it can be had again."""

from __future__ import annotations

import csv
import hashlib
import json
import math
import os
import shutil
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from safetensors.numpy import load_file, save_file

import lensmith as house
from conftest import draw_shape, write_shapes
from lensmith.data.store import Store
from lensmith.model import load_model
from lensmith.run import HISTORY, Run
from running import leftovers, lensmith, table

CLASSES = ["cross", "disc", "square"]
NETWORK = "convnet/16-32-64"
LEARNED = ("--recipe", "scratch", "--network", NETWORK, "--learning-rate", "0.01", "--epochs", "20", "--seed", "1")
QUICK: dict[str, Any] = {"recipe": "scratch", "network": "convnet/4-8", "image_size": 16, "epochs": 2, "quiet": True}
FEATURES: dict[str, Any] = {"recipe": "features", "network": NETWORK, "quiet": True}
FILES = {"run.json", "splits.csv", "history.csv", "metrics.json", "predictions.csv", "report.html", "model", "figures"}
METRICS = {"accuracy", "balanced_accuracy", "macro_f1", "log_loss", "calibration_error"}


@pytest.fixture(scope="module")
def out(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("runs")


@pytest.fixture(scope="module")
def scratch(shapes: Path, out: Path) -> Run:
    """A small network trained from scratch for as long as the shapes take."""
    return house.train(
        shapes,
        recipe="scratch",
        network=NETWORK,
        learning_rate=0.01,
        epochs=20,
        seed=1,
        out=out,
        name="scratch",
        quiet=True,
    )


@pytest.fixture(scope="module")
def weights(scratch: Run, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The convolutions of that network as a file of pretrained weights."""
    tensors = load_file(scratch.model_folder / "model.safetensors")
    file = tmp_path_factory.mktemp("weights") / "shapes.safetensors"
    wanted = {name[5:]: tensor for name, tensor in tensors.items() if name.startswith("base.")}
    save_file({name: tensor for name, tensor in wanted.items() if "num_batches" not in name}, file)
    return file


@pytest.fixture(scope="module")
def features(shapes: Path, weights: Path, out: Path) -> Run:
    """A head trained on the stored features of those convolutions."""
    return house.train(
        shapes, recipe="features", network=NETWORK, weights=weights, image_size=32, out=out, name="features", quiet=True
    )


def probabilities(run: Run) -> np.ndarray:
    rows = table(run.folder / "predictions.csv")
    return np.array([[float(row[f"p:{name}"]) for name in CLASSES] for row in rows])


def same_result(one: Run, other: Run) -> bool:
    """Whether two runs have equal scores, answers and bytes of weights."""
    names = ("metrics.json", "predictions.csv", "splits.csv", "model/model.safetensors", "model/config.json")
    return all((one.folder / name).read_bytes() == (other.folder / name).read_bytes() for name in names)


def test_scratch_learns(scratch: Run) -> None:
    accuracy = scratch.metrics["test"]["accuracy"]
    assert accuracy["n"] == 18
    assert accuracy["value"] >= 0.75
    assert 0 <= accuracy["low"] <= accuracy["value"] <= accuracy["high"] <= 1
    assert accuracy["low"] > 1 / 3
    assert scratch.document["verdict"][0]


def test_run_folder_is_the_one_of_the_design(scratch: Run) -> None:
    assert {path.name for path in scratch.folder.iterdir()} - {"checkpoint"} == FILES
    assert {path.name for path in scratch.model_folder.iterdir()} == {"model.safetensors", "config.json", "README.md"}
    assert leftovers(scratch.folder) == []
    listed = json.loads((scratch.folder / "figures" / "pictures.json").read_text())
    named = {entry[key] for entry in listed for key in ("picture", "map") if entry[key]}
    on_disk = {f"figures/{path.name}" for path in (scratch.folder / "figures").iterdir()}
    assert on_disk == named | {"figures/pictures.json", "figures/augmented.png"}


def test_run_json_holds_what_the_design_asks(scratch: Run) -> None:
    document = scratch.document
    assert document["format"] == 1
    assert document["status"] == "done"
    assert (document["held_out"], document["stopping"]) == ("test", "validation")
    assert document["request"]["network"] == NETWORK
    assert document["request"]["image_size"] is None  # as asked, not as resolved
    recipe = document["recipe"]
    assert recipe["image_size"] == 32
    assert not [key for key, value in recipe.items() if value == "auto" and key not in ("device", "engine")]
    assert {"name", "precision", "device", "check"} == set(document["engine"])
    assert {"python", "numpy", "pillow", "torch", "openvino", "lensmith"} <= set(document["versions"])
    assert document["seed"] == 1
    assert document["times"]["seconds"] > 0
    assert document["started"].endswith("Z")
    assert set(document["reasons"]) <= set(recipe)
    config = json.loads((scratch.model_folder / "config.json").read_text())
    assert config["classes"] == CLASSES
    assert config["preprocessing"] == recipe["preprocessing"]
    assert config["network"] == f"lensmith/{NETWORK}"


def test_metrics_have_the_keys_of_the_design(scratch: Run) -> None:
    metrics = scratch.metrics
    assert set(metrics) == {"test", "validation"}
    for scores in metrics.values():
        assert set(scores) >= METRICS | {"per_class"}
        assert "top5" not in scores and "auc" not in scores  # three classes: neither means anything
        for key in METRICS:
            assert set(scores[key]) == {"value", "low", "high", "n"}
        assert list(scores["per_class"]) == CLASSES
        assert sum(row["n"] for row in scores["per_class"].values()) == scores["accuracy"]["n"]


def test_predictions_recomputed_by_hand_give_the_metrics(scratch: Run) -> None:
    rows = table(scratch.folder / "predictions.csv")
    assert list(rows[0]) == ["path", "target", "predicted", "confidence", *(f"p:{name}" for name in CLASSES)]
    scores = scratch.metrics["test"]
    right = sum(row["target"] == row["predicted"] for row in rows)
    assert right / len(rows) == scores["accuracy"]["value"]
    losses = []
    for row in rows:
        shares = {name: float(row[f"p:{name}"]) for name in CLASSES}
        assert row["predicted"] == max(shares, key=lambda name: shares[name])
        assert float(row["confidence"]) == shares[row["predicted"]]
        assert sum(shares.values()) == pytest.approx(1, abs=3e-6)
        losses.append(-math.log(max(shares[row["target"]], 1e-6)))
    assert scores["log_loss"]["value"] == pytest.approx(sum(losses) / len(losses), abs=2e-3)
    for name in CLASSES:
        mine = [row for row in rows if row["target"] == name]
        recall = sum(row["predicted"] == name for row in mine) / len(mine)
        assert scores["per_class"][name]["recall"]["value"] == pytest.approx(recall)
    confusion = Counter((row["target"], row["predicted"]) for row in rows)
    assert scores["confusion_matrix"] == [[confusion[one, other] for other in CLASSES] for one in CLASSES]


def test_splits_agree_with_files_and_predictions(scratch: Run, shapes: Path) -> None:
    rows = table(scratch.folder / "splits.csv")
    assert list(rows[0]) == ["path", "target", "split", "sha256", "group"]
    assert sorted(row["path"] for row in rows) == sorted(
        str(path.relative_to(shapes)) for path in shapes.rglob("*.png")
    )
    for row in rows:
        assert row["target"] == row["path"].split("/")[0]
        assert row["sha256"] == hashlib.sha256((shapes / row["path"]).read_bytes()).hexdigest()
    counts = Counter((row["target"], row["split"]) for row in rows)
    assert counts == {
        (name, split): n for name in CLASSES for split, n in (("train", 19), ("validation", 5), ("test", 6))
    }
    found = scratch.document["findings"]
    assert found["classes"] == {name: {"train": 19, "validation": 5, "test": 6} for name in CLASSES}
    assert found["used"] == sum(counts.values()) == found["pictures"] == 90
    predicted = [row["path"] for row in table(scratch.folder / "predictions.csv")]
    assert predicted == [row["path"] for row in rows if row["split"] == "test"]


def test_history_has_a_row_an_epoch_and_the_best_one_is_kept(scratch: Run) -> None:
    rows = table(scratch.folder / "history.csv")
    assert list(rows[0]) == list(HISTORY)
    assert [int(row["epoch"]) for row in rows] == list(range(1, len(rows) + 1))
    losses = [float(row["validation_loss"]) for row in rows]
    kept = scratch.document["result"]["epoch"]
    assert losses[kept - 1] <= min(losses) + scratch.document["recipe"]["min_delta"]
    assert float(rows[-1]["train_loss"]) < float(rows[0]["train_loss"])
    assert all(0 <= float(row[key]) <= 1 for row in rows for key in ("train_metric", "validation_metric"))
    validation = scratch.metrics["validation"]
    assert validation["accuracy"]["value"] == pytest.approx(float(rows[kept - 1]["validation_metric"]))
    # bfloat16 answers differ a little from the float32 ones that training saw.
    assert validation["log_loss"]["value"] == pytest.approx(losses[kept - 1], rel=0.1, abs=0.02)


def test_features_history_tries_every_penalty(features: Run) -> None:
    rows = table(features.folder / "history.csv")
    penalties = [float(row["l2"]) for row in rows]
    assert sorted(set(penalties)) == features.document["recipe"]["l2"]
    best = min(rows, key=lambda row: float(row["validation_loss"]))
    assert features.document["result"]["l2"] in features.document["recipe"]["l2"]
    kept = next(
        row
        for row in rows
        if (int(row["epoch"]), float(row["l2"]))
        == (features.document["result"]["epoch"], features.document["result"]["l2"])
    )
    assert float(kept["validation_loss"]) <= float(best["validation_loss"]) + features.document["recipe"]["min_delta"]


def test_reloaded_model_gives_the_probabilities_of_the_run(scratch: Run, shapes: Path) -> None:
    from lensmith.data import decode
    from lensmith.data.preprocess import to_square

    model = load_model(scratch.model_folder, Store())
    paths = [row["path"] for row in table(scratch.folder / "predictions.csv")]
    pixels = [to_square(decode.read_picture(shapes / path), model.base.preprocessing) for path in paths]
    answers = np.concatenate([answer.answers for answer in model.ask(pixels)])
    np.testing.assert_allclose(answers, probabilities(scratch), atol=6e-7)


@pytest.mark.parametrize("which", ["scratch", "features"])
@pytest.mark.parametrize("engine", ["", "torch", "openvino"])
def test_model_works_where_nothing_is_stored(
    which: str, engine: str, request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A model folder is enough: on another machine, or after `lensmith cache --clear`, no converted base is there."""
    run: Run = request.getfixturevalue(which)
    shutil.copytree(run.folder, tmp_path / "copied")
    monkeypatch.setenv("LENSMITH_CACHE", str(tmp_path / "empty"))
    found = house.evaluate(tmp_path / "copied", engine=engine, quiet=True)
    if engine != "torch":
        np.testing.assert_allclose(found.answers, probabilities(run), atol=6e-7)
        assert json.loads(json.dumps(found.metrics)) == run.metrics["test"]
        return
    # torch computes in float32, the run in the precision that is fastest here.
    assert np.abs(found.answers - probabilities(run)).mean() < 0.02
    config = tmp_path / "copied" / "model" / "config.json"
    config.write_text(config.read_text().replace('"precision": "bfloat16"', '"precision": "float32"'))
    exact = house.evaluate(tmp_path / "copied", engine="openvino", quiet=True)
    np.testing.assert_allclose(found.answers, exact.answers, atol=1e-4)


@pytest.mark.parametrize("which", ["scratch", "features"])
def test_evaluate_repeats_the_metrics(which: str, request: pytest.FixtureRequest, capsys: Any) -> None:
    run: Run = request.getfixturevalue(which)
    said = lensmith(capsys, "evaluate", run.folder, "--json", "--quiet")
    assert said.code == 0 and said.err == ""
    answer = json.loads(said.out)
    assert answer["metrics"] == run.metrics["test"]
    assert answer["verdict"] == run.document["verdict"][0]


def test_evaluate_on_a_copied_folder_and_its_csv(scratch: Run, shapes: Path, tmp_path: Path, capsys: Any) -> None:
    held_out = tmp_path / "elsewhere"
    for row in table(scratch.folder / "predictions.csv"):
        (held_out / row["path"]).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(shapes / row["path"], held_out / row["path"])
    answers = tmp_path / "answers.csv"
    said = lensmith(capsys, "evaluate", scratch.folder, held_out, "--csv", answers, "--json")
    assert said.code == 0
    assert json.loads(said.out)["metrics"] == scratch.metrics["test"]
    assert answers.read_bytes() == (scratch.folder / "predictions.csv").read_bytes()


def test_evaluate_on_some_of_the_classes(scratch: Run, shapes: Path, tmp_path: Path, capsys: Any) -> None:
    shutil.copytree(shapes / "disc", tmp_path / "some" / "disc")
    said = lensmith(capsys, "evaluate", scratch.folder, tmp_path / "some", "--json")
    assert said.code == 0
    scores = json.loads(said.out)["metrics"]
    assert scores["accuracy"]["n"] == 30
    assert scores["per_class"]["disc"]["recall"]["value"] == scores["accuracy"]["value"]
    assert scores["per_class"]["cross"]["n"] == 0
    assert scores["per_class"]["cross"]["recall"]["value"] is None
    assert lensmith(capsys, "evaluate", scratch.folder, tmp_path / "some").code == 0


def test_predict_on_files_and_folders_equals_the_run(scratch: Run, shapes: Path, capsys: Any) -> None:
    rows = table(scratch.folder / "predictions.csv")
    files = [shapes / row["path"] for row in rows]
    found = house.predict(scratch, files)
    assert [prediction.path for prediction in found] == [str(file) for file in files]
    assert [prediction.predicted for prediction in found] == [row["predicted"] for row in rows]
    shares = np.array([[prediction.probabilities[name] for name in CLASSES] for prediction in found])
    np.testing.assert_allclose(shares, probabilities(scratch), atol=6e-7)
    by_folder = {prediction.path: prediction for prediction in house.predict(scratch.folder, shapes)}
    assert len(by_folder) == 90
    assert all(by_folder[prediction.path] == prediction for prediction in found)

    as_json = json.loads(lensmith(capsys, "predict", scratch.folder, *files, "--json").out)
    assert [entry["predicted"] for entry in as_json] == [row["predicted"] for row in rows]
    said = lensmith(capsys, "predict", scratch.folder, *files, "--csv")
    as_csv = list(csv.DictReader(said.out.splitlines()))
    assert [entry["p:disc"] for entry in as_csv] == [row["p:disc"] for row in rows]
    plain = lensmith(capsys, "predict", scratch.folder, *files).out.splitlines()
    assert len(plain) == len(files)
    assert all(row["predicted"] in line for row, line in zip(rows, plain, strict=True))


def test_a_run_is_found_by_name_and_by_folder(scratch: Run, shapes: Path, out: Path, capsys: Any) -> None:
    picture = shapes / "disc" / "000.png"
    by_name = lensmith(capsys, "predict", "scratch", picture, "--out", out, "--json")
    by_folder = lensmith(capsys, "predict", scratch.folder, picture, "--json")
    assert by_name.code == by_folder.code == 0
    assert by_name.out == by_folder.out


def test_command_line_and_python_give_the_same(scratch: Run, shapes: Path, out: Path, capsys: Any) -> None:
    said = lensmith(capsys, "train", shapes, *LEARNED, "--out", out, "--name", "by-command", "--json", "--quiet")
    assert said.code == 0 and said.err == ""
    run = Run(out / "by-command")
    assert same_result(scratch, run)
    printed = json.loads(said.out)
    assert printed["metrics"] == run.metrics
    assert Path(printed["run"]) == run.folder
    assert Path(printed["report"]).is_file()
    one, other = scratch.document, run.document
    for field in ("request", "recipe", "reasons", "findings", "verdict", "diagnosis", "engine", "result"):
        assert one[field] == other[field]


def test_every_verb_stays_a_function_after_use(scratch: Run) -> None:
    """Rooms of the house are modules; none may take the place of a verb of the same name."""
    for verb in house.VERBS:
        assert callable(getattr(house, verb)), verb


@pytest.mark.parametrize("recipe", ["scratch", "features"])
def test_one_seed_two_fresh_stores_one_result(
    recipe: str, shapes: Path, weights: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    options = dict(QUICK) if recipe == "scratch" else FEATURES | {"weights": weights}
    found = []
    for place in ("one", "other"):
        monkeypatch.setenv("LENSMITH_CACHE", str(tmp_path / place))
        found.append(house.train(shapes, **options, dense=(8,), seed=5, out=tmp_path / f"runs-{place}"))
    assert same_result(*found)
    other_seed = house.train(shapes, **options, dense=(8,), seed=6, out=tmp_path / "runs-third")
    assert not same_result(found[0], other_seed)
    assert other_seed.document["verdict"] is not None
    splits = [[row["split"] for row in table(run.folder / "splits.csv")] for run in (found[0], other_seed)]
    assert splits[0] != splits[1]


def spoil(folder: Path) -> None:
    """Replace every picture by rubbish of the same size and date, which only a reader would notice."""
    for path in folder.rglob("*.png"):
        status = path.stat()
        path.write_bytes(b"x" * status.st_size)
        os.utime(path, ns=(status.st_atime_ns, status.st_mtime_ns))


def test_second_run_reads_no_picture(make_shapes: Callable[..., Path], weights: Path, tmp_path: Path) -> None:
    pictures = make_shapes(each=12)
    options = FEATURES | {"weights": weights, "image_size": 32, "out": tmp_path}
    first = house.train(pictures, **options, name="first")
    spoil(pictures)
    second = house.train(pictures, **options, name="second")
    assert same_result(first, second)
    assert second.document["findings"]["unreadable"] == []
    assert json.loads((second.folder / "figures" / "pictures.json").read_text()) == []


def test_a_new_picture_is_the_only_one_read(
    make_shapes: Callable[..., Path], weights: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from lensmith.verbs.kinds import pictures as pass_over_pictures

    pictures = make_shapes(each=12)
    options = FEATURES | {"weights": weights, "image_size": 32, "out": tmp_path}
    house.train(pictures, **options)
    spoil(pictures)
    draw_shape("disc", 500, 32).save(pictures / "disc" / "new.png")
    computed = []
    extract = pass_over_pictures.extract

    def counted(*arguments: Any, **options: Any) -> Any:
        found = extract(*arguments, **options)
        computed.append(found.computed)
        return found

    monkeypatch.setattr(pass_over_pictures, "extract", counted)
    run = house.train(pictures, **options)
    assert computed[0] == 1 and sum(computed) == 1
    assert run.document["findings"]["unreadable"] == []
    assert run.document["findings"]["used"] == 37


def test_a_changed_picture_is_read_again(make_shapes: Callable[..., Path], weights: Path, tmp_path: Path) -> None:
    pictures = make_shapes(each=12)
    options = FEATURES | {"weights": weights, "image_size": 32, "out": tmp_path}
    house.train(pictures, **options)
    (pictures / "disc" / "003.png").write_bytes(b"no longer a picture")
    run = house.train(pictures, **options)
    assert [entry["path"] for entry in run.document["findings"]["unreadable"]] == ["disc/003.png"]


def test_copies_and_contradictions(make_shapes: Callable[..., Path], tmp_path: Path) -> None:
    pictures = make_shapes(each=10)
    for number in range(3):
        shutil.copy(pictures / "disc" / "001.png", pictures / "disc" / f"copy-{number}.png")
    shutil.copy(pictures / "disc" / "002.png", pictures / "square" / "liar.png")
    run = house.train(pictures, **QUICK, out=tmp_path)
    rows = {row["path"]: row for row in table(run.folder / "splits.csv")}
    group = [rows[f"disc/{name}.png"] for name in ("001", "copy-0", "copy-1", "copy-2")]
    assert len({row["split"] for row in group}) == 1
    assert len({row["group"] for row in group}) == 1
    assert rows["disc/002.png"]["split"] == rows["square/liar.png"]["split"] == ""
    assert run.document["findings"]["contradictions"] == [["disc/002.png", "square/liar.png"]]
    assert run.document["findings"]["used"] == 32
    assert sum(bool(row["split"]) for row in rows.values()) == 32
    assert "disc/002.png" in run.report.read_text(encoding="utf-8")


def given(folder: Path, *splits: str) -> Path:
    for split in splits:
        for kind in ("disc", "square"):
            (folder / split / kind).mkdir(parents=True)
            for number in range(20 if split == "train" else 6):
                place = 1000 * splits.index(split) + number
                draw_shape(kind, place, 16).save(folder / split / kind / f"{number}.png")
    return folder


def test_given_splits_are_kept(tmp_path: Path) -> None:
    run = house.train(given(tmp_path / "shapes", "train", "valid", "test"), **QUICK, out=tmp_path)
    folders = {"train": "train", "valid": "validation", "test": "test"}
    for row in table(run.folder / "splits.csv"):
        assert row["split"] == folders[row["path"].split("/")[0]]
    assert set(run.metrics) == {"test", "validation"}
    assert run.metrics["test"]["accuracy"]["n"] == 12
    assert {"auc", "threshold"} <= set(run.metrics["test"])


def test_validation_without_test_is_the_held_out_one(tmp_path: Path, capsys: Any) -> None:
    pictures = given(tmp_path / "shapes", "train", "val")
    run = house.train(pictures, **QUICK, out=tmp_path, name="run")
    assert (run.document["held_out"], run.document["stopping"]) == ("validation", "stopping")
    assert set(run.metrics) == {"validation", "stopping"}
    counts = Counter((row["path"].split("/")[0], row["split"]) for row in table(run.folder / "splits.csv"))
    assert counts == {("val", "validation"): 12, ("train", "train"): 32, ("train", "stopping"): 8}
    assert all(row["path"].startswith("val/") for row in table(run.folder / "predictions.csv"))
    said = lensmith(capsys, "evaluate", run.folder, "--json")
    assert json.loads(said.out)["metrics"] == run.metrics["validation"]
    assert json.loads(said.out)["split"] == "validation"
    assert "validation" in lensmith(capsys, "evaluate", run.folder).out


def test_two_classes_answer_by_the_chosen_threshold(tmp_path: Path) -> None:
    run = house.train(given(tmp_path / "shapes", "train", "val", "test"), **QUICK, out=tmp_path)
    threshold = json.loads((run.model_folder / "config.json").read_text())["threshold"]
    assert threshold == run.metrics["test"]["threshold"] == run.metrics["validation"]["threshold"]
    for row in table(run.folder / "predictions.csv"):
        assert row["predicted"] == ("square" if float(row["p:square"]) >= threshold - 1e-6 else "disc")
        assert row["confidence"] == row[f"p:{row['predicted']}"]


def test_six_classes_are_scored_by_their_first_five_answers(tmp_path: Path) -> None:
    pictures = tmp_path / "six"
    for number in range(6):
        write_shapes(tmp_path / "drawn", each=10, size=16, kinds=("disc",))
        shutil.copytree(tmp_path / "drawn" / "disc", pictures / f"class-{number}")
        for path in (pictures / f"class-{number}").iterdir():
            path.write_bytes(path.read_bytes() + bytes([number]))  # other files, so that none contradicts another
    run = house.train(pictures, **QUICK, out=tmp_path)
    assert run.metrics["test"]["top5"]["value"] >= run.metrics["test"]["accuracy"]["value"]


def test_early_cut_flattened_with_a_dense_head(shapes: Path, weights: Path, tmp_path: Path, capsys: Any) -> None:
    said = lensmith(
        capsys, "train", shapes, "--recipe", "features", "--network", NETWORK, "--weights", weights, "--image-size", 32,
        "--cut", "blocks.1", "--pool", "flatten", "--dense", "32-16", "--dropout", 0.2, "--epochs", 20,
        "--out", tmp_path, "--name", "early", "--quiet",
    )  # fmt: skip
    assert said.code == 0, said.err
    run = Run(tmp_path / "early")
    recipe = run.document["recipe"]
    assert (recipe["recipe"], recipe["cut"], recipe["pool"], recipe["dense"]) == (
        "features",
        "blocks.1",
        "flatten",
        [32, 16],
    )
    tensors = load_file(run.model_folder / "model.safetensors")
    assert tensors["head.0.weight"].shape == (32, 16 * 16 * 16)
    assert [tensors[f"head.{layer}.weight"].shape for layer in (1, 2)] == [(16, 32), (3, 16)]
    assert not [name for name in tensors if name.startswith(("base.blocks.2", "base.blocks.3"))]
    assert json.loads(json.dumps(house.evaluate(run, quiet=True).metrics)) == run.metrics["test"]


@pytest.mark.parametrize(
    ("network", "dense", "cut"),
    [("convnet/8-16/16", [16], "blocks"), ("lenet5", [120, 84], "s4"), ("convnet/8", [], "blocks")],
)
def test_networks_by_numbers(network: str, dense: list[int], cut: str, shapes: Path, tmp_path: Path) -> None:
    run = house.train(shapes, recipe="scratch", network=network, epochs=1, out=tmp_path, quiet=True)
    recipe = run.document["recipe"]
    assert (recipe["network"], recipe["dense"], recipe["cut"]) == (f"lensmith/{network}", dense, cut)
    assert recipe["image_size"] == 32
    sizes = run.document["result"]["parameters"]
    tensors = load_file(run.model_folder / "model.safetensors")
    counted = sum(
        value.size for name, value in tensors.items() if not name.endswith(("mean", "var", "batches_tracked"))
    )
    assert sizes["base"] + sizes["head"] == counted
    if network == "lenet5":
        assert sizes["base"] + sizes["head"] == 61_706 + 2 * 6 * 25 - 7 * 85  # three channels, three classes


FACTORY = """
from torch import nn

def small():
    return nn.Sequential(nn.Conv2d(3, {width}, 3, stride=2), nn.ReLU(), nn.AdaptiveAvgPool2d(1), nn.Flatten(),
                         nn.Linear({width}, 10))
"""


def test_a_network_of_the_user(shapes: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: Any) -> None:
    (tmp_path / "my_networks.py").write_text(FACTORY.format(width=8))
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(str(tmp_path))
    said = lensmith(
        capsys, "train", shapes, "--recipe", "scratch", "--network", "my_networks:small", "--image-size", 32,
        "--epochs", 2, "--name", "own", "--quiet",
    )  # fmt: skip
    assert said.code == 0, said.err
    run = Run(tmp_path / "runs" / "own")
    assert run.document["recipe"]["network"] == "my_networks:small"
    assert load_file(run.model_folder / "model.safetensors")["head.0.weight"].shape == (3, 8)
    assert lensmith(capsys, "predict", "own", shapes / "disc" / "001.png").code == 0


def test_free_names_are_made(shapes: Path, tmp_path: Path) -> None:
    (tmp_path / "shapes-1").mkdir()
    names = [house.train(shapes, **{**QUICK, "epochs": 1}, out=tmp_path).name for _ in range(2)]
    assert names == ["shapes-2", "shapes-3"]


def test_report_is_made_again_from_the_folder_alone(scratch: Run, tmp_path: Path, capsys: Any) -> None:
    shutil.copytree(scratch.folder, tmp_path / "carried-off")
    before = (tmp_path / "carried-off" / "report.html").read_text(encoding="utf-8")
    (tmp_path / "carried-off" / "report.html").unlink()
    said = lensmith(capsys, "report", tmp_path / "carried-off")
    assert said.code == 0 and said.out.strip() == str(tmp_path / "carried-off" / "report.html")
    after = Path(said.out.strip()).read_text(encoding="utf-8")
    names = (scratch.folder.parent.name, tmp_path.name), ("scratch", "carried-off")
    for old, new in names:
        before, after = before.replace(old, ""), after.replace(new, "").replace(old, "")
    assert after == before


# With the real data: photographs and pretrained weights.


def test_ants_and_bees(data: Path, mobilenet: Path, out: Path, capsys: Any) -> None:
    said = lensmith(
        capsys, "train", data / "ants-bees", "--recipe", "features", "--weights", mobilenet, "--out", out,
        "--name", "ants", "--quiet",
    )  # fmt: skip
    assert said.code == 0, said.err
    run = Run(out / "ants")
    assert run.document["held_out"] == "validation"
    accuracy = run.metrics["validation"]["accuracy"]
    assert accuracy["n"] == 153
    assert accuracy["value"] >= 0.93
    assert run.document["recipe"]["recipe"] == "features"
    assert run.document["recipe"]["image_size"] == 224
    assert json.loads(json.dumps(house.evaluate(run, quiet=True).metrics)) == run.metrics["validation"]
    heats = [entry["map"] for entry in json.loads((run.folder / "figures" / "pictures.json").read_text())]
    assert heats and all(heats)
    again = house.train(data / "ants-bees", recipe="features", weights=mobilenet, out=out, quiet=True)
    assert same_result(run, again)


@pytest.mark.slow
def test_one_seed_with_real_weights(
    make_shapes: Callable[..., Path], mobilenet: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pictures = make_shapes(each=10, size=64)
    found = []
    for place in ("one", "other"):
        monkeypatch.setenv("LENSMITH_CACHE", str(tmp_path / place))
        options: dict[str, Any] = {"recipe": "features", "weights": mobilenet, "image_size": 96, "quiet": True}
        found.append(house.train(pictures, **options, out=tmp_path / f"runs-{place}"))
    assert same_result(*found)
