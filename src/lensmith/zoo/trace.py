"""A network as a recorded graph: where it can be cut, and its bases as graphs of their own.

A base holds the network's own layers, so `base.train()`, `base.eval()` and freezing mean what they always do.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor, fx, nn
from torch.nn import functional

from lensmith.zoo.chain import (
    BATCH,
    PASSING,
    Flow,
    Place,
    as_found,
    blank,
    could_make_classes,
    device_of,
    making_on,
    reached,
)
from lensmith.zoo.record import Untraceable, record

PASSING_FUNCTIONS = (functional.dropout, functional.adaptive_avg_pool2d, functional.adaptive_max_pool2d)


class Traced:
    """A network with its recorded graph and the places where it can be cut, at one image size."""

    def __init__(self, network: nn.Module, twin: nn.Module, image_size: int) -> None:
        """Record `network`; shapes come from `twin`, its weightless copy or itself. Raises Untraceable."""
        self._network = network
        self._recorder = record(network)
        self._modules = dict(network.named_modules())
        shapes = self._shapes(twin, image_size)
        flow = self._flow(shapes)
        self._refuse_hidden_writes(flow.made_from)
        names = self._recorder.names(node for node in flow.made_from if node.op != "output")
        self._nodes = self._in_both_modes(flow.places(lambda node: self._place(node, names, shapes)))

    @property
    def places(self) -> tuple[Place, ...]:
        """The places where exactly one tensor crosses, the picture itself left out, in order."""
        return tuple(self._nodes)

    def base(self, place: Place, *, channels_last: bool, also: Sequence[Place] = ()) -> nn.Module:
        """Return the network up to a place as a module that shares its tensors and their names.

        `channels_last` appends the turn from (N, h, w, C) to (N, C, h, w). With `also`, places before it, the module
        gives a tuple: the tensor at the place, then those at the others.
        """
        last = self._nodes[place]
        needed = reached(last, lambda node: node.all_input_nodes)
        return self._bound(needed, None, last, (False, channels_last), [self._nodes[other] for other in also])

    def top(self, start: Place, end: Place, *, turned: tuple[bool, bool]) -> nn.Module | None:
        """Return what lies between two places, as `base` does; None where the upper part looks back before `start`.

        `turned` says of both places whether they hold (N, h, w, C); what comes in and goes out is (N, C, h, w).
        """
        first, last = self._nodes[start], self._nodes[end]
        needed = reached(last, lambda node: () if node is first else node.all_input_nodes)
        if any(node.op == "placeholder" for node in needed):
            return None
        return self._bound(needed, first, last, turned)

    def _bound(
        self,
        needed: set[fx.Node],
        first: fx.Node | None,
        last: fx.Node,
        turned: tuple[bool, bool],
        also: Sequence[fx.Node] = (),
    ) -> nn.Module:
        """Return the needed operations as a module; what `first` made is its input, in place of the pictures."""
        graph, copies = fx.Graph(), dict[fx.Node, fx.Node]()
        if first is not None:
            given = graph.placeholder("maps")
            copies[first] = graph.call_method("permute", (given, 0, 2, 3, 1)) if turned[0] else given
        for node in self._recorder.graph.nodes:
            if node in needed and node is not first:
                copies[node] = graph.node_copy(node, copies.__getitem__)
        result = copies[last]
        if turned[1]:
            result = graph.call_method("permute", (result, 0, 3, 1, 2))
        graph.output((result, *(copies[node] for node in also)) if also else result)
        with self._lent(self._network):
            base = fx.GraphModule(self._network, graph, class_name="Base")
        for name in self._recorder.constants:
            # Constants met on the way are no weights: they must not appear among the names of the state.
            value = base._buffers.pop(name, None)
            if value is not None:
                base.register_buffer(name, value, persistent=False)
        return base

    @contextmanager
    def _lent(self, network: nn.Module) -> Iterator[None]:
        """Lend a network the recorded constants while a graph is bound to it."""
        device = device_of(network)
        for name, value in self._recorder.constants.items():
            setattr(network, name, value.to(device) if isinstance(value, Tensor) else value)
        try:
            yield
        finally:
            for name in self._recorder.constants:
                delattr(network, name)

    def _shapes(self, twin: nn.Module, image_size: int) -> dict[fx.Node, tuple[int, ...]]:
        """Return the shape of each tensor, () for a tuple or list of tensors; other values are left out."""
        pictures = blank(twin, image_size)
        with self._lent(twin):
            bound = fx.GraphModule(twin, self._recorder.graph)
        try:
            with torch.no_grad(), making_on(pictures.device), as_found(bound):
                running = _Shapes(bound)
                running.run(pictures)
        except Exception as error:
            raise Untraceable(f"the recorded graph does not run: {error}") from error
        return running.shapes

    def _flow(self, shapes: dict[fx.Node, tuple[int, ...]]) -> Flow[fx.Node]:
        """Return which tensors come from the pictures, and which of them are made with weights."""
        made_from: dict[fx.Node, list[fx.Node]] = {}
        from_weights: set[fx.Node] = set()
        weighted: set[fx.Node] = set()
        for node in self._recorder.graph.nodes:
            sources = [source for source in node.all_input_nodes if source in made_from]
            given_weights = not from_weights.isdisjoint(node.all_input_nodes)
            if node.op == "placeholder" or (sources and (node in shapes or node.op == "output")):
                made_from[node] = sources
                if given_weights or (node.op == "call_module" and _has_weights(self._module(node))):
                    weighted.add(node)
            elif given_weights or (node.op == "get_attr" and isinstance(self._value(node), nn.Parameter)):
                from_weights.add(node)
        *_, output = made_from
        if output.op != "output":
            raise Untraceable("the answer does not depend on the pictures")
        answer = shapes.get(made_from[output][0])
        makers = {node for node in weighted if self._could_make_classes(node, shapes.get(node), answer)}
        return Flow(made_from, weighted, makers)

    def _in_both_modes(self, found: dict[Place, fx.Node]) -> dict[Place, fx.Node]:
        """Leave out the places behind an operation of the network's own that depends on training or evaluation.

        A dropout before the classes costs nothing that way; a network that loses more is Untraceable.
        """
        agreed = set(list(self._recorder.graph.nodes)[: self._recorder.agreed])
        lost = [place for place, node in found.items() if node not in agreed]
        if any(place.weighted and not place.after_classes for place in lost):
            raise Untraceable("the network itself does different things in training and in evaluation")
        return {place: node for place, node in found.items() if node in agreed}

    def _refuse_hidden_writes(self, carrying: Iterable[fx.Node]) -> None:
        """Raise Untraceable for a change in place whose result the code then finds in the changed tensor itself."""
        for node in carrying:
            if node.users or node.op == "output":
                continue
            in_place = node.op == "call_method" and str(node.target).endswith("_")
            in_place |= node.op == "call_module" and getattr(self._module(node), "inplace", False)
            if in_place or node.kwargs.get("inplace"):
                raise Untraceable(f"{node} changes a tensor in place")

    def _place(
        self, node: fx.Node, names: dict[fx.Node, tuple[str, ...]], shapes: dict[fx.Node, tuple[int, ...]]
    ) -> Place | None:
        shape = shapes.get(node, ())
        if node.op in ("placeholder", "output") or shape[:1] != (BATCH,):
            return None
        return Place(names[node], shape, passed_on=self._passes_on(node))

    def _could_make_classes(self, node: fx.Node, shape: tuple[int, ...] | None, answer: tuple[int, ...] | None) -> bool:
        if node.op == "call_module":
            return could_make_classes(self._module(node), answer)
        return node.target is functional.linear and shape == answer

    def _passes_on(self, node: fx.Node) -> bool:
        if node.op == "call_module":
            return isinstance(self._module(node), PASSING)
        return node.target in PASSING_FUNCTIONS

    def _module(self, node: fx.Node) -> nn.Module:
        module: nn.Module = self._modules[str(node.target)]
        return module

    def _value(self, node: fx.Node) -> Any:
        """Return what a get_attr operation reads; None for a constant made on the way."""
        owner, _, name = str(node.target).rpartition(".")
        return getattr(self._modules[owner], name, None)


def _has_weights(layer: nn.Module) -> bool:
    return next(layer.parameters(), None) is not None


class _Shapes(fx.Interpreter):
    """Runs a graph and keeps the shape of what each operation gives, under the recorder's nodes."""

    def __init__(self, bound: fx.GraphModule) -> None:
        super().__init__(bound)
        self.shapes: dict[fx.Node, tuple[int, ...]] = {}

    def run_node(self, n: fx.Node) -> Any:
        """Run one operation and note the shape of its result."""
        value = super().run_node(n)
        if isinstance(value, Tensor):
            self.shapes[n] = tuple(value.shape)
        elif _holds_tensor(value):
            self.shapes[n] = ()
        return value


def _holds_tensor(value: Any) -> bool:
    """Return whether a tuple, list or dictionary holds a tensor at some depth."""
    if isinstance(value, dict):
        value = list(value.values())
    return isinstance(value, Tensor) or (isinstance(value, tuple | list) and any(map(_holds_tensor, value)))
