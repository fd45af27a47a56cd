"""The kinds of preprocessing: the covariance they promise, the training split alone, the way through a model file."""

from __future__ import annotations

import json
import tracemalloc
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from safetensors.numpy import load_file, save_file
from sklearn.decomposition import PCA

from lensmith.data import statistics
from lensmith.data.preprocess import KINDS, Preprocessing, from_dict, input_shapes
from lensmith.data.statistics import fitted, picture_moments, principal_axes, zca_matrix
from lensmith.data.store import Store
from lensmith.data.synthetic import check_pictures
from lensmith.engines.head import Head
from lensmith.engines.interface import collect
from lensmith.engines.pytorch import Normalise
from lensmith.errors import RunError, UsageError, WeightsError
from lensmith.model import load_model, model_files
from lensmith.reproduce import generator
from lensmith.tasks.classification import Classification
from lensmith.zoo.base import Base, assemble

SIZE = 8
OPEN = Preprocessing(SIZE, (0.0, 0.0, 0.0), (1.0, 1.0, 1.0))
COLOUR_KINDS = ("standardise", "channel-mean", "min-max", "pca", "whiten")


@pytest.fixture(scope="module")
def pictures() -> np.ndarray:
    """More pictures of 8 x 8 than they have numbers: smooth, grainy, with colours that go together."""
    random = generator(0, "preprocess")
    soft = random.normal(0, 22, (400, 4, 4, 3)).repeat(2, 1).repeat(2, 2)
    light = random.normal(0, 18, (400, 1, 1, 1)) + random.normal(0, 12, (400, SIZE, SIZE, 1))
    values = np.array([120, 110, 90]) + soft + light + random.normal(0, 8, (400, SIZE, SIZE, 3))
    return np.clip(values, 0, 255).astype(np.uint8)


def fit(
    kind: str, pictures: np.ndarray, train: np.ndarray | None = None
) -> tuple[Preprocessing, dict[str, np.ndarray]]:
    opened = Preprocessing(pictures.shape[1], (0.0, 0.0, 0.0), (1.0, 1.0, 1.0), kind=kind)
    return fitted(opened, pictures, np.arange(len(pictures)) if train is None else train)


def applied(kind: str, pictures: np.ndarray, train: np.ndarray | None = None) -> np.ndarray:
    """Return (n, s, s, 3) float64 of what a network would be given for uint8 pictures."""
    found, inputs = fit(kind, pictures, train)
    values: np.ndarray = Normalise(found.mean, found.std, inputs)(torch.from_numpy(pictures)).numpy()
    return values.transpose(0, 2, 3, 1).astype(np.float64)


def covariance(rows: np.ndarray) -> np.ndarray:
    return np.cov(rows, rowvar=False, bias=True)


# What each kind promises.


@pytest.mark.parametrize("kind", KINDS)
def test_module_is_the_formula(kind: str, pictures: np.ndarray) -> None:
    """Values are (x - mean) / std, or (x - mean) @ matrix, on the 0..1 scale, in float64; channels last in memory."""
    found, inputs = fit(kind, pictures)
    centred = (pictures / 255 - inputs.get("mean", np.array(found.mean))) / np.array(found.std)
    if "matrix" in inputs:
        matrix = inputs["matrix"].astype(np.float64)
        centred = (centred.reshape(-1, len(matrix)) @ matrix).reshape(pictures.shape)
    made = Normalise(found.mean, found.std, inputs)(torch.from_numpy(pictures))
    assert made.dtype == torch.float32 and made.shape == (400, 3, SIZE, SIZE)
    assert made.is_contiguous(memory_format=torch.channels_last)
    np.testing.assert_allclose(made.permute(0, 2, 3, 1).numpy(), centred, rtol=1e-4, atol=2e-5)
    assert {name: array.shape for name, array in inputs.items()} == input_shapes(found)
    assert all(array.dtype == np.float32 for array in inputs.values())


@pytest.mark.parametrize("kind", [kind for kind in KINDS if kind != "min-max"])
def test_means_are_zero(kind: str, pictures: np.ndarray) -> None:
    values = applied(kind, pictures)
    np.testing.assert_allclose(values.mean((0, 1, 2)), 0, atol=2e-5)
    if kind in ("mean-image", "zca"):
        np.testing.assert_allclose(values.mean(0), 0, atol=2e-5)  # at every place, too


def test_standardise_and_channel_mean(pictures: np.ndarray) -> None:
    np.testing.assert_allclose(applied("standardise", pictures).std((0, 1, 2)), 1, atol=1e-4)
    np.testing.assert_allclose(
        applied("channel-mean", pictures).std((0, 1, 2)), (pictures / 255).std((0, 1, 2)), rtol=1e-5
    )
    assert fit("standardise", pictures)[0] == replace(
        OPEN, mean=fit("channel-mean", pictures)[0].mean, std=statistics.channel_statistics(pictures, np.arange(400))[1]
    )


