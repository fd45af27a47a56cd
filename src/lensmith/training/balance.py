"""Class weights: how much a picture counts in the loss, so that rare classes are not drowned by common ones."""

from __future__ import annotations

import re
from collections.abc import Sequence

import numpy as np

from lensmith.errors import UsageError, nearest

PAIR = re.compile(r"(.+?)=([^=,]+)(?:,|$)")  # a name may hold commas: what ends a pair is a number
MOST = 100.0  # a label seen once in ten thousand pictures would otherwise throw all weights about by itself


def class_weights(text: str, classes: Sequence[str], targets: np.ndarray) -> np.ndarray:
    """Return the weight of each class, (k,) float32, from "none", "balanced" or pairs like "ants=2,bees=1".

    targets: those of the training pictures, (n,) int64 or (n, k) 0/1. Of one class a picture, "balanced" makes every
    class count alike, n / (k n_c); unnamed classes count 1; then all are scaled so that the mean over the pictures is
    1 and the learning rate keeps its meaning. Of several labels the weight is that of the pictures that have the label,
    those without it keep 1: as named, or balanced (n - n_c) / n_c, at most 100. Raises UsageError for an unknown class
    and for a weight that is not above zero.
    """
    labels, several = len(classes), targets.ndim == 2
    if text != "none" and not labels:
        raise UsageError(f"class_weights is {text!r}, but the target is a number; must be 'none'.")
    if text == "none":
        return np.ones(labels, np.float32)
    counts = targets.sum(0, dtype=np.int64) if several else np.bincount(targets, minlength=labels)
    weights = _balanced(counts, len(targets), several=several) if text == "balanced" else _named(text, classes)
    if not several:
        weights = weights * len(targets) / max(float((weights * counts).sum()), np.finfo(float).tiny)
    return weights.astype(np.float32)


def picture_weights(weights: np.ndarray, targets: np.ndarray) -> np.ndarray:
    """Return how much each picture counts, given the weight of each class (k,), as float32.

    (n,) for classes (n,) int64; (n, k) for labels (n, k), where a label counts its weight where it is given and 1 where
    it is not.
    """
    if targets.ndim == 1:
        found: np.ndarray = weights[targets]
        return found
    counted: np.ndarray = (1 + targets * (weights - 1)).astype(np.float32)
    return counted


def _balanced(counts: np.ndarray, pictures: int, *, several: bool) -> np.ndarray:
    """Return weights in inverse proportion to how often a class occurs; 1 for one that never does."""
    once = np.maximum(counts, 1)
    weights = np.minimum((pictures - counts) / once, MOST) if several else pictures / once
    found: np.ndarray = np.where((counts == 0) | (weights == 0), 1.0, weights)
    return found


def _named(text: str, classes: Sequence[str]) -> np.ndarray:
    """Return the weights of pairs NAME=NUMBER, 1 for a class that is not named."""
    pairs = PAIR.findall(text)
    if not pairs or sum(len(name) + len(number) + 2 for name, number in pairs) - 1 != len(text.rstrip(",")):
        raise UsageError(
            f"class_weights is {text!r}; allowed are none, balanced, or pairs like {_example(classes)!r}."
            f"{nearest(text, ('none', 'balanced'))}"
        )
    weights, places = np.ones(len(classes)), {name: place for place, name in enumerate(classes)}
    for name, number in pairs:
        if name.strip() not in places:
            raise UsageError(
                f"class_weights names {name.strip()!r}; the classes are {_some(classes)}.{nearest(name, classes)}"
            )
        weights[places[name.strip()]] = _number(number, name.strip())
    return weights


def _number(text: str, name: str) -> float:
    try:
        weight = float(text)
    except ValueError:
        weight = np.nan
    if not 0 < weight < np.inf:
        raise UsageError(f"class_weights gives {name!r} the weight {text!r}; must be a number above 0. Try 2.")
    return weight


def _some(classes: Sequence[str], most: int = 12) -> str:
    more = f" and {len(classes) - most} more" if len(classes) > most else ""
    return ", ".join(classes[:most]) + more


def _example(classes: Sequence[str]) -> str:
    return f"{classes[0]}=2,{classes[-1]}=1"
