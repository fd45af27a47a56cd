"""`lensmith report`: build a run's report again from its folder, and open it."""

from __future__ import annotations

from pathlib import Path

from lensmith.reports import write_report
from lensmith.run import Run, open_run


def report(run: Run | str | Path, *, browse: bool = False, out: str | Path = "runs") -> Path:
    """Write report.html from the run folder alone and return its path.

    run: a run, its folder, or its name in `out`. browse: open it in the browser. out: the folder of runs. Raises
    RunError if there is no such run or its files are damaged.
    """
    path = write_report(open_run(run, Path(out)).folder)
    if browse:
        import webbrowser

        webbrowser.open(path.absolute().as_uri())
    return path
