"""Whether a map is to be believed: three questions to the network, and a verdict.

Does the answer hang on the picture at all? Is the map another one once the weights are drawn anew (Adebayo et al.
2018, section 3)? Do its highest places count for more than places drawn at random (deletion and insertion, Petsiuk et
al. 2018, section 4.2)? The thresholds were chosen on photographs, with maps known to be wrong (benchmarks/grading.py).
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
from PIL import Image

from lensmith.reproduce import generator
from lensmith.seeing.explanation import Explanation, Grade
from lensmith.seeing.fills import filled
from lensmith.seeing.methods import probabilities_of
from lensmith.seeing.smooth import smoothed
from lensmith.seeing.subject import Subject, Target

CELLS = 14  # along a side: what is taken away at once is a cell of the picture
STEPS = 16  # from all to nothing
BY_CHANCE = 8  # the same for random maps
RANDOM = 20  # random maps beside a map
GRAIN = 1.5  # cells: how smooth random maps are, about as smooth as those of a last layer
READ = 0.7  # cells: by how much a map is smoothed before its places are put in order
FLOOR = 0.001  # a probability nearer to 0 or 1 is as good as there: odds are (p + FLOOR) / (1 - p + FLOOR)

LEAST_FALL = 5.0  # halvings of the odds, while the picture is taken away in all those ways, and
EVEN = 0.5  # of two classes the other must win once: below it
CRUMBS, ORDERS = 56, 4  # along a side: the picture cut into crumbs that are put in another order, so many times
MOST_LEFT = 0.1  # of the probability, when they are: colours and the finest texture are all that remains
MANY = 10  # classes; of fewer, a network may well take a heap of pieces for this one
LEAST_MOVE = 0.01  # of a number, as a share of its size
BEATEN = 0.95  # of the random maps
LEAST_BEATEN = math.ceil(BEATEN * RANDOM)
MOST_ALIKE = 0.85  # rank correlation with the map of a redrawn network, the highest met
SAME, ROUGHLY = 0.9, 0.1  # with the map made once more, in the same way, or with fewer steps: less, and it is another

MODEL, NOT_MODEL, EMPTY = "the model", "not the model", "empty"


@dataclass(frozen=True)
class Examined(Grade):
    """A grade with all that it rests on.

    whole: the probability of the target; lowest: what was left of it at worst, of all parts of the picture shown. bare,
    blurred, mixed: of its mean colour alone, of its blur, of its crumbs in another order. hangs: whether the answer
    hangs on the picture; if not, no map of it can pass. beaten: the share of random maps that did worse. apart,
    apart_by_chance: what decides that, how far insertion lies above deletion in the mean, in doublings of the odds
    (numbers: of the range). again: likeness to the map made once more. alike: to those of redrawn networks, by what was
    redrawn. gone, back, gone_by_chance, back_by_chance: the curves of deletion and insertion from nothing to all, of
    random maps in the mean. Numbers are scaled so that all that were met lie between 0 and 1.
    """

    whole: float = math.nan
    lowest: float = math.nan
    bare: float = math.nan
    blurred: float = math.nan
    mixed: float = math.nan
    hangs: bool = True
    beaten: float = math.nan
    apart: float = math.nan
    apart_by_chance: float = math.nan
    again: float = math.nan
    alike: Mapping[str, float] = field(default_factory=dict)
    gone: tuple[float, ...] = ()
    back: tuple[float, ...] = ()
    gone_by_chance: tuple[float, ...] = ()
    back_by_chance: tuple[float, ...] = ()


@dataclass(frozen=True)
class Trial:
    """A picture, and what the network says of it: of the whole, of its mean colour, of its blur (`ends`), of its crumbs
    in another order, and of parts of it that random maps chose, (RANDOM, 2, BY_CHANCE + 1). Maps of the same picture
    and target share it.

    value: squares (s, s, 3) uint8 -> what is measured (n,): the probability of the target, or a number.
    classes: how many there are, 0 for numbers.
    """

    square: np.ndarray
    value: Callable[[Iterable[np.ndarray]], np.ndarray]
    ends: tuple[float, float, float]
    mixed: float
    chance: np.ndarray
    classes: int

    @property
    def number(self) -> bool:
        """Whether the network answers with a number."""
        return self.classes == 0


def trial(subject: Subject, square: np.ndarray, target: Target, seed: int = 0) -> Trial:
    """Show the network a picture, nothing of it, and parts of it that random maps choose."""
    value = _value(subject, target)
    orders = [_mixed(square, generator(seed, "crumbs", number)) for number in range(ORDERS)]
    said = value([square, filled(square, "mean"), filled(square, "blur"), *orders]).tolist()
    ends, mixed = (said[0], said[1], said[2]), float(np.mean(said[3:]))
    begun = Trial(square, value, ends, mixed, np.empty(0), len(subject.task.classes))
    maps = [random_map(seed, number) for number in range(RANDOM)]
    return replace(begun, chance=curves(begun, maps, BY_CHANCE))


def random_map(seed: int, number: int) -> np.ndarray:
    """Return a smooth random map (CELLS, CELLS)."""
    return smoothed(generator(seed, "grading", number).standard_normal((CELLS, CELLS)), GRAIN)


def curves(begun: Trial, maps: Sequence[np.ndarray], steps: int = STEPS) -> np.ndarray:
    """Return (n, 2, steps + 1): the value while the highest places of each map are replaced by the mean colour, and
    while they come back into the blurred picture."""
    square = begun.square
    blank, blurred = filled(square, "mean"), filled(square, "blur")
    counts = [round(CELLS * CELLS * step / steps) for step in range(1, steps)]

    def shown() -> Iterator[np.ndarray]:
        for one in maps:
            order = _order(one, len(square))
            for above, below in ((blank, square), (square, blurred)):
                for count in counts:
                    yield np.where(order < count, above, below)

    between = begun.value(shown()).reshape(len(maps), 2, steps - 1)
    whole, bare, soft = begun.ends
    first, last = (np.tile(np.array(two)[None, :, None], (len(maps), 1, 1)) for two in ((whole, soft), (bare, whole)))
    return np.concatenate([first, between, last], 2)


def likeness(one: np.ndarray, other: np.ndarray, *, signed: bool = False) -> float:
    """Return the rank correlation (Spearman; ties share their rank) of two maps of one shape: of how strong they are,
    place by place, whatever the sign, or of their values. 0 where one is constant: nothing of the other is left."""
    ranks = [_ranks((each if signed else np.abs(each)).ravel()) for each in (one, other)]
    a, b = (each - each.mean() for each in ranks)
    length = math.sqrt(float(a @ a) * float(b @ b))
    return float(a @ b) / length if length > 0 else 0.0


def examined(
    begun: Trial, explanation: Explanation, again: float, alike: Mapping[str, float], least: float = SAME
) -> Examined:
    """Return the grade of an explanation, given its likeness to the map made once more, which must be `least`, and to
    the maps of redrawn networks."""
    if explanation.empty:
        return Examined(EMPTY, "The map is empty: it is the same everywhere, so it says nothing.", again=again)
    own, chance, ends = curves(begun, [explanation.map])[0], begun.chance, np.array(begun.ends)
    every = np.concatenate([own.ravel(), chance.ravel()])
    coarse = own[:, :: STEPS // BY_CHANCE]  # the steps that random maps take
    loose = _loose(begun, every)
    if begun.number:
        low, span = float(every.min()), float(np.ptp(every)) or 1.0
        own, coarse, chance, ends, every = ((values - low) / span for values in (own, coarse, chance, ends, every))
    area, areas = (_areas(values, begun.number) for values in (coarse, chance))
    found = Examined(
        NOT_MODEL,
        "",
        likeness=max(alike.values(), default=math.nan),
        deletion=float(coarse[0].mean()),
        deletion_by_chance=float(chance[:, 0].mean()),
        insertion=float(coarse[1].mean()),
        insertion_by_chance=float(chance[:, 1].mean()),
        whole=float(ends[0]),
        lowest=float(every.min()),
        bare=float(ends[1]),
        blurred=float(ends[2]),
        mixed=math.nan if begun.number else begun.mixed,
        hangs=not loose,
        beaten=float((area > areas).mean()),
        apart=float(area),
        apart_by_chance=float(areas.mean()),
        again=again,
        alike=dict(alike),
        gone=_rounded(own[0]),
        back=_rounded(own[1]),
        gone_by_chance=_rounded(chance[:, 0].mean(0)),
        back_by_chance=_rounded(chance[:, 1].mean(0)),
    )
    verdict, sentence = (NOT_MODEL, loose) if loose else _judged(found, least)
    return replace(found, verdict=verdict, sentence=sentence)


def _judged(found: Examined, least: float) -> tuple[str, str]:
    """Return the verdict on a map of an answer that hangs on its picture, and why, in a sentence for people."""
    if found.again < least:
        return NOT_MODEL, (
            f"Made once more from this network the map is another one (likeness {found.again:.2f}; 1 is the same): it "
            "was not made from it, or not twice in the same way."
        )
    if found.likeness > MOST_ALIKE:
        stage = max(found.alike, key=lambda name: found.alike[name])
        return NOT_MODEL, (
            f"The map stays much the same when the weights of {stage} are drawn anew (likeness {found.likeness:.2f}; 1 "
            "is the same): it shows what is in the picture, not what the network learned."
        )
    count = round(found.beaten * RANDOM)
    told = (
        f"{found.deletion:.0%} is left of the answer in the mean while its highest places are taken away, "
        f"{found.deletion_by_chance:.0%} with random places; {found.insertion:.0%} against "
        f"{found.insertion_by_chance:.0%} while they come back"
    )
    if not math.isnan(found.mixed):  # of numbers the areas between these are what counts
        told += (
            f". What counts is how far the two lie apart in doublings of the odds: {found.apart:.2f}, "
            f"{found.apart_by_chance:.2f} with random places"
        )
    if found.beaten < BEATEN:
        return NOT_MODEL, (
            f"Its highest places do not carry the answer: {count} of {RANDOM} random maps do worse, {LEAST_BEATEN} are "
            f"needed. {told}."
        )
    return MODEL, f"Its highest places carry the answer, better than those of {count} of {RANDOM} random maps. {told}."


def _loose(begun: Trial, every: np.ndarray) -> str:
    """Return why the answer does not hang on the picture, "" if it does; `every` holds all values that were met."""
    whole, lowest = begun.ends[0], float(every.min())
    if begun.number:
        if float(np.ptp(every)) > LEAST_MOVE * float(np.abs(every).max()):
            return ""
        return f"The number is {whole:.4g} whatever part of the picture is gone. So no place in it can be the reason."
    if float(_odds(whole) - _odds(0.0)) < LEAST_FALL:
        return (
            f"The network gives this answer {whole:.1%} here: there is nothing that a part of the picture could carry."
        )
    if float(_odds(whole) - _odds(lowest)) < LEAST_FALL or lowest >= EVEN:
        return (
            f"The answer hardly hangs on this picture: the network gives it {whole:.1%}, and {lowest:.1%} at the least "
            "while parts are gone. So no place in it can be much of a reason."
        )
    if begun.classes >= MANY and begun.mixed >= MOST_LEFT * whole:
        return (
            f"The network gives this answer {whole:.1%}, and {begun.mixed:.1%} when the picture is cut into crumbs of "
            "a few pixels that are put in another order. It goes by what any heap of them has: no place is the reason."
        )
    return ""


def _areas(curves: np.ndarray, number: bool) -> np.ndarray:
    """Return the area between insertion and deletion of curves (..., 2, steps + 1).

    Of probabilities in halvings of the odds: from 4 % to 2 % is about as far as from 96 % to 98 %, so that they differ
    too where a network is sure whatever it is shown.
    """
    heights = curves if number else _odds(curves)
    found: np.ndarray = (heights[..., 1, :] - heights[..., 0, :]).mean(-1)
    return found


def _odds(probability: Any) -> Any:
    """Return the odds of probabilities, in doublings."""
    return np.log2((probability + FLOOR) / (1 - probability + FLOOR))


def _value(subject: Subject, target: Target) -> Callable[[Iterable[np.ndarray]], np.ndarray]:
    """Return what is measured of squares: the probability of the target, of a number the number itself."""

    def value(squares: Iterable[np.ndarray]) -> np.ndarray:
        outputs = subject.says(squares)
        shares = probabilities_of(subject, outputs, [target] * len(outputs))
        numbers = outputs[:, target.output] * target.sign if shares[:1] == [None] else shares
        return np.nan_to_num(np.asarray(numbers, np.float64))

    return value


def _order(values: np.ndarray, side: int) -> np.ndarray:
    """Return (side, side, 1): the place of each pixel's cell in the order of the map, 0 for the highest."""
    cells = np.asarray(Image.fromarray(values.astype(np.float32)).resize((CELLS, CELLS), Image.Resampling.BILINEAR))
    places = np.empty(CELLS * CELLS, np.intp)
    places[np.argsort(-smoothed(cells, READ).ravel(), kind="stable")] = np.arange(CELLS * CELLS)
    at = np.arange(side) * CELLS // side
    found: np.ndarray = places.reshape(CELLS, CELLS)[at][:, at][..., None]
    return found


def _mixed(square: np.ndarray, random: np.random.Generator) -> np.ndarray:
    """Return the picture cut into crumbs of two pixels or more that are put in another order; the rest stays."""
    part, found = max(2, len(square) // CRUMBS), square.copy()
    count = len(square) // part
    order = random.permutation(count * count)
    for place, piece in enumerate(order.tolist()):
        (down, right), (above, left) = ((at // count * part, at % count * part) for at in (place, piece))
        found[down : down + part, right : right + part] = square[above : above + part, left : left + part]
    return found


def _ranks(values: np.ndarray) -> np.ndarray:
    """Return the rank of each value (n,); equal ones share the mean of theirs."""
    _, which, counts = np.unique(values, return_inverse=True, return_counts=True)
    found: np.ndarray = (np.cumsum(counts) - (counts - 1) / 2)[which]
    return found


def _rounded(values: np.ndarray) -> tuple[float, ...]:
    return tuple(np.round(values, 5).tolist())
