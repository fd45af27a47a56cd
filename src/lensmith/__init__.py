"""lensmith: point it at a folder of pictures, get a vision model that works and a report that shows why.

Every verb of the command line is a function here, with the same name and arguments:

    run = lensmith.train("photos/", recipe="features")
    lensmith.predict(run, "new.jpg")
"""

from __future__ import annotations

TYPE_CHECKING = False  # as in typing, which is not imported: whatever is, an interruption could meet with a traceback

__version__ = "0.1.0"

# Spelled out for type checkers; at run time a verb is imported when it is first used.
if TYPE_CHECKING:
    from lensmith.run import Run as Run
    from lensmith.run import open_run as open_run
    from lensmith.verbs.attack import attack as attack
    from lensmith.verbs.cache import cache as cache
    from lensmith.verbs.check import check as check
    from lensmith.verbs.demo import demo as demo
    from lensmith.verbs.evaluate import evaluate as evaluate
    from lensmith.verbs.explain import explain as explain
    from lensmith.verbs.inspect import inspect as inspect
    from lensmith.verbs.networks import networks as networks
    from lensmith.verbs.predict import predict as predict
    from lensmith.verbs.preview import preview as preview
    from lensmith.verbs.report import report as report
    from lensmith.verbs.see import see as see
    from lensmith.verbs.stress import stress as stress
    from lensmith.verbs.train import train as train

VERBS = (
    "attack",
    "cache",
    "check",
    "demo",
    "evaluate",
    "explain",
    "inspect",
    "networks",
    "predict",
    "preview",
    "report",
    "see",
    "stress",
    "train",
)
HOMES = {verb: f"lensmith.verbs.{verb}" for verb in VERBS} | {
    "Run": "lensmith.run",
    "open_run": "lensmith.run",
}


def __getattr__(name: str) -> object:
    """Import the module behind a public name on its first use, so that `import lensmith` costs milliseconds."""
    from importlib import import_module

    if name not in HOMES:
        raise AttributeError(f"module 'lensmith' has no attribute {name!r}")
    found: object = getattr(import_module(HOMES[name]), name)
    globals()[name] = found
    return found


def __dir__() -> list[str]:
    return sorted({*globals(), *HOMES})
