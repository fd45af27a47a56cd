"""Rules of descent, a line each: from the gradient of the weights to the step they take.

Each is a function `(state, gradient, learning_rate, ...) -> (state, step)`: the weights become `weights + step`, the
state is what the rule remembers, `()` before the first step, and nothing is changed in place.

    state = ()
    for gradient in ...:
        state, step = momentum(state, gradient, 0.01)
        weights = weights + step
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from lensmith.ops.windows import Array

State = tuple[Array | float, ...]
Rule = Callable[[State, Array, float], tuple[State, Array]]


def sgd(state: State, gradient: Array, learning_rate: float) -> tuple[State, Array]:
    """Step `-lr g`: downhill, and nothing remembered (Robbins and Monro 1951)."""
    return state, -learning_rate * gradient


def momentum(state: State, gradient: Array, learning_rate: float, decay: float = 0.9) -> tuple[State, Array]:
    """Step `v = mu v - lr g`: a ball that rolls on, and slows down by `decay` (Polyak 1964).

    With a decay of 1 it never slows down. torch keeps `u = mu u + g` and steps `-lr u`: the same, as long as the
    learning rate does.
    """
    (velocity,) = state or (0.0,)
    velocity = decay * velocity - learning_rate * gradient
    return (velocity,), velocity


def adagrad(state: State, gradient: Array, learning_rate: float, epsilon: float = 1e-10) -> tuple[State, Array]:
    """Step `-lr g / sqrt(c)`, `c = c + g^2`: weights that moved much move less and less (Duchi et al. 2011)."""
    (cache,) = state or (0.0,)
    cache = cache + gradient**2
    return (cache,), -learning_rate * gradient / (np.sqrt(cache) + epsilon)


def rmsprop(
    state: State, gradient: Array, learning_rate: float, decay: float = 0.99, epsilon: float = 1e-8
) -> tuple[State, Array]:
    """Step `-lr g / sqrt(c)`, `c = decay c + (1 - decay) g^2`: AdaGrad that forgets (Hinton's lecture 6e, 2012).

    With a decay of 0 it knows the present gradient alone, and every weight steps by the learning rate, up or down.
    """
    (cache,) = state or (0.0,)
    cache = decay * cache + (1 - decay) * gradient**2
    return (cache,), -learning_rate * gradient / (np.sqrt(cache) + epsilon)


def adam(
    state: State,
    gradient: Array,
    learning_rate: float,
    first: float = 0.9,
    second: float = 0.999,
    epsilon: float = 1e-8,
) -> tuple[State, Array]:
    """Step `-lr m' / sqrt(c')`, of running means `m` of g and `c` of g^2 (Kingma and Ba 2015, algorithm 1).

    Both begin with 0, and are made larger by `1 / (1 - beta^t)` for as long as that shows.
    """
    time, mean, cache = state or (0, 0.0, 0.0)
    time, mean, cache = time + 1, first * mean + (1 - first) * gradient, second * cache + (1 - second) * gradient**2
    step = -learning_rate * (mean / (1 - first**time)) / (np.sqrt(cache / (1 - second**time)) + epsilon)
    return (time, mean, cache), step


RULES: dict[str, Rule] = {"sgd": sgd, "momentum": momentum, "adagrad": adagrad, "rmsprop": rmsprop, "adam": adam}
