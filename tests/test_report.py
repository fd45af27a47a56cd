"""The report: one offline page that says what the run folder says, whatever the names in it."""

from __future__ import annotations

import base64
import io
import itertools
import json
import re
import xml.etree.ElementTree as ElementTree
from collections.abc import Sequence
from html.parser import HTMLParser
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from lensmith.errors import RunError
from lensmith.reports import axes, curves, figures, leads, words, write_report
from lensmith.reports.draw import TEMPLATES
from lensmith.reports.pictures import data_uri, jpeg
from lensmith.reports.source import Measure
from sample_run import HOSTILE, write_sample

VOID = {"meta", "img", "link", "br", "hr", "input"}
ALLOWED = {
    "html", "head", "meta", "title", "style", "body", "header", "main", "footer", "nav", "section", "div", "p",
    "h1", "h2", "h3", "a", "ul", "ol", "li", "dl", "dt", "dd", "table", "caption", "thead", "tbody", "tfoot", "tr",
    "th", "td", "figure", "figcaption", "details", "summary", "span", "b", "strong", "small", "bdi", "code", "img",
    "svg", "desc", "g", "path", "line", "rect", "circle", "ellipse", "text",
}  # fmt: skip
SECTIONS = (
    "learning",
    "frozen",
    "confusion",
    "classes",
    "sureness",
    "pictures",
    "measures",
    "data",
    "recipe",
    "environment",
    "next",
)
NAMED = (
    "ants",
    "bees",
    "butterfly",
    "cricket",
    "dragonfly",
    "earwig",
    "fly",
    "grasshopper",
    "hornet",
    "ladybird",
)


class Page(HTMLParser):
    """A page taken apart: tags with attributes, text outside the style sheet, and text by element id."""

    def __init__(self, path: Path) -> None:
        super().__init__()
        self.source = path.read_text(encoding="utf-8")
        self.tags: list[tuple[str, dict[str, str]]] = []
        self.open: list[str] = []
        self.ids: list[str] = []
        self.parts: dict[str, str] = {"": ""}
        self.feed(self.source)
        self.close()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        found = {key: value or "" for key, value in attrs}
        self.tags.append((tag, found))
        if tag not in VOID:
            self.open.append(tag)
            self.ids.append(found.get("id", "") if tag in ("section", "header") else "")

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, {key: value or "" for key, value in attrs}))

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag, f"</{tag}> closes something else"
        self.ids.pop()

    def handle_data(self, data: str) -> None:
        if "style" in self.open:
            return
        section = next((name for name in reversed(self.ids) if name), "")
        for name in {"", section}:
            self.parts[name] = self.parts.get(name, "") + data

    def text(self, section: str = "") -> str:
        """Return the text of a section, or of the page, with every run of spaces as one."""
        return " ".join(self.parts[section].split())

    def without_pictures(self) -> str:
        """Return the page with its pictures taken out."""
        return re.sub(r"data:image/jpeg;base64,[A-Za-z0-9+/=]*", "", self.source)


def report(folder: Path) -> Page:
    """Write a run's report and take it apart."""
    return Page(write_report(folder))


