"""Building a network by its name, with random weights drawn from torch's global seed."""

from __future__ import annotations

import importlib
import inspect
from collections.abc import Callable
from contextlib import contextmanager
from functools import partial
from typing import TYPE_CHECKING, Any

import torch
from torch import nn

from lensmith.errors import LensmithError, UsageError
from lensmith.zoo import alexnet, lenet1998, own, zfnet
from lensmith.zoo.chain import weightless
from lensmith.zoo.convnet import Convnet
from lensmith.zoo.googlenet import googlenet2014
from lensmith.zoo.heads import Classifier
from lensmith.zoo.inception_v2 import inception_v2
from lensmith.zoo.lenet import LeNet5
from lensmith.zoo.names import NetworkName, look_here
from lensmith.zoo.nin import nin
from lensmith.zoo.resnet import ResNet

if TYPE_CHECKING:
    from collections.abc import Iterator


def convnet(name: str, channels: int) -> nn.Module:
    """Build `convnet/32-64-128/128`: its blocks; the dense widths belong to the head."""
    blocks, _ = own.convnet_widths(name)
    return Convnet(blocks, channels)


# From the number of colours to the base; families from their full name too. The keys are those of `own`.
BUILDERS: dict[str, Callable[[int], nn.Module]] = {
    "lenet5": LeNet5,
    "lenet5/1998": lambda channels: lenet1998.LeNet1998(),
    "alexnet/2012": alexnet.alexnet2012,
    "zfnet": zfnet.zfnet,
    "nin": nin,
    "googlenet/2014": googlenet2014,
    "inception_v2": inception_v2,
    **{f"resnet{depth}": partial(ResNet, depth) for depth in own.DEPTHS},
    **{f"plain{depth}": partial(ResNet, depth, shortcuts=False) for depth in own.DEPTHS},
}
FAMILIES: dict[str, Callable[[str, int], nn.Module]] = {"convnet": convnet}

# What a paper says of the head: how its dense layers begin, or a last layer (inputs, outputs) that stays as it is and
# gives class scores; None from the latter where it does not fit.
STARTS: dict[str, Callable[[nn.ModuleList], None]] = {
    "lensmith/alexnet/2012": alexnet.start_head,
    "lensmith/zfnet": zfnet.start_head,
}
LAST_LAYERS: dict[str, Callable[[int, int], nn.Module | None]] = {"lensmith/lenet5/1998": lenet1998.output_layer}


def build(name: NetworkName, *, image_size: int | None = None, channels: int = 3) -> nn.Module:
    """Return the network with random weights: a classifier from a library, a base from lensmith's own.

    Library classifiers have their published number of classes and no auxiliary heads. `image_size` matters only to
    networks built for one size (contract `fixed`), None keeps theirs. `channels` other than 3 is for lensmith's
    own. Set torch.manual_seed for repeatable weights. Raises UsageError if the user's factory fails or the image
    size is impossible.
    """
    if name.source == "lensmith":
        kind = name.name.partition("/")[0]
        return FAMILIES[kind](name.name, channels) if kind in FAMILIES else BUILDERS[name.name](channels)
    if channels != 3:
        raise UsageError(f"channels is {channels}; {name} takes 3. Only lensmith's own networks take others.")
    if name.source == "torchvision":
        return _torchvision(name.name, image_size)
    if name.source == "timm":
        return _timm(name.name, image_size)
    return _of_the_user(name.name)


def begin_as_published(name: NetworkName, network: Classifier, *, softmax: bool) -> Classifier:
    """Give a new head what the paper of the network says of it, in place; return the classifier.

    `softmax`: whether the outputs are scores of classes of which one is right, which some last layers are made for.
    """
    last, inputs = LAST_LAYERS.get(str(name)), network.head[-1].get_parameter("weight").shape[1]
    made = last(inputs, network.outputs) if last and softmax else None
    if made is not None:
        network.head[-1] = made
    if str(name) in STARTS:
        STARTS[str(name)](network.head)
    return network


def whole(name: NetworkName, classes: int | None = None, *, channels: int = 3) -> nn.Module:
    """Return a network with the head it was published with: (N, channels, s, s) -> (N, classes).

    None is the published number of classes, the only one for networks that are not lensmith's own (UsageError).
    """
    if name.source != "lensmith":
        if classes is not None:
            raise UsageError(f"classes is {classes}; {name} is built with those it was published with. Leave it out.")
        return build(name, channels=channels)
    base, there = build(name, channels=channels), own.contract(name.name)
    blank = torch.zeros(2, channels, there.image_size, there.image_size, device="meta")
    with torch.no_grad(), torch.device("meta"):
        found: torch.Tensor = weightless(base).eval()(blank)
    shape = found.shape[1:]
    features = shape.numel() if there.pool == "flatten" else shape[0]
    outputs = own.published_classes(name.name) if classes is None else classes
    network = Classifier(base, features, outputs, there.pool, there.dense, 0.5)
    return begin_as_published(name, network, softmax=True)


def _torchvision(network: str, image_size: int | None) -> nn.Module:
    """Build a torchvision classifier; its vision transformers take the image size as an argument."""
    from torchvision import models

    options: dict[str, Any] = {}
    if network in ("googlenet", "inception_v3"):
        # Their auxiliary heads are for training alone: `sides` adds them there. init_weights draws the truncated normal
        # weights they were published with.
        options = {"aux_logits": False, "init_weights": True}
    if image_size and network.startswith("vit_"):
        options = {"image_size": image_size}
    if image_size and network == "maxvit_t":
        options = {"input_size": (image_size, image_size)}
    with _sizes_reported(network, image_size):
        module: nn.Module = models.get_model(network, weights=None, **options)
    return module


def _timm(network: str, image_size: int | None) -> nn.Module:
    """Build a timm classifier, for another image size where it is made for a fixed one and can be told."""
    import timm

    if image_size is None or not _timm_fixed(network):
        module: nn.Module = timm.create_model(network)
        return module
    with _sizes_reported(network, image_size):
        try:
            module = timm.create_model(network, img_size=image_size)
        except TypeError:
            # Made for one size and cannot be told another: the cut will say so if it matters.
            module = timm.create_model(network)
    return module


def _timm_fixed(network: str) -> bool:
    from timm.models import get_pretrained_cfg

    known = get_pretrained_cfg(network)
    return bool(known and known.fixed_input_size)


@contextmanager
def _sizes_reported(network: str, image_size: int | None) -> Iterator[None]:
    """Turn a builder's complaint about its image size into a UsageError."""
    try:
        yield
    except (AssertionError, RuntimeError, ValueError) as error:
        if image_size is None:
            raise
        said = str(error).partition("\n")[0] or type(error).__name__
        raise UsageError(
            f"image_size is {image_size}; {network} cannot be built for it ({said}). "
            "Sizes that are multiples of its patch, usually 16 or 32, work."
        ) from error


def _of_the_user(name: str) -> nn.Module:
    """Run the user's factory: `module:factory`, the module looked for in the current folder too."""
    place, _, attribute = name.partition(":")
    look_here()
    try:
        factory = getattr(importlib.import_module(place), attribute)
        module = factory() if callable(factory) else factory
    except LensmithError:
        raise
    except Exception as error:
        raise UsageError(
            f"the network {name} could not be built: {type(error).__name__}: {error}. "
            f"{place} must be importable from here, and {attribute}() must return a torch.nn.Module."
        ) from error
    if not isinstance(module, nn.Module):
        seen = "a class" if inspect.isclass(module) else f"a {type(module).__name__}"
        raise UsageError(f"the network {name} gave {seen}; it must return a torch.nn.Module.")
    return module