def test_min_max_fills_its_range(pictures: np.ndarray) -> None:
    dim = pictures // 2 + 30
    values = applied("min-max", dim)
    np.testing.assert_allclose(values.min((0, 1, 2)), 0, atol=1e-5)
    np.testing.assert_allclose(values.max((0, 1, 2)), 1, atol=1e-5)
    two = np.array([[[[51, 0, 10]]], [[[204, 255, 10]]]], np.uint8)  # by hand: 0.2..0.8, 0..1, constant
    found, _ = fit("min-max", two)
    assert found.mean == (0.2, 0.0, 0.039216) and found.std == (0.6, 1.0, 0.003922)


def test_pca_makes_colours_uncorrelated(pictures: np.ndarray) -> None:
    rows = applied("pca", pictures).reshape(-1, 3)
    found, oracle = covariance(rows), PCA().fit(pictures.reshape(-1, 3) / 255)
    off_diagonal = np.abs(found - np.diag(np.diag(found))).max()
    assert off_diagonal < 1e-6 < 0.01 < np.abs(covariance(pictures.reshape(-1, 3) / 255)).max()
    np.testing.assert_allclose(np.diag(found), oracle.explained_variance_, rtol=1e-3)  # which divides by n - 1
    theirs = oracle.transform(pictures.reshape(-1, 3) / 255)
    np.testing.assert_allclose(np.abs(rows), np.abs(theirs), atol=1e-5)
    matrix = fit("pca", pictures)[1]["matrix"]
    np.testing.assert_allclose(matrix.T @ matrix, np.eye(3), atol=1e-6)
    assert (matrix[np.abs(matrix).argmax(0), range(3)] > 0).all()


def test_whitened_colours_have_the_identity_as_covariance(pictures: np.ndarray) -> None:
    np.testing.assert_allclose(covariance(applied("whiten", pictures).reshape(-1, 3)), np.eye(3), atol=1e-4)


def test_zca_has_the_covariance_of_its_formula(pictures: np.ndarray) -> None:
    """V L / (L + eps) V^T, eps a tenth of the mean variance; nearest to the pictures: symmetric and positive."""
    plain = covariance(pictures.reshape(400, -1) / 255)
    variances, directions = np.linalg.eigh(plain)
    shrunk = variances / (variances + 0.1 * variances.mean())
    found = covariance(applied("zca", pictures).reshape(400, -1))
    np.testing.assert_allclose(found, (directions * shrunk) @ directions.T, atol=1e-4)
    matrix = fit("zca", pictures)[1]["matrix"]
    np.testing.assert_allclose(matrix, matrix.T, atol=1e-5)
    assert np.linalg.eigvalsh(matrix.astype(np.float64)).min() > 0


def test_zca_without_its_term_whitens_wholly(pictures: np.ndarray) -> None:
    mean, plain = picture_moments(pictures, np.arange(400))
    rows = (pictures.reshape(400, -1) / 255 - mean) @ zca_matrix(plain, share=0)
    np.testing.assert_allclose(covariance(rows), np.eye(192), atol=0.05)  # one step of grey, squared, is still added


def test_zca_of_few_pictures_does_not_explode() -> None:
    """Twenty pictures span nineteen directions; in the other 173 new pictures would be all noise."""
    many = generator(1, "few").integers(60, 196, (420, SIZE, SIZE, 3)).astype(np.uint8)
    values = applied("zca", many, np.arange(20))
    assert values[20:].std() < 4


# Odd pictures.


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("odd", ["one", "constant", "grey"])
def test_odd_pictures_give_finite_numbers(kind: str, odd: str, pictures: np.ndarray) -> None:
    shown = {
        "one": pictures[:1],
        "constant": np.full((3, SIZE, SIZE, 3), 200, np.uint8),
        "grey": pictures[:40, :, :, :1].repeat(3, 3),
    }[odd]
    values = applied(kind, shown)
    assert np.isfinite(values).all() and np.abs(values).max() < 300
    if odd == "constant":
        np.testing.assert_allclose(values, 0, atol=2e-4)
    if odd == "grey" and kind in ("pca", "whiten"):
        np.testing.assert_allclose(values[..., 1:], 0, atol=2e-4)  # one component alone says something


# From the training split alone, in bounded memory.


