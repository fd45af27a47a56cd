"""Environments for other people's libraries: made once below a folder, by uv where it is installed, and used again."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from processes import last_line

SHOWN = ("keras", "tensorflow-cpu", "fastai", "timm", "ultralytics", "torch", "torchvision", "numpy", "pillow")
VERSIONS = f"""
import json, platform
from importlib import metadata
found = {{"python": platform.python_version()}}
for name in {SHOWN!r}:
    try:
        found[name] = metadata.version(name)
    except metadata.PackageNotFoundError:
        pass
print(json.dumps(found))
"""


@dataclass(frozen=True)
class Within:
    """What every process runs within: its variables, and what goes before a command to keep it off the network."""

    variables: dict[str, str]
    wall: tuple[str, ...]

    def start(self, python: str, imports: str) -> None:
        """Import libraries once, so that their bytecode is written and their files are in memory.

        Raises CalledProcessError.
        """
        quietly([*self.wall, python, "-c", imports], self.variables)


def within(work: Path) -> Within:
    """Return no network, no GPU, and all settings and caches below a folder; bytecode is written, as for a user."""
    found = {**os.environ, "LENSMITH_CACHE": str(work / "cache"), "XDG_CONFIG_HOME": str(work / "settings")}
    for name in ("PYTHONDONTWRITEBYTECODE", "PYTHONPATH", "VIRTUAL_ENV"):
        found.pop(name, None)
    for name in ("KERAS_HOME", "TORCH_HOME", "YOLO_CONFIG_DIR", "MPLCONFIGDIR", "FASTAI_HOME", "HF_HOME"):
        found[name] = str(work / "settings" / name.lower())
        Path(found[name]).mkdir(parents=True)
    offline = {"LENSMITH_OFFLINE": "1", "HF_HUB_OFFLINE": "1", "YOLO_OFFLINE": "true", "MPLBACKEND": "Agg"}
    return Within({**found, **offline, "CUDA_VISIBLE_DEVICES": "", "TF_CPP_MIN_LOG_LEVEL": "3"}, _wall())


def _wall() -> tuple[str, ...]:
    """Return what starts a command in a namespace without a network; nothing where the system forbids it."""
    command = ("unshare", "--map-root-user", "--net")
    if shutil.which("unshare") and subprocess.run([*command, "true"], capture_output=True).returncode == 0:
        return command
    return ()


@dataclass(frozen=True)
class Environment:
    """A folder with an interpreter of its own. `packages` are what is installed, `imports` shows that they work."""

    folder: Path
    packages: tuple[str, ...]
    imports: str

    @property
    def python(self) -> str:
        """Return the interpreter."""
        return str(self.folder / "bin" / "python")

    def prepare(self, within: Within) -> str:
        """Make it, or take the one that is there; return what went wrong, "" for nothing."""
        try:
            if not self._sound(within):
                print(f"making {self.folder}", flush=True)
                self._install()
                within.start(self.python, self.imports)
        except subprocess.CalledProcessError as error:
            return f"not installed: {last_line(error.stderr or error.stdout or '') or error}"
        return ""

    def versions(self) -> dict[str, str]:
        """Return the versions of what decides how fast it is."""
        return dict(json.loads(quietly([self.python, "-c", VERSIONS])))

    def _sound(self, within: Within) -> bool:
        """Return whether it was made to its end, of these packages, and still works."""
        stamp = self.folder / "packages.json"
        if not stamp.exists() or json.loads(stamp.read_text(encoding="utf-8")) != list(self.packages):
            return False
        try:
            within.start(self.python, self.imports)
        except (subprocess.CalledProcessError, OSError):
            return False
        return True

    def _install(self) -> None:
        shutil.rmtree(self.folder, ignore_errors=True)
        self.folder.parent.mkdir(parents=True, exist_ok=True)
        uv = shutil.which("uv") or shutil.which("uv", path=str(Path(sys.executable).parent))
        if uv:
            quietly([uv, "venv", "--quiet", "--python", sys.executable, str(self.folder)])
            install = [uv, "pip", "install", "--quiet", "--compile-bytecode", "--python", self.python]
        else:
            quietly([sys.executable, "-m", "venv", str(self.folder)])
            install = [self.python, "-m", "pip", "install", "--quiet"]
        quietly([*install, *self.packages])
        (self.folder / "packages.json").write_text(json.dumps(self.packages), encoding="utf-8")


def quietly(command: Sequence[str], variables: Mapping[str, str] | None = None) -> str:
    """Run a command to its end and return what it printed. Raises CalledProcessError."""
    return subprocess.run(command, env=variables, check=True, capture_output=True, text=True).stdout
