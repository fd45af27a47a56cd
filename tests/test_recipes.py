"""Recipes, tasks and the ladder from end to end, on pictures so small that every training takes a moment."""

from __future__ import annotations

import csv
import json
import shutil
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image
from safetensors.numpy import load_file, save_file

import lensmith as house
from conftest import draw_shape, write_shapes
from lensmith.data.preprocess import from_dict, to_square
from lensmith.data.statistics import fitted
from lensmith.engines import folding
from lensmith.reproduce import generator
from lensmith.run import Run
from lensmith.training import stages, trials
from lensmith.training.freezing import frozen_digest, frozen_names
from lensmith.training.recipe import UNUSED, Recipe
from lensmith.verbs.console import Stopwatch
from lensmith.zoo.build import build
from lensmith.zoo.names import resolve
from running import lensmith, refused, table

SMALL = "convnet/6-8-8"
QUICK: dict[str, Any] = {"image_size": 16, "engine": "torch", "quiet": True}
SCRATCH: dict[str, Any] = {**QUICK, "recipe": "scratch", "network": "convnet/4-8", "epochs": 3}
STATISTICS = ("running_mean", "running_var", "num_batches_tracked")
Capture = pytest.CaptureFixture[str]


@pytest.fixture(scope="module", autouse=True)
def one_thread() -> Iterator[None]:
    """For networks this small a second thread only costs."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


@pytest.fixture(scope="module")
def out(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("runs")


@pytest.fixture(scope="module")
def pictures(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_shapes(tmp_path_factory.mktemp("drawn") / "drawn", each=12, size=16)


@pytest.fixture(scope="module")
def two(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_shapes(tmp_path_factory.mktemp("two") / "two", each=12, size=32, kinds=("cross", "disc"))


@pytest.fixture(scope="module")
def weights(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], Path]:
    """Return a file of random weights of a network, whose statistics of batch normalisation are those of shapes."""
    folder = tmp_path_factory.mktemp("weights")
    drawn = [np.asarray(draw_shape(kind, number, 32)) for number in range(8) for kind in ("cross", "disc")]
    images = (torch.from_numpy(np.stack(drawn)).permute(0, 3, 1, 2) / 255 - 0.45) / 0.22

    def file(name: str) -> Path:
        place = folder / f"{name.replace('/', '-')}.safetensors"
        if not place.exists():
            with torch.random.fork_rng(devices=[]), torch.no_grad():
                torch.manual_seed(0)
                network = build(resolve(name)).train()
                for module in network.modules():
                    if isinstance(module, torch.nn.BatchNorm2d):
                        module.momentum = None  # a plain mean of the batches seen
                network(images)
            save_file({key: value.numpy() for key, value in network.state_dict().items()}, place)
        return place

    return file


def base_of(run: Run) -> dict[str, np.ndarray]:
    """Return the weights of a model's base as they were saved."""
    tensors = load_file(run.model_folder / "model.safetensors")
    return {name[5:]: tensor for name, tensor in tensors.items() if name.startswith("base.")}


def changed(run: Run, before: Path) -> set[str]:
    """Return the names of the base's tensors that are not, bit for bit, those of the file that training began with."""
    original = load_file(before)
    return {name for name, tensor in base_of(run).items() if not np.array_equal(tensor, original[name])}


# ---- what is frozen stays frozen

# Learning rates at which fine-tuning random weights beats the head on them, and a cut in the middle.
NETWORKS = {"torchvision/resnet18": 3e-4, "timm/test_efficientnet": 1e-3}
CUTS = {"torchvision/resnet18": "layer3", "timm/test_efficientnet": "blocks.1"}


def require_frozen(run: Run, before: Path, unfreeze: str) -> None:
    """Check that run.json is right about what was frozen, by the names and bytes of the two files."""
    said = run.document["frozen"]
    recipe, saved = run.document["recipe"], base_of(run)
    assert said["unfreeze"] == unfreeze
    names = frozen_names(recipe["network"], unfreeze, recipe["image_size"], saved)
    assert said["before"] == said["after"] == frozen_digest(load_file(before), names) == frozen_digest(saved, names)
    assert not changed(run, before) & set(names)
    assert {name for name in saved if name.endswith(STATISTICS)} <= set(names)
    sizes = run.document["result"]["parameters"]
    assert said["trained"] + said["frozen"] == sizes["base"] + sizes["head"]
    assert said["trained"] >= sizes["head"]


@pytest.mark.parametrize("network", NETWORKS)
def test_frozen_leaves_the_whole_base_alone(
    network: str, two: Path, weights: Callable[[str], Path], tmp_path: Path
) -> None:
    options = {**QUICK, "image_size": 32, "network": network, "weights": weights(network)}
    run = house.train(two, **options, recipe="frozen", epochs=1, out=tmp_path)
    require_frozen(run, weights(network), "none")
    assert not changed(run, weights(network))
    assert {row["stage"] for row in table(run.folder / "history.csv")} == {"features", "frozen"}


