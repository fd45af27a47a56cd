"""The dense head against torch, and the map of where it looked against a gradient taken by torch."""

from __future__ import annotations

import json
import tracemalloc
from dataclasses import replace
from itertools import islice, pairwise
from pathlib import Path

import numpy as np
import pytest
import torch
from torch.nn import functional

from lensmith.engines.head import Head, from_tensors, pool_map
from lensmith.errors import RunError, WeightsError
from lensmith.reproduce import generator
from lensmith.seeing.cam import grad_cam
from lensmith.training.dense import Stack
from lensmith.training.epoch import EarlyStopping, Epoch
from lensmith.training.head import Examples, HeadSettings, _adam, _Inputs, _scaling, fit_head
from lensmith.training.losses import LOSSES
from lensmith.training.rows import Rows


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
    gradients, loss, logits = Stack(flat).gradients(x, targets, None, LOSSES["cross_entropy"], l2, None)
    tensors = [torch.from_numpy(array).requires_grad_() for array in flat]
    values = torch.from_numpy(x)
    for index in range(0, len(tensors), 2):
        values = values @ tensors[index] + tensors[index + 1]
        values = values.relu() if index < len(tensors) - 2 else values
    entropy = functional.cross_entropy(values, torch.from_numpy(targets))
    (entropy + l2 / 2 * sum((t**2).sum() for t in tensors[::2])).backward()
    assert loss / 9 == pytest.approx(float(entropy.detach()), rel=1e-5)
    np.testing.assert_allclose(logits, values.detach().numpy(), rtol=1e-4, atol=1e-6)
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
    assert one.validation_metric > 0.9
    for name, tensor in one.state.items():
        assert np.array_equal(tensor, two.state[name])
    # The standardisation is folded in: the head alone, on raw features, gives the accuracy that was reported.
    right = from_tensors(one.state).logits(stopping.features).argmax(1) == stopping.targets
    assert right.mean() == pytest.approx(one.validation_metric)


# The first losses of a tiny run; they change only if the order, the first weights, dropout or the arithmetic change.
GOLDEN = {
    (): (1.075332, 1.012459, 0.954923, 0.903152),
    (16,): (1.055052, 0.930158, 0.877387, 0.784897),
}


@pytest.mark.parametrize("dense", GOLDEN)
def test_golden_losses(dense: tuple[int, ...]) -> None:
    settings = HeadSettings(dense, 0.5, 0.01, 16, 4, seed=3)
    losses = [epoch.train_loss for epoch in fit_head(blobs(120, 0), blobs(60, 1), 3, 1e-4, settings)]
    np.testing.assert_allclose(losses, GOLDEN[dense], rtol=1e-5)


@pytest.mark.parametrize("batch_size", [3, 8])
def test_the_training_loss_is_that_of_the_rows_learned_from(batch_size: int) -> None:
    """Of 9 rows, 8 a step, normalisation passes over the last; scores of zero cost ln 3 each."""
    settings = HeadSettings((4,), 0.0, 1e-12, batch_size, 1, seed=3, norm="before")
    epoch = next(fit_head(blobs(9, 0), blobs(9, 1), 3, 0.0, settings))
    assert epoch.train_loss == pytest.approx(np.log(3), rel=1e-5)


def test_an_epoch_says_what_happened() -> None:
    settings = HeadSettings((), 0.0, 0.01, 16, 3, seed=3, stage="frozen")
    train, stopping = blobs(120, 0), blobs(60, 1)
    one, two, _ = fit_head(train, stopping, 3, 1e-4, settings)
    assert (one.stage, one.number, one.gradient) == ("frozen", 1, None)
    assert one.change == pytest.approx(1), "from nothing, all of the length is new"
    assert 0 < two.change < 1
    assert one.logits is not None and two.logits is not None
    np.testing.assert_allclose(two.logits, from_tensors(two.state).logits(stopping.features), rtol=1e-3, atol=1e-4)


