"""A network whose code cannot be recorded, watched while it runs.

Autograd notes how every number came about, whatever the code does in between, and its notes know tensors only,
not sizes: they show the places where one tensor crosses just as well. But only modules have names there, and the
base is the network itself, left at the module where it is cut.
"""

from __future__ import annotations

import copy
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor, nn

from lensmith.zoo.chain import (
    BATCH,
    PASSING,
    Flow,
    Place,
    as_found,
    blank,
    could_make_classes,
    making_on,
    reached,
    shallowest_first,
    tensors_of,
)

# One tensor in autograd's notes: the operation that made it, and which of its results it is.
Made = tuple[Any, int]


class Watched:
    """A network with the places where it can be cut, at one image size; see `trace.Traced`, which does the same."""

    def __init__(self, network: nn.Module, twin: nn.Module, image_size: int) -> None:
        """Run `twin`, the weightless copy of `network` or itself, and read autograd's notes."""
        self._network = network
        watch = _Watch(twin)
        with _with_gradients(twin), as_found(twin), watch.hooks():
            pictures = blank(twin, image_size).requires_grad_()
            with making_on(pictures.device):
                # Multiplied by one, so that a network may change its pictures in place.
                answer = twin(pictures * 1)
        self._needed: dict[Place, frozenset[str]] = {}
        if isinstance(answer, Tensor) and answer.grad_fn is not None:
            self._find(watch, answer, pictures)

    @property
    def places(self) -> tuple[Place, ...]:
        """The modules whose output is the one tensor that crosses there, in order."""
        return tuple(self._needed)

    def base(self, place: Place, *, channels_last: bool) -> nn.Module:
        """Return the network up to a place: a copy that shares its tensors and their names, without the rest."""
        base = copy.deepcopy(self._network, {id(tensor): tensor for tensor in tensors_of(self._network)})
        for path, part in list(base.named_modules()):
            if path and path not in self._needed[place] and next(part.parameters(), None) is not None:
                owner, _, name = path.rpartition(".")
                setattr(base.get_submodule(owner), name, nn.Identity())
        base.get_submodule(place.names[0]).register_forward_hook(_leave_channels_last if channels_last else _leave)
        base.__class__ = type("Base", (_Left, type(base)), {})
        return base

    def _find(self, watch: _Watch, answer: Tensor, pictures: Tensor) -> None:
        """Read the places from autograd's notes, and for each the modules that the network needs to get there."""
        notes, leaves = _notes((answer.grad_fn, answer.output_nr))
        made_from: dict[Made, list[Made]] = {}
        weighted: set[Made] = set()
        for made, sources in notes.items():
            from_pictures = [source for source in sources if source in made_from]
            if from_pictures or leaves.get(made) is pictures:
                made_from[made] = from_pictures
                # Whatever else autograd notes as a source leads to parameters.
                if len(from_pictures) < len(sources):
                    weighted.add(made)
        makers = watch.class_makers(tuple(answer.shape))
        for place, made in Flow(made_from, weighted, makers).places(watch.place).items():
            used = {id(leaves[one]) for one in reached(made, notes.__getitem__) if one in leaves}
            self._needed[place] = watch.needed(place.names[0], used)


class _Watch:
    """Notes the output of every module as the network runs."""

    def __init__(self, network: nn.Module) -> None:
        self._network = network
        self._paths = {part: path for path, part in network.named_modules() if path}
        self._calls: list[nn.Module] = []
        self._outputs: dict[Made, list[nn.Module]] = {}
        self._passed: dict[Made, list[nn.Module]] = {}
        self._shapes: dict[Made, tuple[int, ...]] = {}

    @contextmanager
    def hooks(self) -> Iterator[None]:
        """Watch every module while the context lasts."""
        hooks = [part.register_forward_hook(self._note) for part in self._paths]
        try:
            yield
        finally:
            for hook in hooks:
                hook.remove()

    def _note(self, part: nn.Module, inputs: Any, output: Any) -> None:
        self._calls.append(part)
        if isinstance(output, Tensor) and output.grad_fn is not None:
            made = output.grad_fn, output.output_nr
            given = any(isinstance(one, Tensor) and (one.grad_fn, one.output_nr) == made for one in inputs)
            (self._passed if given else self._outputs).setdefault(made, []).append(part)
            self._shapes[made] = tuple(output.shape)

    def place(self, made: Made) -> Place | None:
        """Return the place that a tensor is, if modules that run only once end with it or pass it on."""
        ends, passed = (
            [part for part in parts.get(made, ()) if self._calls.count(part) == 1]
            for parts in (self._outputs, self._passed)
        )
        names = (*shallowest_first(self._paths[part] for part in ends), *(self._paths[part] for part in passed))
        if not names or self._shapes[made][:1] != (BATCH,):
            return None
        return Place(names, self._shapes[made], passed_on=bool(ends) and isinstance(ends[0], PASSING))

    def class_makers(self, answer: tuple[int, ...]) -> set[Made]:
        """Return the outputs of layers that could make the classes."""
        return {made for made, ends in self._outputs.items() if could_make_classes(ends[0], answer)}

    def needed(self, name: str, used: set[int]) -> frozenset[str]:
        """Return the modules that have run when `name` ends, and those with a parameter in `used` (by id)."""
        stop = self._calls.index(self._network.get_submodule(name))
        ran = {self._paths[part] for part in self._calls[: stop + 1]}
        with_used = {path for part, path in self._paths.items() if not used.isdisjoint(map(id, part.parameters()))}
        return frozenset(ran | with_used)


def _notes(answer: Made) -> tuple[dict[Made, list[Made]], dict[Made, Tensor]]:
    """Return what autograd notes behind a tensor: each tensor, sources first, with its sources; and the leaves."""
    notes: dict[Made, list[Made]] = {}
    leaves: dict[Made, Tensor] = {}
    seen: set[Made] = set()
    open_ends = [(answer, False)]
    while open_ends:
        made, finished = open_ends.pop()
        sources = [source for source in made[0].next_functions if source[0] is not None]
        if finished:
            notes[made] = sources
        elif made not in seen:
            seen.add(made)
            if hasattr(made[0], "variable"):
                leaves[made] = made[0].variable
            open_ends.append((made, True))
            open_ends.extend((source, False) for source in sources)
    return notes, leaves


@contextmanager
def _with_gradients(network: nn.Module) -> Iterator[None]:
    """Let every parameter be noted by autograd, and put back what the user had chosen."""
    before = [(parameter, parameter.requires_grad) for parameter in network.parameters()]
    try:
        for parameter, _ in before:
            parameter.requires_grad_(parameter.is_floating_point())
        with torch.enable_grad():
            yield
    finally:
        for parameter, wanted in before:
            parameter.requires_grad_(wanted)


class _Reached(Exception):
    """The tensor at the cut, on its way out of a network that would go on."""

    def __init__(self, value: Tensor) -> None:
        super().__init__("cut")
        self.value = value


def _leave(part: nn.Module, inputs: Any, output: Tensor) -> None:
    raise _Reached(output)


def _leave_channels_last(part: nn.Module, inputs: Any, output: Tensor) -> None:
    raise _Reached(output.permute(0, 3, 1, 2))


class _Left:
    """What makes a network return the tensor at its cut."""

    def forward(self, pictures: Tensor) -> Tensor:
        """Return the tensor at the cut."""
        try:
            super().forward(pictures)  # type: ignore[misc]
        except _Reached as reached:
            return reached.value
        raise AssertionError("the cut was not reached")