@pytest.mark.parametrize(
    ("network", "unfreeze"),
    [("torchvision/resnet18", "by hand"), ("timm/test_efficientnet", "by hand"), ("timm/test_efficientnet", "all")],
)
def test_finetune_leaves_what_is_frozen_alone(
    network: str, unfreeze: str, two: Path, weights: Callable[[str], Path], tmp_path: Path
) -> None:
    asked = CUTS[network] if unfreeze == "by hand" else "all"
    run = house.train(two, **finetuned(network, weights), unfreeze=asked, out=tmp_path)
    assert run.document["result"]["stage"] == "finetune"  # else nothing of this would say anything
    require_frozen(run, weights(network), asked)
    after = set(base_of(run)) if asked == "all" else later(network, asked)
    trained = {name for name in base_of(run) if name in after and not name.endswith(STATISTICS)}
    assert changed(run, weights(network)) == trained != set()
    assert run.document["frozen"]["frozen"] == sum(
        tensor.size for name, tensor in base_of(run).items() if name not in trained and not name.endswith(STATISTICS)
    )


def finetuned(network: str, weights: Callable[[str], Path]) -> dict[str, Any]:
    options = {**QUICK, "image_size": 32, "network": network, "weights": weights(network), "recipe": "finetune"}
    return {**options, "epochs": 3, "learning_rate": NETWORKS[network]}


def later(network: str, cut: str) -> set[str]:
    """Return the tensors of a network that come after those of the module `cut`."""
    names = list(build(resolve(network)).state_dict())
    last = max(place for place, name in enumerate(names) if name.startswith(f"{cut}."))
    return set(names[last + 1 :])


