from __future__ import annotations

import gzip
import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any
from zlib import crc32

import pytest
from langchain_core.embeddings import Embeddings

numpy = pytest.importorskip("numpy")
pytest.importorskip("scipy")

import semantic_cache  # noqa: E402  # they import numpy
import semantic_streams  # noqa: E402
from per_entry_learner import EntryLearner  # noqa: E402
from semantic_data import Pair, Request, Vectors  # noqa: E402
from semantic_pairs import rows as pair_rows  # noqa: E402
from semantic_pairs import systems  # noqa: E402
from semantic_turns import rows as turn_rows  # noqa: E402

from langchain_agentcost.caching.error_budget import ErrorBudget  # noqa: E402

COLOURS = ("red", "green", "blue", "grey", "black", "white", "brown", "pink", "amber", "teal", "plum", "sand")
THINGS = ("lamp", "chair", "table", "shelf", "stool", "bench", "clock", "vase")


class Words(Embeddings):
    """A text's vector counts its words, so that what shares words is near."""

    def embed_query(self, text: str) -> list[float]:
        """Count the words."""
        vector = [0.01] * 64
        for word in text.lower().replace("?", "").split():
            vector[crc32(word.encode()) % 64] += 1
        return vector

    def embed_documents(self, texts: list[str]) -> list[list[float]]:
        """Count the words of each."""
        return [self.embed_query(text) for text in texts]


def pair(source: str, number: int, *, same: bool) -> dict[str, Any]:
    """A pair of our own making: other words, or another thing."""
    colour, thing = COLOURS[number % 12], THINGS[number % 8]
    other = thing if same else THINGS[(number + 3) % 8]
    a, b = f"How do I buy the {colour} {thing}?", f"How can I buy the {colour} {other}?"
    return {"id": f"{source}-{number}", "source": source, "category": "order" if same else "swap", "a": a, "b": b,
            "same": same}  # fmt: skip


def write(path: Path, rows: Sequence[Mapping[str, Any]]) -> None:
    """Write rows as the data's files are."""
    with gzip.open(path, "wt", encoding="utf-8") as out:
        out.writelines(json.dumps(row) + "\n" for row in rows)


@pytest.fixture
def data(tmp_path: Path) -> Path:
    """A folder with small data of every kind."""
    folder = tmp_path / "data"
    folder.mkdir()
    traps = [
        pair(source, n, same=n % 2 == 0) for source in ("fow", "gen", "checklist", "mqp", "sick") for n in range(40)
    ]
    questions = [pair("qqp", n, same=n % 2 == 0) | {"ca": str(n), "cb": str(n + 1)} for n in range(40)]
    write(folder / "pairs_traps.jsonl.gz", traps)
    write(folder / "pairs_qqp.jsonl.gz", questions)
    asked = [{"text": f"{how} {thing}", "cls": thing} for thing in THINGS for how in ("buy a", "sell the", "paint my")]
    write(folder / "stream_intents.jsonl.gz", asked)
    write(folder / "stream_qqp.jsonl.gz", asked)
    write(folder / "conversations_fow.jsonl.gz", [conversation(same=True), conversation(same=False)])
    return folder


def conversation(*, same: bool) -> dict[str, Any]:
    """Two conversations that end in one text."""

    def said(first: str) -> list[dict[str, str]]:
        return [{"role": "user", "content": first}, {"role": "assistant", "content": "Well."},
                {"role": "user", "content": "And its price?"}]  # fmt: skip

    other = "hello, the red lamp please" if same else "the blue lamp"
    return {
        "id": str(same),
        "source": "own",
        "category": "x",
        "a": said("the red lamp"),
        "b": said(other),
        "same": same,
    }


def run(data: Path, out: Path, monkeypatch: pytest.MonkeyPatch, *more: str) -> list[dict[str, Any]]:
    """Run the benchmark and read its rows."""
    monkeypatch.setattr(semantic_cache, "default_embeddings", Words)
    semantic_cache.main(["--data", str(data), "--json", str(out), "--orders", "2", "--vectors", str(out.parent), *more])
    found: list[dict[str, Any]] = json.loads(out.read_text(encoding="utf-8"))["rows"]
    return found


