"""How a sentence becomes numbers: words by their place in a vocabulary, found in the training sentences.

A word of the vocabulary is its place in it; 0 is no word, and fills up shorter sentences; 1 is any word that the
training sentences have too seldom to learn from.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np

from lensmith.data.labels import one_form
from lensmith.errors import DataError

PADDING, UNKNOWN = 0, 1
FIRST = 2  # the number of the first word
LEAST = 2  # times that a word must occur in the training sentences
MOST_WORDS = 400  # of a sentence; what comes after is not read
# Words with their apostrophes apart (it 's, do n't), numbers, and each other sign by itself.
WORD = re.compile(r"n't\b|'[^\W\d_]+|[^\W\d_]+?(?=n't\b)|[^\W_]+|[^\w\s]|_")


def words_of(sentence: str) -> list[str]:
    """Return the words and signs of a sentence, in small letters, as many as are read."""
    return WORD.findall(one_form(sentence).casefold())[:MOST_WORDS]


@dataclass(frozen=True)
class Vocabulary:
    """The words that a model knows, and how it reads them.

    column: the column of the table that sentences come from. margin: so many zeros stand before each sentence, so that
    a filter of that width begins on no word in every one of them, and further zeros after it change no maximum.
    """

    words: tuple[str, ...]
    margin: int
    column: str = "text"
    kind: str = "words"

    @property
    def names(self) -> tuple[str, ...]:
        """The columns it reads."""
        return (self.column,)

    @property
    def size(self) -> int:
        """How many different numbers there are."""
        return FIRST + len(self.words)

    @cached_property
    def _places(self) -> dict[str, int]:
        return {word: place for place, word in enumerate(self.words, FIRST)}

    def encode(self, cells: Sequence[Sequence[str]]) -> np.ndarray:
        """Return (n, L) int32, L as long as the longest of these sentences needs."""
        numbers = [[self._places.get(word, UNKNOWN) for word in words_of(sentence)] for (sentence,) in cells]
        longest = max((len(row) for row in numbers), default=0)
        found = np.full((len(numbers), self.margin + max(longest, 1) + self.margin), PADDING, np.int32)
        for row, places in enumerate(numbers):
            found[row, self.margin : self.margin + len(places)] = places
        return found

    def as_dict(self) -> dict[str, Any]:
        """Return the JSON-ready form."""
        return {"kind": self.kind, "column": self.column, "margin": self.margin, "words": list(self.words)}


def vocabulary_from_dict(fields: dict[str, Any]) -> Vocabulary:
    """Return the Vocabulary that `as_dict` wrote."""
    return Vocabulary(tuple(map(str, fields["words"])), int(fields["margin"]), str(fields["column"]))


def fit_vocabulary(column: str, sentences: Sequence[str], margin: int) -> Vocabulary:
    """Return the words that occur often enough in the training sentences, sorted. Raises DataError where none does."""
    counts = Counter(word for sentence in sentences for word in words_of(sentence))
    words = tuple(sorted(word for word, count in counts.items() if count >= LEAST))
    if not words:
        raise DataError(
            f"no word occurs {LEAST} times in the {len(sentences)} training sentences, so there is nothing to learn "
            f"from. Add sentences."
        )
    return Vocabulary(words, margin, column)
