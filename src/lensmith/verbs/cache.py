"""`lensmith cache`: what is stored between runs, and how to be rid of it."""

from __future__ import annotations

from lensmith.data.store import Entry, Store, remove


def cache(*, clear: bool = False) -> list[Entry]:
    """Return what is stored, the most recently used first; `clear` removes it all (weights you put there stay).

    Nothing is lost by it but time: everything in the store can be made again.
    """
    store = Store()
    entries = store.entries()
    if clear:
        for entry in entries:
            if entry.can_be_made_again:
                remove(entry)
        store.sweep()
    return entries