@pytest.mark.parametrize("network", NETWORKS)
def test_statistics_that_moved_would_be_seen(
    network: str, two: Path, weights: Callable[[str], Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The same training with the base in training mode, as a plain loop would have it: the hash must tell."""
    held = stages.settings_of

    def loose(*arguments: Any) -> Any:
        return replace(held(*arguments), hold=False)

    monkeypatch.setattr(stages, "settings_of", loose)
    monkeypatch.setattr(stages, "assemble_top", lambda *arguments: None)
    monkeypatch.setattr(folding, "fold_batch_norm", lambda base: 0)
    run = house.train(two, **finetuned(network, weights), unfreeze=CUTS[network], out=tmp_path)
    assert run.document["result"]["stage"] == "finetune"
    said = run.document["frozen"]
    assert said["before"] != said["after"]
    moved = {name for name in changed(run, weights(network)) if name.endswith(("running_mean", "running_var"))}
    assert moved - later(network, CUTS[network])


def test_depth_follows_from_the_number_of_pictures(pictures: Path, weights: Callable[[str], Path], out: Path) -> None:
    """With few pictures the lower half of the base stays as it came, and the reason says so."""
    options = {**QUICK, "network": SMALL, "weights": weights(SMALL), "recipe": "finetune", "epochs": 1}
    run = house.train(pictures, **options, out=out)
    recipe, reason = run.document["recipe"], run.document["reasons"]["unfreeze"]
    below = set(base_of(run)) - later(SMALL, recipe["unfreeze"])
    assert {"blocks.1.conv.weight"} <= below and "blocks.3.conv.weight" not in below
    assert "With 36 pictures only the top 50%" in reason and recipe["unfreeze"] in reason
    from_scratch = house.train(pictures, **SCRATCH, out=out).document["recipe"]
    assert recipe["learning_rate"] < from_scratch["learning_rate"] / 5


# ---- what cannot be had


@pytest.mark.parametrize("option", ["--cut", "--unfreeze"])
def test_unknown_place_names_near_ones(
    option: str, pictures: Path, weights: Callable[[str], Path], tmp_path: Path, capsys: Capture
) -> None:
    words = ["train", pictures, "--recipe", "finetune", "--network", SMALL, "--weights", weights(SMALL)]
    said = lensmith(capsys, *words, "--image-size", 16, option, "bloks.1", "--out", tmp_path / "runs")
    refused(said, 2, option[2:], "'bloks.1'", "blocks.1")
    assert not (tmp_path / "runs").exists()


def test_unfreezing_above_the_end_of_the_base_is_refused(
    pictures: Path, weights: Callable[[str], Path], tmp_path: Path, capsys: Capture
) -> None:
    words = ["train", pictures, "--recipe", "finetune", "--network", SMALL, "--weights", weights(SMALL)]
    said = lensmith(capsys, *words, "--image-size", 16, "--cut", "blocks.1", "--unfreeze", "blocks.2")
    refused(said, 2, "unfreeze is 'blocks.2'", "before blocks.1")


OPTIONS: dict[str, object] = {
    "optimizer": "sgd",
    "weight_decay": 0.1,
    "clip": 1,
    "label_smoothing": 0.1,
    "mixup": 0.2,
    "cutmix": 1,
    "ema": 0.9,
    "find_rate": None,
    "precision": "bfloat16",
    "augment": "strong",
    "unfreeze": "all",
    "init": "he",
    "norm": "first",
    "preprocess": "min-max",
}


@pytest.mark.parametrize(("recipe", "option"), [(name, option) for name, unused in UNUSED.items() for option in unused])
def test_an_option_that_a_recipe_has_no_use_for_is_refused(
    recipe: str, option: str, pictures: Path, weights: Callable[[str], Path], tmp_path: Path, capsys: Capture
) -> None:
    flag, value = f"--{option.replace('_', '-')}", OPTIONS[option]
    words = ["train", pictures, "--recipe", recipe, "--network", SMALL, "--image-size", 16, "--out", tmp_path / "runs"]
    words += ["--weights", weights(SMALL)] if recipe != "scratch" else []
    said = lensmith(capsys, *words, flag, *([] if value is None else [value]))
    users = [name for name in ("features", "frozen", "finetune", "scratch") if option not in UNUSED[name]]
    refused(said, 2, option, f"recipe {recipe}", f"Recipes with one: {', '.join(users)}.", flag)
    assert not (tmp_path / "runs").exists()


# ---- tables: several labels, and numbers

LABELS = ("bar", "red", "spot")
UNIT = 40.0


def draw_labelled(number: int) -> tuple[Image.Image, set[str], float]:
    """A grainy picture with any of a bar, a red ground and a spot; and how bright its ground is, in some unit."""
    random = generator(1, "labelled", number)
    labels = {name for name in LABELS if random.random() < 0.45}
    level = float(random.uniform(40, 160))
    picture = random.normal(level, 12, (16, 16, 3))
    if "red" in labels:
        picture[..., 0] += 70
    row, column = random.integers(2, 12, 2)
    if "bar" in labels:
        picture[row : row + 2] -= 40
    if "spot" in labels:
        picture[row : row + 4, column : column + 4] += 90
    return Image.fromarray(np.clip(picture, 0, 255).astype(np.uint8)), labels, round(level * UNIT, 1)


@pytest.fixture(scope="module")
def listed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with pictures, table.csv of labels and numbers, and new.jsonl of other pictures."""
    folder = tmp_path_factory.mktemp("listed")
    rows = []
    for number in range(130):
        picture, labels, level = draw_labelled(number)
        (folder / "pictures").mkdir(exist_ok=True)
        picture.save(folder / "pictures" / f"{number:03d}.png")
        rows.append({"picture": f"pictures/{number:03d}.png", "tags": ";".join(sorted(labels)), "level": level})
    with (folder / "table.csv").open("w", newline="") as file:
        lines = csv.DictWriter(file, ("picture", "tags", "level"))
        lines.writeheader()
        lines.writerows(rows[:100])
    new = [{**row, "tags": [name for name in str(row["tags"]).split(";") if name]} for row in rows[100:]]
    (folder / "new.jsonl").write_text("\n".join(json.dumps(row) for row in new), encoding="utf-8")
    return folder


TARGETS = {"multilabel": "tags", "regression": "level"}
RECIPES: dict[str, dict[str, Any]] = {
    "features": {"network": SMALL},
    "finetune": {"network": SMALL, "epochs": 4, "learning_rate": 0.003},
    "scratch": {"network": "convnet/8-16", "epochs": 12, "learning_rate": 0.01},
}


@pytest.fixture(scope="module")
def trained(listed: Path, weights: Callable[[str], Path], out: Path) -> Callable[[str, str], Run]:
    """Return the run of a task and a recipe."""
    runs: dict[tuple[str, str], Run] = {}

    def run(task: str, recipe: str) -> Run:
        if (task, recipe) not in runs:
            options = {**QUICK, **RECIPES[recipe], "recipe": recipe, "target": TARGETS[task]}
            if recipe != "scratch":
                options["weights"] = weights(SMALL)
            runs[task, recipe] = house.train(listed / "table.csv", **options, out=out, name=f"{task}-{recipe}")
        return runs[task, recipe]

    return run


def exact_match(rows: list[dict[str, str]]) -> float:
    return sum(row["target"] == row["predicted"] for row in rows) / len(rows)


def mean_error(rows: list[dict[str, str]]) -> float:
    return sum(abs(float(row["target"]) - float(row["predicted"])) for row in rows) / len(rows)


BY_HAND = {"multilabel": ("exact_match", exact_match), "regression": ("mae", mean_error)}


@pytest.mark.parametrize("recipe", RECIPES)
@pytest.mark.parametrize("task", TARGETS)
def test_a_table_is_learned(task: str, recipe: str, trained: Callable[[str, str], Run]) -> None:
    run = trained(task, recipe)
    scores = run.metrics["test"]
    assert run.document["task"] == task
    assert run.document["metric"] == {"multilabel": "f1", "regression": "mae"}[task]
    stage = {row["stage"] for row in table(run.folder / "history.csv")}
    assert stage == {"features": {"features"}, "finetune": {"features", "finetune"}, "scratch": {"scratch"}}[recipe]
    if task == "multilabel":
        assert {"map", "macro_f1", "micro_f1", "exact_match", "baseline_map", "per_class"} <= set(scores)
        assert set(scores["per_class"]) == set(LABELS)
        assert scores["map"]["low"] > scores["baseline_map"]
        config = json.loads((run.model_folder / "config.json").read_text())
        assert config["thresholds"] == [scores["per_class"][name]["threshold"] for name in config["classes"]]
    else:
        assert {"mae", "mse", "rmse", "r2", "baseline_mae", "n"} <= set(scores)
        assert scores["mae"]["high"] < scores["baseline_mae"]
        assert scores["rmse"]["value"] == pytest.approx(scores["mse"]["value"] ** 0.5)
    name, by_hand = BY_HAND[task]
    rows = table(run.folder / "predictions.csv")
    columns = ["path", "target", "predicted", *(f"p:{label}" for label in LABELS if task == "multilabel")]
    assert list(rows[0]) == columns and len(rows) == scores[name]["n"] >= 20
    assert by_hand(rows) == pytest.approx(scores[name]["value"], rel=1e-5)
    assert "table.csv" in run.document["request"]["data"]
    assert run.report.read_text(encoding="utf-8").rstrip().endswith("</html>")


@pytest.mark.parametrize("recipe", RECIPES)
@pytest.mark.parametrize("task", TARGETS)
def test_a_model_of_a_table_is_used(
    task: str, recipe: str, trained: Callable[[str, str], Run], listed: Path, tmp_path: Path, capsys: Capture
) -> None:
    run = trained(task, recipe)
    assert json.loads(lensmith(capsys, "evaluate", run.folder, "--json").out)["metrics"] == run.metrics["test"]

    said = lensmith(capsys, "evaluate", run.folder, listed / "new.jsonl", "--csv", tmp_path / "new.csv")
    assert said.code == 0, said.err
    rows = table(tmp_path / "new.csv")
    assert len(rows) == 30 and f"new, {30} pictures" in said.out
    name, by_hand = BY_HAND[task]
    found = house.evaluate(run, listed / "new.jsonl", quiet=True)
    assert (found.task.kind, found.seen, found.answers.shape) == (task, 0, found.targets.shape)
    assert by_hand(rows) == pytest.approx(found.metrics[name]["value"], rel=1e-5)

    files = [listed / row["path"] for row in rows]
    as_json = json.loads(lensmith(capsys, "predict", run.folder, *files, "--json").out)
    as_csv = list(csv.DictReader(lensmith(capsys, "predict", run.folder, *files, "--csv").out.splitlines()))
    plain = lensmith(capsys, "predict", run.folder, *files).out.splitlines()
    for row, entry, line, words in zip(rows, as_json, as_csv, plain, strict=True):
        assert line["predicted"] == row["predicted"] and line["error"] == ""
        assert row["predicted"] in words
        if task == "multilabel":
            assert ";".join(entry["predicted"]) == row["predicted"]
            assert set(entry) == {"path", "predicted", "probabilities"}
            assert all(float(row[f"p:{name}"]) == entry["probabilities"][name] for name in LABELS)
        else:
            assert set(entry) == {"path", "predicted"}
            assert np.float32(entry["predicted"]) == np.float32(row["predicted"])


def test_seen_pictures_of_a_table_are_said(trained: Callable[[str, str], Run], listed: Path, capsys: Capture) -> None:
    run = trained("regression", "features")
    assert house.evaluate(run, listed / "table.csv", quiet=True).seen == 80
    assert (
        "80 of these 100 pictures were used in training"
        in lensmith(capsys, "evaluate", run.folder, listed / "table.csv").out
    )


def test_the_loss_for_numbers_is_the_one_asked_for(listed: Path, out: Path) -> None:
    options = {**SCRATCH, "epochs": 1, "target": "level"}
    runs = [house.train(listed / "table.csv", **options, loss=loss, out=out) for loss in ("mae", "mse", "huber")]
    assert [run.document["recipe"]["loss"] for run in runs] == ["mae", "mse", "huber"]
    assert len({table(run.folder / "history.csv")[0]["train_loss"] for run in runs}) == 3


# ---- one output for two classes


@pytest.mark.parametrize("recipe", ["features", "finetune", "scratch"])
def test_sigmoid(recipe: str, two: Path, weights: Callable[[str], Path], tmp_path: Path, capsys: Capture) -> None:
    options = {**QUICK, **RECIPES[recipe], "image_size": 32, "recipe": recipe, "output": "sigmoid"}
    if recipe != "scratch":
        options["weights"] = weights(SMALL)
    run = house.train(two, **options, out=tmp_path, name="one")
    config = json.loads((run.model_folder / "config.json").read_text())
    assert (config["output"], config["loss"], config["classes"]) == (
        "sigmoid",
        "binary_cross_entropy",
        ["cross", "disc"],
    )
    tensors = load_file(run.model_folder / "model.safetensors")
    last = max(name for name in tensors if name.startswith("head.") and name.endswith("weight"))
    assert len(tensors[last]) == 1
    rows = table(run.folder / "predictions.csv")
    for row in rows:
        assert float(row["p:cross"]) + float(row["p:disc"]) == pytest.approx(1, abs=2e-6)
        assert row["predicted"] == ("disc" if float(row["p:disc"]) >= config["threshold"] - 1e-6 else "cross")
    assert json.loads(json.dumps(house.evaluate(run, quiet=True).metrics)) == run.metrics["test"]
    shown = json.loads((run.folder / "figures" / "pictures.json").read_text())
    assert shown
    for entry in shown:
        picture, lit = (np.asarray(Image.open(run.folder / entry[key]), float) for key in ("picture", "map"))
        assert np.abs(picture - lit).max() > 20  # something is lit, or left in the dark
    said = lensmith(capsys, "predict", run.folder, two / rows[0]["path"], "--json")
    assert json.loads(said.out)[0]["predicted"] == rows[0]["predicted"]


def test_sigmoid_needs_two_classes(pictures: Path, tmp_path: Path, capsys: Capture) -> None:
    words = ["train", pictures, "--recipe", "scratch", "--output", "sigmoid", "--out", tmp_path / "runs"]
    refused(lensmith(capsys, *words), 2, "sigmoid", "3 classes", "two")


# ---- what an option does


@pytest.fixture(scope="module")
def plain(pictures: Path, out: Path) -> list[dict[str, str]]:
    """The history of a training from scratch without any option."""
    return table(house.train(pictures, **SCRATCH, out=out).folder / "history.csv")


@pytest.mark.parametrize(
    "options",
    [
        {"optimizer": "momentum"},
        {"weight_decay": 5.0},
        {"clip": 0.01},
        {"label_smoothing": 0.2},
        {"mixup": 1.0},
        {"cutmix": 1.0},
        {"class_weights": "disc=9"},
        {"init": "xavier"},
        {"augment": "none"},
        {"preprocess": "min-max"},
        {"dense": (8,)},
        {"precision": "bfloat16"},
    ],
    ids=lambda options: "".join(options),
)
def test_an_option_reaches_the_training(
    options: dict[str, Any], pictures: Path, plain: list[dict[str, str]], out: Path
) -> None:
    run = house.train(pictures, **SCRATCH, **options, out=out)
    rows = table(run.folder / "history.csv")
    assert rows[-1]["train_loss"] != plain[-1]["train_loss"]
    assert all(np.isfinite(float(row["validation_loss"])) for row in rows)


def test_averaged_weights_are_judged_and_kept_but_not_trained(
    pictures: Path, plain: list[dict[str, str]], out: Path
) -> None:
    rows = table(house.train(pictures, **SCRATCH, ema=0.9, out=out).folder / "history.csv")
    assert [row["train_loss"] for row in rows] == [row["train_loss"] for row in plain]
    assert all(row["validation_loss"] != other["validation_loss"] for row, other in zip(rows, plain, strict=True))


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"stop_right": 0.01}, "of the training pictures were right, as asked for"),
        ({"stop_rest": 1000.0}, "the weights were at rest: epoch 1"),
        ({"patience": 1, "min_delta": 50.0}, "had not fallen by 50 for 1 epochs"),
        ({"epochs": 1}, "all 1 epochs were run"),
    ],
    ids=lambda value: "".join(value) if isinstance(value, dict) else "",
)
def test_a_stopping_rule_ends_training_and_is_named(
    options: dict[str, Any], words: str, pictures: Path, out: Path
) -> None:
    run = house.train(pictures, **{**SCRATCH, "epochs": 5, **options}, out=out)
    assert words in run.document["result"]["stopped"]
    assert len(table(run.folder / "history.csv")) <= 2


