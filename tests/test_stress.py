"""Disturbances against hand numbers, and the answers of networks as they grow."""

from __future__ import annotations

import json
import re
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

import lensmith
from lensmith.data.preprocess import Preprocessing, read_square, to_square
from lensmith.errors import DataError, RunError, UsageError
from lensmith.reports import steadiness
from lensmith.reports.levels import Steps, figure, scale
from lensmith.run import Run
from lensmith.seeing.disturbances import DISTURBANCES, Series, disturbed, middle, series, with_margin
from lensmith.seeing.evenly import evenly
from lensmith.tasks.classification import Classification
from lensmith.tasks.multilabel import Multilabel
from lensmith.tasks.regression import Regression
from lensmith.verbs.disturbing import still
from running import lensmith as front_door

SIDE = 32


def photograph(side: int = 48, seed: int = 0) -> np.ndarray:
    """Smooth shapes with an edge, (side, side, 3) uint8."""
    y, x = np.mgrid[0:side, 0:side] / side
    values = np.stack([120 + 80 * np.sin(7 * x + seed), 90 + 60 * np.cos(5 * y), 200 * (x + y > 1)], 2)
    return np.clip(values, 0, 255).astype(np.uint8)


def at(name: str, amount: float, wide: np.ndarray, side: int = SIDE, place: str = "a") -> np.ndarray:
    (found,) = disturbed(wide, side, Series(DISTURBANCES[name], (amount,)), (0, place))
    assert found.shape == (side, side, 3) and found.dtype == np.uint8
    return found


# What each does.


@pytest.mark.parametrize("name", ["noise", "blur", "brightness", "shift", "rotation", "larger", "smaller"])
def test_no_amount_is_no_change(name: str) -> None:
    wide = photograph()
    nothing = {"larger": 1.0, "smaller": 1.0}.get(name, 0.0)
    np.testing.assert_array_equal(at(name, nothing, wide), middle(wide, SIDE))


def test_noise_has_the_standard_deviation_asked_for() -> None:
    grey = np.full((100, 100, 3), 128, np.uint8)
    for amount in (5, 20):
        noise = at("noise", amount, grey, 100).astype(float) - 128
        assert noise.std() == pytest.approx(amount, rel=0.03)
        assert abs(noise.mean()) < amount / 30
    small, large = (at("noise", amount, grey, 100).astype(float) - 128 for amount in (10, 20))
    assert np.corrcoef(small.ravel(), large.ravel())[0, 1] > 0.99  # one draw, at every level


def test_blur_is_a_gaussian_of_that_standard_deviation() -> None:
    """Against a Gaussian by hand, far from the border: three boxes of the same variance come close."""
    wide = photograph(64)
    for amount in (1.0, 2.0, 3.0):
        offsets = np.arange(-20, 21)
        kernel = np.exp(-(offsets**2) / (2 * amount**2))
        kernel /= kernel.sum()
        padded = np.pad(wide.astype(float), ((20, 20), (20, 20), (0, 0)), "edge")
        rows = sum(weight * padded[place : place + 64] for place, weight in enumerate(kernel))
        exact = sum(weight * rows[:, place : place + 64] for place, weight in enumerate(kernel))
        assert np.abs(at("blur", amount, wide) - middle(exact, SIDE)).max() < 5
        point = np.zeros((41, 41, 3), np.uint8)
        point[20, 20] = 255
        point[19:22, 19:22] = 255
        spread_out = at("blur", amount, point, 41)[:, :, 0].astype(float)
        y = np.arange(41) - 20
        assert (spread_out.sum(1) * y**2).sum() / spread_out.sum() == pytest.approx(amount**2 + 2 / 3, rel=0.15)


def test_brightness_is_added_and_stays_a_picture() -> None:
    wide = np.full((8, 8, 3), 100, np.uint8)
    assert (at("brightness", 25, wide, 8) == 125).all()
    assert (at("brightness", 200, wide, 8) == 255).all() and (at("brightness", -101, wide, 8) == 0).all()


def test_jpeg_is_what_pillow_writes(tmp_path: Path) -> None:
    wide = photograph()
    Image.fromarray(middle(wide, SIDE)).save(tmp_path / "a.jpg", quality=25)
    np.testing.assert_array_equal(at("jpeg", 25, wide), np.asarray(Image.open(tmp_path / "a.jpg")))


