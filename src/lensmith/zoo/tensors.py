"""Reading a file of weights, and putting weights into a network.

Nothing of a file is ever executed: safetensors files hold only numbers, and .pth files are read by a loader that
refuses everything but tensors.
"""

from __future__ import annotations

import re
import warnings
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from lensmith.errors import WeightsError

if TYPE_CHECKING:
    from torch import Tensor, nn

NUMPY_KINDS = {"F64": "<f8", "F32": "<f4", "F16": "<f2", "I64": "<i8", "I32": "<i4", "U8": "u1", "BOOL": "?"}
PICKLED = (".pth", ".pt", ".bin")
NAMED = 5
# Training code wraps its weights in one of these; the averaged ones are the better ones.
WRAPPERS = ("state_dict_ema", "model_ema", "state_dict", "model")
# Batch normalisation counts its batches since 2018; older files do not have the count, and nothing here needs it.
COUNT = "num_batches_tracked"
# The published DenseNets of torchvision name their layers norm.1, the code has named them norm1 since.
OLD_DENSENET = re.compile(r"(.*denselayer\d+\.(?:norm|conv))\.([12]\..+)")


def read_tensors(file: Path) -> dict[str, np.ndarray]:
    """Return the tensors in a .safetensors, .pth, .pt or .bin file by name; bfloat16 becomes float32.

    Torch is imported only for pickled files. Raises WeightsError for a file that is missing, damaged, of another kind,
    or holds anything besides tensors.
    """
    if not file.is_file():
        raise WeightsError(f"there is no weights file {file}.")
    kind = file.suffix.lower()
    if kind == ".safetensors":
        tensors = _read_safetensors(file)
    elif kind in PICKLED:
        tensors = _read_pickled(file)
    else:
        allowed = ", ".join((".safetensors", *PICKLED))
        raise WeightsError(f"{file} is not a file of weights by its name; allowed are {allowed}.")
    return {_present_name(name): tensor for name, tensor in tensors.items()}


def load_weights(module: nn.Module, file: Path, needed: Iterable[str]) -> None:
    """Copy the tensors called `needed` from a file into a network or base; float16 becomes float32.

    What the file holds for other parts, such as the published classes, does not matter. Raises WeightsError, with the
    network unchanged, if needed tensors are missing or have other shapes, or if the file has more layers in the
    parts that are needed: then it belongs to a larger network.
    """
    tensors = read_tensors(file)
    wanted = set(needed)
    names = [name for name in module.state_dict() if name in wanted]
    extra = _extra(tensors, names, {name for name, _ in module.named_buffers()})
    _load(module, tensors, names, extra, str(file))


def load_tensors(module: nn.Module, tensors: Mapping[str, np.ndarray | Tensor]) -> None:
    """Copy tensors into all of a network or base. Raises WeightsError, with it unchanged, if they do not fit."""
    names = list(module.state_dict())
    _load(module, tensors, names, [name for name in tensors if name not in set(names)], "the stored weights")


def _load(
    module: nn.Module,
    tensors: Mapping[str, np.ndarray | Tensor],
    names: Sequence[str],
    extra: Sequence[str],
    source: str,
) -> None:
    """Copy the tensors called `names`, all or none."""
    import torch

    state = module.state_dict()
    present = [name for name in names if name in tensors]
    missing = [name for name in names if name not in tensors and not name.endswith(COUNT)]
    shaped = [
        f"{name} is {tuple(tensors[name].shape)}, not {tuple(state[name].shape)}"
        for name in present
        if tuple(tensors[name].shape) != tuple(state[name].shape)
    ]
    faults = [
        f"{len(found)} {what} ({', '.join(found[:NAMED])}{', ...' if len(found) > NAMED else ''})"
        for what, found in (("missing", missing), ("of another shape", shaped), ("too many", extra))
        if found
    ]
    if faults:
        raise WeightsError(
            f"{source} does not fit the network: of its tensors {'; '.join(faults)}. "
            "Give the weights of this very network, or --weights none."
        )
    with torch.no_grad():
        for name in present:
            tensor = tensors[name]
            # A copy, since arrays read from a file may be read-only, which torch does not know.
            state[name].copy_(torch.from_numpy(np.array(tensor)) if isinstance(tensor, np.ndarray) else tensor)