def test_class_weights_find_more_of_a_rare_class(tmp_path: Path, weights: Callable[[str], Path]) -> None:
    counts = {"cross": (24, 6), "disc": (24, 6), "square": (4, 24)}  # to learn from and stop by, held out
    lines = ["picture,label,split"]
    for kind, (learn, test) in counts.items():
        (tmp_path / kind).mkdir()
        for number in range(learn + test):
            draw_shape(kind, number, 16).save(tmp_path / kind / f"{number}.png")
            lines.append(f"{kind}/{number}.png,{kind},{'train' if number < learn else 'test'}")
    (tmp_path / "table.csv").write_text("\n".join(lines))
    options = {**QUICK, "recipe": "features", "network": SMALL, "weights": weights(SMALL), "out": tmp_path / "runs"}
    recall = {}
    for text in ("none", "balanced", "square=30"):
        run = house.train(tmp_path / "table.csv", **options, class_weights=text)
        recall[text] = run.metrics["test"]["per_class"]["square"]["recall"]["value"]
        assert run.document["recipe"]["class_weights"] == text
    assert recall["none"] < recall["balanced"] < recall["square=30"] - 0.2


def test_class_weights_of_an_unknown_class(pictures: Path, capsys: Capture) -> None:
    said = lensmith(
        capsys, "train", pictures, "--recipe", "scratch", "--network", "convnet/4-8", "--class-weights", "disk=2"
    )
    refused(said, 2, "'disk'", "Nearest: disc")