def test_every_row_has_the_schema_and_every_source_is_scored(
    data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Both halves, all sources, their mean, the categories, both streams and the conversations have rows."""
    found = run(data, tmp_path / "rows.json", monkeypatch)
    assert {tuple(row) for row in found} == {semantic_cache.COLUMNS}
    assert {row["split"].partition(",")[0] for row in found} == {"dev", "test", "stream", "multi-turn"}
    sources = {row["source"] for row in found}
    assert {
        "fow",
        "gen",
        "checklist",
        "mqp",
        "sick",
        "qqp",
        "macro",
        "category:swap",
        *semantic_cache.STREAMS,
    } <= sources
    halves = [row["n"] for row in found if row["system"] == "cosine >= 0.9" and row["source"] == "macro"]
    assert sum(halves) == 240
    assert all(0 <= row["traps_served_pct"] <= 100 for row in found if row["traps_served_pct"] is not None)


def test_other_files_are_scored_by_what_was_set_on_ours(
    data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """With `--test` all pairs of that folder are scored, and there the vectors of the first run are used again."""
    found = run(data, tmp_path / "rows.json", monkeypatch, "--test", str(data))
    kept = (tmp_path / "vectors.npz").read_bytes()
    again = run(data, tmp_path / "again.json", monkeypatch, "--test", str(data))
    assert again == found
    assert (tmp_path / "vectors.npz").read_bytes() == kept
    macro = next(row for row in found if row["source"] == "macro" and row["system"] == "cosine >= 0.8")
    assert (macro["split"], macro["n"]) == ("held-out", 240)
    assert {"held-out, leave-one-source-out", "held-out, in-distribution"} <= {row["split"] for row in found}


def scored(similarity: float, *, same: bool, source: str = "fow") -> Pair:
    """A pair that only its similarity and label matter of."""
    return Pair("a lamp", "the lamp", same, source, "x", 0, similarity)


def test_rows_count_true_pairs_and_traps_apart() -> None:
    """Recall is of the true pairs, traps served of the different ones, wrong of hits of what was served."""
    training = [
        scored(0.5 + n / 200, same=same, source=source)
        for source in ("fow", "gen", "checklist") for same in (True, False) for n in range(20)
    ]  # fmt: skip
    test = [scored(0.85, same=True), scored(0.7, same=True), scored(0.9, same=False), *[scored(0.1, same=False)] * 3]
    (row,) = [
        row for row in pair_rows(training, test, split="test")
        if (row["system"], row["source"]) == ("cosine >= 0.8", "fow")
    ]  # fmt: skip
    assert (row["recall_pct"], row["traps_served_pct"], row["wrong_of_hits_pct"], row["n"]) == (50, 25, 50, 6)
    assert 90 < row["wrong_upper95_pct"] < 100


def test_the_threshold_for_two_percent_serves_no_more_of_the_development_traps() -> None:
    """By the mean over the sources, and it is the lowest such threshold."""
    traps = [
        scored(0.5 + n / 250, same=False, source=source) for source in ("fow", "gen", "checklist") for n in range(100)
    ]
    true = [scored(0.95, same=True, source=source) for source in ("fow", "gen", "checklist")]
    system = next(one for one in systems([*traps, *true]) if one.name == "cosine, 2% of traps")
    assert sum(map(system.serves, traps)) == 6
    assert all(map(system.serves, true))


def test_an_entry_is_checked_until_it_knows_itself() -> None:
    """A new entry always asks; right checks make it ask less, wrong ones more, and a looser bound less."""
    new, strict, loose = EntryLearner(0.05), EntryLearner(0.02), EntryLearner(0.2)
    assert new.explores(0.99) == 1
    for learner in (strict, loose):
        for similarity in (0.8, 0.85, 0.9) * 6:
            learner.record(similarity, right=True)
    confident = loose.explores(0.95)
    assert confident < 1
    assert confident <= strict.explores(0.95)
    for _ in range(4):
        loose.record(0.95, right=False)
    assert loose.explores(0.95) > confident


def asked(*texts: tuple[str, str]) -> list[Request]:
    """Requests of texts and their classes."""
    return [Request(text, cls) for text, cls in texts]


def in_order(requests: Sequence[Request]) -> semantic_streams.Ordered:
    """A stream as it is written here."""
    cosines = semantic_streams._cosines(requests, Vectors(Words()))
    earlier = [sorted(range(n), key=list(-cosines[n]).__getitem__) for n in range(len(requests))]
    return semantic_streams.Ordered(
        requests,
        [[semantic_streams.Found(o, float(cosines[n, o])) for o in others] for n, others in enumerate(earlier)],
    )


def test_an_order_knows_the_earlier_neighbours_nearest_first() -> None:
    """Whatever the order, each request has all that come before it and nothing else, by falling cosine."""
    requests = asked(*((f"{colour} {thing}", thing) for colour in COLOURS for thing in THINGS))
    cosines = semantic_streams._cosines(requests, Vectors(Words()))
    order = semantic_streams._ordered(requests, cosines, seed=1)
    place = {request.text: at for at, request in enumerate(requests)}
    for number, near in enumerate(order.neighbours):
        row = [cosines[place[order.requests[number].text], place[order.requests[o].text]] for o in range(number)]
        assert [found.similarity for found in near] == pytest.approx(sorted(row, reverse=True)[:64])
        assert all(found.similarity == pytest.approx(row[found.number]) for found in near)


def test_a_stream_counts_hits_misses_and_wrong_hits() -> None:
    """The first is a miss, an equal class a right hit, another class a wrong one; windows sum up to the whole."""
    requests = asked(
        ("one two three four", "x"), ("one two three five", "x"), ("one two three six", "y"), ("lamp", "z")
    )
    found = list(semantic_streams.rows("own", requests, Vectors(Words()), orders=1))
    whole = next(row for row in found if row["system"] == "cosine >= 0.8" and row["split"] == "stream")
    windows = [row for row in found if row["system"] == "cosine >= 0.8" and row["split"] != "stream"]
    assert whole["hits_pct"] == 0  # 3 of 4 words are a cosine of 0.75
    assert sum(row["n"] for row in windows) == whole["n"] == 4
    order = in_order(requests)
    loose = semantic_streams.StaticCache(order, 0, least=0.7, guarded=False)
    assert [one.right for one in semantic_streams._played(order, loose)] == [None, True, False, None]


def test_ours_serves_nothing_before_it_has_evidence_and_drops_what_was_wrong() -> None:
    """In shadow mode each would-be hit is a call; an entry found wrong is not looked at again."""
    requests = asked(("a b c d e f", "x"), ("a b c d e f g", "y"), ("a b c d e f h", "y"), ("a b c d e f i", "x"))
    order = in_order(requests)
    cache = semantic_streams.BudgetedCache(order, 0, budget=ErrorBudget(0.1), verified=False)
    assert [one.right for one in semantic_streams._played(order, cache)] == [None] * 4
    assert cache._dropped == {0, 1}  # the third is right by the second, the fourth wrong


def test_a_window_violates_only_where_its_hits_are_surely_beyond_the_bound() -> None:
    """One wrong of three is no proof of more than 10 %; nine of thirty are."""
    right, wrong = (
        semantic_streams.Played(right=True, possible=True),
        semantic_streams.Played(right=False, possible=True),
    )
    assert semantic_streams._violates([[right, right, wrong], [right] * 21 + [wrong] * 9], 0.1) == 1


def test_histories_that_differ_are_never_served_by_ours() -> None:
    """The last messages are equal, so a cosine serves both conversations; ours serves neither."""
    found = list(turn_rows([conversation(same=True), conversation(same=False)], Vectors(Words())))
    served = {row["system"]: (row["recall_pct"], row["traps_served_pct"]) for row in found if row["source"] == "own"}
    assert served["last message, cosine >= 0.9"] == (100, 100)
    assert served["full policy"] == served["full policy, later turns on"] == (0, 0)


def test_the_full_policy_is_a_cache_that_can_serve() -> None:
    """Of equal histories a reworded last message is served, in a first turn always, later only where that is on."""
    first = [{"role": "user", "content": "How do I reset my red lamp?"}]
    again = [{"role": "user", "content": "Hi, how do I reset my red lamp please?"}]
    before = [{"role": "user", "content": "Hello"}, {"role": "assistant", "content": "Yes?"}]
    pairs = [
        {"source": "first", "a": first, "b": again, "same": True},
        {"source": "later", "a": before + first, "b": before + again, "same": True},
    ]
    found = turn_rows(pairs, Vectors(Words()))
    served = {(row["system"], row["source"]): row["recall_pct"] for row in found}
    assert (served["full policy", "first"], served["full policy", "later"]) == (100, 0)
    assert served["full policy, later turns on", "later"] == 100