def _extra(there: Iterable[str], names: Sequence[str], buffers: set[str]) -> list[str]:
    """Return tensors of a file that stand amid the needed ones, although the network does not have them.

    A tensor stands amid them if it shares a module with some, and others of another module come later: layer1.2 of
    a deeper ResNet, when layer1.1 and layer2.0 are needed. What comes last belongs behind the cut. Index tables and
    masks that older versions stored are buffers that the network makes itself.
    """
    known = set(names)
    last_use = {prefix: place for place, name in enumerate(names) for prefix in _prefixes(name)}
    extra = []
    for name in there:
        if name in known or name in buffers or name.endswith(COUNT):
            continue
        shared = next((prefix for prefix in reversed(_prefixes(name)) if prefix in last_use), None)
        if shared is not None and last_use[shared] < len(names) - 1:
            extra.append(name)
    return extra


def _prefixes(name: str) -> list[str]:
    """Return the modules a tensor is in, from the outermost: a.b.weight -> a, a.b."""
    parts = name.split(".")
    return [".".join(parts[:end]) for end in range(1, len(parts))]


def _present_name(name: str) -> str:
    """Return the name that the present code has for a tensor with an old one."""
    old = OLD_DENSENET.fullmatch(name)
    return f"{old[1]}{old[2]}" if old else name


def _read_safetensors(file: Path) -> dict[str, np.ndarray]:
    from safetensors import SafetensorError
    from safetensors.numpy import load_file

    try:
        return load_file(file)
    except TypeError:
        # numpy has no bfloat16.
        return _read_raw(file)
    except (SafetensorError, OSError, ValueError) as error:
        raise WeightsError(f"{file} is damaged or no safetensors file: {error}. Fetch it again.") from error


def _read_raw(file: Path) -> dict[str, np.ndarray]:
    """Read a safetensors file that holds bfloat16, which is float32 without the lower half of its bits."""
    from safetensors import deserialize

    tensors: dict[str, np.ndarray] = {}
    for name, raw in deserialize(file.read_bytes()):  # type: ignore[no-untyped-call]
        kind, data, shape = raw["dtype"], raw["data"], raw["shape"]
        if kind == "BF16":
            tensors[name] = (np.frombuffer(data, "<u2").astype("<u4") << 16).view("<f4").reshape(shape)
        elif kind in NUMPY_KINDS:
            tensors[name] = np.frombuffer(data, NUMPY_KINDS[kind]).reshape(shape)
        else:
            raise WeightsError(f"{file}: {name} is of kind {kind}, which lensmith does not read; F32 works.")
    return tensors


def _read_pickled(file: Path) -> dict[str, np.ndarray]:
    """Read a .pth file without running anything in it."""
    from pickle import UnpicklingError

    import torch

    try:
        with warnings.catch_warnings():
            # About the form of the pickle; what matters is whether its content is refused.
            warnings.simplefilter("ignore")
            stored = torch.load(file, map_location="cpu", weights_only=True)
    except UnpicklingError as error:
        raise WeightsError(
            f"{file} holds more than tensors, perhaps code; nothing of it was run. "
            "Ask for a .safetensors file, or one that holds only a state_dict."
        ) from error
    except (RuntimeError, EOFError, OSError, ValueError, KeyError) as error:
        said = str(error).strip().partition("\n")[0]
        raise WeightsError(f"{file} is damaged or no file of weights: {said}. Fetch it again.") from error
    tensors = {name: value for name, value in _unwrapped(stored).items() if isinstance(value, torch.Tensor)}
    if not tensors:
        raise WeightsError(f"{file} holds no named tensors; a state_dict is needed.")
    prefix = "module." if all(name.startswith("module.") for name in tensors) else ""
    return {name.removeprefix(prefix): _as_array(tensor) for name, tensor in tensors.items()}


def _as_array(tensor: Tensor) -> np.ndarray:
    import torch

    whole = tensor.float() if tensor.dtype == torch.bfloat16 else tensor
    array: np.ndarray = whole.detach().numpy()
    return array


def _unwrapped(stored: Any) -> dict[str, Any]:
    """Return the dictionary of tensors inside what training code saved around it."""
    for wrapper in WRAPPERS:
        if isinstance(stored, dict) and isinstance(stored.get(wrapper), dict):
            return _unwrapped(stored[wrapper])
    return stored if isinstance(stored, dict) else {}
