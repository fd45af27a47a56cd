"""The front door: how help looks at 80 columns, how an interruption ends, and tables that no name breaks."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from torch import nn

import lensmith
from lensmith.errors import UsageError
from lensmith.verbs.cells import cell, plain, width
from lensmith.verbs.helping import SECTIONS
from lensmith.verbs.show import metrics
from running import lensmith as front_door
from running import process

Capture = pytest.CaptureFixture[str]
VERBS = sorted(lensmith.VERBS)
ODD = "two\nlines\x1b[31m\u202e.png"


# ---- help


@pytest.mark.parametrize("verb", VERBS)
def test_help_fits_80_columns_and_gives_each_example_a_line(
    verb: str, monkeypatch: pytest.MonkeyPatch, capsys: Capture
) -> None:
    monkeypatch.setenv("COLUMNS", "80")
    said = front_door(capsys, verb, "--help")
    assert said.code == 0 and said.err == ""
    text, _, end = said.out.partition("\n  Example")
    assert all(len(line) <= 80 for line in said.out.splitlines()), said.out
    assert not re.search(r"<\w+|list\[|\[required\]|\[default:|[{}]", text), "types and marks of the program"
    assert re.search(rf" {verb} \[OPTIONS\][A-Z|. \[\]]*$", text.splitlines()[0]), text
    commands = end.splitlines()[1:]
    assert commands and all(line.startswith(f"    lensmith {verb}") for line in commands), end


def test_the_verbs_are_told_in_a_line_each(monkeypatch: pytest.MonkeyPatch, capsys: Capture) -> None:
    monkeypatch.setenv("COLUMNS", "80")
    text = front_door(capsys, "--help").out
    told = text[text.index("Commands:") : text.index("Begin with:")].split("\n")[1:]
    assert [line.split()[0] for line in told if line.strip()] == re.findall(r"^  (\w+) ", "\n".join(told), re.M)
    assert sorted(line.split()[0] for line in told if line.strip()) == VERBS and "..." not in text.partition("\n")[2]


def test_every_option_of_train_stands_under_a_heading(capsys: Capture) -> None:
    text = front_door(capsys, "train", "--help").out
    assert "\nOptions:" not in text
    assert [f"{title}:" in text for title, _ in SECTIONS] == [True] * len(SECTIONS)


# ---- interruptions


IMPORTED = """
import os, signal, sys
class Interrupt:
    def find_spec(self, name, path=None, target=None):
        if name == sys.argv[-1]:
            os.kill(os.getpid(), signal.SIGINT)
sys.meta_path.insert(0, Interrupt())
signal.signal(signal.SIGINT, signal.default_int_handler)
from lensmith.__main__ import main
main()
"""


@pytest.mark.parametrize("module", ["lensmith.cli", "typing", "typer", "lensmith.looking"])
def test_interrupted_while_the_program_is_imported(module: str, tmp_path: Path) -> None:
    said = process(["-c", IMPORTED, module], folder=tmp_path)
    assert (said.code, said.out, said.err) == (130, "", "stopped\n")


INTERRUPTED = """
import os, signal, sys
import {module} as module
def interrupted(*given, **named):
    os.kill(os.getpid(), signal.SIGINT)
module.{name} = interrupted
signal.signal(signal.SIGINT, signal.default_int_handler)
from lensmith.__main__ import main
main()
"""


@pytest.mark.parametrize(
    ("module", "name", "words", "line"),
    [
        ("lensmith.verbs.stress", "open_subject", ["stress", "lenet5", "."], "stopped; nothing was written"),
        ("lensmith.verbs.train", "_prepare", ["train", "."], "stopped; nothing was written"),
        ("lensmith.verbs.check", "open_data", ["check", "."], "stopped"),
    ],
)
def test_an_interrupted_verb_says_so_in_a_line(
    module: str, name: str, words: list[str], line: str, tmp_path: Path
) -> None:
    said = process(["-c", INTERRUPTED.format(module=module, name=name), *words], folder=tmp_path)
    assert (said.code, said.out, said.err) == (130, "", f"{line}\n")
    assert not list(tmp_path.iterdir())


# ---- words


def test_a_network_of_the_users_own_is_named_for_train() -> None:
    with pytest.raises(UsageError, match=r"network is a Sequential; .* module:factory"):
        lensmith.train("photos", network=nn.Sequential())  # type: ignore[arg-type]


def test_names_stay_in_their_line_and_column() -> None:
    assert plain(ODD) == r"two\nlines\x1b[31m\u202e.png"
    assert plain("Ünï 日本 👩‍👧") == "Ünï 日本 👩‍👧"
    assert width("日本") == 4 and width("e\u0301") == 1
    assert [cell(text, 4) for text in ("ab", "abcde", "日本語", "a\nb")] == ["ab  ", "abc…", "日… ", r"a\nb"]
    assert cell("/a/long/path.png", 9, end=True) == "…path.png"


def test_huge_and_tiny_scores_are_short(capsys: Capture) -> None:
    values = {"mae": 53466510233.6, "rmse": 1.2345e-5, "r2": -1234.5, "accuracy": 0.975}
    metrics({name: {"value": value, "low": None, "high": None, "n": 9} for name, value in values.items()}, "test")
    printed = capsys.readouterr().out
    assert [word in printed for word in (" 5.35e10 ", " 1.23e-5 ", " -1234.500 ", " 0.975 ")] == [True] * 4, printed