@pytest.mark.parametrize("kind", KINDS)
def test_only_training_pictures_count(kind: str, pictures: np.ndarray) -> None:
    train = np.arange(0, 400, 2)
    changed = pictures.copy()
    changed[1::2] = 255 - changed[1::2]
    before, after = fit(kind, pictures, train), fit(kind, changed, train)
    assert before[0] == after[0] and all(np.array_equal(before[1][name], after[1][name]) for name in before[1])
    changed[train] //= 2
    moved = fit(kind, changed, train)
    assert before[0] != moved[0] or any(not np.array_equal(before[1][name], moved[1][name]) for name in before[1])


def test_sums_are_exact_in_any_order(pictures: np.ndarray) -> None:
    order = generator(2, "order").permutation(400)
    for kind in KINDS:
        one, other = fit(kind, pictures), fit(kind, pictures, order)
        assert one[0] == other[0] and all(np.array_equal(one[1][name], other[1][name]) for name in one[1]), kind


def test_blocks_do_not_matter(pictures: np.ndarray, monkeypatch: pytest.MonkeyPatch) -> None:
    whole = {kind: fit(kind, pictures) for kind in KINDS}
    monkeypatch.setattr(statistics, "PIXELS_AT_ONCE", 7 * SIZE * SIZE)
    for kind, (found, inputs) in whole.items():
        again, arrays = fit(kind, pictures)
        assert again == found and all(np.array_equal(arrays[name], inputs[name]) for name in inputs), kind


def test_colours_come_from_an_even_spread(monkeypatch: pytest.MonkeyPatch) -> None:
    """Picture i is of grey i: 4 of 10 are 0, 2, 5, 7, whose mean is 3.5; the extremes are those of all."""
    steps = np.arange(10, dtype=np.uint8)[:, None, None, None] * np.ones((1, 2, 2, 3), np.uint8)
    monkeypatch.setattr(statistics, "STATISTICS_PICTURES", 4)
    assert fit("channel-mean", steps)[0].mean == pytest.approx((3.5 / 255,) * 3, abs=1e-6)
    assert fit("min-max", steps)[0].std == pytest.approx((9 / 255,) * 3, abs=1e-6)
    np.testing.assert_allclose(fit("mean-image", steps)[1]["mean"], 4.5 / 255, rtol=1e-6)


