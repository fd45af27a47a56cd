"""Every page is true: its examples run, its flags exist, its links lead somewhere."""

from __future__ import annotations

import inspect
import re
import shlex
import shutil
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

import lensmith
from conftest import write_shapes
from lensmith import cli
from running import lensmith as front_door

ROOT = Path(__file__).parent.parent
PAGES = ("README.md", *sorted(f"docs/{path.name}" for path in (ROOT / "docs").glob("*.md")))
OTHERS = ("ARCHITECTURE.md", "CONTRIBUTING.md", "CHANGELOG.md", "SECURITY.md")
RUN_LANGUAGES = ("sh", "python")
MADE_BY_ITSELF = "photos-1"  # the name that `lensmith train photos/` gives its run
BUDGET = 4.0  # seconds
WEIGHTS = "mobilenet_v2-7ebf99e0.pth"  # what torchvision calls the weights that `train` takes by default
Capture = pytest.CaptureFixture[str]
NO_VALUE = (None, "", inspect.Parameter.empty)


@dataclass(frozen=True)
class Block:
    """One fenced block of a page; `reason` says why it is not run, where the page says so."""

    language: str
    text: str
    reason: str

    @property
    def lines(self) -> list[str]:
        return [line for line in self.text.splitlines() if line.strip()]


def read(page: str) -> str:
    return (ROOT / page).read_text(encoding="utf-8")


def blocks(text: str) -> list[Block]:
    fenced = re.compile(
        r"(?:<!-- not run: (?P<reason>[^>]*?) -->\n)?^```(?P<language>\w*)\n(?P<text>.*?)^```", re.S | re.M
    )
    return [Block(found["language"], found["text"], found["reason"] or "") for found in fenced.finditer(text)]


# Running the examples. The pages share a folder of drawn pictures, a store, and weights that were never trained but
# have the name and shape of the published ones: so `train` goes the way it goes for a user, without a download.