def test_find_rate(pictures: Path, weights: Callable[[str], Path], tmp_path: Path, capsys: Capture) -> None:
    words = ["train", pictures, "--recipe", "scratch", "--network", "convnet/8-16", "--image-size", 16, "--epochs", 2]
    said = lensmith(capsys, *words, "--find-rate", "--out", tmp_path, "--name", "found", "--engine", "torch")
    assert said.code == 0, said.err
    run = Run(tmp_path / "found")
    found, rows = run.document["find_rate"], table(run.folder / "rates.csv")
    assert list(rows[0]) == ["learning_rate", "loss"]
    rates = [float(row["learning_rate"]) for row in rows]
    assert rates == sorted(rates) and rates[0] == 1e-6
    assert found["sentence"] in said.err
    assert found["suggested"] in rates
    highest = max(float(row["learning_rate"]) for row in table(run.folder / "history.csv"))
    assert 0.5 * found["suggested"] < highest <= found["suggested"] == run.document["recipe"]["learning_rate"]
    refused(lensmith(capsys, *words, "--find-rate", "--learning-rate", 0.1), 2, "learning_rate", "find_rate")


def test_find_rate_before_fine_tuning(pictures: Path, weights: Callable[[str], Path], out: Path) -> None:
    options = {**QUICK, "recipe": "finetune", "network": SMALL, "weights": weights(SMALL), "epochs": 1}
    run = house.train(pictures, **options, find_rate=True, out=out)
    assert len(table(run.folder / "rates.csv")) > 20
    assert run.document["find_rate"]["sentence"]
    base = house.train(pictures, **options, out=out)  # what was tried is thrown away
    if run.document["find_rate"]["suggested"] is None:
        assert np.array_equal(base_of(run)["blocks.3.conv.weight"], base_of(base)["blocks.3.conv.weight"])


