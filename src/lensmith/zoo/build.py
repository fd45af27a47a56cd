"""Building a network by its name, with random weights drawn from torch's global seed."""

from __future__ import annotations

import importlib
import inspect
from collections.abc import Callable
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from torch import nn

from lensmith.errors import LensmithError, UsageError
from lensmith.zoo.convnet import Convnet
from lensmith.zoo.lenet import LeNet5
from lensmith.zoo.names import NetworkName, convnet_widths, look_here

if TYPE_CHECKING:
    from collections.abc import Iterator


def convnet(name: NetworkName, channels: int) -> nn.Module:
    """Build `convnet/32-64-128/128`: its blocks; the dense widths belong to the head."""
    blocks, _ = convnet_widths(name)
    return Convnet(blocks, channels)


def lenet5(name: NetworkName, channels: int) -> nn.Module:
    """Build the convolutions of LeNet-5."""
    return LeNet5(channels)


BUILDERS: dict[str, Callable[[NetworkName, int], nn.Module]] = {"convnet": convnet, "lenet5": lenet5}


def build(name: NetworkName, *, image_size: int | None = None, channels: int = 3) -> nn.Module:
    """Return the network with random weights: a classifier from a library, a base from lensmith's own.

    Library classifiers have their published number of classes and no auxiliary heads. `image_size` matters only to
    networks built for one size (contract `fixed`), None keeps theirs. `channels` other than 3 is for lensmith's
    own. Set torch.manual_seed for repeatable weights. Raises UsageError if the user's factory fails or the image
    size is impossible.
    """
    if name.source == "lensmith":
        return BUILDERS[name.name.split("/")[0]](name, channels)
    if channels != 3:
        raise UsageError(f"channels is {channels}; {name} takes 3. Only lensmith's own networks take others.")
    if name.source == "torchvision":
        return _torchvision(name.name, image_size)
    if name.source == "timm":
        return _timm(name.name, image_size)
    return _of_the_user(name.name)


def _torchvision(network: str, image_size: int | None) -> nn.Module:
    """Build a torchvision classifier; its vision transformers take the image size as an argument."""
    from torchvision import models

    options: dict[str, Any] = {}
    if network in ("googlenet", "inception_v3"):
        # The auxiliary heads of 2014 only helped training; init_weights draws the paper's truncated normal weights.
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