@pytest.fixture(scope="module")
def ten(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A finished run with ten classes."""
    return write_sample(tmp_path_factory.mktemp("runs") / "insects", classes=NAMED, skill=0.8)


@pytest.fixture(scope="module")
def ten_page(ten: Path) -> Page:
    """The page of that run."""
    return report(ten)


def test_finished_run_has_every_section_and_a_way_to_each(ten_page: Page) -> None:
    sections = [found["id"] for tag, found in ten_page.tags if tag == "section"]
    assert sections == list(SECTIONS)
    links = [found["href"] for tag, found in ten_page.tags if tag == "a"]
    assert links == [f"#{name}" for name in SECTIONS]
    assert not ten_page.open, f"never closed: {ten_page.open}"
    ids = [found["id"] for _, found in ten_page.tags if "id" in found]
    assert len(ids) == len(set(ids))


@pytest.mark.parametrize("hostile", [False, True])
def test_page_loads_nothing_and_runs_nothing(tmp_path: Path, hostile: bool) -> None:
    page = report(write_sample(tmp_path / "run", classes=HOSTILE if hostile else NAMED, a_class=12))
    assert {tag for tag, _ in page.tags} <= ALLOWED
    for tag, found in page.tags:
        assert not [name for name in found if name.startswith("on")], (tag, found)
        for name in ("src", "srcset", "poster", "data", "action", "xlink:href", "background"):
            assert found.get(name, "data:").startswith("data:image/jpeg;base64,") or name not in found
        assert found.get("href", "#").startswith("#")
        assert "url(" not in found.get("style", "")
    style = page.source.partition("<style>")[2].partition("</style>")[0]
    assert "url(" not in style and "@import" not in style and "//" not in style
    policy = next(found["content"] for tag, found in page.tags if found.get("http-equiv"))
    assert policy.startswith("default-src 'none'") and "script" not in policy


def test_hostile_names_stay_text(tmp_path: Path) -> None:
    folder = write_sample(tmp_path / '<b>"run"', classes=HOSTILE, skill=0.6)
    page = report(folder)
    seen = page.text("classes")
    for name in HOSTILE:
        shown = words.shorten(str(words.clean(name)), 60)
        assert " ".join(shown.split()) in seen, name
    assert "\u202e" not in page.source and "\x07" not in page.source
    assert "{{ 7 * 7 }}" in seen and "49 {% raw %}" not in page.text()
    titles = [found["title"] for _, found in page.tags if "title" in found]
    assert "w" * 200 in titles
    assert '<b>"run"' in page.text() and page.text("next").count("lensmith predict") == 1


def test_names_that_are_no_utf8_are_written_as_utf8(tmp_path: Path) -> None:
    folder = write_sample(tmp_path / "run")
    run = json.loads((folder / "run.json").read_text(encoding="utf-8"))
    run["findings"]["unreadable"] = [{"path": "ants/\udcff\x00.jpg", "reason": "a name of bytes"}]
    (folder / "run.json").write_text(json.dumps(run), encoding="utf-8")
    assert "ants/\ufffd\ufffd.jpg" in report(folder).text("data")


@pytest.mark.parametrize(
    ("classes", "recipe", "status"),
    [
        (2, "features", "done"),
        (7, "scratch", "done"),
        (31, "features", "done"),
        (150, "scratch", "done"),
        (2, "features", "stopped"),
    ],
)
def test_every_figure_is_well_formed_and_described(tmp_path: Path, classes: int, recipe: str, status: str) -> None:
    names = [f"{HOSTILE[i % 10]} {i}" for i in range(classes)]
    page = report(write_sample(tmp_path / "run", classes=names, a_class=4, recipe=recipe, status=status))
    drawn = re.findall(r"<svg.*?</svg>", page.source, re.DOTALL)
    assert len(drawn) >= 4
    for svg in drawn:
        root = ElementTree.fromstring(svg)
        if root.get("role") == "img":
            named = {child.get("id"): child.text for child in root if child.tag in ("title", "desc")}
            assert [bool(named[name]) for name in root.attrib["aria-labelledby"].split()] == [True, True]
        else:
            assert root.get("aria-hidden") == "true"
        assert "nan" not in svg.lower().split() and "inf" not in svg.lower().split()


def test_numbers_are_those_of_the_files(ten: Path, ten_page: Page) -> None:
    scored = json.loads((ten / "metrics.json").read_text(encoding="utf-8"))
    run = json.loads((ten / "run.json").read_text(encoding="utf-8"))
    test, matrix = scored["test"], np.array(scored["test"]["confusion_matrix"])
    opening = ten_page.text()
    assert run["verdict"][0].partition(". ")[0] in opening
    assert f"{matrix.trace()} of {matrix.sum()} test pictures" in opening
    for end in ("value", "low", "high"):
        assert words.percent(test["accuracy"][end]).replace(words.THIN, " ") in opening
    measured = ten_page.text("measures")
    for key in ("accuracy", "balanced_accuracy", "macro_f1", "top5", "calibration_error"):
        for split in ("test", "validation"):
            assert words.percent(scored[split][key]["value"]).replace(words.THIN, " ") in measured, key
    assert f"{test['log_loss']['value']:.3f}" in measured
    table = _spaced(ten_page, "classes")
    worst = sorted(test["per_class"], key=lambda name: test["per_class"][name]["f1"]["value"])
    assert [table.index(f" {name} ") for name in worst] == sorted(table.index(f" {name} ") for name in worst)
    for name, row in test["per_class"].items():
        shown = [words.percent(row[key]["value"]) for key in ("recall", "precision", "f1")]
        assert " ".join([name, *shown, str(row["n"])]).replace(words.THIN, " ") in table
    cells = re.findall(r'<td(?: class="[rw]\d+")?(?: title="[^"]*")?>([\d,]+)', ten_page.source)
    assert [int(cell) for cell in cells[:100]] == matrix.ravel().tolist()
    assert f"{run['findings']['pictures']:,} pictures" in ten_page.text("data")
    for reason in run["reasons"].values():
        assert reason in ten_page.text("recipe")
    for name, version in run["versions"].items():
        assert f"{name} {version}" in ten_page.text("environment")
    assert "lensmith predict" in ten_page.text("next") and "/insects new.jpg" in ten_page.text("next")
    assert "/home/someone" not in ten_page.without_pictures()


def _spaced(page: Page, section: str) -> str:
    """Return a section's text with a space at every tag, so that neighbouring cells stay apart."""
    part = page.source.partition(f'<section id="{section}"')[2].partition("</section>")[0]
    return " ".join(re.sub(r"<[^>]*>", " ", part).replace(words.THIN, " ").split())


def test_split_is_named_and_explained(tmp_path: Path) -> None:
    given = report(write_sample(tmp_path / "given", held_out="validation"))
    assert "no test pictures" in given.text() and "validation pictures named correctly" in given.text()
    assert "stopping" in given.text("learning") and "helped to choose" in given.text("measures")
    own = report(write_sample(tmp_path / "own"))
    assert "come from the test pictures" in own.text() and "no test pictures" not in own.text()


def test_stopped_run_says_so(tmp_path: Path) -> None:
    page = report(write_sample(tmp_path / "run", status="stopped"))
    assert "ended after 15 epochs, before it was scored" in page.text()
    sections = [found["id"] for tag, found in page.tags if tag == "section"]
    assert sections == ["learning", "frozen", "data", "recipe", "environment", "next"]
    assert "lensmith predict" not in page.source and "lensmith train photos" in page.text("next")


def test_least_possible_run_is_enough(tmp_path: Path) -> None:
    (tmp_path / "run.json").write_text('{"format": 1, "status": "running"}', encoding="utf-8")
    assert "not finished" in report(tmp_path).text()


def test_broken_files_are_named(tmp_path: Path) -> None:
    with pytest.raises(RunError, match=r"no run\.json"):
        write_report(tmp_path)
    (tmp_path / "run.json").write_text('{"format": 2}', encoding="utf-8")
    with pytest.raises(RunError, match="format 2"):
        write_report(tmp_path)
    (tmp_path / "run.json").write_text('{"format": 1}', encoding="utf-8")
    (tmp_path / "metrics.json").write_text('{"test": ', encoding="utf-8")
    with pytest.raises(RunError, match=r"metrics\.json"):
        write_report(tmp_path)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["metrics.json", "run.json"]


@pytest.mark.parametrize("name", ["run.json", "metrics.json"])
def test_no_odd_value_breaks_the_page(tmp_path: Path, name: str) -> None:
    folder = write_sample(tmp_path / "run", a_class=6, pictures=0)
    sound = json.loads((folder / name).read_text(encoding="utf-8"))
    odd_values: itertools.cycle[object] = itertools.cycle((None, "<i>", [], -1e300, {}, [[None]], True))
    for place in _places(sound):
        if place == ("format",):
            continue
        for odd in itertools.islice(odd_values, 2):
            (folder / name).write_text(json.dumps(_with(sound, place, odd)), encoding="utf-8")
            assert not report(folder).open, (place, odd)


def _places(tree: object, *before: str) -> list[tuple[str, ...]]:
    """Return the way to every value in nested dictionaries, three levels deep."""
    if not isinstance(tree, dict) or len(before) == 3:
        return []
    return [way for key, part in tree.items() for way in ((*before, key), *_places(part, *before, key))]


def _with(tree: dict[str, object], place: tuple[str, ...], value: object) -> dict[str, object]:
    """Return a copy of nested dictionaries with one value exchanged."""
    first, *rest = place
    inner = tree[first]
    if rest:
        assert isinstance(inner, dict)
        value = _with(inner, tuple(rest), value)
    return {**tree, first: value}


@pytest.mark.parametrize(("classes", "most"), [(2, 70_000), (10, 100_000), (100, 150_000), (1000, 400_000)])
def test_page_is_lean(tmp_path: Path, classes: int, most: int) -> None:
    names = [f"class {i:04d}" for i in range(classes)]
    page = report(write_sample(tmp_path / "run", classes=names, a_class=2 if classes < 1000 else 1, pictures=1))
    assert len(page.without_pictures().encode()) < most
    assert len(re.findall(r"<tr><th scope=\"row\"><bdi>class", page.source.partition('id="sureness"')[0])) == classes


def test_pictures_carry_no_metadata(tmp_path: Path) -> None:
    folder = write_sample(tmp_path / "run", pictures=1)
    path = folder / "figures" / "mistake-1.jpg"
    exif = Image.Exif()
    exif[0x010E], exif[0x0112] = "SECRET PLACE", 6  # description; orientation: turned by a quarter
    with Image.open(path) as picture:
        picture.load()
        size = picture.size
        picture.save(path, exif=exif, comment=b"SECRET WORD")
    assert b"SECRET" in path.read_bytes()
    uri = data_uri(folder, "figures/mistake-1.jpg")
    assert uri is not None
    plain = base64.b64decode(uri.partition(",")[2])
    assert b"SECRET" not in plain and b"Exif" not in plain
    with Image.open(io.BytesIO(plain)) as shown:
        assert shown.size == size[::-1] and not shown.info.keys() - {
            "jfif",
            "jfif_version",
            "jfif_unit",
            "jfif_density",
        }
    assert uri in report(folder).source


def test_pictures_come_from_the_run_folder_alone(tmp_path: Path) -> None:
    folder = write_sample(tmp_path / "run", pictures=1)
    Image.new("RGB", (8, 8)).save(tmp_path / "outside.jpg")
    (folder / "figures" / "words.jpg").write_text("no picture", encoding="utf-8")
    (folder / "figures" / "link.jpg").symlink_to(tmp_path / "outside.jpg")
    outside = str(tmp_path / "outside.jpg")
    for name in ("../outside.jpg", outside, "figures/link.jpg", "figures/words.jpg", "figures", "", None, "\0", 7):
        assert data_uri(folder, name) is None, name
    pictures = json.loads((folder / "figures" / "pictures.json").read_text(encoding="utf-8"))
    pictures[0] |= {"picture": "../outside.jpg"}
    pictures[1] |= {"map": None}
    (folder / "figures" / "pictures.json").write_text(json.dumps(pictures), encoding="utf-8")
    assert sum(tag == "img" for tag, _ in report(folder).tags) == 3


def test_report_written_again_is_the_same_and_leaves_nothing_beside_it(tmp_path: Path) -> None:
    folder = write_sample(tmp_path / "run", pictures=0)
    before = sorted(path.name for path in folder.iterdir())
    first = write_report(folder).read_bytes()
    assert write_report(folder).read_bytes() == first
    assert sorted(path.name for path in folder.iterdir()) == sorted([*before, "report.html"])


def test_pictures_and_tables_speak_to_everyone(ten_page: Page) -> None:
    images = [found for tag, found in ten_page.tags if tag == "img"]
    assert len(images) == 24 and all(len(found["alt"]) > 10 for found in images)
    assert all(found.get("scope") in ("row", "col") for tag, found in ten_page.tags if tag == "th")
    headings = [int(tag[1]) for tag, _ in ten_page.tags if tag in ("h1", "h2", "h3")]
    assert headings[0] == 1 and headings.count(1) == 1
    assert all(after - before <= 1 for before, after in itertools.pairwise(headings))


def test_lens_counts_the_right_answers() -> None:
    for share, missing in ((1.0, 0), (0.95, 1), (0.5, 10), (0.0, 20)):
        drawn = figures.lens(share, "Each ray is a twentieth")
        assert drawn.count("ray miss") == missing and drawn.count('class="ray') == 20
        assert f"Each ray is a twentieth: {20 - missing} of 20 meet in focus" in drawn
    assert "has not been scored" in figures.lens(None, "")


def test_scale_stands_where_the_numbers_are() -> None:
    drawn = figures.ruler(leads.ACCURACY, Measure(0.9, 0.85, 0.95, 100), 0.5)
    assert 'class="point" cx="90.00%"' in drawn and 'x="85.00%" width="10.00%"' in drawn
    assert 'class="guess" x1="50.00%"' in drawn
    assert "point" not in figures.ruler(leads.ACCURACY, Measure(7.0, None, None, None), None)


def test_scale_of_errors_ends_beyond_the_baseline() -> None:
    drawn = figures.ruler(leads.ERROR, Measure(2.0, 1.5, 3.0, 100), 9.1)  # the next round number is 10
    assert 'class="point" cx="20.00%"' in drawn and 'x="15.00%" width="15.00%"' in drawn
    assert 'class="guess" x1="91.00%"' in drawn and "always the median: 9.10" in drawn
    assert ">10</text>" in drawn and "%</text>" not in drawn


def one(points: Sequence[tuple[float, float | None]], kept: float | None = None, scale: str = "zero") -> str:
    """Draw a single curve of a single stage."""
    return curves.curves(
        "loss", "Loss", [curves.Panel("scratch", [curves.Line("seen", "validation", points)], kept)], scale
    )


def test_curves_mark_the_kept_epoch_and_leave_gaps() -> None:
    drawn = one([(1, 0.5), (2, None), (3, 0.25), (4, 0.3)], 3)
    path = re.search(r'class="curve seen" d="([^"]*)"', drawn)
    assert path is not None and path[1].count("M") == 2 and path[1].count("L") == 1
    kept = re.search(r'class="kept" x1="([\d.]+)"', drawn)
    dot = re.search(r'class="dot seen" cx="([\d.]+)"', drawn)
    assert kept is not None and dot is not None and kept[1] == dot[1]
    assert "validation: from 0.500 to 0.300" in drawn
    assert one([(1, None)]) == ""


@pytest.mark.parametrize("values", [(1.0, 1.0), (0.0, 0.0), (0.5,), (-3.0, 1e300), (0.9993, 0.9994)])
@pytest.mark.parametrize("scale", ["zero", "share", "log"])
def test_curves_stay_in_their_frame(values: tuple[float, ...], scale: str) -> None:
    drawn = one(list(enumerate(values)), 7, scale)
    if not drawn:
        assert scale == "log" and max(values) <= 0
        return
    root = ElementTree.fromstring(drawn)
    path = next(found.get("d", "") for found in root.iter("path") if found.get("class") == "curve seen")
    places = [float(number) for number in re.findall(r"-?\d+(?:\.\d+)?", path)]
    shown = [value for value in values if scale != "log" or value > 0]
    assert all(0 <= place <= 380 for place in places) and len(places) == 2 * len(shown)
    assert not [found for found in root.iter("line") if found.get("class") == "kept"]


def test_stages_stand_side_by_side_on_one_scale() -> None:
    """The same loss has the same height in every stage, and no stage reaches into another."""
    names = ("features", "finetune")
    falls = ([(1.0, 0.8), (2.0, 0.4)], [(1.0, 0.4), (2.0, 0.1)])
    panels = [
        curves.Panel(name, [curves.Line("seen", "validation", fall)]) for name, fall in zip(names, falls, strict=True)
    ]
    drawn = curves.curves("loss", "Loss", panels, "zero")
    first, second = (
        [tuple(map(float, place.split())) for place in re.findall(r"[ML]([\d.]+ [\d.]+)", path)]
        for path in re.findall(r'class="curve seen" d="([^"]*)"', drawn)[:2]  # the third is the key
    )
    assert first[1][1] == second[0][1] > first[0][1] and first[1][0] < second[0][0]
    assert all(f">{name}</text>" in drawn for name in names)
    assert "features, validation: from 0.800 to 0.400" in drawn


def test_one_wild_loss_does_not_flatten_the_curve() -> None:
    points = [(float(epoch), 1 / epoch) for epoch in range(1, 40)] + [(40.0, 1e9)]
    path = re.search(r'class="curve seen" d="([^"]*)"', one(points))
    assert path is not None
    heights = [float(place) for place in re.findall(r"[ML][\d.]+ ([\d.]+)", path[1])]
    assert max(heights) - min(heights[:39]) > 60 and heights[-1] == min(heights)
    assert axes.roof([1.0, 2.0, 3.0]) == 3 and axes.roof([0.0, 0.0]) == 0


def test_learning_rates_stand_on_a_logarithmic_scale() -> None:
    """A tenth is as far from a hundredth as that from a thousandth."""
    drawn = one([(1, 0.1), (2, 0.01), (3, 0.001)], scale="log")
    path = re.search(r'class="curve seen" d="([^"]*)"', drawn)
    assert path is not None
    top, middle, bottom = (float(place) for place in re.findall(r"[ML][\d.]+ ([\d.]+)", path[1]))
    assert middle - top == pytest.approx(bottom - middle, abs=0.2) and middle > top
    for text in ("0.1", "0.01", "10⁻³"):
        assert f">{text}</text>" in drawn


def test_finder_marks_the_suggested_rate() -> None:
    points = [(10.0**power, loss) for power, loss in ((-5, 1.0), (-4, 0.8), (-3, 0.4), (-2, 0.6), (-1, 50.0))]
    drawn = curves.finder(points, 1e-3)
    assert 'class="kept" x1="208.0"' in drawn  # in the middle of 44 and 372
    assert "suggested: 10⁻³" in drawn
    assert "suggested" not in curves.finder(points, 5.0), "a rate that was not tried cannot be marked"
    assert curves.finder(points[:1], None) == "" and curves.finder([(-1.0, 2.0), (0.0, 1.0)], None) == ""


@pytest.mark.parametrize("odd", ["nan", "inf", "", "x", "-1e300", "<b>"])
def test_odd_history_does_not_break_the_page(tmp_path: Path, odd: str) -> None:
    folder = write_sample(tmp_path / "run", a_class=6, pictures=0)
    lines = (folder / "history.csv").read_text(encoding="utf-8").splitlines()
    cells = [line.split(",") for line in lines]
    for column in range(len(cells[0])):
        cells[3 + column][column] = odd
    cut_short = "\n".join(",".join(row) for row in cells) + "\n7,0.1"
    (folder / "history.csv").write_text(cut_short, encoding="utf-8")
    assert not report(folder).open


def test_long_history_is_thinned_but_keeps_the_kept_epoch() -> None:
    drawn = one([(float(epoch), 1 / epoch) for epoch in range(1, 5001)], 4999)
    assert len(drawn) < 6000 and "kept: 4999" in drawn


def test_heat_map_shows_every_mistake_of_a_small_matrix() -> None:
    matrix = np.eye(40) * 9
    matrix[3, 17] = 1
    drawn = figures.heat(matrix)
    assert re.search(r'class="wrong s\d" d="M17 3h1v1h-1z"', drawn)
    assert "M3 3h1v1h-1z" in drawn and drawn.count("h1v1h-1z") == 41


@pytest.mark.parametrize(
    ("low", "high", "ticks"),
    [(0, 1, [0, 0.2, 0.4, 0.6, 0.8, 1]), (0, 0.07, [0, 0.02, 0.04, 0.06, 0.08]), (3, 3, None), (0, 0, None)],
)
def test_ticks_are_round_and_hold_the_range(low: float, high: float, ticks: list[float] | None) -> None:
    found = axes.nice_ticks(low, high)
    assert found[0] <= low and found[-1] >= high and 2 <= len(found) <= 8
    assert ticks is None or found == pytest.approx(ticks)


@pytest.mark.parametrize(
    ("share", "shown"),
    [
        (0.954, "95.4 %"),
        (0.5, "50.0 %"),
        (1, "100 %"),
        (0, "0 %"),
        (0.9999, "> 99.9 %"),
        (0.0001, "< 0.1 %"),
        (None, "–"),
    ],
)
def test_percentages_never_claim_more_than_is_so(share: float | None, shown: str) -> None:
    assert words.percent(share).replace(words.THIN, " ") == shown


def test_words() -> None:
    assert words.breaking("torchvision/mobilenet_v2") == "torchvision/<wbr>mobilenet_v2"
    assert words.breaking("features.14.conv.0.") == "features.<wbr>14.<wbr>conv.<wbr>0."
    assert words.breaking("<b>/a") == "&lt;b&gt;/a".replace("/a", "/<wbr>a"), "names stay text"
    assert words.seconds(4.23).replace(words.THIN, " ") == "4.2 s"
    assert (words.seconds(200), words.seconds(3900)) == ("3 min 20 s", "1 h 5 min")
    assert (words.seconds(59.99), words.seconds(7200)) == ("1 min", "2 h")
    assert words.date("2026-11-22T02:08:00Z") == "22 November 2026, 02:08 UTC"
    assert words.date("yesterday") == "yesterday"
    assert (words.plural(1, "class", "classes"), words.plural(2000, "picture")) == ("1 class", "2,000 pictures")
    assert (words.millions(2_223_872), words.millions(2562)) == ("2.2 million", "2,562")
    assert words.shorten("abcdefghij", 5) == "ab…ij" and words.shorten("abc", 5) == "abc"
    assert words.setting([0.1, 1e-5, 1e-9]) == "0.1, 0.00001, 1e-09" and words.setting([]) == "none"
    assert words.sentences("It is 93 % now.") == [f"It is 93{words.THIN}% now."]
    verdict = 'It is right. It takes "St. Bernard" for "A. Dog" (3 of 4). Look again.'
    assert words.sentences(verdict) == ["It is right.", 'It takes "St. Bernard" for "A. Dog" (3 of 4).', "Look again."]


def _colour(text: str) -> np.ndarray:
    return np.array([int(text[i : i + 2], 16) for i in (1, 3, 5)], float)


def _luminance(colour: np.ndarray) -> float:
    share = colour / 255
    linear = np.where(share <= 0.04045, share / 12.92, ((share + 0.055) / 1.055) ** 2.4)
    return float(linear @ [0.2126, 0.7152, 0.0722])


def _contrast(first: np.ndarray, second: np.ndarray) -> float:
    low, high = sorted((_luminance(first), _luminance(second)))
    return (high + 0.05) / (low + 0.05)


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_contrast_is_enough_to_read(scheme: str) -> None:
    style = (TEMPLATES / "style.css").read_text(encoding="utf-8")
    roots = [
        dict(re.findall(r"--([a-z]+): (#[0-9a-f]{6});", part)) for part in re.findall(r":root \{(.*?)\}", style, re.S)
    ]
    palette = {name: _colour(text) for name, text in (roots[0] | (roots[1] if scheme == "dark" else {})).items()}
    for text in ("ink", "soft", "glass", "amber"):
        for ground in ("paper", "sheet"):
            assert _contrast(palette[text], palette[ground]) >= 4.5, (text, ground)
    shades = re.findall(r"\.([rw])(\d+) \{ --a: ([\d.]+) \}", style)
    assert len(shades) == 20
    for kind, place, alpha in shades:
        full = palette["glass" if kind == "r" else "amber"]
        cell = palette["sheet"] * (1 - float(alpha)) + full * float(alpha)
        assert _contrast(palette["ink" if int(place) <= 5 else "on"], cell) >= 4.5, (scheme, kind, place)


def test_noise_becomes_a_jpeg_like_any_picture() -> None:
    """Noise compresses to more bytes than it has pixels."""
    noise = np.random.default_rng(0).integers(0, 256, (512, 512, 3), np.uint8)
    data = jpeg(Image.fromarray(noise), 88, full_colour=True)
    assert len(data) > 512 * 512
    with Image.open(io.BytesIO(data)) as read:
        assert read.size == (512, 512)