# ---- a rate that is too high


def test_finetuning_that_diverges_keeps_the_head_before(
    pictures: Path, weights: Callable[[str], Path], tmp_path: Path, capsys: Capture
) -> None:
    options = {**QUICK, "network": SMALL, "weights": weights(SMALL), "out": tmp_path, "seed": 3}
    wild = house.train(
        pictures, **options, recipe="finetune", optimizer="sgd", learning_rate=10, epochs=4, unfreeze="all", name="wild"
    )
    head = house.train(pictures, **options, recipe="features", name="head")
    assert wild.document["result"]["stage"] == "features"
    assert (
        "diverged" in wild.document["result"]["stopped"] or "no longer a number" in wild.document["result"]["stopped"]
    )
    assert wild.document["status"] == "done"
    one, other = (load_file(run.model_folder / "model.safetensors") for run in (wild, head))
    assert set(one) == set(other)
    assert all(np.array_equal(one[name], other[name]) for name in one)
    assert wild.metrics == head.metrics
    assert wild.document["frozen"]["before"] == wild.document["frozen"]["after"]
    assert "rate" in " ".join(wild.document["diagnosis"])


def test_training_from_scratch_that_diverges_keeps_the_last_good_epoch(pictures: Path, out: Path) -> None:
    """Warm-up makes the first epochs good; then the loss breaks."""
    options = {**SCRATCH, "epochs": 30, "optimizer": "momentum", "learning_rate": 10.0, "patience": 30}
    run = house.train(pictures, **options, out=out)
    result, rows = run.document["result"], table(run.folder / "history.csv")
    assert "diverged" in result["stopped"] and "too high" in result["stopped"]
    assert len(rows) < 30
    assert result["epoch"] < len(rows)
    assert np.isfinite(run.metrics["test"]["log_loss"]["value"])
    validation = run.metrics["validation"]["accuracy"]["value"]
    assert validation == pytest.approx(float(rows[result["epoch"] - 1]["validation_metric"]))
    assert "The learning rate is too high" in " ".join(run.document["diagnosis"])


# ---- the ladder


def climbed(pictures: Path, weights: Path, out: Path, **options: Any) -> Run:
    return house.train(pictures, **{**QUICK, "network": SMALL, "weights": weights, **options}, out=out)


def timeless(run: Run) -> dict[str, Any]:
    """Return the account of a ladder without what its clock said."""
    account = run.document["ladder"]
    rows = [
        {key: value for key, value in row.items() if key not in ("seconds", "predicted")} for row in account["rows"]
    ]
    return {**account, "rows": rows}


@pytest.fixture(scope="module")
def first_ladder(pictures: Path, weights: Callable[[str], Path], out: Path) -> Run:
    return climbed(pictures, weights(SMALL), out)


