"""The dense head against torch, and the map of where it looked against a gradient taken by torch."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
import pytest
import torch
from torch.nn import functional

from lensmith.engines.head import Head, from_tensors, pool_map
from lensmith.errors import WeightsError
from lensmith.reproduce import generator
from lensmith.seeing.cam import grad_cam
from lensmith.training.epoch import EarlyStopping, Epoch
from lensmith.training.head import Examples, HeadSettings, _adam, _gradients, fit_head


def random_head(widths: tuple[int, ...]) -> Head:
    random = generator(1, "test", *widths)
    pairs = list(pairwise(widths))
    return Head(
        tuple(random.normal(0, 0.5, pair).astype(np.float32) for pair in pairs),
        tuple(random.normal(0, 0.1, pair[1]).astype(np.float32) for pair in pairs),
    )


def torch_logits(head: Head, values: torch.Tensor) -> torch.Tensor:
    for index, (weight, bias) in enumerate(zip(head.weights, head.biases, strict=True)):
        values = values @ torch.from_numpy(weight) + torch.from_numpy(bias)
        if index < len(head.weights) - 1:
            values = values.relu()
    return values


@pytest.mark.parametrize("widths", [(7, 3), (7, 6, 3), (7, 6, 5, 3)])
def test_logits_and_gradient_equal_torch(widths: tuple[int, ...]) -> None:
    head = random_head(widths)
    features = generator(2, "x").normal(size=(5, 7)).astype(np.float32)
    classes = np.array([0, 1, 2, 1, 0])
    x = torch.from_numpy(features).requires_grad_()
    logits = torch_logits(head, x)
    np.testing.assert_allclose(head.logits(features), logits.detach().numpy(), rtol=1e-5, atol=1e-6)
    logits[torch.arange(5), torch.from_numpy(classes)].sum().backward()
    np.testing.assert_allclose(head.gradient(features, classes), x.grad.numpy(), rtol=1e-5, atol=1e-6)


def test_tensors_there_and_back() -> None:
    head = random_head((7, 6, 3))
    again = from_tensors(head.tensors())
    features = np.ones((2, 7), np.float32)
    assert np.array_equal(head.logits(features), again.logits(features))
    assert head.tensors()["head.0.weight"].shape == (6, 7)  # as torch's Linear keeps it
    assert head.parameters == 7 * 6 + 6 + 6 * 3 + 3


@pytest.mark.parametrize("broken", [{}, {"head.0.weight": np.zeros((3, 7))}, {"base.x": np.zeros(3)}])
def test_damaged_tensors_are_refused(broken: dict[str, np.ndarray]) -> None:
    with pytest.raises(WeightsError):
        from_tensors(broken)


@pytest.mark.parametrize("pool", ["mean", "flatten"])
@pytest.mark.parametrize("hidden", [(), (6,)])
def test_grad_cam_equals_torch(pool: str, hidden: tuple[int, ...]) -> None:
    """Selvaraju et al. 2017, with autograd doing the gradient through the pooling."""
    maps = np.abs(generator(3, "maps").normal(size=(4, 5, 3, 2))).astype(np.float32)
    head = random_head((5 if pool == "mean" else 30, *hidden, 3))
    classes = np.array([2, 0, 1, 2])
    a = torch.from_numpy(maps).requires_grad_()
    logits = torch_logits(head, a.mean((2, 3)) if pool == "mean" else a.flatten(1))
    logits[torch.arange(4), torch.from_numpy(classes)].sum().backward()
    weights = a.grad.mean((2, 3), keepdim=True)
    wanted = (weights * a).sum(1).relu().detach().numpy()
    found = grad_cam(head, pool, pool_map(maps, pool), maps, classes)
    np.testing.assert_allclose(found, wanted, rtol=1e-4, atol=1e-6)


@pytest.mark.parametrize("hidden", [(), (6,), (6, 4)])
def test_training_gradients_equal_torch(hidden: tuple[int, ...]) -> None:
    widths = (7, *hidden, 3)
    head, l2 = random_head(widths), 0.1
    x = generator(4, "x").normal(size=(9, 7)).astype(np.float32)
    targets = np.arange(9) % 3
    flat = [array.copy() for pair in zip(head.weights, head.biases, strict=True) for array in pair]
    gradients, loss, _ = _gradients(flat, x, targets, l2, 0.0, None)
    tensors = [torch.from_numpy(array).requires_grad_() for array in flat]
    values = torch.from_numpy(x)
    for index in range(0, len(tensors), 2):
        values = values @ tensors[index] + tensors[index + 1]
        values = values.relu() if index < len(tensors) - 2 else values
    entropy = functional.cross_entropy(values, torch.from_numpy(targets))
    (entropy + l2 / 2 * sum((t**2).sum() for t in tensors[::2])).backward()
    assert loss / 9 == pytest.approx(float(entropy.detach()), rel=1e-5)
    for ours, tensor in zip(gradients, tensors, strict=True):
        np.testing.assert_allclose(ours, tensor.grad.numpy(), rtol=1e-4, atol=1e-6)


def test_adam_equals_torch() -> None:
    start = generator(5, "p").normal(size=(4, 3)).astype(np.float32)
    ours, theirs = [start.copy()], torch.from_numpy(start.copy()).requires_grad_()
    optimizer = torch.optim.Adam([theirs], lr=0.01)
    moments = [(np.zeros_like(start), np.zeros_like(start))]
    for step in range(1, 6):
        gradient = generator(step, "g").normal(size=(4, 3)).astype(np.float32)
        _adam(ours, [gradient], moments, 0.01, step)
        theirs.grad = torch.from_numpy(gradient)
        optimizer.step()
    np.testing.assert_allclose(ours[0], theirs.detach().numpy(), rtol=1e-5, atol=1e-6)


def blobs(count: int, seed: int) -> Examples:
    random = generator(seed, "blobs")
    targets = np.arange(count) % 3
    centres = 5 + 3 * np.eye(3, 12)
    return Examples((centres[targets] + random.normal(0, 1, (count, 12))).astype(np.float32), targets)


@pytest.mark.parametrize("dense", [(), (16,)])
def test_it_learns_and_repeats(dense: tuple[int, ...]) -> None:
    settings = HeadSettings(dense, 0.5, 0.01, 16, 40, seed=3)
    train, stopping = blobs(120, 0), blobs(60, 1)
    one, two = (list(fit_head(train, stopping, 3, 1e-4, settings))[-1] for _ in range(2))
    assert one.validation_accuracy > 0.9
    for name, tensor in one.state.items():
        assert np.array_equal(tensor, two.state[name])
    # The standardisation is folded in: the head alone, on raw features, gives the accuracy that was reported.
    right = from_tensors(one.state).logits(stopping.features).argmax(1) == stopping.targets
    assert right.mean() == pytest.approx(one.validation_accuracy)


def test_linear_head_finds_the_optimum() -> None:
    """Softmax regression is convex: the loss must come down to what scikit-learn finds."""
    from sklearn.linear_model import LogisticRegression

    train, l2 = blobs(120, 0), 0.01
    last = list(fit_head(train, train, 3, l2, HeadSettings((), 0.0, 0.02, 120, 1500, seed=0)))[-1]
    scaled = (train.features - train.features.mean(0)) / train.features.std(0) / np.sqrt(12)
    oracle = LogisticRegression(C=1 / (l2 * 120), max_iter=5000, tol=1e-8).fit(scaled, train.targets)
    logits = from_tensors(last.state).logits(train.features)
    ours = np.exp(logits) / np.exp(logits).sum(1, keepdims=True)
    np.testing.assert_allclose(ours, oracle.predict_proba(scaled), atol=5e-3)


def epoch(number: int, loss: float) -> Epoch:
    return Epoch(number, None, 0.0, loss, 0.0, 0.0, 0.0, 0.0, {})


def test_early_stopping_waits_and_keeps_the_best() -> None:
    stopping = EarlyStopping(min_delta=0.01, patience=3)
    losses = [1.0, 0.5, 0.495, 0.496, 0.6, 0.1]
    stops = [stopping.stops(epoch(number, loss)) for number, loss in enumerate(losses[:5], start=1)]
    assert stops == [False, False, False, False, True]  # 0.495 is not 0.01 better than 0.5
    assert stopping.best is not None and stopping.best.number == 2
    assert "0.01 for 3 epochs" in stopping.sentence(epoch(5, 0.6))


def test_early_stopping_ends_a_diverged_training() -> None:
    stopping = EarlyStopping(0.0, 3)
    assert not stopping.stops(epoch(1, 2.0))
    assert stopping.stops(epoch(2, float("nan")))
    assert stopping.best is not None and stopping.best.number == 1
    assert "learning rate is too high" in stopping.sentence(epoch(2, float("nan")))
