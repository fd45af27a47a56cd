"""What the words of a sentence count for: how much less the network says its answer when one word is not known.

Leaving out one thing at a time is occlusion (Zeiler and Fergus 2014, section 4.2) on words.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from lensmith.data.vocabulary import UNKNOWN, Vocabulary, words_of


def word_weights(
    logits: Callable[[np.ndarray], np.ndarray], vocabulary: Vocabulary, sentence: str, output: int, sign: float
) -> list[tuple[str, float]]:
    """Return the words as they are read, each with what the logit of an output loses without it, times `sign`.

    logits: (n, L) whole numbers of words to (n, k). Below zero, a word speaks against the answer.
    """
    words = words_of(sentence)
    if not words:
        return []
    whole = vocabulary.encode([[sentence]])
    without = np.repeat(whole, len(words) + 1, 0)
    rows = np.arange(len(words))
    without[rows + 1, vocabulary.margin + rows] = UNKNOWN
    answers = logits(without)[:, output]
    return list(zip(words, (sign * (answers[0] - answers[1:])).tolist(), strict=True))
