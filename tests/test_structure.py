"""The house keeps its shape: one-way imports, short files, light start, every verb documented."""

from __future__ import annotations

import ast
import inspect
import re
import subprocess
import sys
from pathlib import Path

import pytest

import lensmith

ROOT = Path(__file__).parent.parent
SOURCE = ROOT / "src" / "lensmith"
FILES = sorted(SOURCE.rglob("*.py"))
# From the ground up: a room may import the rooms before it, never one after it.
ROOMS = (
    "errors",
    "files",
    "reproduce",
    "metrics",
    "data",
    "tasks",
    "engines",
    "ops",
    "zoo",
    "training",
    "seeing",
    "model",
    "run",
    "reports",
    "gallery",
    "verbs",
    "flags",
    "looking",
    "cli",
    "__main__",
)
HEAVY = (
    "torch",
    "torchvision",
    "timm",
    "sklearn",
    "scipy",
    "openvino",
    "rich",
    "PIL",
    "numpy",
    "jinja2",
    "pydantic",
)
# Files that define torch modules or loops; everything else imports torch inside the functions that need it.
TORCH_ROOMS = ("zoo", "training", "seeing")
TORCH_FILES = ("engines/folding.py", "engines/pytorch.py", "engines/convert.py")


def room(path: Path) -> str:
    parts = path.relative_to(SOURCE).parts
    return parts[0].removesuffix(".py")


def imports(path: Path, *, top_only: bool = False) -> set[str]:
    """Return the modules a file imports; `if TYPE_CHECKING` blocks are read by type checkers alone."""
    tree = ast.parse(path.read_text(encoding="utf-8"))
    found: set[str] = set()
    nodes = list(tree.body) if top_only else [node for node in ast.walk(tree) if not _typing_only(tree, node)]
    for node in nodes:
        if isinstance(node, ast.Import):
            found |= {name.name for name in node.names}
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path}: relative import"
            found |= {f"{node.module}.{name.name}" for name in node.names}
    return found


def _typing_only(tree: ast.Module, node: ast.AST) -> bool:
    guards = [n for n in tree.body if isinstance(n, ast.If) and ast.unparse(n.test) == "TYPE_CHECKING"]
    return any(node is inner for guard in guards for inner in ast.walk(guard))


@pytest.mark.parametrize("path", FILES, ids=lambda path: str(path.relative_to(SOURCE)))
def test_imports_go_one_way(path: Path) -> None:
    if path == SOURCE / "__init__.py":
        return
    height = ROOMS.index(room(path))
    for name in imports(path):
        parts = name.split(".")
        if parts[0] == "lensmith" and len(parts) > 1 and parts[1] in ROOMS:
            assert ROOMS.index(parts[1]) <= height, f"{path.relative_to(SOURCE)} imports {name} from a room above it"


def test_no_cycles_between_files() -> None:
    modules = {".".join(("lensmith", *path.relative_to(SOURCE).with_suffix("").parts)): path for path in FILES}
    edges = {
        name: {
            other
            for wanted in imports(path, top_only=True)
            for other in (wanted, wanted.rpartition(".")[0])
            if other in modules and other != name
        }
        for name, path in modules.items()
    }
    done: set[str] = set()

    def visit(name: str, trail: tuple[str, ...]) -> None:
        assert name not in trail, " -> ".join((*trail, name))
        if name not in done:
            for other in edges[name]:
                visit(other, (*trail, name))
            done.add(name)

    for name in edges:
        visit(name, ())


def test_files_are_short() -> None:
    long = {str(path.relative_to(ROOT)): count for path in FILES if (count := len(path.read_text().splitlines())) > 400}
    assert not long


def test_half_the_house_knows_no_torch() -> None:
    for path in FILES:
        place = path.relative_to(SOURCE).as_posix()
        if room(path) in TORCH_ROOMS or place in TORCH_FILES:
            continue
        top = {name.split(".")[0] for name in imports(path, top_only=True)}
        assert not top & {"torch", "torchvision", "timm", "openvino", "sklearn"}, place


def test_help_imports_nothing_heavy() -> None:
    code = "import sys; import lensmith.cli; print(*sorted(sys.modules))"
    loaded = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout.split()
    assert not set(HEAVY) & {name.split(".")[0] for name in loaded}


@pytest.mark.parametrize("verb", lensmith.VERBS)
def test_every_verb_is_documented(verb: str) -> None:
    function = getattr(lensmith, verb)
    text = inspect.getdoc(function) or ""
    assert (ROOT / "docs" / f"{verb}.md").is_file()
    for name in inspect.signature(function).parameters:
        assert re.search(rf"\b{name}\b", text) or name in ("pattern", "clear"), (
            f"{verb}: {name} is not in its docstring"
        )


@pytest.mark.parametrize("verb", lensmith.VERBS)
def test_command_line_and_function_agree(verb: str) -> None:
    """Every argument of the function can be given on the command line, and has the same default there."""
    from lensmith import cli

    function = inspect.signature(getattr(lensmith, verb)).parameters
    commands = {
        command.callback.__name__: command.callback for command in cli.app.registered_commands if command.callback
    }
    command = inspect.signature(commands[verb]).parameters
    assert set(function) <= set(command)
    for name, parameter in function.items():
        if parameter.default is not inspect.Parameter.empty and name != "browse":
            assert str(command[name].default) == str(parameter.default), name


def test_nobody_unpickles() -> None:
    for path in FILES:
        text = path.read_text(encoding="utf-8")
        assert not re.search(
            r"\bimport (pickle|dill|joblib|cloudpickle)\b|allow_pickle=True|weights_only=False", text
        ), path
        for call in re.findall(r"torch\.load\([^)]*\)?", text):
            assert "weights_only=True" in call, f"{path}: {call}"


def test_public_functions_have_docstrings() -> None:
    missing = []
    for path in FILES:
        module = ast.parse(path.read_text(encoding="utf-8"))
        classes = [node for node in module.body if isinstance(node, ast.ClassDef)]
        for node in [*module.body, *(inner for outer in classes if outer.name[0] != "_" for inner in outer.body)]:
            documented = isinstance(node, ast.FunctionDef | ast.ClassDef) and not node.name.startswith("_")
            if documented and ast.get_docstring(node) is None:  # type: ignore[arg-type]
                missing.append(f"{path.relative_to(SOURCE)}:{node.name}")  # type: ignore[attr-defined]
    assert not missing


def test_no_verb_is_hidden_by_a_room() -> None:
    """Importing a sub-package sets its name on the package: a verb of the same name would be lost."""
    rooms = {path.name.removesuffix(".py") for path in SOURCE.iterdir()}
    assert not rooms & set(lensmith.VERBS)


def test_the_project_speaks_of_itself_alone() -> None:
    """No machine paths and no registry hosts in anything that is shipped."""
    tracked = subprocess.run(["git", "ls-files"], cwd=ROOT, capture_output=True, text=True, check=True).stdout.split()
    forbidden = re.compile(r"/" + r"work/|/root/|pypi\.|files\.pythonhosted|registry\.npm|deb\.debian")
    for name in tracked:
        path = ROOT / name
        if path.suffix in (".py", ".md", ".toml", ".lock", ".html", ".css", ".json", "") and path.is_file():
            found = forbidden.search(path.read_text(encoding="utf-8", errors="replace"))
            assert not found or name == "tests/test_structure.py", f"{name}: {found}"
