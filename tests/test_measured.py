"""Rows of a table: how columns become numbers, what is trained on them, and that every verb takes them."""

from __future__ import annotations

import csv
import json
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest

import lensmith
from lensmith.data.encoding import Encoding, encoding_from_dict, fit_encoding
from lensmith.data.measured import records_of
from lensmith.data.source import open_data
from lensmith.errors import DataError, RunError, UsageError
from lensmith.model import load_model
from lensmith.reproduce import generator
from lensmith.seeing.permutation import column_losses
from running import lensmith as front_door


def write(file: Path, rows: Sequence[Sequence[object]]) -> Path:
    with file.open("w", newline="") as out:
        csv.writer(out).writerows(rows)
    return file


def measured(folder: Path, count: int = 240) -> Path:
    """Write a table in which `size` and `kind` make `cost`, and `noise` does not."""
    random = generator(0, "table")
    rows: list[list[object]] = [["size", "noise", "kind", "cost"]]
    for _ in range(count):
        size, noise, kind = random.uniform(0, 10), random.normal(), random.choice(["big", "small"])
        rows.append([f"{size:.3f}", f"{noise:.3f}", kind, f"{3 * size + 12 * (kind == 'big') + random.normal():.3f}"])
    return write(folder / "costs.csv", rows)


# ---- columns to numbers


def test_standardised_by_the_training_rows_and_words_one_hot() -> None:
    encoding, notes = fit_encoding(("a", "b"), [("1", "red"), ("3", "blue"), ("5", "red")], "standardise")
    assert notes == [] and encoding.width == 3
    deviation = np.std([1, 3, 5])
    expected = [[-2 / deviation, 0, 1], [4 / deviation, 0, 0]]
    np.testing.assert_allclose(encoding.encode([("1", "red"), ("7", "green")]), expected, rtol=1e-6)


def test_min_max_takes_the_training_rows_to_0_and_1() -> None:
    encoding, _ = fit_encoding(("a",), [("-2",), ("6",), ("0",)], "min-max")
    np.testing.assert_allclose(encoding.encode([("-2",), ("6",), ("2",), ("10",)])[:, 0], [0, 1, 0.5, 1.5])


def test_a_missing_number_is_the_median_and_is_marked() -> None:
    encoding, _ = fit_encoding(("a",), [("1",), ("2",), ("9",), ("?",)], "min-max")
    assert encoding.encode([("",), ("9",)]).tolist() == [[0.125, 1], [1, 0]]


def test_odd_columns_are_named() -> None:
    rows = [(str(number), "", f"row {number}", "7") for number in range(40)]
    rows[3] = ("lots", "", "row 3", "7")
    encoding, notes = fit_encoding(("a", "empty", "id", "same"), rows, "standardise")
    assert encoding.names == ("a", "same")
    assert ["lots" in notes[0], "'empty' is empty" in notes[1], "'id' holds 40" in notes[2]] == [True] * 3
    assert encoding.encode([("5", "8")])[0, 2] == 0  # a column that never changed says nothing, whatever comes


def test_numbers_that_are_not_finite_count_as_missing_and_are_told() -> None:
    cells = [("inf" if number % 5 == 0 else f"{number}.5", str(number)) for number in range(1, 41)]
    cells[0], cells[1] = ("-Infinity", "1"), ("1e400", "2")
    encoding, notes = fit_encoding(("a", "b"), cells, "min-max")
    assert encoding.names == ("a", "b") and encoding.columns[0].marked
    assert len(notes) == 1 and "10 of its 40 cells, such as '-Infinity'" in notes[0]
    assert encoding.encode([("inf", "1"), ("3.5", "1")])[:, 1].tolist() == [1, 0]
    assert np.isfinite(encoding.encode(cells)).all()


def test_a_column_left_out_says_how_many_of_its_cells_are_no_numbers() -> None:
    cells = [(f"{number}.5" if number % 4 else f"about {number}", str(number)) for number in range(400)]
    encoding, notes = fit_encoding(("a", "b"), cells, "min-max")
    assert encoding.names == ("b",)
    assert "100 of its 400 cells are none, such as 'about 0': left out" in notes[0]
    encoding, notes = fit_encoding(("a",), [(str(number % 7 or "n.a."),) for number in range(70)], "min-max")
    assert encoding.width == 7 and "10 of its 70 cells are none, such as 'n.a.': all are taken as words" in notes[0]


