"""The contract: a target met from below, verbatim, the same each time, and a report of what went."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from langchain_core.documents import Document
from langchain_core.runnables import RunnableLambda

from langchain_agentcost.context.compress import learned
from langchain_agentcost.context.compress.compressor import Compressor
from langchain_agentcost.context.compress.documents import AgentCostDocumentCompressor
from langchain_agentcost.context.compress.learned import CtxpruneCompressor, LLMLinguaCompressor
from langchain_agentcost.context.compress.prompt_compressor import PromptCompressor, Question
from langchain_agentcost.errors import MissingExtra
from langchain_agentcost.tokens import count_text, estimate_text

BERTHS = ("north", "south", "east", "west", "old", "new", "inner", "outer", "upper", "lower")
SENTENCES = [
    f"The {name} berth takes ships of up to {20 + 7 * n} metres, and its crane lifts {3 + n} tons. "
    f"It was dredged in {1950 + n} by a crew from Emden, which had come for another job entirely."
    for n, name in enumerate(BERTHS)
]
HARBOUR = " ".join(SENTENCES)
DOCUMENTS = [
    Document(sentence, metadata={"title": f"Berth {n}", "n": n}, id=str(n)) for n, sentence in enumerate(SENTENCES)
]
SHIPS: list[dict[str, Any]] = [
    {"ship_id": f"SH-{1000 + n}", "name": f"Aurora {n}", "cargo": ["timber", "tea", "coal"][n % 3], "tons": 17 * n}
    for n in range(24)
]
LOG = "\n".join(f"12:{n:02} pump {n % 7} reports pressure {n * 3 % 11}.{n % 10}" for n in range(60))
RATIOS = (0.8, 0.6, 0.5, 0.33, 0.2)


@pytest.mark.parametrize("ratio", RATIOS)
@pytest.mark.parametrize("text", [HARBOUR, LOG, json.dumps(SHIPS), HARBOUR.replace(".", ""), "東京は晴れです。" * 40])
def test_the_target_is_met_from_below_within_two_percent(text: str, ratio: float) -> None:
    """Of prose, logs, records, a text without full stops and one without blanks, in the tokenizer's own tokens."""
    made = PromptCompressor(ratio, lossless=False).compress(text, "Which berth takes the ship SH-1007?")
    target = int(ratio * count_text(text))
    assert count_text(made.text) == made.tokens_after <= target
    assert made.tokens_after >= 0.98 * target - 1


MANY = {
    "lines": "\n".join(f"- [{n}](/{n})" for n in range(2500)),
    "records": json.dumps([{"id": n, "cargo": BERTHS[n % 7], "tons": n * 37 % 1009 / 8} for n in range(5000)]),
    "numbers": json.dumps(list(range(5000))),
    "page": "<div>" + "".join(f"<p>{BERTHS[n % 7]} <a href='/{n}'>{n}</a></p>" for n in range(3000)) + "</div>",
}


@pytest.mark.parametrize("ratio", [0.4, 0.2])
@pytest.mark.parametrize("kind", MANY)
def test_the_target_is_met_with_thousands_of_small_units_in_few_counts(kind: str, ratio: float) -> None:
    """What is kept is counted as a whole some dozens of times, whatever the number of units."""
    large = 0

    def count(text: str) -> int:
        nonlocal large
        large += len(text) > 2000
        return count_text(text)

    made = PromptCompressor(ratio, count=count).compress(MANY[kind], "Which north berth is 77?")
    target = int(ratio * made.tokens_before)
    assert count_text(made.text) == made.tokens_after
    assert 0.98 * target <= made.tokens_after <= target
    assert large <= 60


@pytest.mark.parametrize("ratio", RATIOS)
def test_the_target_is_met_for_documents_together(ratio: float) -> None:
    """The sum over all documents counts."""
    made = PromptCompressor(ratio).compress_documents(DOCUMENTS, "Who dredged the inner berth?")
    before = sum(count_text(one.page_content) for one in DOCUMENTS)
    after = sum(count_text(one.page_content) for one in made.documents)
    assert (made.whole.tokens_before, made.whole.tokens_after) == (before, after)
    assert 0.98 * int(ratio * before) - 1 <= after <= ratio * before