@pytest.mark.parametrize("kind", KINDS)
def test_memory_is_bounded(kind: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """60,000 pictures are 12 MB as they are and 92 MB as numbers."""
    monkeypatch.setattr(statistics, "PIXELS_AT_ONCE", 2**16)
    many = np.broadcast_to(np.zeros((1, SIZE, SIZE, 3), np.uint8), (60_000, SIZE, SIZE, 3))
    chosen = np.arange(len(many))
    tracemalloc.start()
    try:
        fit(kind, many, chosen)
        assert tracemalloc.get_traced_memory()[1] < 8e6
    finally:
        tracemalloc.stop()


# In a model.


def base(kind: str, pictures: np.ndarray, seed: int = 0) -> Base:
    found, inputs = fit(kind, pictures)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        network, _ = assemble("lensmith/convnet/6", "blocks", SIZE)
    tensors = {name: tensor.numpy() for name, tensor in network.state_dict().items()}
    return Base("lensmith/convnet/6", "blocks", "flatten", found, tensors, inputs)


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> Store:
    return Store(tmp_path_factory.mktemp("store"))


@pytest.mark.parametrize("kind", KINDS)
def test_converted_engine_agrees_with_torch(kind: str, pictures: np.ndarray, store: Store) -> None:
    made, shown = base(kind, pictures), check_pictures(6, SIZE)
    chosen = made.engine(store, engine="openvino", precision="float32")
    reference = collect(made.engine(store, engine="torch", device="cpu").engine.run(shown)).features
    found = [chosen.engine, *([made.engine(store, device="cuda").engine] if torch.cuda.is_available() else [])]
    assert chosen.engine.precision == "float32" and reference.std() > 0.01
    for engine in found:
        np.testing.assert_allclose(collect(engine.run(shown)).features, reference, rtol=1e-3, atol=1e-3)


def test_keys(pictures: np.ndarray) -> None:
    """A base without arrays keeps the key it had before there were any; arrays make another base."""
    tensors = {"w": np.arange(6, dtype=np.float32).reshape(2, 3)}
    plain = Preprocessing(SIZE, (0.5, 0.25, 0.125), (0.5, 0.5, 0.25))
    assert Base("lensmith/convnet/4", "blocks", "mean", plain, tensors).key == "5ce72a9f31a483d1"
    keys = {base(kind, pictures).key for kind in KINDS} | {base("zca", pictures[:300]).key}
    assert len(keys) == len(KINDS) + 1


def save(folder: Path, made: Base, store: Store, **inputs: np.ndarray | None) -> Path:
    """Write a model folder; `inputs` are put in the place of its arrays, None takes one out."""
    head = Head((np.eye(96, 2, dtype=np.float32),), (np.zeros(2, np.float32),))
    chosen = made.engine(store, engine="torch", device="cpu")
    for name, content in model_files(Classification(("no", "yes")), made, head, chosen, "").items():
        (folder / name).write_bytes(content)
    if inputs:
        file = folder / "model.safetensors"
        tensors = load_file(file) | {f"input.{name}": array for name, array in inputs.items() if array is not None}
        save_file({name: array for name, array in tensors.items() if inputs.get(name[6:], 0) is not None}, file)
    return folder


@pytest.mark.parametrize("kind", ["standardise", "mean-image", "whiten", "zca"])
def test_saved_and_read_back(kind: str, pictures: np.ndarray, tmp_path: Path, store: Store) -> None:
    made = base(kind, pictures)
    read = load_model(save(tmp_path, made, store), store).base
    assert read.preprocessing == made.preprocessing and read.key == made.key
    assert {name: array.tobytes() for name, array in read.inputs.items()} == {
        name: array.tobytes() for name, array in made.inputs.items()
    }


def test_a_config_without_kind_is_standardise(pictures: np.ndarray, tmp_path: Path, store: Store) -> None:
    fields = OPEN.as_dict()
    assert fields.pop("kind") == "standardise" and from_dict(fields) == OPEN
    config = save(tmp_path, base("standardise", pictures), store) / "config.json"
    document = json.loads(config.read_text())
    del document["preprocessing"]["kind"]
    config.write_text(json.dumps(document))
    assert load_model(tmp_path, store).base.preprocessing.kind == "standardise"


DAMAGED: dict[str, tuple[str, dict[str, np.ndarray | None], str]] = {
    "missing": ("zca", {"matrix": None}, r"input.matrix is missing.* needs \(192, 192\) float32"),
    "smaller": ("zca", {"matrix": np.eye(191, dtype=np.float32)}, r"input.matrix is \(191, 191\) float32"),
    "oblong": ("pca", {"matrix": np.ones((3, 4), np.float32)}, r"input.matrix is \(3, 4\) float32"),
    "float64": ("pca", {"matrix": np.eye(3)}, r"input.matrix is \(3, 3\) float64"),
    "flat": ("mean-image", {"mean": np.zeros(192, np.float32)}, r"input.mean is \(192,\) float32"),
    "one more": ("mean-image", {"matrix": np.eye(3, dtype=np.float32)}, r"input.matrix is \(3, 3\).* needs none"),
    "not wanted": ("standardise", {"mean": np.zeros(3, np.float32)}, r"input.mean is \(3,\).* needs none"),
    "unknown": ("whiten", {"../x": np.zeros(3, np.float32)}, r"input.\.\./x is \(3,\)"),
}


@pytest.mark.parametrize("case", DAMAGED)
def test_damaged_arrays_are_refused(case: str, pictures: np.ndarray, tmp_path: Path, store: Store) -> None:
    kind, inputs, said = DAMAGED[case]
    save(tmp_path, base(kind, pictures), store, **inputs)
    with pytest.raises(WeightsError, match=said + r".*Train again"):
        load_model(tmp_path, store)


@pytest.mark.parametrize("kind", ["whitening", None, ["zca"], {}, 3])
def test_damaged_kind_is_refused(kind: Any, pictures: np.ndarray, tmp_path: Path, store: Store) -> None:
    config = save(tmp_path, base("standardise", pictures), store) / "config.json"
    document = json.loads(config.read_text())
    document["preprocessing"]["kind"] = kind
    config.write_text(json.dumps(document))
    with pytest.raises(RunError, match="damaged"):
        load_model(tmp_path, store)


def test_usage_errors_name_the_way_out() -> None:
    with pytest.raises(UsageError, match=r"allowed are standardise.*Nearest: whiten"):
        replace(OPEN, kind="whitened")
    with pytest.raises(UsageError, match=r"image_size is 33; zca takes up to 32.*3,267 x 3,267.*Try whiten"):
        replace(OPEN, kind="zca", image_size=33)
    assert replace(OPEN, kind="zca", image_size=32).kind == "zca"


def test_kinds_do_not_change_the_geometry() -> None:
    assert len({replace(OPEN, kind=kind).geometry for kind in KINDS}) == 1


def test_principal_axes_by_hand() -> None:
    """Variances 3 along (1, 1) and 1 along (1, -1)."""
    variances, directions = principal_axes(np.array([[2.0, 1.0], [1.0, 2.0]]))
    np.testing.assert_allclose(variances, [3, 1])
    np.testing.assert_allclose(np.abs(directions), np.sqrt(0.5))
    assert directions[0, 0] == pytest.approx(directions[1, 0])
