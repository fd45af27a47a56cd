"""What an attack does to a few pictures, and what became of each."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from lensmith.data.read import Picture
from lensmith.seeing.adversarial import attacked, coin_noise, smallest
from lensmith.seeing.goal import Goal, goal_of
from lensmith.seeing.subject import Subject
from lensmith.tasks.interface import Task

BATCH = 8  # pictures attacked together: bounds the memory of the pass back
DRAWS = 16  # of noise of the same size


@dataclass(frozen=True)
class Said:
    """An answer in words, its probability (None for labels and numbers), and that of what the attack is `about`."""

    answer: str
    share: float | None
    first: float | None


@dataclass(frozen=True)
class Change:
    """A changed picture: what is said of it, the largest change of a number in grey levels, and the root of the sum of
    squares of all changes (L2), in grey levels too. method: what made it: noise, fgsm or iterative."""

    said: Said
    method: str
    epsilon: int
    l2: float
    file: str = ""


@dataclass(frozen=True)
class Attacked:
    """What became of one picture.

    clean: the answer before. about: the class of that answer, or the label that is attacked; "" for numbers. noise: one
    draw of noise of the same size; noise_flips: the share of draws that do what the attack wants. attacked: at the
    epsilon asked for; fooled: whether it did what was wanted, None where there is nothing to reach. smallest: the
    smallest change that does, None where none was found. note: what is odd.
    reason: why it could not be read; all else is empty then.
    """

    path: str
    reason: str = ""
    clean: Said | None = None
    about: str = ""
    noise: Change | None = None
    noise_flips: float | None = None
    attacked: Change | None = None
    fooled: bool | None = None
    smallest: Change | None = None
    note: str = ""

    def as_dict(self) -> dict[str, Any]:
        """Return the JSON-ready form."""
        if self.reason:
            return {"path": self.path, "error": self.reason}
        changes = {name: getattr(self, name) for name in ("noise", "attacked", "smallest")}
        return {
            "path": self.path,
            "about": self.about,
            "clean": None if self.clean is None else vars(self.clean),
            **{
                name: None if change is None else {**vars(change), "said": vars(change.said)}
                for name, change in changes.items()
            },
            "noise_flips": self.noise_flips,
            "fooled": self.fooled,
            "note": self.note,
        }


@dataclass(frozen=True)
class Asked:
    """What is done to every picture."""

    to: str | None
    epsilon: int
    steps: int
    method: str
    seed: int


def batch_of(
    subject: Subject, pictures: Sequence[Picture], asked: Asked
) -> Iterator[tuple[Attacked, dict[str, np.ndarray]]]:
    """Yield what became of each picture, and its pictures by name; none for those that were not attacked."""
    readable = [picture for picture in pictures if picture.pixels is not None]
    found = iter(_attack(subject, readable, asked)) if readable else iter(())
    for picture in pictures:
        if picture.pixels is None:
            yield Attacked(picture.record.path, reason=picture.record.reason), {}
        else:
            yield next(found)


def _attack(
    subject: Subject, pictures: Sequence[Picture], asked: Asked
) -> Iterator[tuple[Attacked, dict[str, np.ndarray]]]:
    """Attack a few pictures together."""
    squares = np.stack([picture.pixels for picture in pictures if picture.pixels is not None])
    scores = subject.says(squares)
    goal = goal_of(subject, scores, asked.to)
    rows = np.arange(len(squares))
    before = subject.task.answers(scores)
    there = goal.reached(rows, scores)
    left = np.flatnonzero(~there)
    strong, methods = _changed(subject, goal, squares, left, asked)
    fooled = _fooled(subject, goal, left, strong[left])
    least, sizes = _smallest(subject, goal, squares, left, asked)
    better = left[fooled & ((sizes[left] == 0) | (sizes[left] > asked.epsilon))]  # one step may do where several do not
    least[better], sizes[better] = strong[better], asked.epsilon
    for row, picture in enumerate(pictures):
        said = _Words(subject.task, before[row], int(goal.place[row]))
        path, clean = picture.record.path, said.of(before[row])
        if there[row]:
            yield (
                Attacked(path, clean=clean, about=said.about, fooled=None, note=f"the answer is {asked.to} already"),
                {},
            )
            continue
        noisy, share, noise = _noise(subject, goal, row, squares[row], asked, picture.record.sha256)
        shown = {"clean": squares[row], "noise": noisy, "attacked": strong[row]}
        after = subject.answers(strong[row : row + 1])[0]
        one = Attacked(
            path,
            clean=clean,
            about=said.about,
            noise=_change(said.of(noise), "noise", squares[row], noisy),
            noise_flips=None if goal.endless else share,
            attacked=_change(said.of(after), methods[row], squares[row], strong[row]),
            fooled=None if goal.endless else bool(fooled[left == row][0]),
            note=_note(squares[row], strong[row], goal, sizes[row]),
        )
        if sizes[row]:
            shown["smallest"] = least[row]
            how = methods[row] if row in better else "iterative"
            answer = subject.answers(least[row : row + 1])[0]
            one = replace(one, smallest=_change(said.of(answer), how, squares[row], least[row]))
        yield one, shown


def _changed(
    subject: Subject, goal: Goal, squares: np.ndarray, left: np.ndarray, asked: Asked
) -> tuple[np.ndarray, list[str]]:
    """Return the squares attacked at the epsilon asked for, and the method that made each."""
    strong, methods = squares.copy(), ["fgsm"] * len(squares)
    sizes = np.full(len(left), asked.epsilon)
    if asked.method != "iterative" and len(left):
        strong[left] = attacked(subject.eye, squares[left], goal, left, sizes, 1)
        if asked.method == "auto":
            left = left[~_fooled(subject, goal, left, strong[left])]
    if asked.method != "fgsm" and len(left):
        sizes = sizes[: len(left)]
        strong[left] = attacked(subject.eye, squares[left], goal, left, sizes, asked.steps)
        for row in left:
            methods[row] = "iterative"
    return strong, methods


def _smallest(
    subject: Subject, goal: Goal, squares: np.ndarray, left: np.ndarray, asked: Asked
) -> tuple[np.ndarray, np.ndarray]:
    """Return the squares changed by the smallest epsilon that was found to do, and it (n,), 0 where there is none."""
    least, sizes = squares.copy(), np.zeros(len(squares), np.int64)
    if goal.endless:
        return least, sizes

    def flips(places: np.ndarray, epsilon: np.ndarray) -> np.ndarray:
        done = np.zeros(len(places), bool)
        for early in (True, False):  # where torch only just turns, a rounder engine may not: then all steps are taken
            rows, sizes = left[places[~done]], epsilon[~done]
            if len(rows):
                tried = attacked(subject.eye, squares[rows], goal, rows, sizes, asked.steps, early)
                turned = _fooled(subject, goal, rows, tried)
                least[rows[turned]] = tried[turned]  # every later success of a picture is at a smaller epsilon
                done[~done] = turned
        return done

    sizes[left] = smallest(flips, len(left))
    return least, sizes


def _fooled(subject: Subject, goal: Goal, rows: np.ndarray, squares: np.ndarray) -> np.ndarray:
    """Return (k,) bool: whether the engine in use and torch both answer what was wanted."""
    if not len(rows):
        return np.zeros(0, bool)
    engine = goal.reached(rows, subject.says(squares))
    both: np.ndarray = engine & goal.reached(rows, subject.eye.says(squares))
    return both


def _noise(
    subject: Subject, goal: Goal, row: int, square: np.ndarray, asked: Asked, content: str
) -> tuple[np.ndarray, float, np.ndarray]:
    """Return a draw of noise that does not do what the attack does, if there is one, the share of draws that do, and
    the answers for the draw."""
    draws = np.stack([coin_noise(square, asked.epsilon, asked.seed, content, draw) for draw in range(DRAWS)])
    scores = subject.says(draws)
    done = goal.reached(np.full(DRAWS, row), scores)
    shown = int(done.argmin())  # the first that does not, or the first
    return draws[shown], float(done.mean()), subject.task.answers(scores)[shown]


@dataclass(frozen=True)
class _Words:
    """How answers for one picture are told: `first` are those for the clean one (k,), or a number."""

    task: Task
    first: Any
    place: int

    def of(self, answers: Any) -> Said:
        """Return an answer in words."""
        row = self.task.row(answers)
        predicted = row["predicted"]
        if not self.task.classes:
            return Said(f"{predicted:.6g}", None, None)
        share = float(f"{answers[self._about]:.6g}")
        if isinstance(predicted, list):
            return Said("; ".join(predicted) or "no label", None, share)
        return Said(predicted, row["confidence"], share)

    @property
    def about(self) -> str:
        """The class or label whose probability is followed."""
        return self.task.classes[self._about] if self.task.classes else ""

    @property
    def _about(self) -> int:
        decoded = self.task.decode(self.first[None])
        return int(decoded[0]) if decoded.ndim == 1 else self.place


def _change(said: Said, method: str, clean: np.ndarray, changed: np.ndarray) -> Change:
    apart = changed.astype(np.float64) - clean
    return Change(said, method, int(np.abs(apart).max()), round(float(np.sqrt((apart**2).sum())), 2))


def _note(clean: np.ndarray, changed: np.ndarray, goal: Goal, size: int) -> str:
    """Return what is odd about a picture, for people."""
    found = []
    if (clean == clean[0, 0]).all():
        found.append("the picture is one colour, so the answer for it means little")
    if (changed == clean).all():
        found.append("the gradient is zero everywhere: nothing in the picture moves this answer")
    elif not size and not goal.endless:
        found.append("no change of up to 255 grey levels was found to do it")
    return "; ".join(found)
