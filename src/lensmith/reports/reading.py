"""Sentences for the report: the surest mistakes, the hardest right answers, and which words spoke for the answer."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from lensmith.data.vocabulary import Vocabulary
from lensmith.engines.interface import collect
from lensmith.model import Model
from lensmith.reports.examples import MOST_HARD, MOST_MISTAKES, MOST_TYPICAL
from lensmith.run import Run
from lensmith.seeing.words import word_weights


def write_sentences(
    run: Run,
    model: Model,
    vocabulary: Vocabulary,
    paths: Sequence[str],
    sentences: Sequence[str],
    targets: np.ndarray,
    answers: np.ndarray,
) -> None:
    """Choose sentences of the held-out split and write them, with the weight of each word, into the run."""
    task = model.task
    outputs, signs = task.explained(answers)

    def logits(numbers: np.ndarray) -> np.ndarray:
        return model.head.logits(collect(model.chosen.engine.run(numbers)).features)

    entries = []
    for kind, index in task.order(targets, answers).chosen(MOST_MISTAKES, MOST_HARD, MOST_TYPICAL):
        words = word_weights(logits, vocabulary, sentences[index], int(outputs[index]), float(signs[index]))
        row = task.row(answers[index])
        entries.append(
            {
                "kind": kind,
                "path": paths[index],
                "words": [[word, round(weight, 4)] for word, weight in words],
                "target": task.target_text(targets[index]),
                "predicted": task.target_text(task.decode(answers[index : index + 1])[0]),
                "right": kind != "mistake",
                "confidence": None if row.get("confidence") is None else round(float(row["confidence"]), 4),
            }
        )
    run.write_json("figures/sentences.json", entries)
