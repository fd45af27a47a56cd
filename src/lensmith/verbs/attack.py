"""`lensmith attack`: how little noise fools a network, picture by picture."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, get_args

import numpy as np
from PIL import Image

from lensmith.data.read import Files, Picture, read_pictures
from lensmith.data.store import Store
from lensmith.errors import UsageError, nearest
from lensmith.reports import fragility
from lensmith.reports.pictures import png
from lensmith.run import Run
from lensmith.seeing.adversarial import FULL
from lensmith.seeing.subject import Subject
from lensmith.verbs.attacking import BATCH, Asked, Attacked, batch_of
from lensmith.verbs.console import Console, if_stopped
from lensmith.verbs.folders import Folder, run_of, stems
from lensmith.verbs.kinds.pictures import list_pictures
from lensmith.verbs.subject import open_subject

if TYPE_CHECKING:
    from torch import nn

Method = Literal["auto", "fgsm", "iterative"]
CHANGES = ("noise", "attacked", "smallest")  # the fields of Attacked that hold a picture


@dataclass(frozen=True)
class Attack:
    """What an attack found. `page` is where its page lies, None where there was nothing to show."""

    network: str
    task: str
    to: str | None
    epsilon: int
    steps: int
    method: str
    seed: int
    pictures: tuple[Attacked, ...]
    page: Path | None

    def as_dict(self) -> dict[str, Any]:
        """Return the JSON-ready form that --json prints."""
        plain = ("network", "task", "to", "epsilon", "steps", "method", "seed")
        return {
            **{name: getattr(self, name) for name in plain},
            "page": None if self.page is None else str(self.page),
            "summary": fragility.summary([one.as_dict() for one in self.pictures]),
            "pictures": [one.as_dict() for one in self.pictures],
        }


def attack(
    network: str | Path | Run | nn.Module,
    pictures: str | Path | Sequence[str | Path],
    *,
    to: str | None = None,
    epsilon: int = 8,
    steps: int = 10,
    method: str = "auto",
    weights: str = "auto",
    image_size: int | None = None,
    save: str | Path | None = None,
    seed: int = 0,
    device: str = "auto",
    out: str | Path = "runs",
    quiet: bool = False,
) -> Attack:
    """Change pictures so that the network answers differently, write a page about it, and return an Attack.

    network: a run, a network by name, module:factory, or in Python a torch module for pictures. pictures: files and
    folders. to: the class to be answered instead (for labels the one to be given, for numbers the one to be reached;
    None: any other class, the surest label taken away, a larger number). epsilon: the largest change of a number of
    the picture, in grey levels, 1 to 255. steps: of the iterative attack. method: fgsm, iterative, or auto: fgsm, and
    where that does not fool it iterative. weights: as in train, for networks by name. image_size: the side it sees,
    for networks alone. save: the folder to write to (None: attacked in the run's folder, or in the current one).
    seed: of the noise that is put beside it. device: auto, cpu, cuda or mps. out: the folder of runs. quiet: show
    no progress.

    The smallest change is looked for by the iterative attack. A picture counts as fooled where both the engine in use
    and torch say so of the whole grey levels that are saved. Raises UsageError, RunError, WeightsError or DataError.
    """
    asked = _checked(to, epsilon, steps, method, seed)
    console, store = Console(quiet), Store()
    paths = list_pictures(pictures)
    folder, names = Folder.of(save, run_of(network, Path(out)), "attacked"), stems(paths)
    folder.require_apart(paths, [f"{name}-{change}.png" for name in names for change in CHANGES])
    subject = open_subject(
        network, weights=weights, image_size=image_size, device=device, out=Path(out), seed=seed, say=console.note
    )
    if to is not None and subject.task.classes:
        wanted = subject.target(to)
        console.note(subject.alike(wanted))
        asked = replace(asked, to=wanted.name)
    found: list[Attacked] = []
    cards: list[fragility.Card] = []

    def kept() -> str:
        some = f"what was attacked so far is in {folder.path}, without a page"
        return some if any(one.attacked for one in found) else "nothing was written"

    with if_stopped(kept), console.progress("pictures", len(paths)) as advance:
        for batch in _batches(read_pictures(Files(Path(), paths, store), subject.geometry)):
            for one, shown in batch_of(subject, batch, asked):
                if shown:
                    one = _written(one, shown, folder, names[len(found)])
                    if len(cards) < fragility.MOST_CARDS:
                        cards.append(fragility.card(one.as_dict(), shown))
                found.append(one)
            advance(len(found))
    _refuse_reached(found, subject, asked.to)
    page = folder.path / "page.html" if cards else None
    result = Attack(subject.name, subject.task.kind, asked.to, epsilon, steps, method, seed, tuple(found), page)
    if page is not None:
        text = fragility.attack_page(result.as_dict(), cards)
        folder.write_json("attack.json", result.as_dict())
        folder.write("page.html", text.encode("utf-8", "replace"))
    return result


def _checked(to: str | None, epsilon: int, steps: int, method: str, seed: int) -> Asked:
    if not 1 <= epsilon <= FULL or epsilon != int(epsilon):
        raise UsageError(f"epsilon is {epsilon}; it is counted in whole grey levels, from 1 to 255. Try 8.")
    if not 1 <= steps <= 1000:
        raise UsageError(f"steps is {steps}; allowed are 1 to 1000. Try 10.")
    if method not in get_args(Method):
        near = nearest(method, get_args(Method))
        raise UsageError(f"method is {method!r}; allowed are {', '.join(get_args(Method))}.{near}")
    return Asked(to, int(epsilon), steps, method, seed)


def _batches(pictures: Iterator[Picture]) -> Iterator[list[Picture]]:
    """Yield pictures in groups of BATCH that can be read, the others among them where they stand."""
    batch: list[Picture] = []
    for picture in pictures:
        batch.append(picture)
        if sum(one.pixels is not None for one in batch) == BATCH:
            yield batch
            batch = []
    if batch:
        yield batch


def _refuse_reached(found: Sequence[Attacked], subject: Subject, to: str | None) -> None:
    """Raise UsageError where there was nothing to do for any picture."""
    read = [one for one in found if not one.reason]
    if to is not None and read and all(one.attacked is None for one in read):
        which = "this picture" if len(read) == 1 else f"all {len(read)} pictures"
        others = [name for name in subject.task.classes if name != to]
        fix = f" Choose another: {', '.join(others[:4])}{', ...' if len(others) > 4 else ''}." if others else ""
        raise UsageError(f"to is {to!r}, and {subject.name} answers that for {which} already.{fix}")


def _written(one: Attacked, shown: dict[str, np.ndarray], folder: Folder, stem: str) -> Attacked:
    """Write the pictures as PNG and return what became of the picture with their names."""
    named = {}
    for name in CHANGES:
        if name in shown:
            file = f"{stem}-{name}.png"
            folder.write(file, png(Image.fromarray(shown[name])))
            named[name] = replace(getattr(one, name), file=file)
    return replace(one, **named)