def test_what_answers_is_kept() -> None:
    """The sentence that the question is about is in a fifth of the text."""
    made = PromptCompressor(0.2).compress(HARBOUR, "How many tons does the crane of the inner berth lift?")
    assert "its crane lifts 9 tons." in made.text


def test_a_title_helps_to_find() -> None:
    """Documents are found by what heads them, as are the parts of a text under a heading; the title is not added."""
    said = ["It opens at nine.", "It opens at ten.", "It opens at noon."]
    titles = ["Pier", "Museum", "Lighthouse"]
    documents = [Document(text, metadata={"title": title}) for text, title in zip(said, titles, strict=True)]
    kept = PromptCompressor(target_tokens=6).invoke({"documents": documents, "query": "When does the museum open?"})
    assert isinstance(kept, list)
    assert "It opens at ten." in [one.page_content for one in kept]
    page = "\n\n".join(f"# {title}\n{text}" for text, title in zip(said, titles, strict=True))
    assert "ten" in PromptCompressor(0.4).compress(page, "When does the museum open?").text


def test_records_stay_json_and_keep_what_is_asked() -> None:
    """The rows of a table are kept or dropped, its columns stay."""
    made = PromptCompressor(0.25).compress(json.dumps(SHIPS), "Where is SH-1013?")
    assert "columnar" in made.steps
    read = json.loads(made.text)
    assert read["_cols"] == list(SHIPS[0])
    assert list(SHIPS[13].values()) in read["_rows"]
    plain = PromptCompressor(0.25, lossless=False).compress(json.dumps(SHIPS), "Where is SH-1013?")
    assert SHIPS[13] in json.loads(plain.text)


def test_a_table_whose_columns_leave_no_room_is_taken_apart() -> None:
    """Then most of a record with its keys says more than columns without a row; keys like ours are no table."""
    ships = [{f"a_long_name_of_a_column_{key}": n * key for key in range(12)} for n in range(40)]
    made = PromptCompressor(target_tokens=110).compress(json.dumps(ships), "")
    assert "extract without tables" in made.steps
    assert 9 <= len(json.loads(made.text)[0].items() & ships[0].items()) <= 12
    assert PromptCompressor(0.2).compress('{"_cols":[1,2,3,4,5],"_rows":{"a":"b c d e f g"}}').text == ""


_values = st.recursive(
    st.none() | st.integers() | st.text(max_size=12) | st.sampled_from(["two words", 'a "b" \\ c d', "é é"]),
    lambda inner: st.lists(inner, max_size=5) | st.dictionaries(st.text(max_size=4), inner, max_size=4),
    max_leaves=30,
)


@settings(deadline=None, max_examples=200)
@given(
    value=st.lists(_values, min_size=1) | st.dictionaries(st.text(max_size=4), _values, min_size=1),
    target=st.integers(0, 60),
    indent=st.sampled_from([None, 1]),
    lossless=st.booleans(),
)
def test_json_stays_json_whatever_is_dropped(value: Any, target: int, indent: int | None, *, lossless: bool) -> None:
    """What is left can be read, or is empty where nothing fits."""
    text = json.dumps(value, indent=indent, ensure_ascii=False)
    made = PromptCompressor(target_tokens=target, lossless=lossless).compress(text, "two b")
    assert made.tokens_after <= max(target, 0)
    assert made.text == "" or type(json.loads(made.text)) is type(value) or "columnar" in made.steps


@settings(deadline=None, max_examples=200)
@given(
    text=st.text(max_size=200) | st.lists(st.sampled_from([*SENTENCES, "\n", "\n\n", "- x", "# Top\n"])).map(" ".join),
    query=st.sampled_from(["", "crane", "?"]),
    ratio=st.sampled_from(RATIOS),
    lossless=st.booleans(),
)
def test_any_text_keeps_the_contract(text: str, query: str, ratio: float, *, lossless: bool) -> None:
    """Never above the target, deterministic, and each word that is left stood in the text in this order."""
    compressor = PromptCompressor(ratio, lossless=lossless, count=estimate_text)
    made = compressor.compress(text, query)
    assert made == compressor.compress(text, query)
    assert made.tokens_after <= made.tokens_before
    if "extract" in made.steps:
        assert made.tokens_after <= int(ratio * made.tokens_before)
        if not lossless:
            left = iter("".join(text.split()))
            assert all(character in left for character in "".join(made.text.split()))
            assert all(span in text for span in made.dropped)