def halves(folder: Path, delimiter: str, comma: bool, names: str = "x,z,label") -> Path:
    """Write a table of two numbers that tell two classes apart together, and neither alone."""
    random, lines = generator(0, "halves"), [names.replace(",", delimiter)]
    for one, other in random.normal(size=(200, 2)):
        numbers = delimiter.join(f"{number:.3f}" for number in (one, other))
        lines.append(f"{numbers.replace('.', ',') if comma else numbers}{delimiter}{'yn'[int(one > other)]}")
    (folder / "halves.csv").write_text("\n".join(lines))
    return folder / "halves.csv"


def test_decimal_commas_are_the_numbers_they_are(tmp_path: Path) -> None:
    found = {}
    for delimiter, comma in (((",", False)), (";", True), ("\t", True)):
        dataset = open_data(halves(tmp_path, delimiter, comma))
        found[delimiter] = dataset.cells
        assert len(dataset.notes) == 1, dataset.notes  # the task, and no column left out
    assert found[","] == found[";"] == found["\t"]
    run = lensmith.train(halves(tmp_path, ";", True), dense=(), out=tmp_path / "runs", quiet=True)
    assert run.metrics[run.document["held_out"]]["accuracy"]["value"] > 0.9


def test_a_table_without_names_may_have_decimal_commas(tmp_path: Path) -> None:
    (tmp_path / "bare.csv").write_text("0,5;1,5;yes\n1,5;0,5;no\n2,5;0,1;no\n")
    dataset = open_data(tmp_path / "bare.csv", target="3")
    assert dataset.columns == ("1", "2") and dataset.cells[0] == ("0.5", "1.5")


def test_points_may_part_thousands_before_a_decimal_comma(tmp_path: Path) -> None:
    (tmp_path / "sums.csv").write_text("sum;kind\n1.570,50;a\n0,5;b\n12.000;a\n-3.001.200,25;b\n7;a\n")
    dataset = open_data(tmp_path / "sums.csv", target="kind")
    assert [cells[0] for cells in dataset.cells] == ["1570.50", "0.5", "12000", "-3001200.25", "7"]


def test_a_column_without_a_finite_number_is_told() -> None:
    cells = [("inf", str(number)) for number in range(40)]
    encoding, notes = fit_encoding(("a", "b"), cells, "standardise")
    assert [column.name for column in encoding.columns] == ["b"]
    assert notes == ["The column 'a' holds no finite number, only such as 'inf': left out."]


def test_y_beside_x_is_a_place_and_not_what_is_learned(tmp_path: Path) -> None:
    file = halves(tmp_path, ",", False, "x,y,survived")
    with pytest.raises(DataError, match=r"not clear what to learn.*--target COLUMN"):
        open_data(file)
    assert open_data(file, target="y", task="regression").target_name == "y"
    assert open_data(halves(tmp_path, ",", False, "x,y,label")).target_name == "label"
    assert open_data(halves(tmp_path, ",", False, "a,b,y")).target_name == "y"
    assert open_data(halves(tmp_path, ",", False, "x,b,Y"), target="Y").target_name == "Y"


