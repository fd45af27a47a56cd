"""What is looked into: a network with all that is needed to show it pictures, quickly or to be differentiated."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING

import numpy as np

from lensmith.data.preprocess import Preprocessing
from lensmith.errors import UsageError, nearest
from lensmith.tasks.interface import Answers, Task

if TYPE_CHECKING:
    from lensmith.seeing.eye import Eye


@dataclass(frozen=True)
class Target:
    """What is spoken of: the name of a class, label or number, the output that speaks for it, and with which sign."""

    name: str
    output: int
    sign: float = 1.0


@dataclass(frozen=True)
class Subject:
    """A network and its pictures.

    name: what the user called it. task: what its numbers mean. geometry: how a file becomes the (s, s, 3) uint8 square
    that it sees. says: such squares to scores (n, outputs) float32, before softmax or sigmoid, by the fastest engine
    that can be trusted, for one or more. make: builds the same as a torch module, which costs the import of torch.
    """

    name: str
    task: Task
    geometry: Preprocessing
    says: Callable[[Iterable[np.ndarray]], np.ndarray]
    make: Callable[[], Eye]

    @cached_property
    def eye(self) -> Eye:
        """The network as a torch module: pixels (N, 3, s, s) float32 from 0 to 255 -> scores (N, outputs)."""
        return self.make()

    def answers(self, squares: Iterable[np.ndarray]) -> Answers:
        """Return the task's answers: probabilities (n, k), or numbers (n,)."""
        return self.task.answers(self.says(squares))

    def target(self, name: str | int) -> Target:
        """Return what speaks for a class, named or counted. Raises UsageError with near names."""
        name, classes = str(name), self.task.classes
        if not classes:
            raise UsageError(f"class is {name!r}, but {self.name} answers with a number. Leave it out.")
        if name in classes:
            place = classes.index(name)
        elif name.isdecimal() and int(name) < len(classes):
            place = int(name)
        else:
            shown = ", ".join(classes[:8]) + (", ..." if len(classes) > 8 else "")
            raise UsageError(f"there is no class {name!r} in {self.name}.{nearest(name, classes) or f' Try {shown}.'}")
        if self._one_for_two:
            return Target(classes[place], 0, 1.0 if place else -1.0)
        return Target(classes[place], place)

    def alike(self, target: Target) -> str:
        """Return a sentence on classes that might have been meant too, "" where there are none: ImageNet has "crane",
        the machine, and "crane bird"."""
        name = target.name.casefold()
        near = [one for one in self.task.classes if one != target.name and f"{one.casefold()} ".startswith(f"{name} ")]
        return f"{target.name!r} is a class; so {'is' if len(near) == 1 else 'are'} {', '.join(near)}." if near else ""

    def speaking(self, output: int, sign: float) -> Target:
        """Return what an output speaks for with a sign, as `Task.explained` gives them."""
        classes = self.task.classes
        if not classes:
            return Target(str(getattr(self.task, "target_name", "")) or "the number", output, sign)
        return Target(classes[int(sign > 0) if self._one_for_two else output], output, sign)

    @property
    def _one_for_two(self) -> bool:
        """Whether one output is the logit of the second of two classes."""
        return self.task.outputs == 1 and len(self.task.classes) == 2
