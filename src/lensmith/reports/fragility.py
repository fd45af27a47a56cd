"""The page of `lensmith attack`: every picture with its attacks beside it, and what a glance at all of them says."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from statistics import median
from typing import Any

import numpy as np
from markupsafe import Markup
from PIL import Image

from lensmith.reports import words
from lensmith.reports.draw import TEMPLATES, draw
from lensmith.reports.levels import Steps, figure, scale
from lensmith.reports.pictures import as_uri, jpeg, png

MOST_CARDS = 24  # on a page, of 250 kB each: noise does not compress
SMALL = 96  # sides up to here are shown pixel by pixel
GREY, FULL = 127, 255
COLUMNS = (1, 2, 4, 8, 16, 32, 64, 128, 255)
FEWEST = 3  # pictures for a curve
RARELY = 0.1  # as often as noise may do it, to say that its size is not what matters


@dataclass(frozen=True)
class Tile:
    """A picture on a card: what it is, what is said of it, and whether that is another answer."""

    uri: str
    title: str
    answer: str = ""
    share: float | None = None
    first: str = ""
    turned: bool = False


@dataclass(frozen=True)
class Card:
    """One picture with its changes, in groups of tiles under a line."""

    path: str
    verdict: str
    note: str
    small: bool
    groups: tuple[tuple[str, tuple[Tile, ...]], ...]


QUALITY, ROUGH = 88, 60  # of pictures, and of what is nothing but noise


def uri(picture: np.ndarray, quality: int = QUALITY) -> str:
    """Return a picture as a data URI: exact where it is small, else a JPEG without metadata."""
    drawn = Image.fromarray(picture)
    if len(picture) <= SMALL:
        return as_uri(png(drawn), "png")
    return as_uri(jpeg(drawn, quality, full_colour=True), "jpeg")


def amplified(clean: np.ndarray, changed: np.ndarray) -> tuple[np.ndarray, int]:
    """Return the difference of two pictures about a middle grey, and the whole factor it was multiplied by."""
    apart = changed.astype(np.int32) - clean
    factor = max(1, GREY // max(1, int(np.abs(apart).max())))
    return np.clip(GREY + factor * apart, 0, 255).astype(np.uint8), factor


def place(path: str) -> str:
    """Return the end of a path: where on a machine a picture lies is nobody's business but its owner's."""
    return "/".join(path.rsplit("/", 2)[-2:])


def card(one: Mapping[str, Any], shown: Mapping[str, np.ndarray]) -> Card:
    """Return what the page shows of a picture: `one` as --json prints it, its squares by name."""
    clean, before = shown["clean"], one["clean"]
    epsilon = max(one["attacked"]["epsilon"], one["noise"]["epsilon"])

    def tile(name: str, title: str) -> Tile:
        said = one[name]["said"]
        known = said["first"] is not None and said["answer"] != one["about"]
        told = f"{one['about']} {words.percent(said['first'])}" if known else ""
        return Tile(uri(shown[name]), title, said["answer"], said["share"], told, said["answer"] != before["answer"])

    def apart(name: str) -> Tile:
        difference, factor = amplified(clean, shown[name])
        return Tile(uri(difference, ROUGH), f"the change, times {factor}")

    groups = [
        ("The picture", (Tile(uri(clean), "clean", before["answer"], before["share"]),)),
        (
            f"At most {words.plural(epsilon, 'grey level')} of 255",
            (
                tile("noise", "noise by the toss of a coin"),
                tile("attacked", _made_by(one["attacked"]["method"])),
                apart("attacked"),
            ),
        ),
    ]
    least = one["smallest"]
    if least is not None:
        groups.append(
            (
                f"The smallest that was found: {words.plural(least['epsilon'], 'grey level')}",
                (tile("smallest", f"L2 {words.quantity(least['l2'])}"), apart("smallest")),
            )
        )
    return Card(place(one["path"]), _verdict(one), one["note"], len(clean) <= SMALL, tuple(groups))


def summary(pictures: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """Return what all pictures together say: counts, the share of noise that does the same, the median smallest."""
    tried = [one for one in pictures if one.get("attacked")]
    flipped = [one["smallest"]["epsilon"] for one in tried if one["smallest"]]
    noise = [one["noise_flips"] for one in tried if one["noise_flips"] is not None]
    return {
        "pictures": len(pictures),
        "unreadable": sum("error" in one for one in pictures),
        "attacked": len(tried),
        "fooled": sum(bool(one["fooled"]) for one in tried),
        "noise_flips": sum(noise) / len(noise) if noise else None,
        "with_smallest": len(flipped),
        "median_smallest": median(flipped) if flipped else None,
        "median_l2": median(one["smallest"]["l2"] for one in tried if one["smallest"]) if flipped else None,
        "counts": {str(size): flipped.count(size) for size in sorted(set(flipped))},
    }


def sentences(found: Mapping[str, Any]) -> list[str]:
    """Return what an attack found, in sentences, the headline first."""
    seen = found["summary"]
    count, fooled, size = seen["attacked"], seen["fooled"], words.plural(found["epsilon"], "grey level")
    if seen["noise_flips"] is None:
        moved = [one for one in found["pictures"] if one.get("attacked")]
        first = ", ".join(f"{one['clean']['answer']} to {one['attacked']['said']['answer']}" for one in moved[:3])
        return [
            f"A change of {size} moves the number",
            f"From {first}. A number has no answer that flips: --to NUMBER asks how little makes it reach another one.",
        ]
    verb = "reach" if found.get("task") == "regression" else "say"
    does = f"makes it {verb} {found['to']}" if found["to"] is not None else "changes its answer"
    said = [_head(found, does)]
    same = "does the same" if found["to"] is not None else "changes the answer"
    said.append(
        f"Noise of the same size, plus or minus by the toss of a coin, {same} in {words.percent(seen['noise_flips'])} "
        "of draws: it is the direction that matters, not the size."
        if seen["noise_flips"] <= RARELY and fooled > 2 * seen["noise_flips"] * count
        else f"Noise of the same size {same} in {words.percent(seen['noise_flips'])} of draws."
    )
    if seen["with_smallest"]:
        which = "The smallest change that was found to do it is" if count == 1 else "The median of the smallest is"
        said.append(
            f"{which} {words.plural(round(seen['median_smallest']), 'grey level')} of 255, or "
            f"{words.quantity(seen['median_l2'])} as the root of the sum of squares over all of its numbers (L2)."
        )
    held = count - seen["with_smallest"]
    if held:
        said.append(
            f"For {held} of {count} no change of up to 255 grey levels was found."
            if count > 1
            else "None was found up to 255."
        )
    return said


def _head(found: Mapping[str, Any], does: str) -> str:
    """Return the headline: the size asked for, or the smallest where that is enough for every picture."""
    seen, size = found["summary"], found["epsilon"]
    count, fooled, least = seen["attacked"], seen["fooled"], min(map(int, seen["counts"]), default=size)
    enough = seen["counts"].get(str(least), 0)
    if count == 1:
        return (
            f"A change of {words.plural(least, 'grey level')} {does}"
            if enough
            else f"No change of {words.plural(size, 'grey level')} {does}"
        )
    if enough == count:
        return f"A change of {words.plural(least, 'grey level')} {does} for all {count:,} pictures"
    many = f"all {count:,}" if fooled == count else f"{fooled or 'none'} of {count:,}"
    head = f"A change of {words.plural(size, 'grey level')} {does} for {many} pictures"
    return f"{head}, of {least} for {enough:,}" if enough and least < size else head


def attack_page(found: Mapping[str, Any], cards: Sequence[Card]) -> str:
    """Return the page from what --json prints and the cards of the first MOST_CARDS pictures."""
    (headline, *rest), columns = sentences(found), _columns(found)
    values = {
        "style": style(),
        "found": found,
        "headline": words.kept_together(headline),
        "paragraphs": [words.kept_together(one) for one in rest],
        "facts": _facts(found),
        "cards": cards,
        "more": found["summary"]["attacked"] - len(cards),
        "curve": _curve(found, columns),
        "columns": columns,
        "left": [one for one in found["pictures"] if one.get("note") and not one.get("attacked")],
        "unreadable": [one for one in found["pictures"] if "error" in one],
        "place": place,
    }
    return str(draw("fragility/attack.html", values))


def style() -> Markup:
    """Return the style sheets: our own files, the only text that enters a page unescaped."""
    return Markup("".join((TEMPLATES / name).read_text("utf-8") for name in ("style.css", "fragility/fragility.css")))


def _facts(found: Mapping[str, Any]) -> list[tuple[str, str, str]]:
    seen = found["summary"]
    facts = [("Network", found["network"], f"asked for {found['to']}" if found["to"] is not None else "")]
    facts.append(
        ("Pictures", f"{seen['attacked']:,}", f"of {seen['pictures']:,}" if seen["pictures"] > seen["attacked"] else "")
    )
    if seen["noise_flips"] is not None:
        facts.append((f"Fooled at ±{found['epsilon']}", words.percent(seen["fooled"] / max(1, seen["attacked"])), ""))
        facts.append((f"By noise of ±{found['epsilon']}", words.percent(seen["noise_flips"]), "of draws"))
    if seen["with_smallest"]:
        facts.append(("Smallest change", f"±{seen['median_smallest']:g}", "grey levels, the median"))
    return facts


def _columns(found: Mapping[str, Any]) -> tuple[int, ...]:
    """Return the sizes of the curve: up to the one at which the last picture was flipped, at least four."""
    last = max(map(int, found["summary"]["counts"]), default=FULL)
    return COLUMNS[: max(4, sum(column < last for column in COLUMNS) + 1)]


def _curve(found: Mapping[str, Any], columns: Sequence[int]) -> Markup:
    """Draw the share of pictures that a change of at most so many grey levels was found for."""
    counts, total = found["summary"]["counts"], found["summary"]["attacked"]
    kinds = len(counts) + (sum(counts.values()) < total)
    if total < FEWEST or found["summary"]["noise_flips"] is None or kinds < 2:  # flat, it would say nothing
        return Markup("")
    shares = [sum(many for size, many in counts.items() if int(size) <= column) / total for column in columns]
    line = Steps("Share of pictures", "main", shares, told=True)
    title = "Share of pictures whose answer a change of at most so many grey levels was found to flip"
    return figure("enough", title, [f"±{column}" for column in columns], [line], scale([0.0, 1.0], True), True)


def _made_by(method: str) -> str:
    return {"fgsm": "one step (FGSM)", "iterative": "several steps"}.get(method, method)


def _verdict(one: Mapping[str, Any]) -> str:
    """Return in a few words what became of a picture."""
    if one["fooled"] is None:
        return f"{one['clean']['answer']} becomes {one['attacked']['said']['answer']}"
    flips = words.percent(one["noise_flips"])
    return f"{'fooled' if one['fooled'] else 'not fooled'}; by noise of the same size in {flips} of draws"