def test_what_was_dropped_is_told() -> None:
    """Kept and dropped spans together are the text, neighbours in one span."""
    made = PromptCompressor(0.3, lossless=False).compress(HARBOUR, "When was the old berth dredged?")
    assert made.steps == ("extract",)
    assert all(span in HARBOUR for span in made.dropped)
    assert sum(map(len, made.dropped)) + len(made.text) >= len(HARBOUR) - 2 * len(made.dropped) - 2
    assert len(made.dropped) < len(SENTENCES)


def test_an_omission_mark_stands_at_each_gap_and_counts() -> None:
    """At the start, between and at the end; the target is met with it."""
    made = PromptCompressor(0.4, omission=" […]").compress(HARBOUR, "south berth")
    assert made.text.count("[…]") >= 2
    assert made.tokens_after == count_text(made.text) <= int(0.4 * made.tokens_before)


def test_without_a_question_prose_keeps_its_core_and_logs_their_ends() -> None:
    """What most sentences are about stays, and so do the first and last lines."""
    aside = "Bananas glow quietly."
    made = PromptCompressor(0.9, lossless=False).compress(aside + " " + HARBOUR)
    assert aside in "".join(made.dropped)
    lines = PromptCompressor(0.2).compress(LOG).text.split("\n")
    assert lines[0] == LOG.split("\n")[0]
    assert lines[-1] == LOG.split("\n")[-1]
    assert PromptCompressor(0.2).compress(LOG, "zebra").text.split("\n") == lines


def test_lossless_is_enough_where_it_meets_the_target() -> None:
    """Then nothing is dropped."""
    made = PromptCompressor(0.8).compress(json.dumps(SHIPS, indent=2), "tea")
    assert made.same_information
    assert made.ratio < 0.8
    whole = PromptCompressor(1.0).compress(HARBOUR, "tea")
    assert (whole.text, whole.steps) == (HARBOUR, ())


def test_words_go_only_by_choice_and_literals_stay() -> None:
    """Fillers go first; capitals, quoted words and those of the question stay."""
    lines = (f'The US crew of the pier {n} said "the end" and it was at the door of IT.' for n in range(8))
    text = "\n".join(lines)
    made = PromptCompressor(0.95, words=True).compress(text, "what was at the door")
    assert made.steps == ("words",)
    assert 0.98 * int(0.95 * made.tokens_before) - 1 <= made.tokens_after <= 0.95 * made.tokens_before
    assert made.text.count('"the end"') == made.text.count("IT.") == made.text.count("US crew") == 8
    assert made.text.count("was at") == 8
    assert set(map(str.lower, made.dropped)) <= {"the", "of", "and", "it"}
    assert "words" not in PromptCompressor(0.95).compress(text).steps


def test_words_and_extract_reach_a_low_target_together() -> None:
    """Where fillers are not enough, sentences go too."""
    made = PromptCompressor(0.3, words=True).compress(HARBOUR, "inner berth crane tons")
    assert made.steps == ("extract", "words")
    assert 0.98 * int(0.3 * made.tokens_before) - 1 <= made.tokens_after <= 0.3 * made.tokens_before
    assert "crane lifts 9 tons" in made.text


async def test_it_is_a_runnable() -> None:
    """A text gives a text, documents give documents, one by one, in a batch and awaited."""
    compressor = PromptCompressor(0.5)
    asked: Question = {"text": HARBOUR, "query": "upper berth"}
    one = compressor.invoke(asked)
    assert isinstance(one, str)
    assert one == compressor.compress(HARBOUR, "upper berth").text
    assert compressor.batch([asked, HARBOUR]) == [one, compressor.invoke(HARBOUR)]
    assert await compressor.ainvoke(asked) == one
    assert (compressor | RunnableLambda(len)).invoke(asked) == len(one)
    left = compressor.invoke(DOCUMENTS)
    assert isinstance(left, list)
    assert all(one.metadata["title"] == f"Berth {one.id}" for one in left)


