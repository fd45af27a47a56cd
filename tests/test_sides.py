"""Auxiliary heads: what they are made of, that they teach the early layers, and that a model is without them."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor, nn

import lensmith as house
from lensmith.engines.pytorch import Normalise
from lensmith.tasks.classification import Classification
from lensmith.training.fit import FitSettings, Lessons, Positions, train_one_step
from lensmith.training.optimizers import build_optimizer
from lensmith.zoo.build import build
from lensmith.zoo.cut import base, base_with_sides
from lensmith.zoo.googlenet import SIDE_PLACES, side_head
from lensmith.zoo.heads import Classifier
from lensmith.zoo.names import canonical
from lensmith.zoo.sides import SIDES, inception_v3_side, new_classifier
from lensmith.zoo.tensors import load_tensors, read_tensors

SETTINGS = FitSettings(
    stage="scratch",
    epochs=1,
    batch_size=4,
    learning_rate=0.1,
    optimizer="sgd",
    weight_decay=0.0,
    loss="cross_entropy",
    device="cpu",
    seed=0,
)


def parameters(network: nn.Module) -> int:
    return sum(parameter.numel() for parameter in network.parameters())


def test_auxiliary_heads_have_the_parameters_of_their_papers() -> None:
    with torch.device("meta"):
        assert parameters(side_head(512, 1000)) + parameters(side_head(528, 1000)) == 6_379_728
        # What torchvision's Inception v3 has more with its auxiliary head than without.
        assert parameters(inception_v3_side(768, 1000)) == 27_161_264 - 23_834_568


@pytest.mark.parametrize("network", SIDES)
def test_auxiliary_heads_read_maps_of_any_size(network: str) -> None:
    for sides in (3, 14, 17):
        head = SIDES[network].build(16, 5).eval()
        assert head(torch.rand(2, 16, sides, sides)).shape == (2, 5)


@pytest.mark.parametrize(
    ("network", "size", "shapes"),
    [
        ("torchvision/googlenet", 224, [(512, 14, 14), (528, 14, 14)]),
        ("lensmith/googlenet/2014", 224, [(512, 14, 14), (528, 14, 14)]),
        ("torchvision/inception_v3", 299, [(768, 17, 17)]),
    ],
)
def test_the_places_are_those_of_the_papers(network: str, size: int, shapes: list[tuple[int, ...]]) -> None:
    with torch.device("meta"):
        whole = build(canonical(network))
    _, _, places = base_with_sides(whole, None, SIDES[network].places, size)
    assert [place.shape for place in places] == shapes


def test_there_are_no_auxiliary_heads_behind_the_cut() -> None:
    with torch.device("meta"):
        whole = build(canonical("lensmith/googlenet/2014"))
    names = [base_with_sides(whole, cut, SIDE_PLACES, 64)[2] for cut in ("inception4a", "inception4b")]
    assert [[cut.name for cut in found] for found in names] == [[], ["inception4a"]]


def small(seed: int = 0) -> Classifier:
    torch.manual_seed(seed)
    options = {"pool": "mean", "dense": (), "dropout": 0.0, "softmax": True}
    return new_classifier("lensmith/googlenet/2014", None, 64, 1024, 3, **options)


def test_the_maps_at_the_side_are_those_of_the_network() -> None:
    network = small().eval()
    pictures = torch.rand(2, 3, 64, 64)
    whole, seen = build(canonical("lensmith/googlenet/2014")).eval(), []
    load_tensors(whole, {name[5:]: tensor for name, tensor in network.state_dict().items() if name[:5] == "base."})
    for name in ("inception4a", "inception4d", "inception5b"):
        whole.get_submodule(name).register_forward_hook(lambda part, given, made: seen.append(made))
    whole(pictures)
    last, *others = network.base(pictures)
    assert [torch.equal(one, two) for one, two in zip((*others, last), seen, strict=True)] == [True] * 3
    every = network.every_answer(pictures)
    assert torch.equal(every[0], network(pictures)) and [one.shape for one in every] == [(2, 3)] * 3


def step(network: Classifier) -> tuple[float, dict[str, Tensor]]:
    """Take one step; return its loss and the gradients."""
    pictures = np.random.default_rng(0).integers(0, 256, (4, 64, 64, 3), np.uint8)
    part = Positions(np.arange(4) % 3, np.arange(4))
    prepare, task = Normalise((0.5, 0.5, 0.5), (0.25, 0.25, 0.25), {}), Classification(("a", "b", "c"))
    lessons = Lessons(network.eval(), lambda epoch, chosen: pictures[chosen], prepare, part, part, task.watched)
    optimizer = build_optimizer("sgd", network, 0.1, 0.0)
    loss, _, _ = train_one_step(lessons, optimizer, SETTINGS, np.arange(4), pictures, (0, 1, 0))
    return loss, {name: tensor.grad.clone() for name, tensor in network.named_parameters() if tensor.grad is not None}


def test_the_loss_at_the_side_reaches_early_layers_with_its_weight_and_no_later_ones() -> None:
    with_sides, without = small(), small()
    without.side_weight = 0.0
    loss, found = step(with_sides)
    plain_loss, plain = step(without)
    assert loss == plain_loss, "what is reported is the loss of the head"
    early, late = "base.conv1.0.weight", "base.inception5b.branches.0.0.weight"
    assert torch.allclose(found[late], plain[late], atol=1e-7)
    assert not torch.allclose(found[early], plain[early], rtol=0.01)
    # What is added is 0.3 times the gradient of the losses at the side alone.
    alone = small().eval()
    pictures = np.random.default_rng(0).integers(0, 256, (4, 64, 64, 3), np.uint8)
    prepare = Normalise((0.5, 0.5, 0.5), (0.25, 0.25, 0.25), {})
    _, *others = alone.every_answer(prepare(torch.from_numpy(pictures)))
    targets = torch.arange(4) % 3
    sum(nn.functional.cross_entropy(one, targets) for one in others).backward()
    added = dict(alone.named_parameters())[early].grad
    assert added is not None
    assert torch.allclose(found[early], plain[early] + 0.3 * added, rtol=1e-3, atol=1e-6)


def test_a_network_without_auxiliary_heads_is_as_it_was() -> None:
    torch.manual_seed(0)
    network = new_classifier(
        "lensmith/convnet/8", None, 16, 512, 3, pool="flatten", dense=(), dropout=0.5, softmax=True
    )
    assert not [name for name in network.state_dict() if name.startswith("sides")]
    torch.manual_seed(0)
    plain = Classifier(base(build(canonical("lensmith/convnet/8")), None, 16)[0], 512, 3, "flatten", (), 0.5)
    assert all(torch.equal(one, two) for one, two in zip(network.parameters(), plain.parameters(), strict=True))


def test_googlenet_is_trained_with_them_and_saved_without(make_shapes: Callable[..., Path], tmp_path: Path) -> None:
    run = house.train(
        make_shapes(each=6),
        recipe="scratch",
        network="googlenet",
        image_size=64,
        epochs=1,
        engine="torch",
        out=tmp_path,
        quiet=True,
    )
    tensors = read_tensors(run.model_folder / "model.safetensors")
    assert {name.partition(".")[0] for name in tensors} == {"base", "head"}
    assert not [name for name in tensors if "aux" in name or "side" in name]
    sizes = run.document["result"]["parameters"]
    assert sizes["base"] + sizes["head"] == 6_624_904 - 1025 * 997, "three classes instead of a thousand"
    assert house.evaluate(run, quiet=True).metrics["accuracy"] == run.metrics["test"]["accuracy"]