@pytest.mark.parametrize("dense", [(), (8,)])
def test_a_head_goes_on_from_its_snapshot(dense: tuple[int, ...]) -> None:
    settings = HeadSettings(dense, 0.5, 0.01, 16, 5, seed=3)
    parts = (blobs(120, 0), blobs(60, 1), 3, 1e-4, settings)
    snapshots, whole = [], []
    for each in fit_head(*parts):
        assert each.snapshot is not None
        snapshots.append(each.snapshot())
        whole.append(each)
    rest = list(fit_head(*parts, resume=snapshots[1]))
    assert [each.number for each in rest] == [3, 4, 5]
    assert rest[-1].train_loss == whole[-1].train_loss and rest[-1].change == whole[-1].change
    for name, tensor in whole[-1].state.items():
        assert np.array_equal(tensor, rest[-1].state[name])
    for broken in ({}, {**snapshots[1], "first.0": np.zeros((2, 2))}):
        with pytest.raises(RunError, match="does not fit this training"):
            next(fit_head(*parts, resume=broken))


def numbers(count: int, seed: int) -> Examples:
    """Two features tell a number around 500 with an error of 5; one of them varies less."""
    features = generator(seed, "numbers").normal(0, 1, (count, 2)) * [3, 0.5] + [100, 5]
    noise = generator(seed, "noise").normal(0, 5, count)
    found = 500 + 20 * (features[:, 0] - 100) - 80 * (features[:, 1] - 5) + noise
    return Examples(features.astype(np.float32), found.astype(np.float32))


def off_by(targets: np.ndarray, logits: np.ndarray) -> float:
    return float(np.abs(targets - logits[:, 0]).mean())


@pytest.mark.parametrize("loss", ["mae", "mse", "huber"])
@pytest.mark.parametrize("dense", [(), (16,)])
def test_numbers_in_their_own_unit(loss: str, dense: tuple[int, ...]) -> None:
    settings = HeadSettings(dense, 0.0, 0.02, 16, 60, seed=0, loss=loss)
    train, stopping = numbers(200, 0), numbers(100, 1)
    last = list(fit_head(train, stopping, 1, 0.0, settings, metric=off_by))[-1]
    answers = from_tensors(last.state).logits(stopping.features)
    assert off_by(stopping.targets, answers) == pytest.approx(last.validation_metric, rel=1e-3)
    assert last.validation_metric < 7  # the noise alone is 4 on average; always answering the mean is off by 57
    assert last.validation_loss < 0.2, "in standard deviations"


def test_a_feature_that_was_silent_in_training_does_not_shout_later() -> None:
    """One of twenty features is nothing but a trace of the target; a picture in which it fires must not explode."""
    random = generator(0, "silent")
    features = random.normal(0, 1, (200, 20)).astype(np.float32)
    targets = (features[:, 0] > 0).astype(np.int64)
    features[:, 19] = 1e-4 * targets
    settings = HeadSettings((), 0.0, 0.01, 16, 60, seed=0)
    last = list(fit_head(Examples(features, targets), Examples(features, targets), 2, 1e-5, settings))[-1]
    awake = features.copy()
    awake[:, 19] = 1.0
    head = from_tensors(last.state)
    assert np.abs(head.logits(awake)).max() < 5 * np.abs(head.logits(features)).max()


def test_least_squares_is_found() -> None:
    from sklearn.linear_model import LinearRegression

    train = numbers(200, 0)
    settings = HeadSettings((), 0.0, 0.02, 200, 1200, seed=0, loss="mse")
    last = list(fit_head(train, train, 1, 0.0, settings, metric=off_by))[-1]
    oracle = LinearRegression().fit(train.features.astype(np.float64), train.targets)
    found = from_tensors(last.state).logits(train.features)[:, 0]
    np.testing.assert_allclose(found, oracle.predict(train.features), atol=0.5)


def test_labels_are_what_scikit_learn_finds_one_by_one() -> None:
    """Binary cross-entropy is a logistic regression a label; its mean over two labels halves each one's share."""
    from sklearn.linear_model import LogisticRegression

    features = blobs(120, 0).features
    labels = np.stack([np.arange(120) % 3 == 0, np.arange(120) % 2 == 0], axis=1).astype(np.uint8)
    weights = np.where(labels == 1, 3.0, 1.0).astype(np.float32)
    settings = HeadSettings((), 0.0, 0.05, 120, 1000, seed=0, loss="binary_cross_entropy")
    train = Examples(features, labels, weights)
    last = list(fit_head(train, train, 2, 0.01, settings, metric=lambda targets, logits: 0.0))[-1]
    scaled = (features - features.mean(0)) / features.std(0) / np.sqrt(12)
    for label in range(2):
        oracle = LogisticRegression(C=1 / (2 * 0.01 * 120), max_iter=5000, tol=1e-8)
        oracle.fit(scaled, labels[:, label], sample_weight=weights[:, label])
        found = from_tensors(last.state).logits(features)[:, label]
        np.testing.assert_allclose(found, oracle.decision_function(scaled), atol=0.03)


