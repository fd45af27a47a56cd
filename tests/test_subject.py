"""What is looked into: runs, names and modules become subjects whose quick answer is that of their torch module."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional

import lensmith
from lensmith.data.preprocess import read_square
from lensmith.errors import RunError, UsageError, WeightsError
from lensmith.seeing.eye import scores_of
from lensmith.seeing.gradients import gradient
from lensmith.seeing.layers import last_map, layers, named, tapped
from lensmith.seeing.subject import Subject, Target
from lensmith.tasks.classification import Classification
from lensmith.verbs.subject import MEAN, STD, open_subject


class Small(nn.Module):
    """One ReLU module that is used twice, the second time on what the layer behind it gave."""

    def __init__(self) -> None:
        super().__init__()
        self.first, self.second = nn.Conv2d(3, 4, 3, padding=1), nn.Conv2d(4, 4, 3, padding=1)
        self.relu, self.head = nn.ReLU(inplace=True), nn.Linear(4, 3)

    def forward(self, images: Tensor) -> Tensor:
        maps = self.relu(self.second(self.relu(self.first(images))))
        scores: Tensor = self.head(maps.mean((2, 3)))
        return scores


def squares(count: int, side: int) -> list[np.ndarray]:
    random = np.random.default_rng(3)
    return [random.integers(0, 256, (side, side, 3), np.uint8) for _ in range(count)]


def in_torch(subject: Subject, pictures: list[np.ndarray]) -> np.ndarray:
    with torch.no_grad():
        found: np.ndarray = subject.eye(torch.from_numpy(np.stack(pictures)).permute(0, 3, 1, 2).float()).numpy()
    return found


def test_a_run_says_what_its_torch_module_says(shapes: Path, tmp_path: Path) -> None:
    run = lensmith.train(
        shapes, network="convnet/8-16/16", recipe="scratch", epochs=2, image_size=32, out=tmp_path, quiet=True
    )
    subject = open_subject(run, engine="torch")
    path = next((shapes / "disc").iterdir())
    pictures = [read_square(path.read_bytes(), subject.geometry)[0], *squares(3, 32)]
    np.testing.assert_allclose(subject.says(pictures), in_torch(subject, pictures), atol=1e-4)
    said = lensmith.predict(run, path, engine="torch")[0]
    answer = subject.answers(pictures[:1])[0]
    np.testing.assert_allclose(answer, [said.probabilities[name] for name in subject.task.classes], atol=1e-4)


def test_a_network_by_name_is_asked_by_an_engine() -> None:
    subject = open_subject("squeezenet1_1", weights="none", image_size=64)
    pictures = squares(4, 64)
    quick, slow = subject.says(pictures), in_torch(subject, pictures)
    assert quick.shape == (4, 1000)
    assert np.corrcoef(quick.ravel(), slow.ravel())[0, 1] > 0.99
    assert len(set(subject.task.classes)) == 1000 and "zebra" in subject.task.classes
    assert subject.target("zebra") == subject.target("340") == Target("zebra", 340)
    with pytest.raises(UsageError, match="zebra"):
        subject.target("zebro")


def test_a_module_is_left_as_it_was() -> None:
    network = Small().train()
    subject = open_subject(network, image_size=16)
    assert subject.says(squares(2, 16)).shape == (2, 3)
    assert network.training and all(weight.requires_grad for weight in network.parameters())
    assert subject.task.classes == ("0", "1", "2")


@pytest.mark.parametrize(
    "answer", [lambda x: x[:, 0], lambda x: x.mean((1, 2, 3))[:, None], lambda x: (), lambda x: x.reshape(7, -1)]
)
def test_what_gives_no_scores_of_classes_is_refused(answer: Callable[[Tensor], Tensor]) -> None:
    class Odd(nn.Module):
        def forward(self, images: Tensor) -> Tensor:
            return answer(images)

    with pytest.raises(UsageError):
        open_subject(Odd(), image_size=16)


def test_published_weights_of_our_own_network(data: Path) -> None:
    file = data / "weights" / "resnet20_cifar10.safetensors"
    subject = open_subject("resnet20", weights=str(file))
    there = sorted((data / "objects32" / "test").iterdir())
    paths = [path for folder in there for path in sorted(folder.iterdir())[:5]]
    answers = subject.answers([read_square(path.read_bytes(), subject.geometry)[0] for path in paths])
    right = answers.argmax(1) == np.repeat(np.arange(len(there)), 5)
    assert right.mean() > 0.6
    with pytest.raises(WeightsError):
        open_subject("plain32", weights=str(data / "weights" / "mobilenet_v2.safetensors"))


ENDS: dict[str, Callable[[Tensor], Tensor]] = {
    "nothing": lambda x: x,
    "softmax": lambda x: functional.softmax(x, 1),
    "method": lambda x: x.softmax(-1),
    "log": lambda x: torch.log_softmax(x, 1),
    "sigmoid": torch.sigmoid,
    "in place": lambda x: x.sigmoid_(),
    "module": nn.Softmax(1),
    "one inside": lambda x: x * (x * 0).softmax(1) * x.shape[1],
}


@pytest.mark.parametrize("end", ENDS)
def test_scores_are_those_before_the_end(end: str) -> None:
    torch.manual_seed(0)
    network, images = Small().eval(), torch.randn(2, 3, 8, 8)
    expected = network(images).detach()
    images.requires_grad_()
    scores, name = scores_of(lambda x: ENDS[end](network(x)), images)
    assert name == {"method": "softmax", "log": "log_softmax", "in place": "sigmoid", "module": "softmax"}.get(
        end, end if end in ("softmax", "sigmoid") else ""
    )
    torch.testing.assert_close(scores.detach(), expected)
    plain = gradient(network(images)[:, 1], images)
    if end != "one inside":
        torch.testing.assert_close(gradient(scores[:, 1], images), plain)


def test_calls_of_a_shared_layer_have_a_number() -> None:
    network, images = Small().eval(), torch.randn(2, 3, 8, 8)
    there = layers(network, images)
    assert [layer.name for layer in there] == ["first", "relu#1", "second", "relu#2", "head"]
    assert named(there, "relu") == named(there, "relu#2") == last_map(there)
    with pytest.raises(UsageError, match="second"):
        named(there, "secnd")


def test_what_is_tapped_is_not_written_over() -> None:
    network, images = Small().eval(), torch.randn(2, 3, 8, 8)
    there = layers(network, images)
    with tapped(network, named(there, "first")) as tap:
        network(images)
    torch.testing.assert_close(tap.value, network.first(images))
    assert (tap.value < 0).any()  # the ReLU in place behind it worked on a copy
    with tapped(network, named(there, "relu#2"), lambda maps: maps * 0):
        torch.testing.assert_close(network(images), network.head.bias.expand(2, -1))
    assert not network.relu._forward_hooks and not network._forward_pre_hooks


class Ending(nn.Module):
    """The mean colour through a dense layer, and something more."""

    def __init__(self, end: Callable[[Tensor], object]) -> None:
        super().__init__()
        self.head, self.end = nn.Linear(3, 4), end

    def forward(self, images: Tensor) -> object:
        return self.end(self.head(images.mean((2, 3))))


def test_scores_with_a_sigmoid_each_are_labels() -> None:
    subject = open_subject(Ending(torch.sigmoid), image_size=8)
    assert subject.task.kind == "multilabel"
    images = torch.from_numpy(np.stack(squares(2, 8))).permute(0, 3, 1, 2) / 255
    normal = (images - torch.tensor(MEAN)[:, None, None]) / torch.tensor(STD)[:, None, None]
    expected = subject.eye.network(normal).numpy()
    np.testing.assert_allclose(subject.answers(squares(2, 8)), expected, rtol=1e-4)


@pytest.mark.parametrize(
    "end",
    [
        lambda x: {"scores": x, "more": x * 2},
        lambda x: {"loss": x.sum(), "logits": x},
        lambda x: {"aux": x[:, 0], "scores": x},
        lambda x: (x.mean(), x, x * 2),
        lambda x: [(x,)],
    ],
)
def test_of_several_tensors_the_scores_are_taken(end: Callable[[Tensor], object]) -> None:
    torch.manual_seed(0)
    network = Ending(end)
    plain = Ending(lambda x: x)
    plain.load_state_dict(network.state_dict())
    expected = open_subject(plain, image_size=8).says(squares(2, 8))
    np.testing.assert_array_equal(open_subject(network, image_size=8).says(squares(2, 8)), expected)


def test_a_network_in_half_precision_is_looked_into_in_full() -> None:
    network = Small().half()
    subject = open_subject(network, image_size=16)
    assert np.isfinite(subject.says(squares(2, 16))).all()
    assert next(network.parameters()).dtype == torch.float16


def test_answers_that_are_not_finite_are_refused() -> None:
    with pytest.raises(UsageError, match="not finite"):
        open_subject(Ending(lambda x: x * float("nan")), image_size=8)


def test_random_weights_follow_the_seed_alone() -> None:
    torch.manual_seed(1)
    before = torch.get_rng_state()
    one, same, other = (open_subject("lenet5", weights="none", seed=seed, say=lambda _: None) for seed in (0, 0, 1))
    assert torch.equal(before, torch.get_rng_state())
    shown = squares(2, one.geometry.image_size)
    np.testing.assert_array_equal(one.says(shown), same.says(shown))
    assert np.abs(one.says(shown) - other.says(shown)).max() > 1e-3


def test_a_class_may_be_a_number() -> None:
    subject = open_subject(Small(), image_size=16)
    assert subject.target(2) == subject.target("2") == Target("2", 2)
    for wrong in (3, "\u00b2"):
        with pytest.raises(UsageError, match="no class"):
            subject.target(wrong)


def test_classes_of_nearly_one_name_are_told_apart() -> None:
    subject = replace(open_subject(Small(), image_size=16), task=Classification(("crane bird", "Crane", "cranesbill")))
    assert subject.alike(subject.target("Crane")) == "'Crane' is a class; so is crane bird."
    assert subject.alike(subject.target("crane bird")) == subject.alike(subject.target("cranesbill")) == ""


def test_a_folder_without_a_run_is_named(tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    with pytest.raises(RunError, match=r"no run\.json"):
        open_subject("empty", out=tmp_path)


def test_pictures_come_to_where_the_network_is() -> None:
    eye = open_subject(Small(), image_size=16).eye.to("meta")
    pixels = eye.pixels(squares(2, 16))
    assert pixels.device.type == "meta" and eye(pixels).device.type == "meta"


def test_random_weights_stand_in_the_name() -> None:
    said: list[str] = []
    subject = open_subject("lenet5", weights="none", say=said.append)
    assert subject.name == "lensmith/lenet5, random weights" and not said
    open_subject("lenet5", say=said.append)
    assert len(said) == 1 and "random weights" in said[0]


def test_modules_of_a_factory_are_opened_like_ones_own(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "mine_to_see.py").write_text(
        "import torch\nfrom torch import nn\n"
        "def half():\n    return nn.Sequential(nn.Flatten(), nn.Linear(192, 3)).half()\n"
        "def lazy():\n    return nn.Sequential(nn.Flatten(), nn.LazyLinear(3))\n"
    )
    monkeypatch.syspath_prepend(str(tmp_path))
    said: list[str] = []
    subject = open_subject("mine_to_see:half", image_size=8, say=said.append)
    assert np.isfinite(subject.says(squares(2, 8))).all() and not said  # the weights are what the factory gives
    with pytest.raises(UsageError, match="cannot be looked into"):
        open_subject("mine_to_see:lazy", image_size=8)
