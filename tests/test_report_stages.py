"""The report on training in stages and on the other tasks: it says what the files say, and not what they do not."""

from __future__ import annotations

import csv
import html
import itertools
import json
import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from lensmith.reports import scatter, words
from lensmith.reports.card import model_card
from lensmith.reports.source import read_source
from lensmith.reports.stages import read_stages
from sample_run import HOSTILE, change_run, write_rates, write_sample
from sample_tasks import LABELS, write_labels, write_numbers
from test_report import ALLOWED, Page, report


def sections(page: Page) -> list[str]:
    return [found["id"] for tag, found in page.tags if tag == "section"]


def document(folder: Path) -> dict[str, Any]:
    found: dict[str, Any] = json.loads((folder / "run.json").read_text(encoding="utf-8"))
    return found


def plain(page: Page, section: str) -> str:
    """Return a section's text with usual spaces, one at every tag."""
    part = page.source.partition(f'<section id="{section}"')[2].partition("</section>")[0]
    return " ".join(html.unescape(re.sub(r"<[^>]*>", " ", part)).replace(words.THIN, " ").split())


@pytest.fixture(scope="module")
def ladder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = write_sample(tmp_path_factory.mktemp("runs") / "ladder", recipe="auto", pictures=1)
    write_rates(folder)
    return folder


@pytest.fixture(scope="module")
def ladder_page(ladder: Path) -> Page:
    return report(ladder)