def test_weights_are_pictures_seen_more_often() -> None:
    """A picture that counts twice is a picture that is there twice (one batch, standardised alike)."""
    part = blobs(60, 0)
    twice = Examples(np.concatenate([part.features] * 2), np.concatenate([part.targets] * 2))
    counted = Examples(part.features, part.targets, np.full(60, 2, np.float32))
    settings = HeadSettings((), 0.0, 0.01, 60, 5, seed=0)
    one = list(fit_head(counted, part, 3, 0.0, settings))[-1]
    two = list(fit_head(twice, part, 3, 0.0, replace(settings, batch_size=120)))[-1]
    assert one.train_loss == pytest.approx(2 * two.train_loss, rel=1e-4)
    uneven = Examples(part.features, part.targets, np.where(part.targets == 0, 50, 0.1).astype(np.float32))
    last = list(fit_head(uneven, part, 3, 1e-3, replace(settings, epochs=40, learning_rate=0.05)))[-1]
    answers = from_tensors(last.state).logits(part.features).argmax(1)
    assert (answers == 0).mean() > 0.4, "what counts much is answered often"


@pytest.mark.parametrize("loss", ["cross_entropy", "mse"])
@pytest.mark.parametrize("dense", [(), (8,)])
def test_warm_start_begins_where_the_head_ended(loss: str, dense: tuple[int, ...]) -> None:
    if loss == "mse":
        train, outputs, metric = numbers(120, 0), 1, off_by
    else:
        train, outputs, metric = blobs(120, 0), 3, lambda targets, logits: float((logits.argmax(1) == targets).mean())
    settings = HeadSettings(dense, 0.0, 0.01, 16, 20, seed=0, loss=loss)
    first = list(fit_head(train, train, outputs, 1e-4, settings, metric=metric))[-1]
    head = from_tensors(first.state)
    still = replace(settings, learning_rate=0.0, epochs=1)
    again = next(fit_head(train, train, outputs, 1e-4, still, metric=metric, start=head))
    assert again.validation_loss == pytest.approx(first.validation_loss, rel=1e-3)
    assert again.validation_metric == pytest.approx(first.validation_metric, rel=1e-3)
    assert again.change == 0
    with pytest.raises(ValueError, match="must be widths"):
        next(fit_head(train, train, outputs, 1e-4, replace(settings, dense=(5,)), metric=metric, start=head))


def test_views_are_learned_from_and_never_validated_on() -> None:
    """Each epoch brings its own features; the clean ones set the scale, the rate falls along half a cosine."""
    train, stopping = blobs(120, 0), blobs(60, 1)
    asked: list[int] = []

    def views(number: int) -> np.ndarray:
        asked.append(number)
        return train.features + generator(number, "view").normal(0, 0.5, train.features.shape).astype(np.float32)

    settings = HeadSettings((), 0.0, 0.5, 120, 10, seed=0, stage="frozen")
    epochs = list(fit_head(train, stopping, 3, 1e-4, settings, views=views))
    assert asked == list(range(1, 11))
    rates = [epoch.learning_rate for epoch in epochs]
    np.testing.assert_allclose(rates, 0.25 * (1 + np.cos(np.pi * np.arange(10) / 10)))
    last = epochs[-1]
    right = from_tensors(last.state).logits(stopping.features).argmax(1) == stopping.targets
    assert right.mean() == pytest.approx(last.validation_metric) and last.validation_metric > 0.85
    same = next(fit_head(train, stopping, 3, 1e-4, settings, views=lambda number: train.features))
    assert epochs[0].train_loss == pytest.approx(same.train_loss), "before the first step all logits are zero"
    assert last.state["head.0.weight"].shape == (3, 12)


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


def epoch(number: int, loss: float, *, train: float = 1.0, right: float = 0.0, change: float = 1.0) -> Epoch:
    return Epoch("scratch", number, None, train, loss, right, 0.0, 0.01, 1.5, change, 0.1, {})


def test_early_stopping_waits_and_keeps_the_best() -> None:
    stopping = EarlyStopping(min_delta=0.01, patience=3)
    losses = [1.0, 0.5, 0.495, 0.496, 0.6, 0.1]
    stops = [stopping.stops(epoch(number, loss)) for number, loss in enumerate(losses[:5], start=1)]
    assert stops == [False, False, False, False, True]  # 0.495 is not 0.01 better than 0.5
    assert stopping.best is not None and stopping.best.number == 2
    assert "0.01 for 3 epochs" in stopping.sentence(epoch(5, 0.6))


