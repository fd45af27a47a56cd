"""How `--help` looks, and how an interrupted verb ends: the click classes of the program. Nothing heavy is imported."""

from __future__ import annotations

import re
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from typer.core import TyperCommand, TyperGroup

# Typer and click name the kinds of values differently; a reader wants short words.
KINDS = {"<str>": "TEXT", "<int>": "N", "<float>": "X", "<path>": "PATH", "INTEGER": "N", "FLOAT": "X"}
# A verb with this many options has them under headings.
MANY = 25
SECTIONS = (
    ("Data", "task target frames image_size resize crop interpolation preprocess"),
    ("Network", "network weights cut unfreeze init pool dense dropout norm output"),
    ("Recipe", "recipe budget epochs batch_size optimizer learning_rate find_rate weight_decay clip ema precision"),
    ("Loss", "loss label_smoothing class_weights"),
    ("Augmentation", "augment mixup cutmix see"),
    ("When to stop", "min_delta patience stop_right stop_rest"),
    ("Run", "name out resume seed device engine as_json quiet help"),
)


def examples(*commands: str) -> str:
    """Return the end of a help text: one command a line, none of them wrapped."""
    title = "Example:" if len(commands) == 1 else "Examples:"
    return "\n".join(("\b", title, *(f"  {command}" for command in commands)))


class Verb(TyperCommand):
    """A verb whose help names arguments in capitals, writes defaults as [default], and groups options where many."""

    def collect_usage_pieces(self, ctx: Any) -> list[str]:
        """Return what follows the verb in the line of usage."""
        names = [(_argument(each), each.required) for each in self.get_params(ctx) if _is_argument(each)]
        return ["[OPTIONS]", *(name if required else f"[{name}]" for name, required in names)]

    def format_options(self, ctx: Any, formatter: Any) -> None:
        """Write arguments and options, the latter under headings where there are many."""
        params: list[Any] = list(self.get_params(ctx))
        arguments = [(_argument(each), each.help or "") for each in params if _is_argument(each)]
        options = {each.name: _row(each.get_help_record(ctx)) for each in params if not _is_argument(each)}
        sections = [("Arguments", arguments)]
        if len(options) > MANY:
            for title, names in SECTIONS:
                sections.append((title, [options.pop(name) for name in names.split() if name in options]))
        for title, rows in (*sections, ("Options", list(options.values()))):
            if rows:
                with formatter.section(title):
                    formatter.write_dl(rows)


class Verbs(TyperGroup):
    """The verbs; one that is interrupted says so in one line, with what it noted on the interruption."""

    def make_context(self, *given: Any, **named: Any) -> Any:
        """Read the command line."""
        with _telling():
            return super().make_context(*given, **named)

    def invoke(self, ctx: Any) -> Any:
        """Run a verb."""
        with _telling():
            return super().invoke(ctx)


@contextmanager
def _telling() -> Iterator[None]:
    """Say that the block was stopped. What `console.if_stopped` noted, such as how to go on, ends the line."""
    try:
        yield
    except KeyboardInterrupt as stop:
        print("; ".join(("stopped", *getattr(stop, "__notes__", ()))), file=sys.stderr)
        raise


def _is_argument(param: Any) -> bool:
    return bool(param.param_type_name == "argument")


def _argument(param: Any) -> str:
    name = param.metavar or param.name.upper()
    return f"{name}..." if param.nargs == -1 else str(name)


def _row(record: tuple[str, str]) -> tuple[str, str]:
    """Return an option and its text, with short words for kinds and one way of writing defaults."""
    name, text = record
    for kind, word in KINDS.items():
        name = name.replace(kind, word)
    return re.sub(r"\[list\[.*?\]\]", "TEXT", name), re.sub(r"  \[default: ([^\]]*)\]$", r" [\1]", text)
