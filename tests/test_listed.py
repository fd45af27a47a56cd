"""Tables of pictures: how they are written, what they set as a task, and what is refused, with line and fix."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

import lensmith
from lensmith.data.dataset import Dataset
from lensmith.data.listed import open_listed
from lensmith.data.source import open_data
from lensmith.data.table import read_table
from lensmith.errors import DataError, UsageError
from lensmith.verbs import show
from sample_pictures import noise, saved

ROWS = [("a.png", "cat"), ("b.png", "dog"), ("sub/c.png", "cat")]


@pytest.fixture
def place(tmp_path: Path) -> Path:
    """A folder with 25 small pictures, no two alike, one of them in a folder of its own."""
    for number, name in enumerate([*(f"{letter}.png" for letter in "abcdefghijklmnopqrstuvwxy"), "sub/c.png"]):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_bytes(saved(Image.fromarray(noise(4, 4 + number, 3)), "PNG"))
    return tmp_path


def open_list(file: Path, **options: Any) -> Dataset:
    return open_listed(read_table(file), **options)


def table(folder: Path, text: str | bytes, name: str = "list.csv") -> Path:
    (folder / name).write_bytes(text if isinstance(text, bytes) else text.encode())
    return folder / name


def column(folder: Path, values: Sequence[object], header: str = "label") -> Path:
    """Write a table of the pictures a.png, b.png and so on, with these values."""
    lines = [f"picture,{header}", *(f"{chr(97 + place)}.png,{value}" for place, value in enumerate(values))]
    return table(folder, "\n".join(lines) + "\n")


def labels(dataset: Dataset) -> list[tuple[str, str]]:
    names = [dataset.classes[target] for target in dataset.targets]
    return list(zip(dataset.paths, names, strict=True))


def refusal(file: Path, **options: str) -> str:
    with pytest.raises(DataError) as raised:
        open_list(file, **options)  # type: ignore[arg-type]
    said = str(raised.value)
    assert str(file) in said or file.name in said
    return said


# ---- how tables are written


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("t.csv", "picture,label\na.png,cat\nb.png,dog\nsub/c.png,cat\n"),
        ("t.csv", "\ufeffpicture,label\r\na.png,cat\r\nb.png,dog\r\nsub/c.png,cat"),
        ("t.csv", "picture,label\ra.png,cat\rb.png,dog\rsub/c.png,cat\r"),
        ("t.CSV", "Label;Path\ncat;a.png\ndog;b.png\ncat;sub/c.png\n"),
        ("t.csv", "label\tfile\ncat\ta.png\ndog\tb.png\ncat\tsub/c.png\n"),
        ("t.tsv", "label\tfile\ncat\ta.png\ndog\tb.png\ncat\tsub/c.png\n"),
        ("t.csv", '"picture","label"\n"a.png","cat"\n\n b.png , dog \n,\n"sub/c.png",cat\n'),
        ("t.csv", ",picture,label\n0,a.png,cat\n1,b.png,dog\n2,sub/c.png,cat\n"),  # row numbers under no name
        ("t.csv", "a.png,cat\nb.png,dog\nsub/c.png,cat\n"),
        ("t.csv", "gone.png,cat\na.png,cat\nb.png,dog\nsub/c.png,cat\n"),
        ("t.csv", "wo,was\na.png,cat\nb.png,dog\nsub/c.png,cat\n"),
        ("t.csv", "name,photo,label\nRex,a.png,cat\nTom,b.png,dog\nAda,sub/c.png,cat\n"),
        ("t.csv", "label,picture\ncat,./a.png\ndog,b.png\ncat,sub//c.png\n"),
        ("t.jsonl", "".join(json.dumps({"image": path, "label": name}) + "\r\n" for path, name in ROWS)),
        ("t.ndjson", '\ufeff{"id": 1, "y": "cat", "img": "a.png"}\n\n{"img": "b.png", "y": "dog", "id": [{}]}\n'),
    ],
)
def test_layouts(name: str, text: str, place: Path) -> None:
    file = table(place, text, name)
    dataset = open_list(file)
    expected = [row for row in ROWS if row[0] in text.replace("//", "/")]
    assert [row for row in labels(dataset) if row[0] != "gone.png"] == expected
    assert dataset.task == "classification" and dataset.classes == ("cat", "dog")
    assert len(dataset) == len(expected) + ("gone.png" in text)
    assert (dataset.root, dataset.source, dataset.name) == (place, file, "t")


def test_quoted_cells_hold_anything(place: Path) -> None:
    (place / "x, y.png").write_bytes((place / "a.png").read_bytes())
    dataset = open_list(table(place, 'picture,label\n"x, y.png","a ""big""\ncat, grey"\nb.png,dog\n'))
    assert labels(dataset) == [("b.png", "dog"), ("x, y.png", 'a "big"\ncat, grey')]


def test_json_lines_break_at_line_ends_alone(place: Path) -> None:
    rows = [{"picture": "a.png", "label": "a\u2028b"}, {"picture": "b.png", "label": "ü"}]
    file = table(place, "".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows), "t.jsonl")
    assert open_list(file).classes == ("a\u2028b", "ü")


def test_paths_may_leave_the_folder(place: Path) -> None:
    lists = place / "lists"
    lists.mkdir()
    dataset = open_list(table(lists, f"picture,label\n../a.png,cat\n{place / 'b.png'},dog\n"))
    assert dataset.paths == ("../a.png", (place / "b.png").as_posix()) and dataset.root == lists
    assert all((dataset.root / path).is_file() for path in dataset.paths)


# ---- columns


def test_the_target_is_the_one_named_as_such_the_only_one_or_the_one_asked_for(place: Path) -> None:
    file = table(place, "picture,label,colour,year\na.png,cat,red,1990\nb.png,dog,blue,1991\n")
    assert open_list(file).classes == ("cat", "dog") and open_list(file).target_name == "label"
    assert open_list(file, target="colour").classes == ("blue", "red")
    assert open_list(file, target="year").classes == ("1990", "1991")
    assert open_list(table(place, "Split,kind,picture\ntrain,x,a.png\nval,y,b.png\n")).target_name == "kind"
    assert open_list(table(place, "name,path\ncat,a.png\ndog,b.png\n")).classes == ("cat", "dog")


def test_a_target_that_is_missing_or_unclear(place: Path) -> None:
    file = table(place, "picture,breed,colour\na.png,x,red\nb.png,y,blue\n")
    said = refusal(file)
    assert "'picture', 'breed', 'colour'" in said and "--target COLUMN" in said
    said = refusal(file, target="color")
    assert "no column 'color'; allowed are 'breed', 'colour'. Nearest: colour." in said
    assert "besides the target 'picture' ('breed', 'colour')" in refusal(file, target="picture")
    assert "not clear" in refusal(table(place, "picture,label,class\na.png,x,red\nb.png,y,blue\n"))
    assert "not clear" in refusal(table(place, "picture,split\na.png,train\nb.png,test\n"))


def test_no_column_of_pictures(place: Path) -> None:
    said = refusal(table(place, "what,where\ncat,here\ndog,there\n"))
    assert "none of its columns ('what', 'where') names pictures" in said and str(place) in said and "path" in said


# ---- splits


def test_splits_are_those_of_the_table(place: Path) -> None:
    file = table(place, "picture,label,SPLIT\na.png,x,Training\nb.png,y,dev\nc.png,y,test\nd.png,x,train\n")
    dataset = open_list(file)
    assert dataset.given == ("train", "validation", "test", "train") and dataset.target_name == "label"
    assert dataset.counts() == {
        "x": {"train": 2, "validation": 0, "test": 0},
        "y": {"train": 0, "validation": 1, "test": 1},
    }
    learned = open_list(file, target="SPLIT")
    assert learned.given == ("",) * 4 and learned.classes == ("Training", "dev", "test", "train")
    assert open_list(table(place, "picture,label,split\na.png,x,\nb.png,y,\n")).given == ("", "")


def test_splits_that_say_nothing_usable(place: Path) -> None:
    said = refusal(table(place, "picture,label,split\na.png,x,train\nb.png,y,trian\n"))
    assert "line 3" in said and "'trian'" in said and "Nearest: train" in said
    assert "line 3: split is ''" in refusal(table(place, "picture,label,split\na.png,x,train\nb.png,y,\n"))
    file = table(place, "picture,label,split\na.png,x,test\nb.png,y,val\n")
    assert "no row of the column 'split' says train" in refusal(file)
    assert open_list(file, task="classification", classes=["y", "x"]).given == ("test", "validation")


# ---- which task


@pytest.mark.parametrize(
    ("values", "task", "why"),
    [
        (["cat", "dog", "cat"], "classification", "words"),
        (["1", "2", "1"], "classification", "2 different whole numbers"),
        ([str(value) for value in range(20)], "classification", "20 different"),
        ([str(value) for value in range(21)], "regression", "21 different numbers"),
        (["1", "2.0", "1"], "regression", "decimals"),
        (["-3", "1e-3", "+.5"], "regression", "decimals"),
        (["nan", "inf", "naan"], "classification", "words"),  # bread, say
        (["cat;dog", "cat", ""], "multilabel", "';'"),
        (["1.5;2", "cat", "2"], "multilabel", "';'"),
    ],
)
def test_the_values_set_the_task_and_the_choice_is_said(
    values: list[str], task: str, why: str, place: Path, recwarn: pytest.WarningsRecorder
) -> None:
    dataset = open_list(column(place, values))
    assert dataset.task == task and not recwarn.list
    assert f"read as {task}, since" in dataset.notes[0] and why in dataset.notes[0] and "--task" in dataset.notes[0]


def test_the_task_can_be_said(place: Path) -> None:
    file = column(place, ["1", "2.5", "nan"])
    assert open_list(file, task="classification").classes == ("1", "2.5", "nan")
    file = column(place, ["x;y", "x", "x"])
    assert open_list(file, task="classification").classes == ("x", "x;y")
    dataset = open_list(column(place, [3, 4, 3]), task="regression")
    assert dataset.targets.tolist() == [3, 4, 3] and dataset.targets.dtype == np.float32 and dataset.classes == ()
    assert open_list(column(place, ["b", "", "a"]), task="multilabel").targets.tolist() == [[0, 1], [0, 0], [1, 0]]
    assert not dataset.notes
    with pytest.raises(UsageError, match=r"'regresion'; allowed are auto, .* Nearest: regression"):
        open_list(file, task="regresion")


def test_several_labels_a_picture(place: Path) -> None:
    dataset = open_list(column(place, ["sea; sand;sea;", "", "sand", "Sea"], header="tags"))
    assert dataset.classes == ("Sea", "sand", "sea") and dataset.target_name == "tags"
    assert dataset.targets.tolist() == [[0, 1, 1], [0, 0, 0], [0, 1, 0], [1, 0, 0]]
    assert dataset.targets.dtype == np.uint8 and dataset.strata.tolist() == [2, 3, 1, 0]
    assert any(note.startswith("1 row without tags") for note in dataset.notes)
    assert any("'Sea', 'sea'" in note for note in dataset.notes)


def test_labels_of_json_lines(place: Path) -> None:
    rows: list[object] = [["sea", "sand"], "sky;sea", [], None, ["sea"], [7]]
    file = table(
        place,
        "".join(json.dumps({"path": f"{'abcdef'[n]}.png", "labels": row}) + "\n" for n, row in enumerate(rows)),
        "t.jsonl",
    )
    dataset = open_list(file)
    assert dataset.classes == ("7", "sand", "sea", "sky")
    assert dataset.targets.sum(1).tolist() == [2, 2, 0, 0, 1, 1]
    assert "line 1: labels is a list of 2" in refusal(file, task="classification")
    numbers = '{"path": "a.png", "y": 2}\n{"path": "b.png", "y": 2.50}\n{"path": "c.png", "y": "1e1"}\n'
    assert open_list(table(place, numbers, "t.jsonl")).targets.tolist() == [2, 2.5, 10]


# ---- bad input


def test_a_column_that_is_constant_or_empty(place: Path) -> None:
    assert "label is 'cat' in every row (3), so there is nothing" in refusal(column(place, ["cat"] * 3))
    assert "label is 2.5 in every row" in refusal(column(place, ["2.5", "2.50"]))
    assert "label is 'a, b' in every row" in refusal(column(place, ["a;b", "b;a"]))
    assert "label is empty in every row" in refusal(column(place, ["", ""]), task="multilabel")
    assert "'label' is empty" in refusal(column(place, ["", ""]))


def test_a_column_that_mixes_numbers_and_words(place: Path) -> None:
    said = refusal(column(place, ["3", "4", "tall", "5", "NA"]))
    assert "(line 2: '3')" in said and "(line 4: 'tall')" in said and "--task classification" in said
    assert "line 2: label is 'tall', which is no number" in refusal(column(place, ["tall", "low"]), task="regression")
    assert "mixes" in refusal(column(place, ["1", "low"]), task="regression")


@pytest.mark.parametrize("value", ["nan", "NaN", "inf", "-Infinity", "1e39"])
def test_numbers_that_are_none(value: str, place: Path) -> None:
    said = refusal(column(place, ["3.5", "1.5", value, "2"]))
    assert "line 4" in said and repr(value).strip("'") in said and "Correct it" in said


def test_decimal_commas_are_named(place: Path) -> None:
    said = refusal(table(place, 'picture,size\na.png,"3,5"\nb.png,4\n'))
    assert "line 2: size is '3,5'" in said and "a point" in said
    assert "a point" in refusal(table(place, 'picture,size\na.png,"3,5"\nb.png,"4,25"\n'))


def test_decimal_commas_are_read_where_no_comma_divides_the_cells(place: Path) -> None:
    dataset = open_list(table(place, "picture;size\na.png;3,5\nb.png;4\nc.png;-,25\n"))
    assert dataset.task == "regression" and dataset.targets.tolist() == [3.5, 4, -0.25]
    thousands = refusal(table(place, "picture;size\na.png;3,500\nb.png;4.5\n"))  # those would be another number
    assert "size is '3,500'" in thousands and "a point" in thousands


def test_rows_without_a_label_are_left_out_while_they_are_few(place: Path) -> None:
    values = ["x", "y"] * 5 + [""]
    dataset = open_list(column(place, values))
    assert len(dataset) == 10 and "k.png" not in dataset.paths
    assert "1 row without label left out: line 12." in dataset.notes
    said = refusal(column(place, values[1:]))
    assert "empty in 1 of 10 rows, first in line 11" in said and "one in ten" in said and "--task multilabel" in said


def test_a_picture_listed_again(place: Path) -> None:
    lines = [f"{letter}.png,{'xy'[place % 2]}" for place, letter in enumerate("abcdefghijklmnopqrst")]
    file = table(place, "\n".join(["picture,label", *lines, "./a.png,x", "b.png,x"]))
    dataset = open_list(file)
    assert len(dataset) == 19 and labels(dataset)[0] == ("a.png", "x") and "b.png" not in dataset.paths
    assert any("'b.png' (lines 3, 23): left out" in note for note in dataset.notes)
    assert "1 row listed again, word for word: taken once." in dataset.notes
    said = refusal(table(place, "picture,tag\na.png,x\na.png,y\nb.png,x\nb.png,y\nc.png,x\n"))
    assert "2 pictures listed with different tag" in said and "(lines 2, 3)" in said and "'cat;dog'" in said
    numbers = "picture,y,split\na.png,1.5,train\na.png,1.50,test\nb.png,2,train\n"
    assert open_list(table(place, numbers)).given == ("train", "test", "train")  # the audit sees to leaks


def test_pictures_that_are_all_absent(place: Path) -> None:
    said = refusal(table(place, "picture,label\nsup/c.png,x\nsup/d.png,y\n"))
    assert "none of the 2 pictures" in said and "'sup/c.png' (line 2)" in said and str(place) in said
    assert "Nearest: sub." in said
    assert "Nearest: c.png." in refusal(table(place, "picture,label\nsub/c.pgn,x\nsub/d.png,y\n"))
    assert "forward slashes" in refusal(table(place, "picture,label\nsub\\c.png,x\n"))
    assert "download" in refusal(table(place, "picture,label\nhttp://localhost/c.png,x\n"))
    assert "none of the 1 pictures" in refusal(table(place, f"picture,label\n{'x' * 5000}.png,x\n"))
    assert "none of the 1 pictures" in refusal(table(place, f"picture,label\n{'x' * 5000}/x.png,x\n"))


@pytest.mark.parametrize(
    ("name", "text", "parts"),
    [
        ("t.csv", "", ["is empty", "picture,label\n  cats/1.jpg,cat"]),
        ("t.csv", "\n\n", ["is empty"]),
        ("t.csv", "picture,label\n", ["no rows"]),
        ("t.jsonl", "\n", ["no rows", '{"picture": "cats/1.jpg", "label": "cat"}']),
        ("t.csv", "picture\na.png\n", ["one cell", "a comma, a semicolon, a tab"]),
        ("t.tsv", "picture,label\na.png,x\n", ["one cell", "divided by a tab"]),
        ("t.csv", "picture,label\na.png,x\nb.png,y,z\n", ["line 3: 3 cells", 'quotes: "a,b"']),
        ("t.csv", "picture,label\na.png,x\nb.png\n", ["line 3: 1 cell,"]),
        ("t.csv", 'picture,label\na.png,x\nb.png,"y\nc.png,z\n', ["line 3: the quotes are broken"]),
        ("t.csv", "picture,label,label\na.png,x,y\n", ["two columns are called 'label'"]),
        ("t.csv", "a.png,x,train\nb.png,y,train\n", ["line 1 names a picture", "picture,label,split"]),
        ("t.csv", "picture,label\na.png,x\n,y\n", ["line 3: picture is empty"]),
        ("t.csv", "picture,label\na.png,x\nb.png,M\xfcll\n".encode("latin-1"), ["line 3: this is not UTF-8"]),
        ("t.csv", "picture,label\na.png,x\n".encode("utf-16"), ["not UTF-8"]),
        ("t.csv", "picture,label\na.png,x\0\n", ["zero bytes"]),
        ("t.jsonl", '{"picture": "a.png", "label": "x"}\n{"picture": "b.png", "la\n', ["line 2: this is not JSON"]),
        ("t.jsonl", '[{"picture": "a.png", "label": "x"}]\n', ["line 1: a JSON object"]),
        ("t.jsonl", '{"picture": "a.png", "label": "\\ud800"}\n', ["line 1"]),
        ("t.jsonl", '{"picture": "a\\u0000.png", "label": "x"}\n', ["line 1"]),
        ("t.jsonl", '{"picture": ' + "[" * 100_000 + "\n", ["line 1"]),
        ("t.jsonl", '{"path": ["a.png"], "label": "x"}\n', ["line 1: path is a list"]),
        ("t.xlsx", b"PK\x03\x04", ["is no table", ".csv, .tsv, .jsonl", "CSV in UTF-8"]),
    ],
)
def test_what_is_no_table(name: str, text: str | bytes, parts: list[str], place: Path) -> None:
    said = refusal(table(place, text, name))
    for part in parts:
        assert part in said


# ---- the classes of a trained model


def test_classes_of_a_model_give_the_order(place: Path) -> None:
    file = column(place, ["cat", "cat"])
    dataset = open_list(file, task="classification", classes=["emu", "dog", "cat"])
    assert dataset.classes == ("emu", "dog", "cat") and dataset.targets.tolist() == [2, 2]
    several = open_list(column(place, ["cat;emu", ""]), task="multilabel", classes=["emu", "dog", "cat"])
    assert several.targets.tolist() == [[1, 0, 1], [0, 0, 0]]
    numbers = open_list(column(place, ["2", "2"]), task="regression", classes=())
    assert numbers.classes == () and numbers.targets.tolist() == [2, 2]
    with pytest.raises(DataError, match=r"line 3: the label 'cta' is none of the 2 .*Nearest: cat\."):
        open_list(column(place, ["cat", "cta"]), task="classification", classes=["cat", "dog"])
    with pytest.raises(DataError, match="line 2: the label 'fox'"):
        open_list(column(place, ["cat;fox"]), task="multilabel", classes=["cat", "dog"])


def test_names_are_one_however_they_are_written(place: Path) -> None:
    dataset = open_list(column(place, ["caf\u00e9", "cafe\u0301", "tea"]))
    assert dataset.classes == ("caf\u00e9", "tea") and dataset.targets.tolist() == [0, 0, 1]
    known = open_list(column(place, ["caf\u00e9"]), task="classification", classes=["tea", "cafe\u0301"])
    assert known.targets.tolist() == [1]


# ---- one way in


def test_open_data_takes_folders_and_tables(place: Path, make_shapes: Callable[..., Path]) -> None:
    folder = make_shapes(each=2)
    assert open_data(folder, task="classification").classes == ("cross", "disc", "square")
    assert open_data(str(column(place, [1, 2])), task="regression").task == "regression"
    for options in ({"task": "regression"}, {"target": "age"}):
        with pytest.raises(UsageError, match=r"belongs to a table of pictures; .*sub-folders are the classes"):
            open_data(folder, **options)
    with pytest.raises(UsageError, match="allowed are auto"):
        open_data(folder, task="boxes")
    with pytest.raises(DataError, match=r"lits\.csv: no such file\. Nearest: list\.csv"):
        open_data(place / "lits.csv")
    with pytest.raises(DataError, match="is one picture"):
        open_data(place / "a.png")
    folder.rename(folder.with_suffix(".csv"))
    assert len(open_data(folder.with_suffix(".csv"))) == 6


# ---- check


def said_of(file: Path, capsys: pytest.CaptureFixture[str], **options: str) -> tuple[str, dict[str, object]]:
    found = lensmith.check(file, quiet=True, **options)  # type: ignore[arg-type]
    show.check(found)
    document: dict[str, object] = json.loads(json.dumps(found.as_dict()))
    return capsys.readouterr().out, document


def test_check_counts_labels(place: Path, capsys: pytest.CaptureFixture[str]) -> None:
    out, document = said_of(column(place, ["sea;sand", "sea", "", "sand"] * 6), capsys)
    assert "24 pictures with any of 2 labels" in out and "\n  label  " in out
    assert f"{'sand':<24}{12:>12}" in out and "read as multilabel" in out
    assert f"ready: lensmith train {place / 'list.csv'}\n" in out
    assert document["task"] == "multilabel" and document["numbers"] is None
    assert document["classes"] == {"sand": {"": 12}, "sea": {"": 12}} and document["data"] == str(place / "list.csv")


def test_check_shows_how_numbers_lie(place: Path, capsys: pytest.CaptureFixture[str]) -> None:
    out, document = said_of(column(place, [1] * 8 + [2] * 11 + [6], "age"), capsys, task="regression", target="age")
    assert "20 pictures with a number each (age)" in out and "smallest 1, median 2, largest 6" in out
    rows = [line.split() for line in out.splitlines() if "#" in line]
    assert rows == [["1", "1.5", "8", "#" * 30], ["2", "2.5", "11", "#" * 40], ["5.5", "6", "1", "#" * 4]]
    assert "55% of the pictures have one number of age, 2" in out
    assert out.rstrip().endswith("list.csv --task regression --target age")
    assert document["numbers"] == {
        "smallest": 1,
        "median": 2,
        "largest": 6,
        "edges": [1 + step / 2 for step in range(11)],
        "counts": [8, 0, 11, 0, 0, 0, 0, 0, 0, 1],
    }
    assert document["target"] == "age" and document["classes"] == {}


def test_pictures_that_are_absent_are_named_and_stop_above_a_tenth(
    place: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    there = [f"{letter}.png,{'xy'[number % 2]}" for number, letter in enumerate("abcdefghijklmnopqrst")]
    absent = ["gone.png,x", f"{'long' * 2000}.png,y", "sub,x"]
    out, document = said_of(table(place, "\n".join(["picture,label", *there, *absent[:2]])), capsys)
    assert "cannot be read: 2\n  gone.png: " in out and not document["problem"]
    out, document = said_of(table(place, "\n".join(["picture,label", *there, *absent])), capsys)
    assert "3 of 23 pictures cannot be read (13%)" in str(document["problem"])