async def test_it_compresses_documents_where_langchain_wants_a_document_compressor() -> None:
    """The same documents, also awaited; documents of which nothing is left are gone, and the given ones unchanged."""
    compressor = AgentCostDocumentCompressor(compressor=PromptCompressor(0.2))
    kept = compressor.compress_documents(DOCUMENTS, "crane of the inner berth")
    assert kept == await compressor.acompress_documents(DOCUMENTS, "crane of the inner berth")
    assert 0 < len(kept) < len(DOCUMENTS)
    assert [one.metadata["n"] for one in kept] == sorted(one.metadata["n"] for one in kept)
    assert all(one.page_content in SENTENCES[one.metadata["n"]] for one in kept)
    assert [one.page_content for one in DOCUMENTS] == SENTENCES
    assert compressor.compress_documents([], "anything") == ()


def test_a_model_name_or_a_function_counts() -> None:
    """The target is in the tokens of whoever counts."""

    def letters(text: str) -> int:
        return len(text)

    assert len(PromptCompressor(0.5, count=letters).compress(HARBOUR, "crane").text) <= len(HARBOUR) // 2
    made = PromptCompressor(0.5, count="gpt-4-0613").compress(HARBOUR, "crane")
    assert made.tokens_after == count_text(made.text, model="gpt-4-0613")


@pytest.mark.parametrize("given", [{"ratio": 0}, {"ratio": 1.2}, {"target_tokens": -1}])
def test_a_target_that_makes_no_sense_is_refused(given: dict[str, Any]) -> None:
    """With the value that was given."""
    with pytest.raises(ValueError, match=str(next(iter(given.values())))):
        PromptCompressor(**given)


def test_a_large_text_is_compressed() -> None:
    """A megabyte without a line end or a full stop, and one of lines."""
    made = PromptCompressor(0.01, count=estimate_text).compress("berth " * 170_000, "berth")
    assert 0 < made.tokens_after <= 0.01 * made.tokens_before
    lines = "\n".join(f"{n} pump {n % 13} reports {n * 7 % 101}" for n in range(20_000))
    assert "15000 pump" in PromptCompressor(0.01, count=estimate_text).compress(lines, "15000").text


class _Engine:
    """Stands for a model: keeps every second word, or doubles them."""

    def __init__(self, *, doubles: bool = False) -> None:
        self.asked: list[dict[str, Any]] = []
        self._doubles = doubles

    def compress_prompt(self, context: list[str], **options: Any) -> dict[str, str]:
        """Compress as LLMLingua does."""
        self.asked.append(options)
        return {"compressed_prompt": context[0] * 2 if self._doubles else " ".join(context[0].split()[::2])}

    def compress(self, text: str, **options: Any) -> dict[str, str]:
        """Compress as ctxprune does."""
        return {"text": self.compress_prompt([text], **options)["compressed_prompt"]}


@pytest.mark.parametrize("made", [LLMLinguaCompressor, CtxpruneCompressor])
def test_what_others_trained_is_one_of_our_compressors(made: Any) -> None:
    """The rate is passed on, the result counted; a text that would grow, or is empty, is left as it was."""
    engine = _Engine()
    compressor = made(engine, ratio=0.4)
    assert isinstance(compressor, Compressor)
    assert isinstance(PromptCompressor(), Compressor)
    result = compressor.compress(HARBOUR, "crane")
    assert engine.asked[0]["rate"] == 0.4
    assert result.tokens_after == count_text(result.text) < result.tokens_before
    assert result.lost
    grown = made(_Engine(doubles=True)).compress(HARBOUR)
    assert (grown.text, grown.steps) == (HARBOUR, ())
    assert compressor.compress(" ").text == " "


@pytest.mark.parametrize("made", [LLMLinguaCompressor, CtxpruneCompressor])
def test_a_missing_package_names_its_extra(made: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """At first use, not when it is made."""

    def absent(name: str) -> None:
        raise ImportError(name)

    monkeypatch.setattr(learned, "import_module", absent)
    compressor = made()
    with pytest.raises(MissingExtra, match=r"\[compress\]"):
        compressor.compress(HARBOUR)