@pytest.fixture(scope="module")
def numbers(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_numbers(tmp_path_factory.mktemp("runs") / "numbers")


@pytest.fixture(scope="module")
def labels(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_labels(tmp_path_factory.mktemp("runs") / "labels")


def test_stages_follow_the_history(ladder: Path) -> None:
    stages = read_stages(read_source(ladder))
    assert [(stage.name, len(stage.rows)) for stage in stages] == [("features", 18), ("frozen", 18), ("finetune", 24)]
    assert [stage.kept for stage in stages] == [None, None, 17]
    assert stages[0].penalties == [0.1, 0.01, 0.001] and stages[0].penalty == 0.01
    assert stages[0].seconds == pytest.approx(3 * 18 * 0.02) and stages[1].penalties == []


def test_stage_that_comes_again_is_numbered_and_the_named_one_is_kept(tmp_path: Path) -> None:
    (tmp_path / "run.json").write_text(
        json.dumps({"format": 1, "recipe": {"recipe": "finetune"}, "result": {"epoch": 2, "stage": "features"}})
    )
    rows = ["stage,epoch,l2,validation_loss"]
    rows += [f"features,{epoch},{l2},{loss}" for l2, loss in ((0.1, 0.5), (0.01, 0.4)) for epoch in (1, 2)]
    rows += ["finetune,1,,0.6", "finetune,2,,0.7", "finetune,1,,0.8"]
    (tmp_path / "history.csv").write_text("\n".join(rows))
    stages = read_stages(read_source(tmp_path))
    assert [stage.name for stage in stages] == ["features", "finetune", "finetune 2"]
    assert [stage.kept for stage in stages] == [2, None, None]
    assert stages[0].penalty == 0.01, "where the run names no penalty, the lowest loss leads"


def test_history_of_an_older_run_is_read(tmp_path: Path) -> None:
    """Such a history has no stages, and accuracies where there are metrics today."""
    folder = write_sample(tmp_path / "run", recipe="scratch", pictures=0)
    with (folder / "history.csv").open(newline="") as lines:
        rows = list(csv.DictReader(lines))
    old = {"train_metric": "train_accuracy", "validation_metric": "validation_accuracy"}
    with (folder / "history.csv").open("w", newline="") as lines:
        table = csv.writer(lines)
        table.writerow([old.get(name, name) for name in list(rows[0])[1:]])
        table.writerows(list(row.values())[1:] for row in rows)
    stages = read_stages(read_source(folder))
    assert [stage.name for stage in stages] == ["scratch"] and len(stages[0].rows) == len(rows)
    last = stages[0].column("validation_metric")[-1]
    assert last == (24, float(rows[-1]["validation_metric"]))
    assert f"to {words.percent(last[1])}" in report(folder).source


def test_ladder_tells_what_each_step_cost_and_gained(ladder: Path, ladder_page: Page) -> None:
    said, shown = document(ladder)["ladder"], plain(ladder_page, "ladder")
    assert sections(ladder_page)[:3] == ["ladder", "learning", "frozen"]
    assert shown.index(said["why"]) < shown.index(said["rows"][0]["reason"]), "why it stopped comes first"
    places = []
    for row in said["rows"]:
        places.append(shown.index(f" {row['step'].capitalize()} "))
        for key in ("predicted", "seconds"):
            assert row[key] is None or words.seconds(row[key]).replace(words.THIN, " ") in shown, (row["step"], key)
        for key in ("value", "probability"):
            assert row[key] is None or words.percent(row[key]).replace(words.THIN, " ") in shown, (row["step"], key)
        assert row["reason"] in shown
    assert places == sorted(places)
    assert "+3.9 points" in shown and "+0.3 points" in shown
    for outcome in ("replaced by a better step", "not better", "chosen", "did not fit the time", "not tried"):
        assert shown.count(outcome) == 1, outcome
    assert "took 4 min 14 s" in shown and "allowed: 10 min" in shown  # 1.1 + 25.2 + 228 seconds
    assert "240 pictures that no step learned from" in shown


def test_learning_shows_every_stage_with_its_rates_and_the_finder(ladder_page: Page) -> None:
    shown = plain(ladder_page, "learning")
    assert "finetune, train: from" in shown and "features, validation: from" in shown
    assert "kept: epoch 17" in shown and "epoch 17 of finetune" in shown
    assert "Learning rate over the epochs" in shown and "suggested: 6·10⁻⁴" in shown
    assert "The loss fell fastest around 0.0006" in shown


def test_stage_without_a_ladder_is_explained(tmp_path: Path) -> None:
    page = report(write_sample(tmp_path / "run", recipe="finetune", pictures=0))
    assert "ladder" not in sections(page)
    assert "The upper part of the network" in plain(page, "learning")


def test_plain_run_has_no_stages_rates_or_ladder(tmp_path: Path) -> None:
    page = report(write_sample(tmp_path / "run", pictures=0))
    shown = plain(page, "learning")
    assert "Learning rate" not in shown and "stage" not in shown and "ladder" not in sections(page)


def test_run_that_ends_in_its_second_stage_says_so(tmp_path: Path) -> None:
    folder = write_sample(tmp_path / "run", recipe="finetune", status="stopped")
    page = report(folder)
    assert "ended after 5 epochs of its second stage, finetune, before it was scored" in page.text()
    assert "kept:" not in plain(page, "learning") and "--resume" not in page.source
    (folder / "checkpoint").mkdir()
    (folder / "checkpoint" / "finetune.safetensors").write_bytes(b"")
    assert "lensmith train --resume" in report(folder).text("next")


def test_frozen_part_is_counted_and_its_hash_compared(tmp_path: Path) -> None:
    folder = write_sample(tmp_path / "run", recipe="finetune", pictures=0)
    said = document(folder)["frozen"]
    shown = plain(report(folder), "frozen")
    assert f"{said['frozen']:,} frozen (24.5 %)" in shown and f"{said['trained']:,} trained (75.5 %)" in shown
    assert said["sentence"] in shown and said["unfreeze"] in shown and said["before"][:16] in shown
    assert "is the same before and after" in shown and "have moved" not in shown
    change_run(folder, frozen=said | {"after": "0" * 64})
    page = report(folder)
    shown = plain(page, "frozen")
    assert "Frozen weights have moved." in shown and "is the same" not in shown
    assert [found for _, found in page.tags if found.get("role") == "alert"]
    change_run(folder, frozen={key: value for key, value in said.items() if key not in ("before", "after")})
    shown = plain(report(folder), "frozen")
    assert "same before and after" not in shown and "have moved" not in shown, "what was not hashed is not claimed"


def test_nothing_frozen_and_nothing_said_is_no_section(tmp_path: Path) -> None:
    folder = write_sample(tmp_path / "run", recipe="scratch", pictures=0)
    change_run(folder, frozen={"trained": 5000, "frozen": 0, "unfreeze": "all", "sentence": ""})
    page = report(folder)
    assert "frozen" not in sections(page) and "5,000 trained weights" in page.text()


def test_page_of_numbers_says_how_far_off_they_are(numbers: Path) -> None:
    page = report(numbers)
    assert sections(page)[:2] == ["distances", "learning"]
    assert not {"confusion", "classes", "labels", "sureness"} & set(sections(page))
    scored = json.loads((numbers / "metrics.json").read_text(encoding="utf-8"))["test"]
    for value in (*(scored["mae"][end] for end in ("value", "low", "high")), scored["baseline_mae"]):
        assert words.quantity(value) in page.text()
    assert f"R² {scored['r2']['value']:.2f}" in page.text() and "always the median" in page.text()
    with (numbers / "predictions.csv").open(encoding="utf-8", newline="") as lines:
        pairs = np.array([[float(row["target"]), float(row["predicted"])] for row in csv.DictReader(lines)])
    errors = np.abs(pairs[:, 1] - pairs[:, 0])
    shown = plain(page, "distances")
    assert f"off by at most {words.quantity(float(np.median(errors)))} , nine" in shown
    assert f"{(errors > 4 * errors.mean()).sum()} answers are off by more than four times" in shown
    drawn = sum(path.count("M") for path in re.findall(r'class="(?:pile|far)" d="([^"]*)"', page.source))
    assert drawn == len(pairs)
    measured = plain(page, "measures")
    for key in ("mae", "median_error", "rmse", "mse"):
        assert words.quantity(scored[key]["value"]) in measured, key
    assert "Mean error over the epochs" in page.source and "It is 21.9 , the network said 63.82" in plain(
        page, "pictures"
    )
    table = plain(page, "data")
    assert "Lowest Median Highest" in table and "age" in table
    assert "each with its age" in page.text()


def test_many_dots_are_thinned_but_the_far_ones_stay() -> None:
    true = np.linspace(0, 100, 50_000)
    said = true + np.sin(np.arange(50_000))
    said[[7, 20_000, 49_999]] = 70, -30, 120
    chosen = scatter.thinned(true, said)
    assert len(chosen) <= scatter.MOST_DOTS and {0, 7, 20_000, 49_999} <= set(chosen.tolist())
    assert np.diff(true[chosen]).max() < 0.5, "the rest is spread evenly"
    drawn = scatter.scatter(true, said, 0.64, "age")
    far = re.search(r'class="far" d="([^"]*)"', drawn)
    assert far is not None and far[1].count("M") == 3 and len(drawn) < 60_000


def test_scatter_puts_perfect_answers_on_its_line() -> None:
    true = np.array([0.0, 5.0, 10.0])
    drawn = scatter.scatter(true, true + np.array([0, 0, 4.0]), 4 / 3, "")
    dots = re.findall(r"M([\d.]+) ([\d.]+)h0", "".join(re.findall(r'class="(?:pile|far)" d="([^"]*)"', drawn)))
    (x0, y0), (x1, y1), (x2, y2) = sorted((float(x), float(y)) for x, y in dots)
    assert x1 - x0 == pytest.approx(y0 - y1) and x2 - x1 == pytest.approx(x1 - x0)
    assert y1 - y2 == pytest.approx((y0 - y1) * 9 / 5, abs=0.2)  # the last is 4 too high: 14 where 10 is true


def test_histogram_counts_every_error() -> None:
    errors = np.array([-9.0, -1, -1, 0, 1, 1, 2, 400])
    drawn = scatter.histogram(errors, 3.0)
    assert "too low: 3" in drawn and "too high: 4" in drawn
    columns = re.findall(r'class="column" [^>]* height="([\d.]+)"', drawn)
    assert len(columns) == 6 and sorted(map(float, columns))[-2:] == [144, 144], "two columns of two"


@pytest.mark.parametrize("n", [1, 2])
def test_few_or_equal_numbers_are_drawn(tmp_path: Path, n: int) -> None:
    folder = write_numbers(tmp_path / "run", n=5)
    rows = ["path,target,predicted", *["a.jpg,3,3"] * n, "b.jpg,nan,1e300", "c.jpg,1e300,2", "d.jpg,,"]
    (folder / "predictions.csv").write_text("\n".join(rows), encoding="utf-8")
    page = report(folder)
    assert "distances" in sections(page) and "nan" not in page.without_pictures().partition("</style>")[2].lower()


def test_page_of_labels_lists_the_weakest_first(labels: Path) -> None:
    page = report(labels)
    assert "labels" in sections(page)
    assert not {"confusion", "classes", "distances", "sureness"} & set(sections(page))
    scored = json.loads((labels / "metrics.json").read_text(encoding="utf-8"))["test"]
    for value in (*(scored["map"][end] for end in ("value", "low", "high")), scored["baseline_map"]):
        assert words.percent(value).replace(words.THIN, " ") in page.text()
    shown, table = plain(page, "labels"), scored["per_class"]
    weakest = sorted(table, key=lambda name: (table[name]["ap"]["value"], table[name]["f1"]["value"], name))
    places = [shown.index(f" {name} ") for name in weakest]
    assert places == sorted(places)
    for name, row in table.items():
        numbers = [words.percent(row[key]["value"]) for key in ("ap", "recall", "precision", "f1")]
        numbers += [words.percent(row["threshold"]), str(row["n"])]
        assert " ".join([name, *numbers]).replace(words.THIN, " ") in shown
    assert "with 12 labels" in page.text() and "Pictures by label" in plain(page, "data")
    measured = plain(page, "measures")
    assert "averaged over the labels" in measured and "All labels right" in measured


def test_cards_of_labels_tell_found_missed_and_added_apart(labels: Path) -> None:
    entries = json.loads((labels / "figures" / "pictures.json").read_text(encoding="utf-8"))
    entries[0] |= {"target": "dog;car", "predicted": "car;snow"}
    entries[1] |= {"target": "", "predicted": "", "right": True}
    (labels / "figures" / "pictures.json").write_text(json.dumps(entries), encoding="utf-8")
    shown = plain(report(labels), "pictures")
    assert "Found: car . Missed: dog . Not there: snow ." in shown and "No label, as the network said." in shown


def test_thousand_labels_stay_bounded(tmp_path: Path) -> None:
    folder = write_labels(tmp_path / "run", [f"label {i:04d}" for i in range(1000)], n=60)
    page = report(folder)
    assert len(page.without_pictures().encode()) < 400_000
    assert len(set(re.findall(r'<th scope="row"><bdi>(label \d{4})', plain_html(page, "labels")))) == 1000
    assert plain_html(page, "labels").count("<svg") == 60


def plain_html(page: Page, section: str) -> str:
    return page.source.partition(f'<section id="{section}"')[2].partition("</section>")[0]


@pytest.mark.parametrize("task", ["labels", "numbers", "ladder"])
def test_hostile_names_stay_text_in_every_section(tmp_path: Path, task: str) -> None:
    if task == "labels":
        folder = write_labels(tmp_path / "run", HOSTILE, n=80)
    elif task == "numbers":
        folder = write_numbers(tmp_path / "run", target=HOSTILE[1], n=60)
    else:
        folder = write_sample(tmp_path / "run", recipe="auto", pictures=0)
        said = document(folder)
        rows = [row | {"step": HOSTILE[i], "reason": HOSTILE[i + 1]} for i, row in enumerate(said["ladder"]["rows"])]
        change_run(
            folder,
            ladder=said["ladder"] | {"rows": rows, "why": HOSTILE[0], "chosen": HOSTILE[2]},
            frozen=said["frozen"] | dict.fromkeys(("sentence", "unfreeze", "before", "after"), HOSTILE[2]),
            find_rate={"sentence": HOSTILE[3]},
        )
        history = (folder / "history.csv").read_text(encoding="utf-8")
        (folder / "history.csv").write_text(history.replace("finetune", "<script>alert(4)</script>"), encoding="utf-8")
    page = report(folder)
    assert {tag for tag, _ in page.tags} <= ALLOWED and not page.open
    for _, found in page.tags:
        assert not [name for name in found if name.startswith("on")]
    assert "\u202e" not in page.source and "49 {% raw %}" not in page.text()
    if task == "labels":
        shown = page.text("labels")
        for name in HOSTILE:
            assert " ".join(words.shorten(str(words.clean(name)), 60).split()) in shown
    elif task == "numbers":
        assert HOSTILE[1] in page.text("distances")
    else:
        assert "<script>alert(1)</script>" in page.text("ladder") and "]]></style>" in page.text("frozen")


ODD: tuple[object, ...] = (None, "<i>", [], -1e300, {}, [[None]], True, 0, "nan")


@pytest.mark.parametrize("key", ["ladder", "frozen", "find_rate", "metric", "task", "result", "target_name"])
def test_odd_values_do_not_break_the_new_sections(tmp_path: Path, key: str) -> None:
    folder = write_sample(tmp_path / "run", recipe="auto", pictures=0, a_class=4)
    write_rates(folder)
    said = document(folder)
    odd = itertools.cycle(ODD)
    tried: list[object] = list(ODD)
    if key == "ladder":
        row = said[key]["rows"][2]
        tried += [said[key] | {"rows": [row | {name: next(odd)}]} for name in row for _ in range(2)]
        tried += [said[key] | {name: next(odd)} for name in said[key] for _ in range(3)]
    elif isinstance(said.get(key), dict):
        tried += [said[key] | {name: next(odd)} for name in said[key] for _ in range(3)]
    for value in tried:
        change_run(folder, **{key: value})
        assert not report(folder).open, value


def test_odd_rates_do_not_break_the_page(tmp_path: Path) -> None:
    folder = write_sample(tmp_path / "run", pictures=0, a_class=4)
    for content in ("", "learning_rate,loss\n", "learning_rate,loss\n0,nan\n-1,2\n", "a,b\n1,2\n", "\0\0,1\n"):
        (folder / "rates.csv").write_text(content, encoding="utf-8")
        assert "Rate finder" not in report(folder).source
    (folder / "rates.csv").write_text("learning_rate,loss\n1e-6,1\n1e-300,1e300\n0.1,-5\n1e5,2", encoding="utf-8")
    assert "Rate finder" in report(folder).source


@pytest.mark.parametrize("task", ["classification", "labels", "numbers"])
def test_model_card_leads_with_the_measure_of_its_task(tmp_path: Path, task: str, labels: Path, numbers: Path) -> None:
    folder = {"labels": labels, "numbers": numbers}.get(task) or write_sample(tmp_path / "run", pictures=0)
    run = document(folder)
    if task == "labels":
        run["findings"]["classes"] = {name: {} for name in LABELS}
    scores = json.loads((folder / "metrics.json").read_text(encoding="utf-8"))["test"]
    card = model_card(run, scores, "test")
    rows = dict(
        line.strip("| ").split(" | ", 1) for line in card.splitlines() if line.startswith("| ") and line != "| | |"
    )
    key, name = {"labels": ("map", "mean average precision"), "numbers": ("mae", "mean error")}.get(
        task, ("accuracy", "accuracy")
    )
    shown = f"{scores[key]['value']:.3f}" if task != "numbers" else words.quantity(scores[key]["value"])
    assert rows[f"{name} on test"].startswith(f"{shown} (95 % interval ")
    assert rows[f"{name} on test"].endswith(f"{scores[key]['n']} pictures)")
    expected = {"labels": "12 labels: `beach`", "numbers": "a number for each picture: `age`"}.get(task, "2 classes")
    assert expected in rows["task"] and "2,562 parameters; 2,223,872" in rows["trained"]
    assert "\n\n\n" not in card and card.count("|\n|") == card.count("|\n") - 1