def test_a_shift_shows_the_margin_and_then_a_mirror() -> None:
    wide = photograph(48)  # a margin of 8
    seen = set()
    for place in "abcdefghijkl":
        found = at("shift", 6, wide, SIDE, place)
        same = [
            move
            for move in ((6, 0), (-6, 0), (0, 6), (0, -6))
            if (found == wide[8 - move[1] : 40 - move[1], 8 - move[0] : 40 - move[0]]).all()
        ]
        assert len(same) == 1  # the photograph itself, moved one way
        seen |= set(same)
        far = at("shift", 20, wide, SIDE, place)  # the same way, beyond the margin
        across, down = (20 * part // 6 for part in same[0])
        mirrored = np.pad(wide, ((12, 12), (12, 12), (0, 0)), "symmetric")
        np.testing.assert_array_equal(far, mirrored[20 - down : 52 - down, 20 - across : 52 - across])
    assert len(seen) > 2


def test_rotation_turns_about_the_middle_by_degrees() -> None:
    wide = photograph(48)
    quarter = at("rotation", 90, wide)
    expected = [np.rot90(middle(wide, SIDE), turn) for turn in (1, -1)]
    assert min(np.abs(quarter.astype(int) - one).max() for one in expected) <= 1
    half = at("rotation", 180, wide).astype(int)
    assert np.abs(half - middle(wide, SIDE)[::-1, ::-1]).max() <= 1
    y, x = np.mgrid[0:96, 0:96] - 47.5
    line = np.repeat(np.where((np.abs(y) < 2), 255, 0)[:, :, None], 3, 2).astype(np.uint8)
    turned = at("rotation", 30, line, 64)[:, :, 0].astype(float)
    y, x = np.mgrid[0:64, 0:64] - 31.5
    inside = turned * (np.hypot(x, y) < 25)
    angle = np.rad2deg(0.5 * np.arctan2(2 * (inside * x * y).sum(), (inside * (x**2 - y**2)).sum()))
    assert abs(angle) == pytest.approx(30, abs=0.5)
    assert {np.sign(_angle(at("rotation", 30, line, 64, place))) for place in "abcdefgh"} == {-1.0, 1.0}


def _angle(picture: np.ndarray) -> float:
    y, x = np.mgrid[0 : len(picture), 0 : len(picture)] - (len(picture) - 1) / 2
    inside = picture[:, :, 0] * (np.hypot(x, y) < 0.4 * len(picture))
    return float((inside * x * y).sum())


@pytest.mark.parametrize(("name", "amount", "expected"), [("larger", 1.5, 18.0), ("smaller", 1.5, 8.0)])
def test_a_disc_grows_and_shrinks_by_the_factor(name: str, amount: float, expected: float) -> None:
    y, x = np.mgrid[0:96, 0:96] - 47.5
    disc = np.repeat(np.where(np.hypot(x, y) < 12, 255, 0)[:, :, None], 3, 2).astype(np.uint8)
    found = at(name, amount, disc, 64)[:, :, 0].astype(float) / 255
    y, x = np.mgrid[0:64, 0:64] - 31.5
    assert np.sqrt(found.sum() / np.pi) == pytest.approx(expected, rel=0.02)
    assert abs((found * x).sum() / found.sum()) < 0.1 and abs((found * y).sum() / found.sum()) < 0.1


def test_levels_grow_and_are_the_same_whenever_they_are_asked_for() -> None:
    wide = photograph(256 + 32, 3)
    for one in series(None, 256):
        clean = middle(wide, 256).astype(float)
        found = [square.astype(float) for square in disturbed(wide, 256, one, (0, "a"))]
        apart = [np.sqrt(((square - clean) ** 2).mean()) for square in found]
        assert len(apart) == 5 and apart[0] > 0, one.disturbance.name
        if one.disturbance.name not in ("shift", "rotation", "larger", "smaller"):  # these may come upon the like
            assert apart == sorted(apart), one.disturbance.name
        again = list(disturbed(wide, 256, one, (0, "a")))
        assert all((square == other).all() for square, other in zip(found, again, strict=True))


def test_levels_are_shares_of_the_side() -> None:
    blur, shift = DISTURBANCES["blur"], DISTURBANCES["shift"]
    assert blur.levels(224) == (1, 2, 3, 4, 6) and blur.levels(112) == (0.5, 1, 1.5, 2, 3)
    assert blur.levels(32) == (0.5, 0.75, 1, 1.5, 2), "the share of 32 pixels, 0.14 to 0.86, would be no blur"
    assert shift.levels(224) == (4, 8, 16, 24, 36) and shift.levels(32) == (1, 2, 3, 4, 5)
    assert DISTURBANCES["rotation"].levels(32) == (5, 10, 15, 30, 45)
    assert [blur.words(amount) for amount in (2.0, 1.0)] == ["a blur of 2 pixels", "a blur of 1 pixel"]
    assert DISTURBANCES["noise"].words(1) == "noise of 1 grey level"


@pytest.mark.parametrize("resize", ["crop", "pad", "squash"])
@pytest.mark.parametrize(("side", "crop"), [(224, 0.875), (224, 0.95), (100, 0.9), (32, 1.0), (64, 0.5)])
def test_the_middle_of_the_wide_picture_is_what_the_network_sees(side: int, crop: float, resize: str) -> None:
    geometry = Preprocessing(side, (0, 0, 0), (1, 1, 1), crop=crop, resize=resize)  # type: ignore[arg-type]
    wide = with_margin(geometry)
    picture = Image.fromarray(photograph(500, 1)[:400])
    square, around = to_square(picture, geometry), to_square(picture, wide)
    assert np.abs(square.astype(int) - middle(around, side)).max() <= 3  # rounding, where 1 / crop is no round number
    assert len(around) == side + 2 * int((side / crop - side) / 2 + 1e-6) * (resize == "crop")


def test_the_usual_crop_is_exact(data: Path) -> None:
    geometry = Preprocessing(224, (0, 0, 0), (1, 1, 1), crop=0.875)
    for path in sorted((data / "photos").glob("*.jpg"))[:5]:
        square, wide = (read_square(path.read_bytes(), one)[0] for one in (geometry, with_margin(geometry)))
        np.testing.assert_array_equal(square, middle(wide, 224))


# What is asked for.


def test_levels_are_read() -> None:
    found = series("blur rotation=15,30", 224)
    assert [(one.disturbance.name, one.amounts) for one in found] == [
        ("blur", (1, 2, 3, 4, 6)),
        ("rotation", (15, 30)),
    ]
    assert [one.disturbance.name for one in series(None, 224)] == list(DISTURBANCES)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("blurr", "levels names 'blurr'; there are noise, blur"),
        ("blurr", "Nearest: blur"),
        ("rotation=far", "amounts are numbers. Try rotation=5,10,15,30,45."),
        ("larger=0.5", "levels has larger=0.5; larger is counted in times, from 1 to 16"),
        ("jpeg=96", "from 1 to 95"),
        ("shift=1.5", "shift takes whole pixels"),
        ("noise=nan", "from 0 to 255"),
        (" ", "levels names nothing to try"),
    ],
)
def test_wrong_levels(text: str, message: str) -> None:
    with pytest.raises(UsageError, match=re.escape(message)):
        series(text, 224)