@pytest.fixture(scope="module")
def prepared(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """A folder with a store, photos/, and a run with the name that `lensmith train photos/` gives it."""
    import torch
    from torchvision import models

    folder = tmp_path_factory.mktemp("docs")
    write_shapes(folder / "photos", each=10)
    (folder / "store" / "weights").mkdir(parents=True)
    with torch.random.fork_rng(devices=[]), pytest.MonkeyPatch.context() as patch:
        torch.manual_seed(0)
        torch.save(models.mobilenet_v2().state_dict(), folder / "store" / "weights" / WEIGHTS)
        patch.setenv("LENSMITH_CACHE", str(folder / "store"))
        threads = torch.get_num_threads()
        torch.set_num_threads(1)  # for networks this small a second one only costs
        # The pages are about what is tried and said, not about how long it goes on.
        patch.setattr("lensmith.training.recipe.DEFAULT_BUDGET", BUDGET)
        run = lensmith.train(folder / "photos", recipe="features", out=folder / "runs", quiet=True)
        assert run.name == MADE_BY_ITSELF
        yield folder
        torch.set_num_threads(threads)


@pytest.fixture
def place(prepared: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """The folder a page's examples run in, with everything that pages speak of."""
    (tmp_path / "photos").symlink_to(prepared / "photos")
    disc = prepared / "photos" / "disc" / "000.png"
    shutil.copy(disc, tmp_path / "new.jpg")
    write_shapes(tmp_path / "new-photos", each=2, kinds=("cross", "disc"))
    for folder in ("inbox/more", "mixed/one", "mixed/two"):
        (tmp_path / folder).mkdir(parents=True)
        shutil.copy(disc, tmp_path / folder / "a.png")
        (tmp_path / folder / "notes.jpg").write_text("not a picture", encoding="utf-8")
    monkeypatch.chdir(tmp_path)
    paths, modules = list(sys.path), set(sys.modules)
    yield tmp_path
    sys.path[:] = paths  # a network of the user's own is looked for in the current folder
    for name in set(sys.modules) - modules:
        if name.startswith("my_"):
            del sys.modules[name]


def command(line: str, capsys: Capture) -> int:
    """Run one line of a shell block through the command line itself, in this process; return the exit code."""
    words = shlex.split(line, comments=True)
    assert not {"|", "&&", ";"} & set(words), f"only plain lines and > FILE can be run: {line}"
    target = words.pop() if ">" in words else ""
    said = front_door(capsys, *words[1 : len(words) - bool(target)])
    if target:
        Path(target).write_text(said.out, encoding="utf-8")
    return said.code


def run_block(block: Block, capsys: Capture) -> None:
    if block.language == "sh":
        for line in block.lines:
            expected = re.search(r"# exit (\d)", line)
            assert command(line, capsys) == (int(expected[1]) if expected else 0), line
    elif name := re.match(r"# (my_\w+\.py)\n", block.text):
        Path(name[1]).write_text(block.text, encoding="utf-8")
    else:
        exec(compile(block.text, "example", "exec"), {"__name__": "example"})


@pytest.mark.parametrize("page", PAGES)
def test_examples_run(page: str, prepared: Path, place: Path, monkeypatch: pytest.MonkeyPatch, capsys: Capture) -> None:
    text = read(page)
    store = prepared / "store"
    if "lensmith cache" in text and "--clear" in text:
        shutil.copytree(store, place / "store")
        store = place / "store"
    monkeypatch.setenv("LENSMITH_CACHE", str(store))
    if "lensmith train photos/\n" not in text:  # else the page makes this run itself
        for name in {MADE_BY_ITSELF, *re.findall(r'\("runs/([\w-]+)"\)', text)}:
            shutil.copytree(prepared / "runs" / MADE_BY_ITSELF, place / "runs" / name)
    for block in blocks(text):
        if block.language in RUN_LANGUAGES and not block.reason:
            run_block(block, capsys)


@pytest.mark.parametrize("page", PAGES)
def test_what_is_not_run_says_why(page: str) -> None:
    for block in blocks(read(page)):
        if block.language == "sh" and not block.reason:
            assert all(line.startswith("lensmith ") for line in block.lines), block.text
        assert not block.reason or (block.language in RUN_LANGUAGES and len(block.reason.split()) >= 3), block.reason
        assert block.language or not re.match(r"lensmith |import ", block.text), f"say sh or python: {block.text}"


# Flags. The table of a page is the contract of its verb.


def flags(verb: str) -> dict[str, set[str]]:
    """Return every spelling of each option of a verb by its name in cli.py, `--help` aside."""
    from typer.main import get_command

    commands: dict[str, Any] = get_command(cli.app).commands  # type: ignore[attr-defined]
    options = [parameter for parameter in commands[verb].params if parameter.param_type_name == "option"]
    return {option.name: {*option.opts, *option.secondary_opts} for option in options if option.name != "help"}


def named_flags(text: str) -> set[str]:
    return set(re.findall(r"(?<![\w-])--[a-z][a-z-]*", text))


@pytest.mark.parametrize("verb", lensmith.VERBS)
def test_every_flag_stands_in_its_page(verb: str) -> None:
    text = read(f"docs/{verb}.md")
    spellings = {spelling for each in flags(verb).values() for spelling in each}
    missing = {spelling for spelling in spellings if not re.search(rf"(?<![\w-]){spelling}(?![\w-])", text)}
    assert not missing


@pytest.mark.parametrize("page", [*PAGES, *OTHERS])
def test_no_page_names_a_flag_that_does_not_exist(page: str) -> None:
    known = {spelling for verb in lensmith.VERBS for each in flags(verb).values() for spelling in each}
    text = read(page)
    assert named_flags(text) <= known | {"--help", "--version"}
    for verb, rest in re.findall(r"lensmith ([a-z]+)\b([^\n`]*)", text):
        if verb in lensmith.VERBS:
            own = {spelling for each in flags(verb).values() for spelling in each}
            assert named_flags(rest) <= {*own, "--help"}, f"lensmith {verb}{rest}"


def table(text: str) -> list[tuple[str, str, str]]:
    """Return (flag, Python name, default) of the rows of a page's table of arguments."""
    part = text.partition("## Arguments")[2].partition("\n## ")[0]
    rows = [
        [cell.strip() for cell in line.strip("|").split("|")] for line in part.splitlines() if line.startswith("| `")
    ]
    return [(row[0], row[1].strip("`"), row[2]) for row in rows]


@pytest.mark.parametrize("verb", [verb for verb in lensmith.VERBS if "## Arguments" in read(f"docs/{verb}.md")])
def test_tables_of_arguments_are_those_of_the_functions(verb: str) -> None:
    """Each argument of the function has a row; a default in code marks is the literal one, words describe a choice."""
    signature = inspect.signature(getattr(lensmith, verb)).parameters
    rows = {name: (flag, default) for flag, name, default in table(read(f"docs/{verb}.md")) if name}
    assert list(rows) == [name for name in signature if name in rows] or verb != "train", "order of the function"
    assert set(rows) == set(signature)
    for name, (flag, shown) in rows.items():
        default = signature[name].default
        if flag.startswith("`--"):
            assert flag.strip("`").split("`")[0] in flags(verb)[name]
        if shown.startswith("`"):
            assert shown.strip("`") == str(default), f"{name}: {shown}, in code {default!r}"
        else:
            assert default in NO_VALUE or name == "browse", f"{name}: the default {default!r} is not shown"


def test_the_depths_of_fine_tuning_are_those_of_the_code() -> None:
    from lensmith.training.recipe import DEPTHS

    part = read("docs/train.md").partition("### Fine-tuning in five steps")[2].partition("\n#")[0]
    rows = [[cell.strip() for cell in line.strip("|").split("|")] for line in part.splitlines() if line[:2] == "| "]
    found = [(row[0].removeprefix("below "), *(float(cell) for cell in row[2:])) for row in rows[1:]]
    limits = [f"{below:,}" for below, *_ in DEPTHS[:-1]] + ["more"]
    assert found == [(limit, *values) for limit, (_, _, *values) in zip(limits, DEPTHS, strict=True)]
    assert ["all" in row[1] for row in rows[1:]] == [share >= 1 for _, share, *_ in DEPTHS]


# Links.


def anchors(text: str) -> set[str]:
    titles = re.findall(r"^#+ (.*)$", re.sub(r"^```.*?^```", "", text, flags=re.S | re.M), re.M)
    return {re.sub(r"[^\w -]", "", title.lower()).replace(" ", "-") for title in titles}


@pytest.mark.parametrize("page", [*PAGES, *OTHERS])
def test_links_lead_somewhere(page: str) -> None:
    prose = re.sub(r"^```.*?^```", "", read(page), flags=re.S | re.M)
    for target in re.findall(r"\]\(([^)\s]+)\)", prose):
        if re.match(r"https?:", target):
            continue
        name, _, anchor = target.partition("#")
        path = (ROOT / page).parent / name if name else ROOT / page
        assert path.exists(), f"{page} links to {target}"
        assert not anchor or anchor in anchors(path.read_text(encoding="utf-8")), f"{page} links to {target}"


@pytest.mark.parametrize("page", [*PAGES, *OTHERS])
def test_files_and_targets_named_exist(page: str) -> None:
    text = read(page)
    for name in re.findall(r"\b(?:tests|benchmarks)/[a-z_]+\.py\b", text):
        assert (ROOT / name).is_file(), f"{page} names {name}"
    targets = set(re.findall(r"^([a-z]+):", read("Makefile"), re.M))
    assert set(re.findall(r"(?:`|^)make ([a-z]+)", text, re.M)) <= targets


def test_every_page_can_be_reached_from_the_index() -> None:
    linked = set(re.findall(r"\]\((\w+\.md)\)", read("docs/index.md")))
    assert linked >= {Path(page).name for page in PAGES if page.startswith("docs/")} - {"index.md"}


def test_the_parser_sees_what_it_should() -> None:
    text = "a\n```sh\nlensmith x\n```\n<!-- not run: for want of time -->\n```python\nimport y\n```\n```text\nz\n```\n"
    assert blocks(text) == [
        Block("sh", "lensmith x\n", ""),
        Block("python", "import y\n", "for want of time"),
        Block("text", "z\n", ""),
    ]
    assert named_flags("`--a-b`, --c=d, x--e, ---f") == {"--a-b", "--c"}
