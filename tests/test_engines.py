"""Engines against each other: the same answers, in the same order, however pictures fall into batches."""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import nn
from torch.nn import functional

from lensmith.data.store import Store
from lensmith.data.synthetic import check_pictures
from lensmith.engines import trust
from lensmith.engines.choose import choose_engine, resolve_device
from lensmith.engines.convert import convert
from lensmith.engines.interface import Output, collect
from lensmith.engines.openvino import BATCH, OpenVinoEngine, has_bfloat16, without_telemetry
from lensmith.engines.pytorch import Normalise, TorchEngine, WithNormalisation
from lensmith.errors import UsageError
from lensmith.reproduce import cores

SIZE = 32
MEAN, STD = (0.4, 0.5, 0.6), (0.2, 0.25, 0.3)
NORMALISE = Normalise(MEAN, STD, {})


def small_base(seed: int = 0) -> nn.Module:
    torch.manual_seed(seed)
    return nn.Sequential(nn.Conv2d(3, 8, 3, padding=1), nn.BatchNorm2d(8), nn.ReLU(), nn.MaxPool2d(4)).eval()


def module(pool: str = "mean", seed: int = 0) -> WithNormalisation:
    return WithNormalisation(small_base(seed), NORMALISE, pool).eval()


@pytest.fixture(scope="module")
def converted(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("base")
    convert(module(), SIZE, folder)
    return folder


def test_torch_engine_normalises_like_the_formula() -> None:
    pictures = check_pictures(3, SIZE)
    found = collect(TorchEngine(module(), "cpu").run(pictures, maps=True))
    values = (np.stack(pictures) / 255 - np.array(MEAN)) / np.array(STD)
    with torch.inference_mode():
        wanted = small_base()(torch.from_numpy(values).permute(0, 3, 1, 2).float()).numpy()
    assert found.maps is not None
    np.testing.assert_allclose(found.maps, wanted, rtol=1e-4, atol=1e-5)
    np.testing.assert_allclose(found.features, wanted.mean((2, 3)), rtol=1e-4, atol=1e-5)


def test_openvino_equals_torch(converted: Path) -> None:
    pictures = check_pictures(11, SIZE)
    ours = collect(OpenVinoEngine(converted, "float32").run(pictures, maps=True))
    theirs = collect(TorchEngine(module(), "cpu").run(pictures, maps=True))
    assert ours.maps is not None and theirs.maps is not None
    np.testing.assert_allclose(ours.features, theirs.features, rtol=1e-3, atol=1e-4)
    np.testing.assert_allclose(ours.maps, theirs.maps, rtol=1e-3, atol=1e-3)


def test_flattened_features_are_in_channel_order(tmp_path: Path) -> None:
    convert(module("flatten"), SIZE, tmp_path)
    found = collect(OpenVinoEngine(tmp_path, "float32").run(check_pictures(2, SIZE), maps=True))
    assert found.maps is not None
    np.testing.assert_allclose(found.features, found.maps.reshape(2, -1), rtol=1e-5)


@pytest.mark.parametrize("precision", ["float32", "bfloat16"])
def test_batches_do_not_change_answers(converted: Path, precision: str) -> None:
    if precision not in trust.check(converted, SIZE).agreement:
        pytest.skip("this processor has no bfloat16")
    engine, pictures = OpenVinoEngine(converted, precision), check_pictures(9, SIZE)
    together = collect(engine.run(pictures)).features
    alone = np.concatenate([collect(engine.run([picture])).features for picture in pictures])
    assert np.array_equal(together, alone)
    assert np.array_equal(together[::-1], collect(engine.run(pictures[::-1])).features)


def test_answers_are_copies_and_an_engine_serves_again(converted: Path) -> None:
    """Requests are used again and again: what was answered must not change, nor what is left of a longer run show."""
    engine, pictures = OpenVinoEngine(converted, "float32"), check_pictures(4 * BATCH * cores() + 1, SIZE)
    found = [(output, output.features.copy()) for output in engine.run(pictures, maps=True)]
    assert [len(output.features) for output, _ in found] == [BATCH] * (len(found) - 1) + [1]
    for output, copy in found:
        assert output.maps is not None and len(output.maps) == len(copy)
        assert np.array_equal(output.features, copy)
    assert list(engine.run([])) == []
    unfinished = engine.run(pictures)
    next(unfinished)
    unfinished.close()  # type: ignore[attr-defined]
    again = collect(engine.run(pictures[-3:])).features
    assert np.array_equal(again, np.concatenate([copy for _, copy in found])[-3:])


def test_reading_runs_ahead_of_the_engine_but_not_without_bound(converted: Path) -> None:
    taken = 0

    def pictures() -> object:
        nonlocal taken
        for picture in check_pictures(1, SIZE) * 200:
            taken += 1
            yield picture

    outputs = OpenVinoEngine(converted, "float32").run(pictures())  # type: ignore[arg-type]
    assert isinstance(next(outputs), Output)
    assert BATCH < taken <= BATCH * (2 * cores() + 1)
    outputs.close()  # type: ignore[attr-defined]


def test_a_lower_precision_is_refused_when_its_answers_differ(tmp_path: Path) -> None:
    """A base whose features hang on tiny differences: bfloat16 keeps eight bits and must not be trusted with them."""

    class Fragile(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.difference = nn.Conv2d(3, 3, (1, 2), groups=3, bias=False)
            self.difference.weight.data = torch.tensor([1.0, -1.0]).repeat(3, 1, 1, 1)

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return self.difference(functional.avg_pool2d(x, 4).abs().sqrt() + 300)

    if not has_bfloat16():
        pytest.skip("this processor has no bfloat16")
    convert(WithNormalisation(Fragile(), NORMALISE, "flatten"), SIZE, tmp_path)
    found = trust.check(tmp_path, SIZE)
    assert found.precision == "float32"
    assert found.refused["bfloat16"] < trust.LEAST_AGREEMENT["bfloat16"]
    assert "(refused)" in found.sentence()


def test_a_wrong_conversion_is_refused_and_torch_takes_over(tmp_path: Path) -> None:
    """The stored reference is of another network: what a wrong conversion looks like from outside."""
    store = Store(tmp_path)
    convert_into = tmp_path / "bases" / "key"
    convert_into.mkdir(parents=True)
    convert(module(seed=0), SIZE, convert_into)
    np.savez(
        convert_into / "check.npz",
        reference=collect(TorchEngine(module(seed=1), "cpu").run(check_pictures(16, SIZE))).features,
    )
    trust.write_trust(convert_into, trust.check(convert_into, SIZE))
    chosen = choose_engine("key", SIZE, store, module)
    assert chosen.engine.name == "torch"
    assert "refused" in chosen.check
    with pytest.raises(UsageError, match="Try --engine torch"):
        choose_engine("key", SIZE, store, module, engine="openvino")


def test_choice_is_kept_and_recorded(tmp_path: Path) -> None:
    store, built = Store(tmp_path), []

    def make() -> WithNormalisation:
        built.append(1)
        return module()

    first = choose_engine("key", SIZE, store, make)
    again = choose_engine("key", SIZE, store, make)
    assert len(built) == 1, "the base is converted once"
    assert first.as_dict() == again.as_dict()
    assert first.engine.name == "openvino" and "cosine" in first.check
    full = choose_engine("key", SIZE, store, make, precision="float32")
    assert full.engine.precision == "float32"
    elsewhere = choose_engine("key", SIZE, store, make, precision="int4")
    assert "which this machine does not offer" in elsewhere.check


def test_a_check_of_another_version_is_made_again(tmp_path: Path) -> None:
    store = Store(tmp_path)
    choose_engine("key", SIZE, store, module)
    note = tmp_path / "bases" / "key" / "base.json"
    note.write_text(note.read_text().replace("openvino 20", "openvino 19"))
    assert trust.read_trust(note.parent) is None

    def never() -> WithNormalisation:
        raise AssertionError("checking again needs no torch")

    assert choose_engine("key", SIZE, store, never).engine.name == "openvino"
    assert trust.read_trust(note.parent) is not None


def test_a_network_openvino_cannot_take_runs_in_torch(tmp_path: Path) -> None:
    class Odd(nn.Module):
        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return torch.linalg.eigvals(x[:, :, :4, :4]).abs()[..., None]

    chosen = choose_engine("odd", SIZE, Store(tmp_path), lambda: WithNormalisation(Odd(), NORMALISE, "mean"))
    assert chosen.engine.name == "torch"
    assert "OpenVINO" in chosen.check
    assert not (tmp_path / "bases" / "odd").exists()


def test_a_fault_without_words_is_named_by_its_kind(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*_: object) -> None:
        raise AssertionError

    monkeypatch.setattr("lensmith.engines.convert.convert", fail)
    chosen = choose_engine("mute", SIZE, Store(tmp_path), module)
    assert chosen.engine.name == "torch"
    assert "AssertionError" in chosen.check


def test_unknown_engine_and_device_say_what_is_allowed(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="allowed are auto, openvino, torch"):
        choose_engine("key", SIZE, Store(tmp_path), module, engine="tensorflow")
    with pytest.raises(UsageError, match="allowed are auto, cpu, cuda, mps"):
        resolve_device("tpu")
    if not torch.cuda.is_available():
        with pytest.raises(UsageError, match="Try --device cpu"):
            resolve_device("cuda")


def test_telemetry_cannot_be_imported_while_converting() -> None:
    with without_telemetry(), pytest.raises(ImportError):
        import openvino_telemetry  # noqa: F401
    assert sys.modules.get("openvino_telemetry", "absent") is not None


def test_alike_measures_direction_not_length() -> None:
    reference = np.array([[1.0, 0.0], [0.0, 1.0], [1.0, 1.0]])
    assert trust.alike(reference, reference) == pytest.approx(1.0)
    assert trust.alike(np.full((3, 2), np.nan), reference) == 0.0
    assert trust.alike(reference[::-1], reference) < 0.9
    assert trust.alike(np.zeros((3, 2)), np.zeros((3, 2))) == 1.0