def test_positions_are_spread() -> None:
    assert evenly(10, 3) == [0, 4, 9] and evenly(3, 10) == [0, 1, 2] and evenly(0, 3) == []


def test_what_stays_the_same() -> None:
    classes = Classification(("a", "b"), threshold=0.8)
    before, after = np.array([[0.3, 0.7], [0.1, 0.9]]), np.array([[0.6, 0.4], [0.4, 0.6]])
    assert still(classes, before, after).tolist() == [1, 0]
    labels = Multilabel(("a", "b"))
    assert still(labels, np.array([[0.9, 0.1], [0.9, 0.9]]), np.array([[0.6, 0.2], [0.9, 0.1]])).tolist() == [1, 0]
    assert still(Regression(), np.array([1.0, 5.0]), np.array([1.5, 2.0])).tolist() == [0.5, 3.0]


# The sentences and the figure.


def found_with(metric: str, task: str, clean: float, values: dict[str, list[float]]) -> dict[str, object]:
    def interval(value: float) -> dict[str, object]:
        return {"value": value, "low": value, "high": value, "n": 9}

    curves = [
        {
            "name": name,
            "levels": [
                {
                    "amount": place,
                    "words": f"{name} of {place}",
                    "score": interval(value) if metric else None,
                    "same": interval(value),
                }
                for place, value in enumerate(those, 1)
            ],
        }
        for name, those in values.items()
    ]
    said: dict[str, object] = {
        "metric": metric,
        "pictures": 100,
        "task": task,
        "clean": interval(clean) if metric else None,
        "curves": curves,
        "fgsm": None,
        "notes": [],
    }
    return said | {"summary": steadiness.summary(said)}


