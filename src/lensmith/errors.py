"""What can go wrong, as a small tree: every error says what, what was seen, what is allowed, and the fix."""

from __future__ import annotations

import difflib
from collections.abc import Iterable


class LensmithError(Exception):
    """Base of all errors that are the user's to mend; the command line prints it and exits with `exit_code`."""

    exit_code = 1


class DataError(LensmithError):
    """The data has a problem: an empty folder, one class, too many broken pictures."""


class RunError(LensmithError):
    """The run or the place it is written to has a problem: no such run, a full disk."""


class WeightsError(LensmithError):
    """A weights file cannot be read or does not fit the network."""


class UsageError(LensmithError):
    """A wrong argument: an unknown network, an existing run name, an impossible size."""

    exit_code = 2


def nearest(word: str, allowed: Iterable[str], most: int = 3) -> str:
    """Return ` Nearest: a, b, c.` for the words in `allowed` closest to `word`, or an empty string."""
    folded = {name.casefold(): name for name in allowed}
    close = difflib.get_close_matches(str(word).casefold(), folded, n=most, cutoff=0.5)
    return f" Nearest: {', '.join(folded[name] for name in close)}." if close else ""
