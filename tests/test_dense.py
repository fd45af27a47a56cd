"""The dense stack in numpy, against torch: gradients, batch normalisation in every place, and what is folded."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
import pytest
import torch
from torch import nn

from lensmith.reproduce import generator
from lensmith.training.dense import NORMS, Stack, drawn, forward
from lensmith.training.head import Examples, HeadSettings, fit_head
from lensmith.training.losses import LOSSES

WIDTHS = (5, 8, 7, 3)


def twin(stack: Stack) -> nn.Sequential:
    """The same layers in torch."""
    layers: list[nn.Module] = [nn.BatchNorm1d(WIDTHS[0])] if stack.norm == "first" else []
    for place, (inputs, outputs) in enumerate(pairwise(WIDTHS)):
        dense = nn.Linear(inputs, outputs)
        dense.weight.data = torch.from_numpy(stack.dense[2 * place].T.copy())
        dense.bias.data = torch.from_numpy(stack.dense[2 * place + 1].copy())
        layers.append(dense)
        if outputs != WIDTHS[-1]:
            norm = [nn.BatchNorm1d(outputs)]
            layers += [*(norm if stack.norm == "before" else []), nn.ReLU(), *(norm if stack.norm == "after" else [])]
    return nn.Sequential(*layers)


def stack_of(norm: str) -> tuple[Stack, np.ndarray, np.ndarray]:
    random = generator(0, "stack", norm)
    dense = [array + random.normal(0, 0.3, array.shape).astype(np.float32) for array in drawn(WIDTHS, 0)]
    return Stack(dense, norm), random.normal(2, 3, (20, 5)).astype(np.float32), random.integers(0, 3, 20)


@pytest.mark.parametrize("norm", NORMS)
def test_gradients_are_those_of_torch(norm: str) -> None:
    stack, x, targets = stack_of(norm)
    network = twin(stack)
    gradients, losses, logits = stack.gradients(x, targets, None, LOSSES["cross_entropy"], 0.0, None)
    answers = network(torch.from_numpy(x))
    loss = nn.functional.cross_entropy(answers, torch.from_numpy(targets))
    loss.backward()  # type: ignore[no-untyped-call]
    np.testing.assert_allclose(logits, answers.detach(), rtol=1e-4, atol=1e-5)
    assert losses / 20 == pytest.approx(float(loss.detach()), rel=1e-5)
    dense = [layer for layer in network if isinstance(layer, nn.Linear)]
    normed = [layer for layer in network if isinstance(layer, nn.BatchNorm1d)]
    expected = [part for layer in dense for part in (layer.weight.grad.T, layer.bias.grad)]  # type: ignore[union-attr]
    expected += [part for layer in normed for part in (layer.weight.grad, layer.bias.grad)]
    for found, wanted in zip(gradients, expected, strict=True):
        np.testing.assert_allclose(found, wanted, rtol=2e-3, atol=2e-5)


@pytest.mark.parametrize("norm", NORMS)
def test_what_is_folded_answers_as_torch_does_in_use(norm: str) -> None:
    stack, x, targets = stack_of(norm)
    network = twin(stack)
    for _ in range(3):  # the running averages move
        stack.gradients(x, targets, None, LOSSES["cross_entropy"], 0.0, None)
        network(torch.from_numpy(x))
    for norm_here, layer in zip(
        stack.norms, [each for each in network if isinstance(each, nn.BatchNorm1d)], strict=True
    ):
        np.testing.assert_allclose(norm_here.mean, layer.running_mean, rtol=1e-4, atol=1e-5)  # type: ignore[arg-type]
        np.testing.assert_allclose(norm_here.variance, layer.running_var, rtol=1e-4, atol=1e-5)  # type: ignore[arg-type]
    with torch.no_grad():
        wanted = network.eval()(torch.from_numpy(x))
    np.testing.assert_allclose(forward(stack.folded(), x), wanted, rtol=1e-3, atol=1e-4)


def test_dropout_keeps_the_mean() -> None:
    stack = Stack(
        [
            np.eye(1, 4000, dtype=np.float32) * 0 + 1,
            np.zeros(4000, np.float32),
            np.full((4000, 1), 1 / 4000, np.float32),
            np.zeros(1, np.float32),
        ],
        dropout=0.25,
    )
    _, _, logits = stack.gradients(
        np.ones((2, 1), np.float32), np.zeros(2), None, LOSSES["mse"], 0.0, generator(0, "dropout")
    )
    np.testing.assert_allclose(logits, 1, atol=0.05)
    assert (logits != 1).all()


@pytest.mark.parametrize("norm", NORMS)
def test_training_goes_on_from_a_snapshot_as_if_nothing_had_been(norm: str) -> None:
    random = generator(0, "resume")
    x, targets = random.normal(size=(65, 6)).astype(np.float32), random.integers(0, 3, 65)  # the last batch is one row
    settings = HeadSettings((9,), 0.3, 0.01, 16, 5, 0, norm=norm)
    examples = Examples(x, targets)
    whole = list(fit_head(examples, examples, 3, 1e-3, settings))
    series = fit_head(examples, examples, 3, 1e-3, settings)
    halves = [next(series), next(series)]
    assert halves[1].snapshot is not None
    rest = list(fit_head(examples, examples, 3, 1e-3, settings, resume=halves[1].snapshot()))
    assert [epoch.validation_loss for epoch in (*halves, *rest)] == [epoch.validation_loss for epoch in whole]
    assert whole[-1].train_loss < whole[0].train_loss