def test_the_costliest_is_named_first() -> None:
    shares = {"blur": [0.9, 0.8, 0.4], "shift": [0.9, 0.9, 0.9], "noise": [0.9, 0.87, 0.6]}
    found = found_with("accuracy", "classification", 0.9, shares)
    assert steadiness.sentences(found)[:2] == [
        "Blur of 2 costs 10 points, shift of 2 less than half a point",
        "In between, each at the middle one of its levels: noise of 2, 3 points.",
    ]
    seen = found["summary"]
    assert [part["name"] for part in seen["disturbances"]] == ["blur", "noise", "shift"]  # type: ignore[index]
    assert seen["disturbances"][0]["cost"] == pytest.approx(0.2)  # type: ignore[index]
    assert seen["mean"] == pytest.approx(np.mean([0.7, 0.9, 0.79]))  # type: ignore[index]


def test_a_larger_error_is_worse_and_answers_may_only_move() -> None:
    found = found_with("mae", "regression", 2.0, {"blur": [2.5, 3.5], "shift": [2.0, 2.1]})
    assert steadiness.sentences(found)[0] == "Blur of 2 costs 1.50, shift of 2 0.100"
    unlabelled = found_with("", "regression", 0.0, {"blur": [0.5, 1.5]})
    assert steadiness.sentences(unlabelled)[0] == "Blur of 2 moves the answer by 1.50"
    same = found_with("", "classification", 1.0, {"blur": [0.9, 0.75], "shift": [1.0, 1.0]})
    assert steadiness.sentences(same)[0].startswith("Blur of 2 turns 25")
    steady = found_with("accuracy", "classification", 0.9, {"blur": [0.9, 0.9]})
    assert steadiness.sentences(steady)[0] == "Nothing that was tried changes much"


def test_the_figure_stands_over_its_columns() -> None:
    axis = scale([0.5, 1.0], True)
    line = Steps("Accuracy", "main", [1.0, None, 0.5], [0.9, None, 0.4], [1.0, None, 0.6], told=True)
    drawn = str(figure("a", "A <title>", ["clean", "1", "2"], [line], axis, True))
    middles = [float(x) for x in re.findall(r'<circle[^>]* cx="([\d.]+)"', drawn)]
    assert middles == [45 + 555 / 6, 45 + 5 * 555 / 6]
    assert "A &lt;title&gt;" in drawn and ">100</text>" in drawn and ">50</text>" in drawn and "clean 100" in drawn


# The verb.


@pytest.fixture(scope="module")
def run(shapes: Path, tmp_path_factory: pytest.TempPathFactory) -> Run:
    return lensmith.train(
        shapes,
        network="convnet/8-16",
        recipe="scratch",
        epochs=16,
        image_size=16,
        learning_rate=0.01,
        augment="none",
        out=tmp_path_factory.mktemp("runs"),
        name="shapes",
        quiet=True,
    )


def test_the_held_out_split_is_stressed(run: Run, capsys: pytest.CaptureFixture[str]) -> None:
    words = ("stress", run.folder, "--levels", "noise=0,60 shift=1,4", "--attack", 6, "--json", "--quiet")
    said = front_door(capsys, *words)
    assert said.code == 0 and said.err == ""
    found = json.loads(said.out)
    held_out = lensmith.evaluate(run, quiet=True)
    assert found["split"] == "test" and found["metric"] == "accuracy" and found["pictures"] == len(held_out.paths)
    assert found["clean"] == held_out.metrics["accuracy"]
    noise, shift = found["curves"]
    assert noise["levels"][0]["score"] == found["clean"] and noise["levels"][0]["same"]["value"] == 1  # noise of 0
    assert noise["levels"][1]["same"]["value"] < 1
    assert [level["amount"] for level in shift["levels"]] == [1, 4] and shift["unit"] == "pixels"
    assert found["fgsm"]["pictures"] == 6 and len(found["fgsm"]["same"]) == 5
    assert found["fgsm"]["same"][-1]["value"] <= found["fgsm"]["noise"][-1]["value"]
    again = lensmith.stress(run, levels="noise=0,60 shift=1,4", attack=6, quiet=True)
    assert again.as_dict() == found
    folder = run.folder / "stressed"
    assert again.page == folder / "page.html" and json.loads((folder / "stress.json").read_text()) == found
    with Image.open(folder / "levels.png") as sheet:
        assert sheet.size == (3 * (7 * 16 + 6) - 6, 2 * (7 * 16 + 6) - 6)
    page = again.page.read_text(encoding="utf-8")
    assert page.count("<article") == 2 and page.count("<img") == 6
    assert not re.findall(r"(?:src|href)=\"(?!data:)", page) and "<script" not in page


