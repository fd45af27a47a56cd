"""What normalisation subtracts and multiplies by, found from the training pictures alone.

Sums run over blocks of whole numbers 0..255 in float64, where they are exact: neither the order nor the number of
threads can change them, and memory is bounded however many pictures there are. All results are on the 0..1 scale.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import replace

import numpy as np

from lensmith.data.pixels import Pictures
from lensmith.data.preprocess import Preprocessing, input_shapes
from lensmith.errors import WeightsError

STATISTICS_PICTURES = 10_000  # colours settle long before; whole pictures are always taken from all
PIXELS_AT_ONCE = 2**20
SMALLEST_STD = 1 / 255  # one step of grey: what varies less is rounding, and is not blown up
ZCA_SHARE = 0.1  # of the mean variance of a pixel, added to every variance before zca divides by it

Triple = tuple[float, float, float]


def fitted(
    preprocessing: Preprocessing, pixels: Pictures, chosen: np.ndarray
) -> tuple[Preprocessing, dict[str, np.ndarray]]:
    """Return the preprocessing with its numbers filled in, and its arrays as `input_shapes` names them, float32.

    `pixels` are (n, s, s, 3) uint8, `chosen` the positions of the training pictures in it, at least one. Colour
    statistics come from an even spread of at most STATISTICS_PICTURES of them; the smallest and the largest value, the
    mean picture and zca from all.
    """
    mean, std = (0.0, 0.0, 0.0), (1.0, 1.0, 1.0)
    inputs: dict[str, np.ndarray] = {}
    match preprocessing.kind:
        case "standardise":
            mean, std = channel_statistics(pixels, chosen)
        case "channel-mean":
            mean, _ = channel_statistics(pixels, chosen)
        case "min-max":
            mean, std = _range(pixels, chosen)
        case "mean-image":
            inputs = {"mean": _mean_image(pixels, chosen)}
        case "pca" | "whiten" as kind:
            centre, covariance = colour_moments(pixels, chosen)
            variances, directions = principal_axes(covariance)
            scale = np.maximum(np.sqrt(variances), SMALLEST_STD) if kind == "whiten" else 1.0
            inputs = {"mean": centre, "matrix": directions / scale}
        case "zca":
            centre, covariance = picture_moments(pixels, chosen)
            inputs = {"mean": centre.reshape(pixels.shape[1:]), "matrix": zca_matrix(covariance)}
    ready = {name: np.ascontiguousarray(array, np.float32) for name, array in inputs.items()}
    return replace(preprocessing, mean=mean, std=std), ready


def channel_statistics(pixels: Pictures, chosen: np.ndarray) -> tuple[Triple, Triple]:
    """Return mean and standard deviation by channel, over an even spread of the chosen pictures."""
    mean, covariance = colour_moments(pixels, chosen)
    return _triple(mean), _triple(np.maximum(np.sqrt(np.maximum(np.diag(covariance), 0)), SMALLEST_STD))


def colour_moments(pixels: Pictures, chosen: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return the mean (3,) and the covariance (3, 3) of colours, over an even spread of the chosen pictures."""
    count = min(len(chosen), STATISTICS_PICTURES)
    spread = chosen[np.arange(count) * len(chosen) // count]
    return _moments(block.reshape(-1, 3) for block in _blocks(pixels, spread))


def picture_moments(pixels: Pictures, chosen: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return the mean (D,) and the covariance (D, D) of whole pictures, D = 3 s s, in the order (h, w, c)."""
    return _moments(block.reshape(len(block), -1) for block in _blocks(pixels, chosen))


def principal_axes(covariance: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return the variances (D,), largest first, and the directions (D, D), one a column, of a covariance.

    The sign of a direction means nothing; its largest part is made positive, so that all machines agree.
    """
    variances, directions = np.linalg.eigh(covariance)
    variances, directions = np.maximum(variances[::-1], 0), directions[:, ::-1]
    largest = directions[np.abs(directions).argmax(0), np.arange(len(variances))]
    return variances, directions * np.where(largest < 0, -1, 1)


def zca_matrix(covariance: np.ndarray, share: float = ZCA_SHARE) -> np.ndarray:
    """Return V (L + eps)^-1/2 V^T for a covariance V L V^T (D, D), with eps = share * mean(L).

    Of all matrices that whiten it is the one that changes pictures least (Krizhevsky 2009, appendix A). He has no
    eps; without it the directions in which the training pictures hardly differ, all of those beyond their number
    among them, would turn the noise of new pictures into their largest values.
    """
    variances, directions = np.linalg.eigh(covariance)
    variances = np.maximum(variances, 0)
    gain = 1 / np.sqrt(variances + max(share * float(variances.mean()), SMALLEST_STD**2))
    matrix: np.ndarray = (directions * gain) @ directions.T
    return matrix


def check_inputs(preprocessing: Preprocessing, inputs: Mapping[str, np.ndarray]) -> None:
    """Raise WeightsError unless the arrays are those that the kind of preprocessing needs."""
    wanted = input_shapes(preprocessing)
    for name in sorted({*wanted, *inputs}):
        found = f"{inputs[name].shape} {inputs[name].dtype}" if name in inputs else "missing"
        needed = f"{wanted[name]} float32" if name in wanted else "none"
        if found != needed:
            raise WeightsError(
                f"the array input.{name} is {found}, but preprocessing {preprocessing.kind} at image_size "
                f"{preprocessing.image_size} needs {needed}. Train again, or copy the whole model folder."
            )


def _moments(rows: Iterator[np.ndarray]) -> tuple[np.ndarray, np.ndarray]:
    """Return mean (D,) and covariance (D, D) of (n, D) whole numbers 0..255 that come in blocks."""
    total, products, count = np.zeros(1), np.zeros(1), 0
    for block in rows:
        values = block.astype(np.float64)
        total, products, count = total + values.sum(0), products + values.T @ values, count + len(values)
    mean = total / count
    return mean / 255, (products / count - np.outer(mean, mean)) / 255**2


def _range(pixels: Pictures, chosen: np.ndarray) -> tuple[Triple, Triple]:
    """Return each channel's smallest value, and how far above it the largest lies."""
    # Over pictures first: whole rows are compared at once, which is ten times as fast as channel by channel.
    ends = [(block.min(0).min((0, 1)), block.max(0).max((0, 1))) for block in _blocks(pixels, chosen)]
    lowest, highest = (np.array(end) / 255 for end in zip(*ends, strict=True))
    return _triple(lowest.min(0)), _triple(np.maximum(highest.max(0) - lowest.min(0), SMALLEST_STD))


def _mean_image(pixels: Pictures, chosen: np.ndarray) -> np.ndarray:
    total = np.zeros(pixels.shape[1:])
    for block in _blocks(pixels, chosen):
        total += block.sum(0, dtype=np.int64)
    return total / (255 * len(chosen))


def _blocks(pixels: Pictures, chosen: np.ndarray) -> Iterator[np.ndarray]:
    """Yield the chosen pictures (m, s, s, 3), in order, about PIXELS_AT_ONCE pixels at a time."""
    step = max(1, PIXELS_AT_ONCE // (pixels.shape[1] * pixels.shape[2]))
    for begin in range(0, len(chosen), step):
        yield pixels[chosen[begin : begin + step]]


def _triple(values: np.ndarray) -> Triple:
    red, green, blue = (round(float(value), 6) for value in values)
    return red, green, blue
