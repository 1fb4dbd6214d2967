"""What answers a query is found, by its words and by its meaning, in any language."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st
from langchain_core.embeddings import DeterministicFakeEmbedding, Embeddings

from langchain_agentcost.context.ranking import Bm25, Hybrid, Ranker, cosine, words

SHOP = [
    "Our office is in Bremen.",
    "A parcel to Norway takes nine days.",
    "Gift cards are valid for three years.",
    "You may cancel an order until it is packed.",
]


class _Topics(Embeddings):
    """Knows two topics, whatever words name them."""

    def embed_query(self, text: str) -> list[float]:
        """Embed by topic."""
        low = text.lower()
        return [float(any(word in low for word in ("parcel", "shipping"))), float("gift" in low or "voucher" in low)]

    def embed_documents(self, texts: list[str]) -> list[list[float]]:
        """Embed each."""
        return [self.embed_query(text) for text in texts]


def _best(ranker: Ranker, query: str, texts: list[str]) -> str:
    scores = ranker.scores(query, texts)
    return texts[scores.index(max(scores))]


@pytest.mark.parametrize(
    ("query", "answer"), [("cancelling orders", SHOP[3]), ("NORWAY?", SHOP[1]), ("where is the office", SHOP[0])]
)
def test_bm25_finds_by_words(query: str, answer: str) -> None:
    """Case and plurals do not matter."""
    assert _best(Bm25(), query, SHOP) == answer


def test_bm25_finds_where_no_blanks_are_written() -> None:
    """Japanese and Thai are read by pairs of characters."""
    assert _best(Bm25(), "返品の期限", ["送料は無料です。", "返品は三十日以内です。"]) == "返品は三十日以内です。"
    assert _best(Bm25(), "คืนเงิน", ["จัดส่งฟรีทุกวัน", "ขอคืนเงินได้ทุกวัน"]) == "ขอคืนเงินได้ทุกวัน"


def test_a_rare_word_counts_more_than_a_common_one() -> None:
    """Of two texts with one asked word each, the one with the rarer word is better."""
    texts = ["an order of tea", "an order of rice", "an order of salt", "the tea of Assam"]
    scores = Bm25().scores("order Assam", texts)
    assert scores[3] > scores[0] > 0


def test_a_long_text_is_held_to_its_length() -> None:
    """The same word in fewer words is worth more; with b=0 it is worth the same."""
    texts = ["tea", "tea and a very long list of other things", "rice"]
    short, long, none = Bm25().scores("tea", texts)
    assert short > long > none == 0
    same = Bm25(b=0.0).scores("tea", texts)
    assert same[0] == same[1]


def test_nothing_asked_scores_nothing() -> None:
    """An empty query or empty texts score 0, and no texts no scores."""
    assert Bm25().scores("", SHOP) == [0.0] * 4
    assert Bm25().scores("tea", ["", "  "]) == [0.0, 0.0]
    assert Bm25().scores("tea", []) == []


def test_hybrid_finds_by_meaning_what_words_miss() -> None:
    """Another word for the same thing is found, and words decide where the meaning is the same."""
    hybrid = Hybrid(_Topics())
    assert Bm25().scores("voucher lifetime", SHOP) == [0.0] * 4
    assert _best(hybrid, "voucher lifetime", SHOP) == SHOP[2]
    assert _best(hybrid, "shipping: nine days", ["A parcel weighs little.", SHOP[1]]) == SHOP[1]


def test_hybrid_with_no_weight_on_words_is_the_cosine() -> None:
    """The words can be left out; no texts give no scores."""
    assert Hybrid(_Topics(), words=0.0).scores("gift", SHOP) == [0.0, 0.0, 1.0, 0.0]
    assert Hybrid(_Topics()).scores("gift", []) == []


def test_a_vector_need_not_have_length_one() -> None:
    """The cosine divides by the lengths; a vector of zeros is like nothing."""
    assert cosine([2.0, 0.0], [5.0, 0.0]) == 1.0
    assert cosine([0.0], [1.0]) == 0.0


@given(st.text(max_size=30), st.lists(st.text(max_size=60), max_size=8))
def test_any_text_gets_a_finite_score_each_time_the_same(query: str, texts: list[str]) -> None:
    """One score a text, the same each time, and BM25's never below 0."""
    scores = Bm25().scores(query, texts)
    assert len(scores) == len(texts)
    assert all(0 <= score < float("inf") for score in scores)
    assert Bm25().scores(query, texts) == scores
    hybrid = Hybrid(DeterministicFakeEmbedding(size=4))
    assert hybrid.scores(query, texts) == hybrid.scores(query, texts)


def test_plurals_and_names_are_parted() -> None:
    """Identifiers fall into their parts, and only plurals lose their s."""
    assert words("user_names: class, bus, analysis, cities, boxes") == [
        "user", "name", "class", "bus", "analysis", "city", "boxe",
    ]  # fmt: skip