def test_a_labelled_folder_and_one_without_labels(run: Run, shapes: Path, tmp_path: Path) -> None:
    asked = {"levels": "noise=30", "attack": 0, "most": 12, "quiet": True}
    labelled = lensmith.stress(run, shapes, save=tmp_path / "a", **asked)  # type: ignore[arg-type]
    assert labelled.metric == "accuracy" and labelled.pictures == 12 and labelled.fgsm is None
    assert any("12 of 90 pictures were used" in note for note in labelled.notes)
    assert any("were used in training, so the scores flatter" in note for note in labelled.notes)
    flat = tmp_path / "flat"
    flat.mkdir()
    for number in range(12):
        (flat / f"{number}.png").write_bytes((shapes / "disc" / f"{number:03d}.png").read_bytes())
    (flat / "notes.png").write_text("nothing", encoding="utf-8")
    unlabelled = lensmith.stress(run, flat, save=tmp_path / "b", **{**asked, "most": 100})  # type: ignore[arg-type]
    assert unlabelled.metric == "" and unlabelled.clean is None and unlabelled.pictures == 12
    assert [Path(path).name for path, _ in unlabelled.unreadable] == ["notes.png"]
    assert any("No folder is named after a class" in note for note in unlabelled.notes)
    level = unlabelled.curves[0].levels[0]
    assert level.score is None and 0 <= level.same["value"] <= 1


def test_a_network_by_name_and_unreadable_pictures_among_good_ones(
    shapes: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "a.png").write_bytes((shapes / "disc" / "000.png").read_bytes())
    (tmp_path / "mine" / "b.png").write_text("nothing", encoding="utf-8")
    options = ("--weights", "none", "--image-size", 64, "--levels", "blur=1,2", "--attack", 1, "--quiet")
    said = front_door(capsys, "stress", "squeezenet1_1", "mine", *options)
    assert said.code == 1 and "b.png cannot be read: not a picture" in said.out
    assert "share of answers that stay" in said.out and (tmp_path / "stressed" / "page.html").is_file()


def test_numbers_and_labels_are_stressed(shapes: Path, tmp_path: Path) -> None:
    header = {"age": "path,age", "labels": "path,labels"}
    rows = {
        "age": [f"{shapes}/disc/{number:03d}.png,{number / 10}" for number in range(24)],
        "labels": [
            f"{shapes}/{kind}/{number:03d}.png,{kind};shape" for kind in ("disc", "cross") for number in range(20)
        ],
    }
    for name, metric in (("age", "mae"), ("labels", "map")):
        table = tmp_path / f"{name}.csv"
        table.write_text("\n".join([header[name], *rows[name]]), encoding="utf-8")
        model = lensmith.train(
            table, network="convnet/4", recipe="scratch", epochs=2, image_size=16, out=tmp_path, name=name, quiet=True
        )
        found = lensmith.stress(model, levels="noise=40 blur=2", attack=4, quiet=True)
        assert found.metric == metric and found.clean == lensmith.evaluate(model, quiet=True).metrics[metric]
        assert found.page.is_file() and found.fgsm is not None
        assert len(steadiness.sentences(found.as_dict())) >= 3


def test_wrong_places(run: Run, shapes: Path, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="is no run and has no held-out pictures"):
        lensmith.stress("squeezenet1_1", weights="none", quiet=True)
    (tmp_path / "empty").mkdir()
    with pytest.raises(DataError, match="there are no pictures in"):
        lensmith.stress(run, tmp_path / "empty", quiet=True)
    with pytest.raises(DataError, match="no file or folder"):
        lensmith.stress(run, tmp_path / "nowhere", quiet=True)
    (tmp_path / "bad").mkdir()
    (tmp_path / "bad" / "a.png").write_text("nothing", encoding="utf-8")
    with pytest.raises(DataError, match=r"none of the 1 pictures can be read; the first is .*a\.png: not a picture"):
        lensmith.stress(run, tmp_path / "bad", quiet=True)
    with pytest.raises(UsageError, match="attack is -1"):
        lensmith.stress(run, attack=-1, quiet=True)
    with pytest.raises(RunError, match="no run at"):
        lensmith.stress(tmp_path / "empty", shapes, quiet=True)
    table = tmp_path / "rows.csv"
    table.write_text("a,y\n" + "\n".join(f"{number},{number % 2}" for number in range(40)), encoding="utf-8")
    rows = lensmith.train(table, target="y", out=tmp_path / "runs", name="rows", epochs=1, quiet=True)
    with pytest.raises(UsageError, match="was trained on rows"):
        lensmith.stress(rows, quiet=True)
    with pytest.raises(DataError):
        lensmith.stress(run, table, quiet=True)
