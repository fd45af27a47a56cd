"""`lensmith explain`: what it writes, prints and refuses."""

from __future__ import annotations

import json
import re
import shutil
import weakref
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from torch import Tensor, nn

import lensmith
from lensmith.errors import DataError, UsageError
from lensmith.files import OURS
from lensmith.reports import explaining
from lensmith.seeing.explanation import Explanation
from lensmith.seeing.grading import Examined
from lensmith.seeing.methods import Settings
from lensmith.seeing.overlay import AGAINST, CROWD, FOR, classes_over, colours, full_scale, painted, softened
from lensmith.verbs.explaining import Question, answers, table
from lensmith.verbs.folders import stems
from running import leftovers, refused
from running import lensmith as front_door

Capture = pytest.CaptureFixture[str]


@pytest.fixture(scope="module")
def trained(shapes: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run from scratch, small enough to be trained here."""
    out = tmp_path_factory.mktemp("runs")
    run = lensmith.train(
        shapes, recipe="scratch", network="convnet/8-16/16", image_size=32, epochs=2, out=out, name="small", quiet=True
    )
    return run.folder


@pytest.fixture
def pictures(shapes: Path, tmp_path: Path) -> Path:
    folder = tmp_path / "in"
    (folder / "deeper").mkdir(parents=True)
    shutil.copy(shapes / "disc" / "000.png", folder / "a.png")
    shutil.copy(shapes / "cross" / "000.png", folder / "deeper" / "a.png")
    return folder


def made(values: np.ndarray, **others: object) -> Explanation:
    square = np.random.default_rng(0).integers(0, 256, (32, 32, 3), np.uint8)
    first = ("a.png", "<b>disc</b>", 1, 2.5, 0.75, "grad-cam", "plain", "relu")
    return Explanation(square, *first, values, "score", "how it was made", 0.1, **others)  # type: ignore[arg-type]


# The whole way.


def test_it_writes_a_page_sheets_and_arrays(trained: Path, pictures: Path, tmp_path: Path, capsys: Capture) -> None:
    save = tmp_path / "why"
    said = front_door(capsys, "explain", trained, pictures, "--method", "grad-cam", "--save", save)
    assert said.code == 0, said.err
    assert sorted(path.name for path in save.iterdir()) == [
        OURS,
        "a-2.npz",
        "a-2.png",
        "a.npz",
        "a.png",
        "explanations.json",
        "page.html",
    ]
    assert not leftovers(save)
    assert f"page  {save / 'page.html'}" in said.out and re.search(r"a\.png +(disc|cross|square) +\d", said.out)
    with np.load(save / "a.npz", allow_pickle=False) as kept:
        assert kept["picture"].shape == (32, 32, 3) and kept["map"].ndim == 2
        assert str(kept["method"]) == "grad-cam" and str(kept["target"]) in ("disc", "cross", "square")
    with Image.open(save / "a.png") as sheet:
        assert sheet.width > 2 * explaining.SIDE
    page = (save / "page.html").read_text("utf-8")
    assert page.count('<img src="data:image/jpeg') == 4 and "http" not in page.replace("http-equiv", "")
    kept = json.loads((save / "explanations.json").read_text("utf-8"))
    assert [one["grade"]["verdict"] in ("the model", "not the model", "empty") for one in kept["explanations"]] == [
        True,
        True,
    ]
    assert set(kept["explanations"][0]["grade"]) >= {"likeness", "deletion", "insertion", "gone", "alike", "sentence"}


def test_the_function_returns_what_was_found(trained: Path, pictures: Path, tmp_path: Path) -> None:
    found = lensmith.explain(trained, pictures, method="occlusion", target="disc", save=tmp_path / "why", grade=False)
    assert [one.target for one in found] == ["disc", "disc"] and found[0].grade is None
    assert found[0].map.shape == (32, 32) and found.page == tmp_path / "why" / "page.html"
    assert found[0].path.endswith("a.png") and len(table(found)) == 3
    by_default = lensmith.explain(trained, pictures / "a.png", method="saliency", grade=False)
    assert by_default.page == trained / "explained" / "page.html"


def test_auto_chooses_and_says_why(trained: Path, pictures: Path, tmp_path: Path) -> None:
    (found,) = lensmith.explain(trained, pictures / "a.png", save=tmp_path / "why")
    assert found.method in ("grad-cam", "occlusion", "integrated") and "(auto: " in found.how
    assert found.grade is not None and found.grade.sentence


def test_the_same_again_gives_the_same(trained: Path, pictures: Path, tmp_path: Path) -> None:
    one, other = (
        lensmith.explain(trained, pictures / "a.png", method="grad-cam", save=tmp_path / name) for name in "ab"
    )
    assert one[0].grade == other[0].grade
    assert (tmp_path / "a" / "a.png").read_bytes() == (tmp_path / "b" / "a.png").read_bytes()


def test_json_is_json_and_quiet_is_silent(trained: Path, pictures: Path, tmp_path: Path, capsys: Capture) -> None:
    flags = ("--method", "saliency", "--no-grade", "--save", tmp_path / "why", "--json", "--quiet")
    said = front_door(capsys, "explain", trained, pictures, *flags)
    assert said.code == 0 and said.err == ""
    kept = json.loads(said.out)
    assert kept["explanations"][0]["grade"] is None and kept["unreadable"] == []
    assert kept["explanations"][0]["file"] == "a.png"


def test_arrays_are_kept_as_they_were_made(trained: Path, pictures: Path, tmp_path: Path) -> None:
    """A gradient per grey level is smaller than what half precision holds."""
    (found,) = lensmith.explain(trained, pictures / "a.png", method="saliency", grade=False, save=tmp_path / "why")
    with np.load(tmp_path / "why" / "a.npz", allow_pickle=False) as kept:
        for name in ("map", "colours", "picture"):
            np.testing.assert_array_equal(kept[name], getattr(found, name))
            assert kept[name].dtype == getattr(found, name).dtype


def test_settings_of_the_methods_are_taken(trained: Path, pictures: Path, tmp_path: Path, capsys: Capture) -> None:
    flags = ("--no-grade", "--save", tmp_path / "why", "--json", "--quiet")
    for method, given, words in (
        (
            "occlusion",
            ("--fill", "blur", "--window", 8, "--stride", 8),
            "8 x 8 pixels, every 8, shows the picture blur",
        ),
        ("integrated", ("--fill", "black", "--steps", 3), "gradients at 3 places between black and"),
        ("smoothgrad", ("--samples", 2, "--noise", 0.5), "over 2 copies with noise of 50% of"),
    ):
        said = front_door(capsys, "explain", trained, pictures / "a.png", "--method", method, *given, *flags)
        assert said.code == 0 and words in json.loads(said.out)["explanations"][0]["how"], said.err


def question(trained: Path, pictures: Path, save: Path) -> Question:
    return Question(
        network=trained,
        pictures=pictures,
        method="saliency",
        target=None,
        settings=Settings(),
        weights="auto",
        image_size=None,
        save=save,
        grade=False,
        device="cpu",
        engine="auto",
        out="runs",
        quiet=True,
    )


def test_what_nobody_keeps_is_let_go(trained: Path, pictures: Path, tmp_path: Path) -> None:
    """As the command line does: ten thousand pictures must not be ten gigabytes."""
    found, coming = answers(question(trained, pictures, tmp_path / "why"))
    kept = [(weakref.ref(one.map), weakref.ref(one.picture)) for one in coming]
    assert [one() for pair in kept for one in pair] == [None] * 4
    assert len(found) == 0 and len(found.entries) == 2 and len(table(found)) == 3
    assert found.page is not None and (tmp_path / "why" / "page.html").read_text("utf-8").count("<h3>") == 2


def test_a_page_shows_the_first_of_many(
    trained: Path, pictures: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(explaining, "MOST_CARDS", 1)
    found = lensmith.explain(trained, pictures, method="saliency", grade=False, save=tmp_path / "why")
    page = (tmp_path / "why" / "page.html").read_text("utf-8")
    assert len(found) == 2 and page.count("<h3>") == 1 and "And 1 more, beside this page." in page
    assert "in 2 pictures; not graded" in page


def test_an_interruption_leaves_whole_files_and_says_where(trained: Path, pictures: Path, tmp_path: Path) -> None:
    save = tmp_path / "why"
    _, coming = answers(question(trained, pictures, save))
    next(coming)
    with pytest.raises(KeyboardInterrupt) as stopped:
        coming.throw(KeyboardInterrupt())  # type: ignore[attr-defined]
    assert stopped.value.__notes__ == [f"what was explained so far is in {save}, without a page"]
    assert sorted(path.name for path in save.iterdir()) == [OURS, "a.npz", "a.png"]
    with np.load(save / "a.npz") as kept, Image.open(save / "a.png") as sheet:
        assert kept["map"].shape == (32, 32) and sheet.convert("RGB").width > 0


def test_a_run_after_another_replaces_its_page(trained: Path, pictures: Path, tmp_path: Path) -> None:
    """Sheets of the earlier one stay where they do not share a name, so that pictures may be explained one by one."""
    shutil.move(pictures / "deeper" / "a.png", pictures / "b.png")
    for name in ("a.png", "b.png"):
        lensmith.explain(trained, pictures / name, method="saliency", grade=False, save=tmp_path / "why")
    kept = json.loads((tmp_path / "why" / "explanations.json").read_text("utf-8"))
    assert [one["file"] for one in kept["explanations"]] == ["b.png"] and (tmp_path / "why" / "a.png").is_file()


def test_names_of_files_are_harmless_and_each_its_own(trained: Path, pictures: Path, tmp_path: Path) -> None:
    paths = [
        "a/x.png",
        "b/X.jpg",
        "x-2.png",
        "-rf.png",
        "\udce9\n<b>.png",
        "...png",
        f"{'n' * 300}.png",
        "größe.jpg",
        "кошка.jpg",
    ]
    assert stems(paths) == ["x", "X-2", "x-2-2", "rf", "b", "picture", "n" * 50, "größe", "кошка"]
    odd = pictures / "caf\udce9 \n$(x)\x1b[31m.png"
    shutil.copy(pictures / "a.png", odd)
    found = lensmith.explain(trained, odd, method="saliency", grade=False, save=tmp_path / "why")
    assert "\n" not in table(found)[1] and "\x1b" not in table(found)[1]
    kept = json.loads((tmp_path / "why" / "explanations.json").read_text("utf-8"))
    assert kept["explanations"][0]["path"] == str(odd) and (tmp_path / "why" / "caf_x_31m.npz").is_file()


# What is refused.


def test_a_folder_with_files_of_others_is_refused(trained: Path, pictures: Path, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="files of others"):
        lensmith.explain(trained, pictures / "a.png", grade=False, save=pictures)
    empty = tmp_path / "empty"
    empty.mkdir()
    for _ in range(2):  # the second time it is ours
        lensmith.explain(trained, pictures / "a.png", method="saliency", grade=False, save=empty)


def test_what_was_explained_is_not_explained_again(
    trained: Path, pictures: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(pictures)
    first, second = (lensmith.explain(trained, ".", method="saliency", grade=False, save="explained") for _ in range(2))
    assert [one.path for one in first] == [one.path for one in second] and len(first)
    assert len(lensmith.explain(trained, "explained", method="saliency", grade=False, save="more"))  # when asked for


def test_no_picture_of_the_user_is_written_over(trained: Path, pictures: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(pictures)
    before = (pictures / "a.png").read_bytes()
    with pytest.raises(UsageError, match=r"save is '\.', which holds files of others"):
        lensmith.explain(trained, "a.png", save=".")
    (pictures / OURS).touch()  # even there
    with pytest.raises(UsageError, match=r"save is '\.', where your a.png lies: it would be written over"):
        lensmith.explain(trained, "a.png", save=".")
    assert (pictures / "a.png").read_bytes() == before


def test_a_picture_that_cannot_be_read_stops_no_other(
    trained: Path, pictures: Path, tmp_path: Path, capsys: Capture
) -> None:
    (pictures / "b.jpg").write_text("not a picture", encoding="utf-8")
    flags = ("--method", "saliency", "--no-grade", "--save", tmp_path / "why")
    said = front_door(capsys, "explain", trained, pictures, *flags)
    assert said.code == 1 and "b.jpg  cannot be read: not a picture" in said.out
    assert (tmp_path / "why" / "a-2.png").is_file()
    said = front_door(capsys, "explain", trained, pictures / "b.jpg", *flags[:3], "--save", tmp_path / "none")
    assert said.code == 1 and not (tmp_path / "none").exists()


@pytest.mark.parametrize(
    ("flags", "words"),
    [
        (["--class", "disk"], ["there is no class 'disk'", "Nearest: disc"]),
        (["--method", "gradcam"], ["method is 'gradcam'", "Nearest: grad-cam"]),
        (["--method", "grad-cam", "--layer", "nowhere"], ["there is no layer 'nowhere'"]),
        (["--method", "occlusion", "--window", "33"], ["window is 33", "1 to 32"]),
        (["--method", "saliency", "--window", "8"], ["window is of occlusion, not of saliency"]),
        (["--method", "grad-cam", "--fill", "blur"], ["fill is of occlusion and integrated, not of grad-cam"]),
        (["--samples", "9"], ["samples is of smoothgrad, not of auto"]),
        (["--fill", "gray"], ["fill is 'gray'", "Nearest: grey"]),
        (["--method", "occlusion", "--rule", "guided"], ["occlusion takes none"]),
        (["--method", "saliency", "--rule", "giuded", "--no-grade"], ["rule is 'giuded'", "guided"]),
    ],
)
def test_wrong_usage_is_named(
    trained: Path, pictures: Path, tmp_path: Path, capsys: Capture, flags: list[str], words: list[str]
) -> None:
    said = front_door(capsys, "explain", trained, pictures, "--save", tmp_path / "why", *flags)
    refused(said, 2, *words)
    assert not (tmp_path / "why").exists()


def test_a_map_that_leads_nowhere_is_no_crash(pictures: Path, tmp_path: Path) -> None:
    class Aside(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.base, self.aside = nn.Conv2d(3, 4, 3), nn.Conv2d(4, 2, 1)

        def forward(self, images: Tensor) -> Tensor:
            self.aside(values := self.base(images))
            return values.mean((2, 3))

    for method in ("auto", "grad-cam", "cam"):
        (found,) = lensmith.explain(Aside(), pictures / "a.png", method=method, image_size=32, save=tmp_path / method)
        assert found.layer in ("base", None) and not found.empty and found.grade is not None
    with pytest.raises(UsageError, match="layer is 'aside', which the network runs and then leaves out"):
        lensmith.explain(Aside(), pictures / "a.png", method="cam", layer="aside", image_size=32, save=tmp_path / "no")


def test_what_is_not_there_is_an_error(trained: Path, tmp_path: Path) -> None:
    with pytest.raises(DataError, match="there is no file or folder"):
        lensmith.explain(trained, tmp_path / "nowhere.png")


def test_a_run_of_rows_is_told_what_remains(tmp_path: Path) -> None:
    lines = [f"{number},{number % 7},{'ab'[number % 2]}" for number in range(60)]
    (tmp_path / "rows.csv").write_text("\n".join(["x,y,kind", *lines]), encoding="utf-8")
    run = lensmith.train(tmp_path / "rows.csv", target="kind", epochs=1, out=tmp_path / "runs", quiet=True)
    with pytest.raises(UsageError, match=r"was trained on rows; heat maps .* the report's section on columns"):
        lensmith.explain(run, tmp_path / "rows.csv")


# Drawing.


def test_text_is_escaped_in_the_page() -> None:
    notes = {"asked": "what it answers", "method": "auto", "seconds": "1 s", "pictures": "1 picture"}
    notes_of_others = {**notes, "unreadable": [{"path": "<i>.png", "reason": "<u>"}]}
    one = made(np.eye(7, dtype=np.float32))
    card = explaining.card(one, explaining.panels(one, ("a", "b")))
    text = explaining.page("<script>", [one.as_dict()], [card], notes_of_others)
    assert "<i>.png" not in text and "&lt;i&gt;.png" in text and "<u>" not in text
    assert "<script>" not in text and "<b>disc" not in text and "&lt;b&gt;disc" in text


def test_colours_grow_lighter_with_strength_and_tell_for_from_against() -> None:
    strengths = np.linspace(0, 1, 9)
    for sign, table_ in ((1, FOR), (-1, AGAINST)):
        drawn = colours(sign * strengths[1:])
        assert (np.diff(drawn.mean(-1)) > 0).all()
        np.testing.assert_array_equal(drawn[-1], table_[-1])
    blue, amber = colours(np.array([0.5, -0.5]))
    assert blue[2] > blue[0] and amber[0] > amber[2]


def test_maps_of_single_pixels_are_drawn_soft_and_kept_as_they_are() -> None:
    values = np.zeros((224, 224), np.float32)
    values[100, 60] = 1
    coarse, fine = made(values), replace(made(values), colours=np.zeros((224, 224, 3), np.float32))
    assert softened(coarse) is coarse.map and fine.map is values
    soft = softened(fine)
    assert soft.sum() == pytest.approx(1, abs=1e-4) and soft.argmax() == values.argmax() and 0 < soft[101, 61] < 0.1
    white = [(np.asarray(panel.picture) == 255).all(-1).any() for panel in explaining.panels(fine, ("a", "b"))[1:2]]
    assert white == [False]  # no line runs round specks


def test_where_the_map_is_nothing_the_picture_is_grey() -> None:
    picture = Image.fromarray(np.random.default_rng(0).integers(0, 256, (64, 64, 3), np.uint8))
    values = np.zeros((64, 64), np.float32)
    values[:32, :32] = 1
    laid = np.asarray(painted(picture, values, 1.0)).astype(int)
    assert (laid[40:, 40:].std(-1) == 0).all() and (laid[4:28, 4:28, 2] > laid[4:28, 4:28, 0]).all()
    assert np.asarray(painted(picture, values * 0, 0.0)).std(-1).max() == 0


def test_a_scale_ends_below_a_few_spikes_of_fine_maps_alone() -> None:
    fine = np.full((224, 224), 2.0)
    fine[0, :5] = 1000
    assert full_scale(fine) == 2.0 and full_scale(fine[:7, :7]) == 1000.0
    assert explaining.limits(made(fine.astype(np.float32))) == (0.0, 2.0, True)
    assert explaining.limits(made(np.array([[-3.0, 1.0]], np.float32))) == (-3.0, 3.0, False)


def test_a_class_map_leaves_the_commonest_answer_in_its_colours() -> None:
    picture = Image.fromarray(np.full((40, 40, 3), (200, 40, 40), np.uint8))
    answers = np.array([[5, 5, 5, 5], [5, 5, 2, 2], [5, 7, 8, 9], [5, 5, 5, 5]])
    over, legend = classes_over(picture, answers)
    drawn = np.asarray(over)
    assert tuple(drawn[0, 0]) == (200, 40, 40) and tuple(drawn[15, 35]) != (200, 40, 40)
    assert legend[0][0] == 2 and legend[-1][0] == CROWD


def test_what_could_not_be_measured_is_null() -> None:
    """As of a number, of which the grade measures less than of a class."""
    found = made(np.eye(7, dtype=np.float32), grade=Examined("the model", "It passes.", beaten=1.0))
    grade = json.loads(json.dumps(found.as_dict(), allow_nan=False))["grade"]
    assert grade["mixed"] is None and grade["likeness"] is None and grade["beaten"] == 1.0 and grade["passed"]


def test_an_explanation_that_is_not_finite_can_be_shown() -> None:
    found = made(np.array([[np.nan, 1.0], [2.0, 3.0]], np.float32))
    shown = explaining.panels(found, ("a", "b"))
    assert json.loads(json.dumps(found.as_dict(), allow_nan=False))["highest"] == 3.0
    assert found.empty and explaining.sheet(found, shown)[:4] == b"\x89PNG"
    notes = {"asked": "it", "method": "m", "seconds": "1 s", "pictures": "1 picture", "unreadable": []}
    assert explaining.page("net", [found.as_dict()], [explaining.card(found, shown)], notes)