def test_ladder_accounts_for_every_step(first_ladder: Run) -> None:
    account = first_ladder.document["ladder"]
    rows = account["rows"]
    assert [row["step"] for row in rows] == ["features", "frozen", "finetune"]
    assert account["budget"] == 600 and account["why"]
    assert rows[0]["status"] == "kept" and rows[0]["gain"] is rows[0]["probability"] is None
    splits = [row["split"] for row in table(first_ladder.folder / "splits.csv")]
    best = rows[0]
    for row in rows:
        assert row["status"] in ("kept", "replaced", "not better", "did not fit", "not tried")
        assert row["reason"].endswith(".")
        if row["value"] is not None:
            assert (row["n"], row["out_of_fold"]) == (sum(split != "test" for split in splits), True)
            assert row["seconds"] > 0
        if row["probability"] is not None:
            assert row["gain"] == pytest.approx(row["value"] - best["value"])
            assert (row["status"] == "replaced") == (row["probability"] >= 0.8)
        best = row if row["status"] == "replaced" else best
    assert account["chosen"] == best["step"] == first_ladder.document["recipe"]["recipe"]
    assert account["chosen"] in first_ladder.document["reasons"]["recipe"]


def test_the_same_ladder_makes_the_same_choice(
    first_ladder: Run, pictures: Path, weights: Callable[[str], Path], out: Path
) -> None:
    again = climbed(pictures, weights(SMALL), out)
    assert timeless(again) == timeless(first_ladder)
    assert (again.model_folder / "model.safetensors").read_bytes() == (
        first_ladder.model_folder / "model.safetensors"
    ).read_bytes()


def test_held_out_pictures_have_no_part_in_the_choice(
    first_ladder: Run, pictures: Path, weights: Callable[[str], Path], tmp_path: Path
) -> None:
    """With the given splits of before and other held-out pictures, all that the ladder says is the same."""
    accounts = []
    for place, shift in (("one", 0), ("other", 500)):
        for split, count in (("train", 9), ("test", 3)):
            for kind in ("cross", "disc", "square"):
                folder = tmp_path / place / split / kind
                folder.mkdir(parents=True)
                for number in range(count):
                    drawn = number if split == "train" else 100 + shift + number
                    draw_shape(kind, drawn, 16).save(folder / f"{number}.png")
        accounts.append(timeless(climbed(tmp_path / place, weights(SMALL), tmp_path / "runs")))
    assert accounts[0] == accounts[1]


def test_ladder_prints_its_table(
    pictures: Path, weights: Callable[[str], Path], tmp_path: Path, capsys: Capture
) -> None:
    words = ["train", pictures, "--network", SMALL, "--weights", weights(SMALL), "--image-size", 16, "--budget", "5m"]
    said = lensmith(capsys, *words, "--engine", "torch", "--out", tmp_path, "--name", "one")
    assert said.code == 0, said.err
    account = Run(tmp_path / "one").document["ladder"]
    lines = said.out.splitlines()
    for row in account["rows"]:
        line = next(line for line in lines if line.split()[:1] == [row["step"]])
        assert line.endswith(row["status"])
        if row["value"] is not None:
            assert f"{row['value']:.3f}" in line
        assert row["step"] == "features" or f"{row['step']}: {row['reason']}" in said.err
    assert any(line.strip() == account["why"] for line in lines)
    assert account["budget"] == 300


