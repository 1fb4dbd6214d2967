"""How well each of some texts answers a query: by its words, or by its meaning and its words."""

from __future__ import annotations

import math
import re
from collections import Counter
from collections.abc import Sequence
from operator import mul
from typing import Protocol, runtime_checkable

from langchain_core.embeddings import Embeddings


@runtime_checkable
class Ranker(Protocol):
    """Scores texts against a query. Which scale it uses is its own affair; only the order and the ratios count."""

    def scores(self, query: str, texts: Sequence[str]) -> list[float]:
        """Score texts.

        Args:
            query: What is asked; it may be empty.
            texts: What might answer, in the order in which they stand.

        Returns:
            A score for each text, in their order: the higher, the better it answers.
        """
        ...


class Bm25:
    """Okapi BM25 over the texts at hand (Robertson and Zaragoza 2009), with Lucene's idf, which is never negative.

    Words are letters and digits in lower case without an English plural; scripts that write no blanks are read by pairs
    of characters. Nothing is learned and nothing is loaded: about 1 ms for 1,000 tokens of text.

    Args:
        k1: How soon a word that is said again counts no more.
        b: How far a long text is held to its length, from 0 to 1.

    Example:
        >>> texts = ["Refunds take 5 days.", "We ship to 40 countries.", "Ask for a refund in the app."]
        >>> scores = Bm25().scores("How long do refunds take?", texts)
        >>> max(texts, key=dict(zip(texts, scores)).get)
        'Refunds take 5 days.'
    """

    def __init__(self, *, k1: float = 1.5, b: float = 0.75) -> None:
        self._k1, self._b = k1, b

    def scores(self, query: str, texts: Sequence[str]) -> list[float]:
        """Score texts; 0.0 where none of the query's words is in a text."""
        asked = dict.fromkeys(words(query))
        said = [words(text) for text in texts]
        lengths = [len(one) for one in said]
        mean = sum(lengths) / len(lengths) if any(lengths) else 1.0
        counts = [Counter(word for word in one if word in asked) for one in said]
        there = Counter(word for one in counts for word in one)
        idf = {word: math.log(1 + (len(texts) - n + 0.5) / (n + 0.5)) for word, n in there.items()}
        return [self._score(one, idf, length / mean) for one, length in zip(counts, lengths, strict=True)]

    def _score(self, counts: Counter[str], idf: dict[str, float], length: float) -> float:
        held = self._k1 * (1 - self._b + self._b * length)
        return sum(idf[word] * n * (self._k1 + 1) / (n + held) for word, n in counts.items())


class Hybrid:
    """The cosine of embeddings, and BM25 at half its weight: each finds what the other misses.

    BM25 is divided by its best score, so both parts are of one scale.

    Args:
        embeddings: Any embeddings of LangChain; those of `langchain_agentcost.caching` run on this machine.
        words: How much the words count beside the meaning; 0.5 was best of a few on questions about Wikipedia.
        bm25: Scores the words.

    Example:
        >>> from langchain_core.embeddings import DeterministicFakeEmbedding
        >>> hybrid = Hybrid(DeterministicFakeEmbedding(size=8))
        >>> len(hybrid.scores("How long do refunds take?", ["Refunds take 5 days.", "We ship abroad."]))
        2
    """

    def __init__(self, embeddings: Embeddings, *, words: float = 0.5, bm25: Ranker | None = None) -> None:
        self._embeddings = embeddings
        self._weight = words
        self._bm25 = bm25 or Bm25()

    def scores(self, query: str, texts: Sequence[str]) -> list[float]:
        """Score texts: from about -1.0 to 1.0 and the weight of the words."""
        if not texts:
            return []
        asked = self._embeddings.embed_query(query)
        vectors = self._embeddings.embed_documents(list(texts))
        by_words = self._bm25.scores(query, texts)
        share = self._weight / (max(by_words) or 1.0)
        return [cosine(asked, one) + share * score for one, score in zip(vectors, by_words, strict=True)]


def cosine(a: Sequence[float], b: Sequence[float]) -> float:
    """Give the cosine of two vectors; 0.0 where one is all zeros.

    Example:
        >>> cosine([3.0, 4.0], [6.0, 8.0])
        1.0
    """
    lengths = math.sqrt(sum(map(mul, a, a))) * math.sqrt(sum(map(mul, b, b)))
    return sum(map(mul, a, b)) / lengths if lengths else 0.0


def words(text: str) -> list[str]:
    """Give the words of a text as they are compared: in lower case, without an English plural's s.

    Example:
        >>> words("Orders_2024: parties of 4, 東京都")
        ['order', '2024', 'party', 'of', '4', '東京', '京都']
    """
    found: list[str] = []
    for word in _WORD.findall(text.lower()):
        if word.isascii() or not _UNSPACED.match(word):
            found.append(_singular(word))
        elif len(word) == 1:
            found.append(word)
        else:
            found += [word[at : at + 2] for at in range(len(word) - 1)]
    return found


_SCRIPTS = (
    "\u0e00-\u0eff\u1000-\u109f\u1780-\u17ff\u3040-\u30ff\u3400-\u9fff\uac00-\ud7af\uf900-\ufaff\U00020000-\U0003ffff"
)
"""Thai, Lao, Burmese, Khmer, kana, Han and Hangul, which do not part words by blanks, or glue particles to them."""

_UNSPACED = re.compile(f"[{_SCRIPTS}]")
_WORD = re.compile(f"[{_SCRIPTS}]+|[^\\W_{_SCRIPTS}]+")


def _singular(word: str) -> str:
    """Without a plural's s, as Harman's S stemmer does (1991): enough to find, and it joins few words that differ."""
    if len(word) < 4 or word[-1] != "s":  # "gas" and "his" are no plurals
        return word
    if word.endswith("ies"):
        return word[:-3] + "y"
    return word if word.endswith(("ss", "us", "is")) else word[:-1]
