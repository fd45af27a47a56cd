"""`lensmith report --deep`: which pictures are looked at, what is written, and what the page makes of odd files."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

import lensmith
from lensmith.errors import UsageError
from lensmith.reports import write_report
from lensmith.run import Run
from lensmith.verbs.deep import WAYS, _chosen
from sample_run import HOSTILE, write_sample


@pytest.fixture(scope="module")
def run(shapes: Path, tmp_path_factory: pytest.TempPathFactory) -> Run:
    out = tmp_path_factory.mktemp("deep")
    return lensmith.train(
        shapes, network="convnet/8-16", recipe="scratch", epochs=3, image_size=32, out=out, name="small", quiet=True
    )


def test_best_worst_and_typical_are_chosen_once() -> None:
    worth = np.array([0.9, 0.1, 0.5, 0.95, 0.2, 0.55])
    kinds: dict[str, list[int]] = {}
    for kind, place in _chosen(worth):
        kinds.setdefault(kind, []).append(place)
    assert kinds == {"worst": [1, 4], "best": [3, 0], "typical": [2, 5]}
    assert [kind for kind, _ in _chosen(np.array([0.3]))] == ["worst"]


def test_a_run_is_looked_at_in_every_way(run: Run) -> None:
    page = lensmith.report(run, deep=True)
    told = json.loads((run.folder / "figures" / "deep.json").read_text(encoding="utf-8"))
    assert not told["left"]
    assert {entry["kind"] for entry in told["pictures"]} == {"best", "worst", "typical"}
    held_out = {row["path"] for row in run.read_table("predictions.csv")}
    for entry in told["pictures"]:
        assert entry["path"] in held_out
        assert [way["way"] for way in entry["ways"]] == list(WAYS)
        for way in entry["ways"]:
            assert way["verdict"] in ("the model", "not the model", "empty")
            assert (way["map"] is None) == (way["verdict"] == "empty")
            if way["map"]:
                with Image.open(run.folder / way["map"]) as drawn:
                    assert drawn.size == (320, 320)
    text = page.read_text(encoding="utf-8")
    assert "A closer look" in text
    passed = sum(way["passed"] for entry in told["pictures"] for way in entry["ways"])
    assert f"{passed} of {len(told['pictures']) * len(WAYS)} passed" in text


def test_rows_have_no_pictures_to_explain(tmp_path: Path) -> None:
    folder = write_sample(tmp_path / "run", pictures=0)
    document = json.loads((folder / "run.json").read_text(encoding="utf-8"))
    (folder / "run.json").write_text(json.dumps({**document, "example": "row"}), encoding="utf-8")
    with pytest.raises(UsageError, match="trained on rows"):
        lensmith.report(folder, deep=True)


@pytest.mark.parametrize("odd", [[], {"pictures": 7}, {"pictures": [3, {}, {"picture": "../../x.jpg"}]}, {"left": [1]}])
def test_no_odd_file_breaks_the_page(tmp_path: Path, odd: object) -> None:
    folder = write_sample(tmp_path / "run", pictures=0)
    (folder / "figures").mkdir(exist_ok=True)
    (folder / "figures" / "deep.json").write_text(json.dumps(odd), encoding="utf-8")
    assert "A closer look" not in write_report(folder).read_text(encoding="utf-8")


def test_what_a_file_says_is_text_in_the_page(tmp_path: Path) -> None:
    folder = write_sample(tmp_path / "run", pictures=0)
    (folder / "figures").mkdir(exist_ok=True)
    Image.new("RGB", (8, 8)).save(folder / "figures" / "deep-1.jpg")
    entry = {"kind": "best", "picture": "figures/deep-1.jpg", "target": "a", "predicted": "b"}
    entries = [
        {
            **entry,
            "path": text,
            "target": text,
            "ways": [{"way": text, "what": text, "verdict": text, "sentence": text}],
        }
        for text in HOSTILE
    ]
    (folder / "figures" / "deep.json").write_text(json.dumps({"pictures": entries, "left": {"x": HOSTILE[0]}}), "utf-8")
    page = write_report(folder).read_text(encoding="utf-8")
    part = page[page.index('id="deep"') :]
    assert "<script>" not in part and "<img src=x" not in part and "<b>bold" not in part
