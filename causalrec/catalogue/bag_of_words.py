"""Texts as the words that they hold, weighed by how few texts hold each."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Sequence

import numpy as np

from causalrec.types import Floats

WORD = re.compile(r"\w+")
MOST_WORDS = 4096
MOST_NUMBERS = 1 << 26  # of all vectors together


def bag_of_words(texts: Sequence[str]) -> Floats:
    """Return the weight of each word in each text, float32[T,W]: 0 throughout where a text has none of them.

    `count * (log((1 + T) / (1 + n)) + 1)`, n the number of texts with the word (Salton & Buckley, Information
    Processing & Management 1988; smoothed as scikit-learn does). Words in lower case; of many the 4,096 in most texts
    (fewer where all vectors would take above 2^26 numbers), ties by alphabet: what few texts hold makes few alike.

    >>> bag_of_words(["Toy Toy Story", "story story"]).astype(int).tolist()
    [[1, 2], [2, 0]]
    """
    counts = [Counter(WORD.findall(text.lower())) for text in texts]
    in_texts = Counter(word for each in counts for word in each)
    most = min(MOST_WORDS, max(1, MOST_NUMBERS // max(len(texts), 1)))
    words = sorted(in_texts, key=lambda word: (-in_texts[word], word))[:most]
    column_of = {word: k for k, word in enumerate(words)}
    weights = np.zeros((len(texts), len(words)), np.float32)
    for row, each in enumerate(counts):
        for word, count in each.items():
            if word in column_of:
                weights[row, column_of[word]] = count
    rarity = [np.log((1 + len(texts)) / (1 + in_texts[word])) + 1 for word in words]
    return weights * np.array(rarity, np.float32)
