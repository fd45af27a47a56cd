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
class Subject:
    """A network and its pictures.

    name: what the user called it. task: what its numbers mean. geometry: how a file becomes the (s, s, 3) uint8 square
    that it sees. says: such squares to scores (n, outputs) float32, before softmax or sigmoid, by the fastest engine
    that can be trusted. make: builds the same as a torch module, which costs the import of torch.
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

    def output(self, name: str) -> tuple[int, float]:
        """Return the output that speaks for a class, and the sign that does. Raises UsageError with near names."""
        classes = self.task.classes
        if name not in classes and name.isdigit() and int(name) < max(len(classes), self.task.outputs):
            place = int(name)
        elif name in classes:
            place = classes.index(name)
        elif not classes:
            raise UsageError(f"class is {name!r}, but {self.name} answers with a number. Leave it out.")
        else:
            shown = ", ".join(classes[:8]) + (", ..." if len(classes) > 8 else "")
            raise UsageError(f"there is no class {name!r} in {self.name}.{nearest(name, classes) or f' Try {shown}.'}")
        if self.task.outputs == 1:  # the logit of the second of two classes, or a number
            return 0, -1.0 if len(classes) == 2 and place == 0 else 1.0
        return place, 1.0
