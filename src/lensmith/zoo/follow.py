"""Following a blank picture through a network: every layer and operation it meets, and what the numbers see.

Nothing has to be recorded beforehand: torch shows every operation as it runs, whatever the code around it does, on
weightless tensors as on real ones. So any module that runs can be followed, branches, residual additions, attention
and code of the user's own included.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor, nn
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves

from lensmith.zoo.chain import as_found, chain, device_of, making_on
from lensmith.zoo.rules import sees
from lensmith.zoo.sight import Blind, Shape, Sights, of_picture, recounted
from lensmith.zoo.steps import Step, Window, is_pointwise, named, products, tensors, window_of

PICTURE, ANSWER = -1, -2


@dataclass(frozen=True)
class Note:
    """What is known of a tensor: what it sees (None: unknown), the step that made it, the weights it was made from.

    `step` is None for what does not come from the picture.
    """

    sights: Sights | None = None
    step: int | None = None
    weights: frozenset[str] = frozenset()


@dataclass(frozen=True)
class Done:
    """One operation as it ran: shapes with the batch, weights met for the first time, sights before and after.

    `given` are the shapes of what comes from the picture, `terms` the multiply-adds as factors, and `joins` is how many
    tensors from the picture went in.
    """

    name: str
    given: tuple[Shape, ...]
    made: Shape
    weights: tuple[tuple[str, Shape], ...] = ()
    terms: tuple[tuple[Shape, Shape], ...] = ()
    window: Window | None = None
    target: Shape = ()
    before: tuple[Sights, ...] = ()
    after: Sights | None = None
    joins: int = 1


@dataclass
class Visit:
    """One call of a module, or one operation by the code of a module that has layers of its own.

    `module` is None for such an operation. `last` is the number of the step that made its result.
    """

    path: str
    module: nn.Module | None
    given: Shape = ()
    made: Shape = ()
    before: Sights | None = None
    after: Sights | None = None
    last: int | None = None
    steps: list[Done] = field(default_factory=list)


@dataclass(frozen=True)
class Failure:
    """Where a network could not go on: the visit that was open, the operation with its window and what it was given."""

    path: str
    name: str
    given: tuple[Shape, ...]
    window: Window | None


class Follower(TorchDispatchMode):  # type: ignore[no-untyped-call]
    """Follows one picture (1, channels, *sides) through a network in evaluation mode."""

    def __init__(self, network: nn.Module, shape: Shape) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.visits: list[Visit] = []
        self.failure: Failure | None = None
        self.joints: frozenset[int] = frozenset()
        # Where the sights end, and why.
        self.blind: list[tuple[str, str]] = []
        self._network, self._shape = network, shape
        self._parameters = dict(network.named_parameters())
        self._weights = {id(weight): name for name, weight in self._parameters.items()}
        self._order = {name: number for number, name in enumerate(self._parameters)}
        self._open: list[Visit] = []
        self._calls: Counter[str] = Counter()
        # With the tensors themselves, so that no two ever have the same id; weightless ones take no memory.
        self._notes: dict[int, tuple[Tensor, Note]] = {}
        self._sources: dict[int, list[int]] = {PICTURE: []}
        self._used: set[str] = set()

    @property
    def axes(self) -> int:
        """How many sides the picture has."""
        return len(self._shape) - 1

    @property
    def used(self) -> frozenset[str]:
        """The parameters that something was made with."""
        return frozenset(self._used)

    def run(self) -> None:
        """Run the network once. Raises whatever it raises, with `failure` set where an operation failed."""
        device = device_of(self._network)
        picture = blank(self._network, self._shape)
        self._notes[id(picture)] = picture, Note(of_picture(self._shape[1:], begin=2), PICTURE)
        with torch.no_grad(), as_found(self._network), making_on(device), _slow_attention(), self._hooks(), self:
            answer = self._network(picture)
        ends = [self._note(one).step for one in tree_leaves(answer) if isinstance(one, Tensor)]
        self._sources[ANSWER] = [end for end in ends if end is not None]
        self.joints = frozenset(chain(self._sources)) if self._sources[ANSWER] else frozenset()

    @contextmanager
    def _hooks(self) -> Iterator[None]:
        hooks = []
        for path, part in self._network.named_modules():
            if path and not isinstance(part, torch.jit.ScriptModule):
                hooks.append(part.register_forward_pre_hook(self._enterer(path), with_kwargs=True, prepend=True))
                hooks.append(part.register_forward_hook(self._leave, always_call=True))
        try:
            yield
        finally:
            for hook in hooks:
                hook.remove()

    def _enterer(self, path: str) -> Any:
        def enter(part: nn.Module, inputs: Any, by_name: Any) -> None:
            calls = self._calls[path]
            self._calls[path] += 1
            visit = Visit(f"{path}_{calls}" if calls else path, part)
            given = next((one for one in tree_leaves((inputs, by_name)) if isinstance(one, Tensor)), None)
            if given is not None:
                visit.given, visit.before = tuple(given.shape), self._note(given).sights
            self._open.append(visit)
            if is_layer(part):
                self.visits.append(visit)

        return enter

    def _leave(self, part: nn.Module, inputs: Any, output: Any) -> None:
        visit = self._open.pop()
        made = next((one for one in tree_leaves(output) if isinstance(one, Tensor)), None)
        if made is not None:
            note = self._note(made)
            visit.made, visit.after, visit.last = tuple(made.shape), note.sights, note.step

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        """Run one operation, and note what it did."""
        if not isinstance(func, torch._ops.OpOverload):
            return func(*args, **(kwargs or {}))
        name, values = func.overloadpacket.__name__.rstrip("_"), named(func, args, kwargs or {})
        given = tensors(values.values())
        shapes = tuple(tuple(tensor.shape) for tensor in given)
        try:
            result = func(*args, **(kwargs or {}))
        except Exception:
            self._fail(name, values, shapes)
            raise
        made = [one for one in tree_leaves(result) if isinstance(one, Tensor)]
        if made:
            step = Step(name, values, {}, tuple(made[0].shape), self._shape[1:], is_pointwise(func))
            self._record(step, shapes, made)
            if func.overloadpacket.__name__.endswith("_"):
                self._written(made[0], given)
        return result

    def _record(self, step: Step, shapes: tuple[Shape, ...], made: list[Tensor]) -> None:
        """Note what an operation made, and from what."""
        given = tensors(step.values.values())
        notes = [self._note(tensor) for tensor in given]
        weights = frozenset[str]().union(*(note.weights for note in notes))
        made_anew = step.name.startswith("new_") or step.name.endswith("_like")
        sources = [] if made_anew else [note.step for note in notes if note.step is not None]
        if not sources:
            # Weights on their way to be used: they are counted where they meet the picture.
            for tensor in made:
                self._notes[id(tensor)] = tensor, Note(weights=weights)
            if not products(step):
                return
        number = len(self._sources)
        carried = tuple(shape for shape, note in zip(shapes, notes, strict=True) if note.step is not None)
        fresh = sorted(weights - self._used, key=self._order.__getitem__)
        before, after, blind = self._sights(step, given, notes)
        done = Done(
            step.name,
            carried or shapes,
            step.output,
            tuple((name, tuple(self._parameters[name].shape)) for name in fresh),
            products(step),
            window_of(step),
            tuple(step.values.get("output_size") or ()),
            before,
            after,
            len(set(sources)),
        )
        self._used |= weights
        visit = self._visit(done)
        visit.last = number
        if blind:
            self.blind.append((visit.path, blind))
        self._sources[number] = sources or [PICTURE]
        if sources:
            for tensor in made:
                # What else comes out, such as statistics, has other dimensions.
                same = after if tensor.ndim == made[0].ndim else None
                sights = None if same is None else recounted(same, tuple(tensor.shape))
                self._notes[id(tensor)] = tensor, Note(sights, number)

    def _sights(
        self, step: Step, given: list[Tensor], notes: list[Note]
    ) -> tuple[tuple[Sights, ...], Sights | None, str]:
        """Return the sights of what came from the picture, those of the result, and why there are none."""
        carriers = [(tensor, note) for tensor, note in zip(given, notes, strict=True) if note.step is not None]
        before = {id(tensor): note.sights for tensor, note in carriers if note.sights is not None}
        if len(before) < len({id(tensor) for tensor, _ in carriers}) or not carriers:
            return (), None, ""
        seeing = Step(step.name, step.values, before, step.output, step.picture, step.pointwise)
        try:
            return tuple(before.values()), recounted(sees(seeing), step.output), ""
        except Blind as blind:
            return tuple(before.values()), None, str(blind)
        except (IndexError, KeyError, TypeError, ValueError, StopIteration, ZeroDivisionError):
            # An operation called in a way that its rule does not foresee: unknown, like one without a rule.
            return tuple(before.values()), None, step.name

    def _written(self, tensor: Tensor, given: list[Tensor]) -> None:
        """Note that a tensor was changed through a view of it: what it sees is unknown from there on."""
        whole = tensor._base
        others = [one for one in given if one is not tensor and self._note(one).step is not None]
        if whole is not None and others:
            note = self._note(tensor)
            if whole.shape != tensor.shape:
                place = self._open[-1].path if self._open else "the network"
                self.blind.append((place, "a part of a map written into"))
                note = Note(None, note.step, note.weights)
            self._notes[id(whole)] = whole, note

    def _visit(self, done: Done) -> Visit:
        """Return the visit that an operation belongs to: the open layer, or one of its own."""
        owner = self._open[-1] if self._open else None
        if owner is not None and owner.module is not None and is_layer(owner.module):
            visit = owner
        else:
            path = f"{owner.path}.{done.name}" if owner else done.name
            calls = self._calls[path]
            self._calls[path] += 1
            before = done.before[0] if done.before else None
            given = done.given[0] if done.given else ()
            visit = Visit(f"{path}_{calls}" if calls else path, None, given, done.made, before, done.after)
            self.visits.append(visit)
        visit.steps.append(done)
        return visit

    def _fail(self, name: str, values: dict[str, Any], shapes: tuple[Shape, ...]) -> None:
        path = self._open[-1].path if self._open else ""
        try:
            window = window_of(Step(name, values, {}, (), ()))
        except (KeyError, TypeError, IndexError):
            window = None
        self.failure = Failure(path, name, shapes, window)

    def _note(self, tensor: Tensor) -> Note:
        name = self._weights.get(id(tensor))
        if name is not None:
            return Note(weights=frozenset({name}))
        return self._notes.get(id(tensor), (tensor, Note()))[1]


def is_layer(part: nn.Module) -> bool:
    """Return whether a module is one layer: it has no others inside, or is one of torch's with weights of its own."""
    if next(part.children(), None) is None:
        return True
    of_torch = any(
        kind.__module__.startswith("torch.nn.modules.") and kind is not nn.Module for kind in type(part).__mro__
    )
    return of_torch and bool(part._parameters)


def blank(network: nn.Module, shape: Shape) -> Tensor:
    """Return a blank picture (1, *shape) on the network's device, of the kind of numbers it works with."""
    kinds = (weight.dtype for weight in network.parameters() if weight.is_floating_point())
    return torch.zeros(1, *shape, device=device_of(network), dtype=next(kinds, torch.float32))


@contextmanager
def _slow_attention() -> Iterator[None]:
    """Let attention run as the operations it is made of, not as one that torch keeps for speed."""
    before = torch.backends.mha.get_fastpath_enabled()
    torch.backends.mha.set_fastpath_enabled(False)
    try:
        yield
    finally:
        torch.backends.mha.set_fastpath_enabled(before)
