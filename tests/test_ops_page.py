"""What docs/ops.md says its examples print is what they print, and the page names everything that is public."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest

from lensmith import ops

PAGE = (Path(__file__).parent.parent / "docs" / "ops.md").read_text(encoding="utf-8")
EXAMPLES = re.findall(r"```python\n(.*?)```\n(?:\n```text\n(.*?)```)?", PAGE, re.S)


@pytest.mark.parametrize(("code", "printed"), EXAMPLES, ids=range(len(EXAMPLES)))
def test_examples_print_what_is_shown(code: str, printed: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert printed, "an example is followed by what it prints"
    exec(compile(code, "example", "exec"), {"__name__": "example"})
    assert capsys.readouterr().out == printed


def test_no_torch_is_needed() -> None:
    code = "import sys; import lensmith.ops; print(*sorted({name.split('.')[0] for name in sys.modules}))"
    loaded = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout.split()
    assert "numpy" in loaded and not {"torch", "scipy", "sklearn", "PIL"} & set(loaded)


def test_the_page_names_everything() -> None:
    named = set(re.findall(r"`(\w+)`", PAGE))
    missing = {name for name in ops.__all__ if name.removesuffix("_backward") not in named}
    assert not missing and len(EXAMPLES) >= 8