def test_a_step_that_does_not_fit_is_not_begun(
    pictures: Path, weights: Callable[[str], Path], out: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(trials, "probe", lambda *_: 1000.0)  # seconds an epoch
    monkeypatch.setattr(trials, "probe_views", lambda *_: 1000.0)
    run = climbed(pictures, weights(SMALL), out, budget="30m")
    account = run.document["ladder"]
    assert [row["status"] for row in account["rows"]] == ["kept", "did not fit", "did not fit"]
    assert account["rows"][1]["predicted"] == 10 * 5 * 1000  # ten epochs in each of four folds and once for good
    assert all(row["seconds"] is row["value"] is None for row in account["rows"][1:])
    assert account["chosen"] == "features"
    assert "30 min" in account["why"] and "frozen and finetune" in account["why"]
    assert {row["stage"] for row in table(run.folder / "history.csv")} == {"features"}


def test_a_step_is_cut_to_what_fits(
    pictures: Path, weights: Callable[[str], Path], out: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(trials, "probe_views", lambda *_: 1000.0)
    monkeypatch.setattr(trials, "probe", lambda *_: 20.0)  # seconds an epoch: a hundred with the folds
    run = climbed(pictures, weights(SMALL), out, budget="10m", learning_rate=0.003)
    row = run.document["ladder"]["rows"][2]
    assert row["status"] != "did not fit"
    assert 400 <= row["predicted"] <= 600
    if row["probability"] is not None:
        assert "epochs to fit" in row["reason"]


def test_less_of_the_base_is_adjusted_where_all_of_it_does_not_fit(
    pictures: Path, weights: Callable[[str], Path], out: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("lensmith.training.recipe.DEPTHS", ((10**12, 1.0, 2, 16, 1e-3),))
    probed: list[str] = []

    def probe(asked: Recipe, *_: object) -> float:
        """Return seconds an epoch: all of the base takes too long."""
        probed.append(asked.unfreeze)
        return 1000.0 if asked.unfreeze == "all" else 1.0

    monkeypatch.setattr(trials, "probe", probe)
    monkeypatch.setattr(trials, "probe_views", lambda *_: 1000.0)
    run = climbed(pictures, weights(SMALL), out, budget="10m")
    row = run.document["ladder"]["rows"][2]
    assert row["step"] == "finetune" and row["status"] != "did not fit" and row["predicted"] < 60
    assert len(probed) == 2 and probed[0] == "all" and probed[1] in run.document["reasons"].get("unfreeze", probed[1])
    monkeypatch.setattr(trials, "probe", lambda asked, *_: 1.0)
    whole = climbed(pictures, weights(SMALL), out, budget="10m").document["ladder"]["rows"][2]
    assert whole["predicted"] == row["predicted"]


def test_budget_too_short_for_the_first_step(
    pictures: Path, weights: Callable[[str], Path], tmp_path: Path, capsys: Capture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("LENSMITH_CACHE", str(tmp_path / "cache"))
    words = ["train", pictures, "--network", SMALL, "--weights", weights(SMALL), "--image-size", 16]
    said = lensmith(capsys, *words, "--budget", "0.001s", "--out", tmp_path / "runs")
    refused(said, 2, "budget is 0.001 s", "features", "takes about", "36 pictures", "Try --budget")
    assert not (tmp_path / "runs").exists()


def test_what_came_before_the_pictures_is_not_charged_to_each_of_them(
    pictures: Path, weights: Callable[[str], Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Twelve seconds of loading and converting do not become eighteen because the pictures are two thirds done."""
    monkeypatch.setenv("LENSMITH_CACHE", str(tmp_path / "cache"))
    monkeypatch.setattr("lensmith.verbs.train.Stopwatch", lambda: Stopwatch(started=time.perf_counter() - 12))
    run = climbed(pictures, weights(SMALL), tmp_path, budget="17s")
    assert run.document["ladder"]["rows"][0]["status"] == "kept"


def test_budget_too_short_for_training_from_scratch(
    pictures: Path, tmp_path: Path, capsys: Capture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(trials, "probe", lambda *_: 7.0)  # seconds an epoch
    words = ["train", pictures, "--network", "convnet/4-8", "--weights", "none", "--image-size", 16]
    said = lensmith(capsys, *words, "--budget", "10s", "--out", tmp_path / "runs")
    refused(said, 2, "budget is 10 s", "30 epochs", "Try --budget")
    assert not list((tmp_path / "runs").glob("*"))  # there is nothing to go on with


def test_training_from_scratch_fills_the_budget(
    pictures: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(trials, "probe", lambda *_: 20.0)  # seconds an epoch, of which there is one training
    options = {**QUICK, "network": "convnet/4-8", "weights": "none", "budget": "5m"}
    run = house.train(pictures, **options, out=tmp_path)
    account = run.document["ladder"]
    assert account["chosen"] == "scratch" and len(account["rows"]) == 1
    assert 10 <= run.document["recipe"]["epochs"] <= 15
    assert "epochs fit into the budget" in account["rows"][0]["reason"]


# ---- preprocessing with arrays, through to prediction


def test_whitening_goes_with_the_model(pictures: Path, tmp_path: Path, capsys: Capture) -> None:
    run = house.train(pictures, **SCRATCH, preprocess="whiten", out=tmp_path)
    config = json.loads((run.model_folder / "config.json").read_text())
    tensors = load_file(run.model_folder / "model.safetensors")
    opened = from_dict(config["preprocessing"])
    rows = table(run.folder / "splits.csv")
    pixels = np.stack([to_square(Image.open(pictures / row["path"]), opened) for row in rows])
    train = np.array([place for place, row in enumerate(rows) if row["split"] == "train"])
    preprocessing, inputs = fitted(opened, pixels, train)
    assert config["preprocessing"]["kind"] == run.document["recipe"]["preprocess"] == "whiten"
    assert preprocessing.as_dict() == config["preprocessing"]
    assert {f"input.{name}" for name in inputs} == {name for name in tensors if name.startswith("input.")} != set()
    for name, array in inputs.items():
        assert np.array_equal(tensors[f"input.{name}"], array)
    assert not np.allclose(fitted(opened, pixels, np.arange(len(rows)))[1]["matrix"], inputs["matrix"], atol=1e-6)
    assert json.loads(json.dumps(house.evaluate(run, quiet=True).metrics)) == run.metrics["test"]
    predicted = table(run.folder / "predictions.csv")
    said = lensmith(capsys, "predict", run.folder, *(pictures / row["path"] for row in predicted), "--json")
    for row, entry in zip(predicted, json.loads(said.out), strict=True):
        assert entry["probabilities"] == pytest.approx(
            {n: float(row[f"p:{n}"]) for n in entry["probabilities"]}, abs=2e-6
        )
    shutil.copytree(run.folder, tmp_path / "plain")
    without = {**config, "preprocessing": {**config["preprocessing"], "kind": "standardise"}}
    (tmp_path / "plain" / "model" / "config.json").write_text(json.dumps(without))
    refused(lensmith(capsys, "predict", tmp_path / "plain", pictures), 1, "input.")
