"""How what attack and stress found looks on a terminal. Plain text."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from lensmith.reports import fragility, steadiness
from lensmith.verbs.attack import Attack
from lensmith.verbs.attacking import Said
from lensmith.verbs.cells import cell, plain, width
from lensmith.verbs.stress import Stress

MOST_ROWS = 30
WIDEST = 26


def attack(found: Attack) -> None:
    """Print a row a picture: what is said of it, of noise, and of the attack, and the smallest change that flips it."""
    rows = [
        (
            one.path.rpartition("/")[2],
            _said(one.clean),
            "" if one.noise is None else _said(one.noise.said),
            one.note if one.attacked is None else _said(one.attacked.said),
            "" if one.smallest is None else f"{one.smallest.epsilon} ({one.smallest.l2:.0f})",
        )
        for one in found.pictures
        if not one.reason
    ]
    header = ("picture", "clean", f"noise +-{found.epsilon}", f"attack +-{found.epsilon}", "smallest (L2)")
    if rows:
        _table(header, rows)
    for one in found.pictures:
        if one.reason:
            print(f"  {plain(one.path)} cannot be read: {one.reason}")
    if found.page is not None:
        said = found.as_dict()
        print("\n" + ".\n".join(line.rstrip(".") for line in fragility.sentences(said)) + ".")
        print(f"\npage  {found.page}")


def stress(found: Stress) -> None:
    """Print a row a disturbance: the score, or the share of answers that stay, at each of its levels."""
    said = found.as_dict()
    seen, shares = said["summary"], found.task != "regression"
    key = "score" if found.metric else "same"
    print(f"{found.network}, {found.pictures:,} pictures, {_measure(seen['measure'])}")
    print(f"undisturbed {_value(seen['clean'], shares)}\n")
    curves = {curve.name: curve for curve in found.curves}
    for part in seen["disturbances"]:
        curve = curves[part["name"]]
        amounts = "".join(f"{level.amount:>9g}" for level in curve.levels)
        values = "".join(f"{_value(getattr(level, key)['value'], shares):>9}" for level in curve.levels)
        print(f"  {curve.name + ', ' + curve.unit:<26}{amounts}")
        print(f"  {'':<26}{values}   mean {_value(part['mean'], shares)}")
    if found.fgsm is not None:
        print(f"  {'fgsm, grey levels':<26}" + "".join(f"{size:>9}" for size in found.fgsm.epsilons))
        kept = "answers that stay" if shares else "moved by"
        print(f"  {kept:<26}" + "".join(f"{_value(one['value'], shares):>9}" for one in found.fgsm.same))
        print(
            f"  {'the same by a coin':<26}" + "".join(f"{_value(one['value'], shares):>9}" for one in found.fgsm.noise)
        )
    for path, reason in found.unreadable:
        print(f"  {plain(path)} cannot be read: {reason}")
    print()
    for line in steadiness.sentences(said):
        print(line.rstrip(".") + ".")
    print(f"\npage  {found.page}")


def _measure(name: str) -> str:
    return {"same": "share of answers that stay", "moved": "how far answers move"}.get(name, name)


def _value(value: float | None, shares: bool) -> str:
    if value is None:
        return "-"
    return f"{value:.3f}" if shares else f"{value:.4g}"


def _said(said: Said | None) -> str:
    if said is None:
        return ""
    if said.share is None:
        return said.answer
    return f"{cell(said.answer, WIDEST - 7).rstrip()} {100 * said.share:.1f}%"


def _table(header: Sequence[str], rows: Sequence[tuple[Any, ...]]) -> None:
    """Print columns as wide as they need to be."""
    shown = rows[:MOST_ROWS]
    texts = [[plain(str(one)) for one in row] for row in (header, *shown)]
    widths = [min(40, max(map(width, column))) for column in zip(*texts, strict=True)]
    for row in texts:
        print(("  " + "  ".join(map(cell, row, widths))).rstrip())
    if len(rows) > MOST_ROWS:
        print(f"  and {len(rows) - MOST_ROWS} more")
