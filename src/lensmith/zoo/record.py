"""Recording what a network does as a graph, by running it once on symbols instead of numbers (torch.fx).

What a layer does may depend on training or evaluation, and a recorded graph knows only one of the two. So a network
is recorded in both; where the recordings differ, the module responsible is kept whole, called instead of recorded,
until they agree. The one graph is then right in both.
"""

from __future__ import annotations

import sys
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from itertools import zip_longest
from typing import Any

from torch import fx, nn

from lensmith.zoo.chain import as_found, shallowest_first

TRANSPARENT = (nn.Sequential, nn.ModuleList, nn.ModuleDict, nn.Identity)
# Each round keeps one more kind of module whole; published networks need at most a few.
ROUNDS = 8


class Untraceable(Exception):
    """A network cannot be recorded: its code asks for values, or does what a graph does not show."""


class Recorder(fx.Tracer):
    """A tracer that remembers the module each operation belongs to, and the modules that end with it.

    `constants` are the tensors that the code made on the way. `agreed` is the number of operations, from the first
    on, that are the same in training and in evaluation. `failed_in` is the innermost module whose code could not be
    recorded.
    """

    def __init__(self, whole: frozenset[type]) -> None:
        leaves, functions = _kept_by_timm()
        super().__init__(autowrap_functions=functions)
        self._whole, self._leaves = whole, leaves
        self._inside = [""]
        self._calls: Counter[str] = Counter()
        self._number: dict[fx.Node, int] = {}
        self._ends: dict[fx.Node, list[str]] = {}
        self._passed: dict[fx.Node, list[str]] = {}
        self.owner: dict[fx.Node, str] = {}
        self.constants: dict[str, Any] = {}
        self.agreed = 0
        self.failed_in: str | None = None

    def create_args_for_root(self, root_fn: Any, is_module: bool, concrete_args: Any = None) -> tuple[Any, Any]:
        """Call the network with pictures and nothing else: other arguments keep their defaults."""
        return root_fn, [self.root, self.create_proxy("placeholder", "pictures", (), {})]

    def is_leaf_module(self, m: nn.Module, module_qualified_name: str) -> bool:
        """Keep whole: torch's layers, what is derived from them, timm's list, what depends on the mode."""
        return type(m) in self._whole or isinstance(m, self._leaves) or _is_layer(m)

    def create_node(self, *args: Any, **kwargs: Any) -> fx.Node:
        """Remember which module an operation belongs to."""
        node = super().create_node(*args, **kwargs)
        self._number[node] = len(self._number)
        self.owner[node] = self._inside[-1]
        return node

    def call_module(
        self, m: nn.Module, forward: Callable[..., Any], args: tuple[Any, ...], kwargs: dict[str, Any]
    ) -> Any:
        """Remember which operation a module ends with; a second call of the same module is `NAME_1`."""
        path = self.path_of_module(m)
        earlier, calls = len(self._number), self._calls[path]
        self._calls[path] += 1
        self._inside.append(path)
        try:
            result = super().call_module(m, forward, args, kwargs)
        except Exception:
            self.failed_in = self.failed_in or path
            raise
        finally:
            self._inside.pop()
        if isinstance(result, fx.Proxy):
            made_here = self._number[result.node] >= earlier
            names = (self._ends if made_here else self._passed).setdefault(result.node, [])
            names.append(f"{path}_{calls}" if calls else path)
        return result

    def names(self, nodes: Iterable[fx.Node]) -> dict[fx.Node, tuple[str, ...]]:
        """Return the names of operations, the first the main one.

        They are the modules that end with it, the shallowest first, or its owner and kind; then those that pass it on
        unchanged.
        """
        names: dict[fx.Node, tuple[str, ...]] = {}
        used = {name for ends in (*self._ends.values(), *self._passed.values()) for name in ends}
        for node in nodes:
            passed = self._passed.get(node, ())
            if node in self._ends:
                names[node] = (*shallowest_first(self._ends[node]), *passed)
                continue
            kind = node.target if isinstance(node.target, str) else getattr(node.target, "__name__", node.name)
            name = plain = f"{self.owner[node]}.{kind}".removeprefix(".")
            repeat = 0
            while name in used:
                repeat += 1
                name = f"{plain}_{repeat}"
            used.add(name)
            names[node] = (name, *passed)
        return names


def record(network: nn.Module) -> Recorder:
    """Return a recording that holds in evaluation, and in training as far as `agreed`. Raises Untraceable.

    A module that cannot be recorded, or does different things in the two modes, is kept whole, with all of its kind,
    and the network is recorded again; unless the module is most of the network.
    """
    whole: frozenset[type] = frozenset()
    for _ in range(ROUNDS):
        evaluation, training = _record(network, whole, training=False), _record(network, whole, training=True)
        owner = evaluation.failed_in or training.failed_in
        if owner is None:
            evaluation.agreed, owner = _agreement(evaluation, training)
            if owner is None or _is_most(network, owner):
                return evaluation
        elif _is_most(network, owner):
            break
        whole |= {type(network.get_submodule(owner))}
    raise Untraceable("the code of the network itself cannot be recorded")


def _record(network: nn.Module, whole: frozenset[type], *, training: bool) -> Recorder:
    """Record once, in one mode; the network is left as it was."""
    recorder = Recorder(whole)
    own = set(vars(network))
    with as_found(network, training=training):
        try:
            recorder.graph = recorder.trace(network)
        except Exception:
            recorder.failed_in = recorder.failed_in or ""
        recorder.constants = {name: value for name, value in vars(network).items() if name not in own}
    return recorder


def _is_most(network: nn.Module, path: str) -> bool:
    """Return whether a module holds more than half of the network's modules."""
    return 2 * len(list(network.get_submodule(path).modules())) > len(list(network.modules()))


def _agreement(evaluation: Recorder, training: Recorder) -> tuple[int, str | None]:
    """Return how many operations agree, and the module where the two recordings part, None if they do not."""
    pairs = zip_longest(_operations(evaluation), _operations(training), fillvalue=("", None))
    for number, ((here, one), (there, other)) in enumerate(pairs):
        if one != other:
            return number, max(here, there, key=len)
    return len(evaluation.graph.nodes), None


def _operations(recorder: Recorder) -> Iterator[tuple[str, Any]]:
    """Yield each operation as its module and what it does, in terms that compare between recordings."""
    number = {node: place for place, node in enumerate(recorder.graph.nodes)}
    for node in number:
        arguments = fx.node.map_arg((node.args, node.kwargs), lambda source: ("from", number[source]))
        yield recorder.owner[node] if node.op != "output" else "", (node.op, node.target, arguments)


def _kept_by_timm() -> tuple[tuple[type, ...], tuple[Callable[..., Any], ...]]:
    """Return the modules and functions that timm wants kept whole; a timm network has imported timm already."""
    if "timm" not in sys.modules:
        return (), ()
    from timm.layers import get_notrace_functions, get_notrace_modules

    return tuple(get_notrace_modules()), tuple(function for function in get_notrace_functions() if callable(function))


def _is_layer(module: nn.Module) -> bool:
    """Return whether a module is one of torch's layers or derived from one; containers and identities are not."""
    return not isinstance(module, TRANSPARENT) and any(
        kind.__module__.startswith(("torch.nn.", "torch.ao.nn.")) and kind is not nn.Module
        for kind in type(module).__mro__
    )