@pytest.mark.parametrize("broken", [epoch(2, float("nan")), epoch(2, 0.1, train=float("inf"))])
def test_early_stopping_ends_at_what_is_no_number(broken: Epoch) -> None:
    stopping = EarlyStopping(0.0, 3)
    assert not stopping.stops(epoch(1, 2.0))
    assert stopping.stops(broken)
    assert stopping.best is not None and stopping.best.number == 1
    assert "learning rate is too high" in stopping.sentence(broken)


def test_early_stopping_ends_a_diverged_training() -> None:
    stopping = EarlyStopping(0.0, 30)
    assert not stopping.stops(epoch(1, 2.0, train=2.0))
    assert not stopping.stops(epoch(2, 2.1, train=19.9))
    assert stopping.stops(epoch(3, 1.0, train=20.0)), "not kept, though its validation loss is lower"
    assert stopping.best is not None and stopping.best.number == 1
    assert "diverged: in epoch 3 the training loss had grown to 20" in stopping.sentence(epoch(3, 1.0, train=20.0))


def test_a_loss_next_to_nothing_may_grow_tenfold() -> None:
    stopping = EarlyStopping(0.0, 30)
    assert not any(stopping.stops(epoch(number, 0.1, train=loss)) for number, loss in enumerate((0.001, 0.05, 0.9)))


def test_training_right_and_weights_at_rest() -> None:
    stopping = EarlyStopping(0.0, 3, right=0.99)
    assert not stopping.stops(epoch(1, 1.0, right=0.98))
    assert stopping.stops(epoch(2, 0.9, right=0.99))
    assert stopping.best is not None and stopping.best.number == 2
    assert "99.0% of the training pictures were right" in stopping.sentence(epoch(2, 0.9, right=0.99))
    resting = EarlyStopping(0.0, 3, rest=1e-3)
    assert not resting.stops(epoch(1, 1.0, right=1.0, change=1e-3))
    assert resting.stops(epoch(2, 1.1, change=9e-4))
    assert resting.best is not None and resting.best.number == 1
    assert "at rest: epoch 2 changed them by 0.0009" in resting.sentence(epoch(2, 1.1, change=9e-4))
    plain = EarlyStopping(0.0, 3)
    assert not plain.stops(epoch(1, 1.0, right=1.0, change=0.0)), "off unless asked for"
    assert plain.sentence(epoch(1, 1.0)) == "all 1 epochs were run"


def test_early_stopping_goes_on_from_its_state() -> None:
    """Through JSON and back at any epoch, every decision stays the same, whatever the floats."""
    losses = generator(0, "losses").normal(1, 0.1, 40) - np.linspace(0, 0.3, 40)
    whole = EarlyStopping(0.01, 8)
    decisions = [(whole.stops(epoch(n, loss)), whole.best and whole.best.number) for n, loss in enumerate(losses, 1)]
    assert any(stop for stop, _ in decisions)
    for cut in range(0, 40, 3):
        first, second = EarlyStopping(0.01, 8), EarlyStopping(0.01, 8)
        for number, loss in enumerate(losses[:cut], 1):
            first.stops(epoch(number, np.float64(loss)))
        weights = {"w": np.ones(3)}
        second.restore(json.loads(json.dumps(first.state())), weights)
        if second.best is not None and first.best is not None:
            assert second.best.state is weights and second.best.validation_loss == first.best.validation_loss
        assert second.waited == first.waited and second.first_loss == first.first_loss
        rest = enumerate(losses[cut:], cut + 1)
        found = [(second.stops(epoch(n, loss)), second.best and second.best.number) for n, loss in rest]
        assert found == decisions[cut:]


MANY = {"SMALL": 2_000, "BLOCK": 12 * 4 * 40}  # bytes: what 120 blobs are is many, and 40 of them are a block


