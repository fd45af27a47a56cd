"""`lensmith report`: build a run's report again from its folder, and open it."""

from __future__ import annotations

from pathlib import Path

from lensmith.reports import write_report
from lensmith.run import Run, open_run


def report(
    run: Run | str | Path, *, deep: bool = False, browse: bool = False, out: str | Path = "runs", quiet: bool = False
) -> Path:
    """Write report.html from the run folder alone and return its path.

    run: a run, its folder, or its name in `out`. deep: first explain the best, the worst and typical held-out pictures
    in several ways, which needs them where they were. browse: open it in the browser. out: the folder of runs. quiet:
    show no progress. Raises RunError if there is no such run or its files are damaged.
    """
    found = open_run(run, Path(out))
    if deep:
        from lensmith.verbs.console import Console
        from lensmith.verbs.deep import look_deeper

        look_deeper(found, Console(quiet))
    path = write_report(found.folder)
    if browse:
        import webbrowser

        webbrowser.open(path.absolute().as_uri())
    return path
