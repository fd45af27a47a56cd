"""The example pictures of a report: chosen by the task, told in its words, lit where they spoke for the answer."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from lensmith.data.preprocess import Preprocessing
from lensmith.engines.choose import Chosen
from lensmith.engines.head import Head, pool_map
from lensmith.engines.interface import Output, batches
from lensmith.model import Model
from lensmith.reports.examples import _without_map, write_examples
from lensmith.run import Run
from lensmith.tasks.classification import Classification
from lensmith.tasks.interface import Task
from lensmith.tasks.multilabel import Multilabel
from lensmith.tasks.regression import Regression
from lensmith.zoo.base import Base

REDS = (4, 8, 12, 20, 24, 28)  # columns of 32 that are red; the rest are blue


class Colours:
    """An engine whose map is the mean red, green and blue of 4 x 4 pixels, 0 to 1."""

    name, precision, device = "colours", "float32", "cpu"

    def run(self, pictures: Iterable[np.ndarray], *, maps: bool = False) -> Iterator[Output]:
        for block in batches(pictures, 4):
            cells = block.reshape(-1, 8, 4, 8, 4, 3).mean((2, 4)).astype(np.float32) / 255
            found = np.ascontiguousarray(cells.transpose(0, 3, 1, 2))
            yield Output(pool_map(found, "mean"), found if maps else None)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    for red in REDS:
        pixels = np.zeros((32, 32, 3), np.uint8)
        pixels[:, :red, 0] = pixels[:, red:, 2] = 255
        Image.fromarray(pixels).save(tmp_path / f"{red}.png")
    return tmp_path


def written(folder: Path, task: Task, weights: np.ndarray, targets: np.ndarray) -> tuple[Run, list[dict[str, object]]]:
    """Write the examples of a model that looks at colours; `weights` (3, outputs) are those of its head."""
    base = Base("colours", "", "mean", Preprocessing(32, (0, 0, 0), (1, 1, 1)), {})
    head = Head((weights.astype(np.float32),), (np.zeros(weights.shape[1], np.float32),))
    model = Model(task, base, head, Chosen(Colours(), ""), "")
    paths = [f"{red}.png" for red in REDS]
    pictures = [np.asarray(Image.open(folder / path)) for path in paths]
    answers = np.concatenate([answer.answers for answer in model.ask(pictures)])
    run = Run(folder / "run")
    write_examples(run, model, model.base.preprocessing, folder, paths, targets, answers)
    return run, json.loads((run.folder / "figures" / "pictures.json").read_text(encoding="utf-8"))


def lit(run: Run, entry: dict[str, object]) -> tuple[float, float]:
    """Return how blue the map is in its outermost left and right columns; where nothing spoke the picture is grey."""
    pixels = np.asarray(Image.open(run.folder / str(entry["map"])), float)
    colour = pixels[:, :, 2] - pixels[:, :, 0]
    return float(colour[:, :20].mean()), float(colour[:, -20:].mean())


@pytest.mark.parametrize("output", ["softmax", "sigmoid"])
def test_map_lights_what_spoke_for_the_answer(folder: Path, output: str) -> None:
    """Of two classes by one sigmoid, the first is spoken for by what makes the output smaller."""
    weights = np.array([[9.0], [0], [-9]]) if output == "sigmoid" else np.array([[0.0, 9], [0, 0], [9, 0]])
    task = Classification(("blue", "red"), output=output)
    run, entries = written(folder, task, weights, np.array([0, 1, 0, 1, 1, 1]))
    assert [entry["path"] for entry in entries if entry["kind"] == "mistake"] == ["8.png"]
    for entry in entries:
        left, right = lit(run, entry)
        assert (left > 5 * right) if entry["predicted"] == "red" else (right > 5 * left), entry
        assert entry["right"] is (entry["target"] == entry["predicted"])
        assert isinstance(entry["confidence"], float) and entry["confidence"] > 0.5


def test_labels_are_told_in_words(folder: Path) -> None:
    task = Multilabel(("blue", "red"), (0.9, 0.9))
    weights = np.array([[0.0, 9], [0, 0], [9, 0]])
    _, entries = written(folder, task, weights, np.array([[1, 1], [1, 0], [1, 1], [1, 1], [0, 1], [0, 0]], np.uint8))
    told = {entry["path"]: (entry["target"], entry["predicted"], entry["right"]) for entry in entries}
    assert told["4.png"] == ("blue;red", "blue", False) and told["28.png"] == ("", "red", False)
    assert told["8.png"] == ("blue", "blue;red", False) and told["12.png"] == ("blue;red", "blue;red", True)
    assert {entry["confidence"] for entry in entries} == {None}


def test_numbers_show_the_largest_errors_and_what_makes_them_larger(folder: Path) -> None:
    """The number is the share of red in per cent; two targets are wrong."""
    targets = np.array([12.5, 25, 99, 62.5, 0, 87.5], np.float32)
    run, entries = written(folder, Regression("red"), np.array([[100.0], [0], [0]]), targets)
    assert [entry["path"] for entry in entries if entry["kind"] == "mistake"] == ["24.png", "12.png"]
    first = entries[0]
    assert (first["target"], first["predicted"], first["right"], first["confidence"]) == ("0.0", "75.0", False, None)
    left, right = lit(run, first)
    assert left > 5 * right


def test_a_picture_without_a_map_says_why(folder: Path) -> None:
    """The number is made smaller by red alone, so that no place spoke for it."""
    targets = np.array([12.5, 25, 99, 62.5, 0, 87.5], np.float32)
    _, entries = written(folder, Regression("red"), np.array([[-100.0], [0], [0]]), targets)
    assert {(entry["map"], entry["without_map"]) for entry in entries} == {(None, "no place spoke for it")}
    assert not list((folder / "run" / "figures").glob("*-map.jpg"))
    heats = (None, np.zeros((4, 4)), np.full((2, 2), np.nan), np.ones((1, 1)), np.eye(2))
    said = ["no map", "no place spoke for it", "no map", "one place only", ""]
    assert [_without_map(heat) for heat in heats] == said


def test_picture_that_is_gone_is_left_out(folder: Path) -> None:
    weights = np.array([[0.0, 9], [0, 0], [9, 0]])
    task = Classification(("blue", "red"))
    answers = task.answers(np.tile(np.array([[0.0, 1.0]], np.float32), (2, 1)))
    base = Base("colours", "", "mean", Preprocessing(32, (0, 0, 0), (1, 1, 1)), {})
    head = Head((weights.astype(np.float32),), (np.zeros(2, np.float32),))
    model, run = Model(task, base, head, Chosen(Colours(), ""), ""), Run(folder / "run")
    write_examples(run, model, model.base.preprocessing, folder, ["gone.png", "28.png"], np.array([1, 1]), answers)
    entries = json.loads((run.folder / "figures" / "pictures.json").read_text(encoding="utf-8"))
    assert [entry["path"] for entry in entries] == ["28.png"]