@pytest.fixture
def many(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let a few examples count as many: they are standardised in blocks and never held together."""
    for name, value in MANY.items():
        monkeypatch.setattr(f"lensmith.training.head.{name}", value)
    monkeypatch.setattr("lensmith.training.rows.SMALL", MANY["SMALL"])


def spread_out(examples: Examples, folder: Path) -> Examples:
    """The same examples among others of the same features, which lie in a file."""
    places = generator(9, "places").permutation(3 * len(examples))[: len(examples)]
    rows = Rows(3 * len(examples), folder)
    for place, row in zip(places.tolist(), examples.at(slice(None)), strict=True):
        rows[place] = row
    return Examples(rows, examples.targets, examples.weights, rows=places)


@pytest.mark.parametrize("dense", [(), (16,)])
def test_rows_of_many_features_are_the_same_examples(dense: tuple[int, ...], tmp_path: Path) -> None:
    settings = HeadSettings(dense, 0.5, 0.01, 16, 4, seed=3)
    train, stopping = blobs(120, 0), blobs(60, 1)
    parts = spread_out(train, tmp_path), spread_out(stopping, tmp_path)
    for one, two in zip(fit_head(train, stopping, 3, 1e-4, settings), fit_head(*parts, 3, 1e-4, settings), strict=True):
        assert (one.train_loss, one.validation_loss) == (two.train_loss, two.validation_loss)
        assert all(np.array_equal(tensor, two.state[name]) for name, tensor in one.state.items())


@pytest.mark.usefixtures("many")
def test_every_epoch_shows_every_one_of_many_examples_once(tmp_path: Path) -> None:
    train = spread_out(blobs(123, 0), tmp_path)
    scale = _scaling(train, HeadSettings((), 0.0, 0.01, 8, 1, 0))
    inputs, orders = _Inputs(train, scale), []
    for epoch in (1, 2):
        seen = list(inputs.batches(8, generator(0, "order", epoch)))
        assert [len(chosen) for chosen, _ in seen] == [8] * 15 + [3]
        orders.append(np.concatenate([chosen for chosen, _ in seen]))
        assert np.array_equal(np.sort(orders[-1]), np.arange(123))
        for chosen, features in seen:
            np.testing.assert_allclose(features, scale.inputs(train.at(chosen)))
    assert not np.array_equal(*orders)
    first = orders[0][:40]
    assert first.max() - first.min() > 60, "a block holds pieces from far apart"


@pytest.mark.usefixtures("many")
@pytest.mark.parametrize("dense", [(), (16,)])
def test_many_examples_teach_what_few_do(
    dense: tuple[int, ...], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    settings = HeadSettings(dense, 0.5, 0.01, 16, 40, seed=3)
    train, stopping = spread_out(blobs(120, 0), tmp_path), spread_out(blobs(60, 1), tmp_path)
    last = list(fit_head(train, stopping, 3, 1e-4, settings))[-1]
    head = from_tensors(last.state)
    right = head.logits(stopping.at(slice(None))).argmax(1) == stopping.targets
    assert right.mean() == pytest.approx(last.validation_metric) and right.mean() > 0.9
    assert last.logits is not None and len(last.logits) == 60
    again = list(fit_head(train, stopping, 3, 1e-4, settings, resume=resumed(train, stopping, settings)))
    assert again[-1].validation_loss == last.validation_loss
    monkeypatch.setattr("lensmith.training.head.SMALL", 2**30)
    together = list(fit_head(train, stopping, 3, 1e-4, settings))[-1]
    assert last.validation_loss == pytest.approx(together.validation_loss, rel=0.05)


def resumed(train: Examples, stopping: Examples, settings: HeadSettings) -> dict[str, np.ndarray]:
    """Return the snapshot after two epochs."""
    _, two = islice(fit_head(train, stopping, 3, 1e-4, settings), 2)
    assert two.snapshot is not None
    return dict(two.snapshot())


def test_memory_does_not_grow_with_the_examples(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Ten times as many examples need no more than their targets, logits and order more: not their features."""
    for module in ("rows", "head"):
        monkeypatch.setattr(f"lensmith.training.{module}.SMALL", 2**17)
    monkeypatch.setattr("lensmith.training.head.BLOCK", 2**17)
    peaks, width = [], 128
    for count in (2_000, 20_000):
        rows = Rows(count, tmp_path)
        for place in range(count):
            rows[place] = np.full(width, place % 7, np.float32)
        examples = Examples(rows, np.arange(count) % 2, rows=np.arange(count))
        tracemalloc.start()
        list(fit_head(examples, examples, 2, 1e-4, HeadSettings((), 0.0, 0.01, 64, 2, seed=0)))
        peaks.append(tracemalloc.get_traced_memory()[1])
        tracemalloc.stop()
    assert peaks[1] - peaks[0] < 0.3 * 18_000 * 4 * width