@pytest.mark.parametrize("task", [(), ("--task", "classification")])
def test_quiet_names_what_was_chosen_and_what_is_odd(
    task: tuple[str, ...], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file = halves(tmp_path, ",", False)
    header, *lines = file.read_text().splitlines()
    file.write_text("\n".join([f"{header},id", *(f"{line},row {place}" for place, line in enumerate(lines))]))
    said = front_door(capsys, "train", file, "--dense", "none", "--epochs", 2, *task, "-q", "--out", tmp_path / "runs")
    assert said.code == 0, said
    assert "The column 'label' is" in said.err and "'id' holds 200 different words" in said.err
    assert "rows with 2 classes" not in said.err, "quiet shows no progress"


def test_columns_that_all_stay_the_same_cannot_be_learned_from() -> None:
    with pytest.raises(DataError, match="no column differs"):
        fit_encoding(("a", "b"), [("1", "2"), ("1", "2")], "standardise")


def test_an_encoding_survives_its_file() -> None:
    encoding, _ = fit_encoding(("a", "b"), [("1", "x"), ("", "y"), ("2", "x")], "min-max")
    assert encoding_from_dict(json.loads(json.dumps(encoding.as_dict()))) == encoding


def test_rows_are_equal_whatever_their_numbers_look_like(tmp_path: Path) -> None:
    file = write(
        tmp_path / "t.csv", [["a", "b", "label"], ["1.0", "x y", "p"], ["1", "x  y", "q"], ["1.1", "x y", "q"]]
    )
    one, other, third = (record.sha256 for record in records_of(open_data(file)))
    assert one == other != third


# ---- reading tables


def test_a_table_without_names_counts_its_columns(tmp_path: Path) -> None:
    dataset = open_data(write(tmp_path / "t.csv", [[1, 2.5, "g"], [3, 4, "b"]]), target="3")
    assert (dataset.columns, dataset.classes, dataset.paths) == (("1", "2"), ("b", "g"), ("t.csv:1", "t.csv:2"))


@pytest.mark.parametrize(
    ("rows", "target", "said"),
    [
        ([["a", "b"], [1, 2], [3, 4]], None, "it is not clear what to learn"),
        ([["a", "quality"], [1, 2], [3, 4]], "qualty", "Nearest: quality"),
        ([["a", "y"], [1, 5], [3, 5]], "y", "y is '5' in every row.*rows of something else"),
        ([["a", "y"], [1, 5], [3, "x"]], "y", "mixes numbers .* and words"),
        ([["y"], [5], [6]], "y", "one cell"),
    ],
)
def test_what_cannot_be_learned_from_is_said(
    tmp_path: Path, rows: list[list[object]], target: str | None, said: str
) -> None:
    with pytest.raises(DataError, match=said):
        open_data(write(tmp_path / "t.csv", rows), target=target)


def test_a_table_with_picture_names_stays_a_list_of_pictures(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="none of the 2 pictures listed is there"):
        open_data(write(tmp_path / "t.csv", [["name", "label"], ["a.jpg", "x"], ["b.jpg", "y"]]))


# ---- the verbs


@pytest.fixture(scope="module")
def costs(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, lensmith.Run]:
    folder = tmp_path_factory.mktemp("rows")
    table = measured(folder)
    run = lensmith.train(table, target="cost", epochs=80, learning_rate=0.01, out=folder / "runs", quiet=True)
    return table, run


def test_training_on_rows_finds_what_makes_the_number(costs: tuple[Path, lensmith.Run]) -> None:
    _, run = costs
    assert run.metrics["test"]["r2"]["value"] > 0.9
    losses = json.loads((run.folder / "figures/columns.json").read_text())
    assert {losses[0]["column"], losses[1]["column"]} == {"size", "kind"} and losses[2]["column"] == "noise"
    assert losses[1]["mean"] > 10 * abs(losses[2]["mean"])


def test_the_report_speaks_of_rows(costs: tuple[Path, lensmith.Run]) -> None:
    page = costs[1].report.read_text()
    assert "What counts" in page and "test rows" in page and "Where it looked" not in page
    assert "picture" not in page.partition("<main>")[2].lower()


def test_predict_evaluate_and_check_take_tables(
    costs: tuple[Path, lensmith.Run], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    table, run = costs
    rows = list(csv.reader(table.read_text().splitlines()))
    turned = write(tmp_path / "new.csv", [[row[2], row[0], row[1]] for row in rows])  # other order, no target
    found = lensmith.predict(run, turned)
    assert [prediction.path for prediction in found[:2]] == [f"{turned}:2", f"{turned}:3"]
    errors = np.abs([prediction.predicted - float(row[3]) for prediction, row in zip(found, rows[1:], strict=True)])
    assert errors.mean() < 2.5
    assert lensmith.evaluate(run, quiet=True).metrics == run.metrics["test"]
    again = lensmith.evaluate(run, table, quiet=True)
    held_out = sum(row["split"] == "test" for row in run.read_table("splits.csv"))
    assert again.seen == 240 - held_out and "rows were used in training" in again.warning
    said = front_door(capsys, "check", str(table), "--target", "cost")
    assert said.out.startswith("240 rows with a number each (cost) and 3 columns")


def test_a_table_that_changed_is_refused(costs: tuple[Path, lensmith.Run], tmp_path: Path) -> None:
    table = measured(tmp_path)
    run = lensmith.train(table, target="cost", epochs=2, out=tmp_path / "runs", quiet=True)
    table.write_text(table.read_text().replace("big", "small"))
    with pytest.raises(RunError, match="has changed since the run"):
        lensmith.evaluate(run, quiet=True)
    with pytest.raises(DataError, match="needs the column 'size'"):
        lensmith.predict(costs[1], write(tmp_path / "less.csv", [["kind", "noise"], ["big", 1]]))


def test_equal_rows_stay_in_one_split_and_are_told(tmp_path: Path) -> None:
    table = measured(tmp_path, 60)
    rows = list(csv.reader(table.read_text().splitlines()))
    write(table, [*rows, *rows[1:]])
    run = lensmith.train(table, target="cost", epochs=1, out=tmp_path / "runs", quiet=True)
    splits: dict[str, set[str]] = {}
    for row in run.read_table("splits.csv"):
        splits.setdefault(row["sha256"], set()).add(row["split"])
    assert len(splits) == 60 and all(len(names) == 1 for names in splits.values())
    assert any("60 rows repeat another one" in said for said in run.document["findings"]["warnings"])


def test_rows_refuse_what_belongs_to_pictures(tmp_path: Path) -> None:
    table = measured(tmp_path, 40)
    with pytest.raises(UsageError, match="augment is 'strong', which has no use here"):
        lensmith.train(table, target="cost", augment="strong", out=tmp_path, quiet=True)
    with pytest.raises(UsageError, match="recipe is 'finetune', but the rows"):
        lensmith.train(table, target="cost", recipe="finetune", out=tmp_path, quiet=True)
    with pytest.raises(UsageError, match="allowed are standardise, min-max"):
        lensmith.train(table, target="cost", preprocess="zca", out=tmp_path, quiet=True)


def test_a_classifier_of_rows_with_normalisation_and_one_sigmoid(tmp_path: Path) -> None:
    random = generator(1, "rows")
    rows: list[list[object]] = [["a", "b", "label"]]
    for _ in range(160):
        a, b = random.normal(size=2)
        rows.append([f"{a:.4f}", f"{b:.4f}", "in" if a * a + b * b < 1.4 else "out"])
    run = lensmith.train(
        write(tmp_path / "ring.csv", rows),
        dense=(32, 32),
        dropout=0.0,
        norm="before",
        output="sigmoid",
        learning_rate=0.01,
        out=tmp_path / "runs",
        quiet=True,
    )
    assert run.metrics["test"]["accuracy"]["value"] > 0.85  # a line through the ring would reach about 0.6
    from lensmith.data.store import Store

    assert isinstance(load_model(run.model_folder, Store()).base.preprocessing, Encoding)


# ---- what columns count for


def test_a_column_that_says_nothing_loses_nothing() -> None:
    features = generator(0, "columns").normal(size=(500, 3)).astype(np.float32)
    target = features[:, 0] + 2 * features[:, 2]

    def worth(rows: np.ndarray) -> np.ndarray:
        return -np.abs(rows[:, 0] + 2 * rows[:, 2] - target)

    second, first, none = column_losses(worth, features, [("a", 1), ("b", 1), ("c", 1)], 0)
    assert (second.column, first.column, none.column) == ("c", "a", "b") and none.mean == 0
    # Of two normal numbers the mean distance is 2 / sqrt(pi).
    assert first.mean == pytest.approx(2 / np.sqrt(np.pi), rel=0.1) and second.mean == pytest.approx(
        2 * first.mean, rel=0.1
    )
