"""The covariance of decorrelated and whitened pictures as networks are given them, training and held-out ones."""

from __future__ import annotations

import time
from pathlib import Path

import numpy as np
import torch

import measure
from lensmith.data.decode import read_picture
from lensmith.data.preprocess import Preprocessing, to_square
from lensmith.data.statistics import ZCA_SHARE, fitted
from lensmith.engines.pytorch import Normalise

SIZE = 32


def main() -> None:
    parts = [read(measure.data() / "objects32" / name) for name in ("train", "test")]
    together, train = np.concatenate(parts), np.arange(len(parts[0]))
    values: dict[str, object] = {"pictures, train and held-out": [len(part) for part in parts]}
    values |= colours("plain", [part / 255 for part in parts])
    for kind in ("pca", "whiten", "zca"):
        start = time.perf_counter()
        opened = Preprocessing(SIZE, (0.0, 0.0, 0.0), (1.0, 1.0, 1.0), kind=kind)
        found, inputs = fitted(opened, together, train)
        values[f"{kind}: seconds to fit"] = round(time.perf_counter() - start, 2)
        normalise = Normalise(found.mean, found.std, inputs)
        shown = [through(normalise, part) for part in parts]
        values[f"{kind}: farthest from float64"] = farthest_from_float64(shown[1], parts[1], inputs)
        values |= numbers(parts, shown) if kind == "zca" else colours(kind, shown)
    measure.write("preprocessing", values)


def read(folder: Path) -> np.ndarray:
    """Return all pictures of a folder of classes, (n, s, s, 3) uint8."""
    opened = Preprocessing(SIZE, (0.0, 0.0, 0.0), (1.0, 1.0, 1.0))
    return np.stack([to_square(read_picture(path), opened) for path in sorted(folder.glob("*/*"))])


def through(normalise: Normalise, pictures: np.ndarray) -> np.ndarray:
    """Return (n, s, s, 3) float32 of uint8 pictures."""
    blocks = [normalise(torch.from_numpy(block)).permute(0, 2, 3, 1).numpy() for block in np.array_split(pictures, 10)]
    return np.concatenate(blocks)


def farthest_from_float64(shown: np.ndarray, pictures: np.ndarray, inputs: dict[str, np.ndarray]) -> float:
    """Return the largest gap to the same formula in float64."""
    matrix = inputs["matrix"].astype(np.float64)
    exact = ((pictures / 255 - inputs["mean"]).reshape(-1, len(matrix)) @ matrix).reshape(shown.shape)
    return float(f"{np.abs(shown - exact).max():.1e}")


def colours(kind: str, parts: list[np.ndarray]) -> dict[str, object]:
    """Return the variances of the channels over all pixels, and the largest correlation between two of them."""
    covariances = [covariance(part.reshape(-1, 3).astype(np.float64)) for part in parts]
    largest = [(np.abs(correlations(each)) - np.eye(3)).max() for each in covariances]
    return {
        f"{kind}: variances of channels": [[round(float(value), 5) for value in np.diag(each)] for each in covariances],
        f"{kind}: largest correlation": [float(f"{value:.2g}") for value in largest],
    }


def numbers(parts: list[np.ndarray], shown: list[np.ndarray]) -> dict[str, object]:
    """Return how far zca's covariance is from its formula, and what became of correlations between all numbers."""
    plain = [rows(part / 255) for part in parts]
    variances, directions = np.linalg.eigh(covariance(plain[0]))
    shrunk = variances / (variances + ZCA_SHARE * variances.mean())
    after = [covariance(rows(part)) for part in shown]
    gap = np.abs(after[0] - (directions * shrunk) @ directions.T).max()
    along = [((directions.T @ each) * directions.T).sum(1) for each in after]
    strongest = shrunk > 0.9
    return {
        "zca: farthest from its formula": float(f"{gap:.1e}"),
        "zca: directions of 0.9 and more": int(strongest.sum()),
        "zca: variance in them": [round(float(each[strongest].mean()), 4) for each in along],
        "zca: largest variance anywhere": [round(float(each.max()), 3) for each in along],
        "plain: mean size of a correlation": [mean_correlation(covariance(each)) for each in plain],
        "zca: mean size of a correlation": [mean_correlation(each) for each in after],
        "chance: mean size of a correlation": [round(float(np.sqrt(2 / np.pi / len(part))), 4) for part in parts],
    }


def rows(pictures: np.ndarray) -> np.ndarray:
    return pictures.reshape(len(pictures), -1).astype(np.float64)


def covariance(values: np.ndarray) -> np.ndarray:
    return np.cov(values, rowvar=False, bias=True)


def correlations(matrix: np.ndarray) -> np.ndarray:
    spread = np.sqrt(np.diag(matrix))
    return matrix / np.outer(spread, spread)


def mean_correlation(matrix: np.ndarray) -> float:
    """Return the mean size of a correlation between two different numbers of a picture."""
    sizes = np.abs(correlations(matrix))
    return round(float((sizes.sum() - len(sizes)) / (len(sizes) * (len(sizes) - 1))), 4)


if __name__ == "__main__":
    main()
