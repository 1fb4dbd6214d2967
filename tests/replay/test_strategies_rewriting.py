from __future__ import annotations

import json
import re
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from langchain_core.messages import ToolMessage

from langchain_agentcost.context.compress.json_text import minified
from langchain_agentcost.replay.episode import Episode
from langchain_agentcost.replay.strategies.reference import FETCH_TOKENS
from langchain_agentcost.replay.strategies.rewriting import text_in
from langchain_agentcost.replay.strategies.truncate import beginning
from langchain_agentcost.tokens import TokenCounter
from tests.replay.made import counted, episode, played, says, schemas, sent, texts, uses

LONG = "word " * 1000
MANY = "".join(f"item_{n} " for n in range(1000))
"""More names than a stub lists."""
PADDED = '{\n  "id": "AB 1",\n  "price": 1.10,\n  "of": [ 1, 2 ]\n}'


def _result(by: str, content: Any) -> Any:
    """What stands for a tool result in the next prompt."""
    of = episode(uses("search", content), says("Done."), tools=schemas("search"))
    return sent(of, by)[1].messages[-1].content


def test_truncate_keeps_the_beginning() -> None:
    """About so many tokens of a result stay, and a mark says that it was cut."""
    cut = _result("truncate:tokens=100", LONG)
    assert LONG.startswith(cut.removesuffix("\n[cut]"))
    assert 90 <= TokenCounter().count_text(cut) <= 110


@pytest.mark.parametrize("content", ["short", "", [{"type": "image", "base64": "AAAA" * 999}]])
def test_truncate_leaves_what_is_short_or_no_text(content: Any) -> None:
    """A result within the limit, and an image, stay as they are."""
    assert _result("truncate:tokens=100", content) == content


def test_truncate_never_makes_a_result_longer() -> None:
    """Where the mark would take more than the cut gives, the result stays whole."""
    counter = TokenCounter()
    result = ToolMessage("word " * 96, tool_call_id="1")
    limit = counter.count_message(result) - 1
    assert _result(f"truncate:tokens={limit}", result.content) == result.content


@pytest.mark.parametrize("by", ["truncate:tokens=100", "reference:above=150"])
def test_text_in_blocks_is_cut_like_text(by: str) -> None:
    """Anthropic's and MCP's results are blocks: as long as they are text they are cut."""
    blocks = [{"type": "text", "text": LONG}, {"type": "text", "text": "end"}]
    assert len(_result(by, blocks)) < len(LONG) / 4


@pytest.mark.parametrize(
    ("content", "text"),
    [
        ("a", "a"),
        (["a", "b"], "a\nb"),
        ([{"type": "text", "text": "a"}, "b"], "a\nb"),
        ([], ""),
        ([{"type": "image", "url": "x"}], None),
        ([{"type": "text", "text": "a"}, {"type": "json", "json": {}}], None),
        ([{"type": "text", "text": None}], None),
    ],
)
def test_the_text_of_a_result(content: Any, text: str | None) -> None:
    """Text in one piece or in blocks is a text; where anything else is in it there is none."""
    assert text_in(ToolMessage(content, tool_call_id="1")) == text


@pytest.mark.parametrize(
    ("text", "share", "kept"), [("0123456789", 0.3, "012"), ("", 0.5, ""), ("äöü", 0.7, "äö"), ("ab", 0, "")]
)
def test_a_beginning_is_a_share_of_the_characters(text: str, share: float, kept: str) -> None:
    """The share is of characters, whatever the script."""
    assert beginning(text, share) == kept


def test_cutting_pays_with_and_without_caching() -> None:
    """What is never sent is neither written nor read again: the prompt stays append-only."""
    of = episode(*(uses("search", LONG, n=n) for n in range(20)), tools=schemas("search"))
    none, cut = played(of), played(of, "truncate:tokens=100")
    assert cut.on_nano < none.on_nano / 2
    assert cut.off_nano < none.off_nano / 2
    assert cut.read_tokens > 0


def test_minify_writes_json_without_blanks() -> None:
    """A result that is JSON says the same in fewer characters; the blanks within texts stay."""
    assert _result("minify", PADDED) == '{"id":"AB 1","price":1.10,"of":[1,2]}'
    assert _result("minify", [{"type": "text", "text": PADDED}]) == '{"id":"AB 1","price":1.10,"of":[1,2]}'


@pytest.mark.parametrize(
    "text",
    [
        "plain text",
        "{not json}",
        '{"a":1}',
        "[1, 2",
        "",
        "  ",
        "12 34",
        "[" * 100_000,
        '{"n": ' + "9" * 5000 + "}",
        '"a b"',
    ],
)
def test_minify_leaves_what_is_not_json_or_has_no_blanks(text: str) -> None:
    """Text, broken or hostile JSON, and what is small already stay as they are."""
    assert minified(text) is None
    assert _result("minify", text) == text


_json = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
)


@settings(deadline=None)
@given(
    value=st.lists(_json) | st.dictionaries(st.text(), _json),
    indent=st.sampled_from([None, 1, 4]),
    ascii_=st.booleans(),
)
def test_minify_loses_nothing(value: Any, indent: int | None, ascii_: bool) -> None:
    """Whatever the JSON, what is left of it says the same, and is as short as JSON can be."""
    text = json.dumps(value, indent=indent, ensure_ascii=ascii_)
    small = minified(text)
    assert json.loads(text if small is None else small) == value
    assert (text if small is None else small) == json.dumps(value, separators=(",", ":"), ensure_ascii=ascii_)


@pytest.mark.parametrize("text", ['{"a": 1, "a": 2}', '{"n": 1.10, "e": 1E400, "z": -0.0}', '{"u": "\\u00e9 \\" x"}'])
def test_minify_keeps_every_character_that_is_no_blank(text: str) -> None:
    """Numbers, repeated keys and escapes are kept as they were written."""
    small = minified(text)
    assert small is not None
    assert small == text.replace(": ", ":").replace(", ", ",")


def _needing(order: str) -> Episode:
    """A large result whose end has an order's id, which the next call uses."""
    return episode(
        uses("search", f"{MANY}AB-1234567 {LONG}", recorded=counted(2000)),
        uses("cancel_order", order=order, recorded=counted(4000)),
        says("Done.", recorded=counted(4100)),
    )


def test_a_reference_sends_a_stub_with_an_id() -> None:
    """A large result is put aside, and the prompt says where to find it."""
    first, second = (_result("reference:above=300", text) for text in (MANY, "short"))
    assert first.startswith("item_0 item_1")
    assert re.search(r'read_ref\(ref="[a-z2-7]{8}"\)', first)
    assert TokenCounter().count_text(first) < TokenCounter().count_text(MANY) / 3
    assert second == "short"


def test_references_are_by_content_and_stay_the_same() -> None:
    """Each result has a reference of its own, which no later call changes."""
    of = episode(*(uses("search", f"{n} {MANY}", n=n) for n in range(3)), says("Done."))
    requests = sent(of, "reference:above=300")
    found = [re.findall(r'ref="([a-z2-7]+)"', text) for text in texts(requests[-1].messages) if "read_ref" in text]
    assert len({ref for [ref] in found}) == 3
    assert requests[-1].messages[: len(requests[2].messages)] == requests[2].messages


def test_a_result_that_stands_above_is_told_by_a_note() -> None:
    """The same text a second time costs a line."""
    of = episode(*(uses("search", LONG, n=n) for n in range(2)), says("Done."))
    second = texts(sent(of, "compact")[-1].messages)[-1]
    assert "Word for word" in second


def test_a_fetch_is_charged_where_the_call_needs_what_was_put_aside() -> None:
    """One more call reads the prompt from the cache, sends the whole result, and writes a fetch."""
    by = "reference:above=300"
    needs, does_not = played(_needing("AB-1234567"), by), played(_needing("unrelated"), by)
    assert needs.tally["fetches"] == needs.overhead_calls == 1
    assert does_not.overhead_calls == 0
    prompt = needs.steps[1]
    whole = needs.overhead_tokens - prompt - FETCH_TOKENS
    assert needs.overhead_nano == prompt * 300 + whole * 3000 + FETCH_TOKENS * 15_000
    assert 1900 < whole < 2000


def test_a_fetch_is_charged_once_a_call_and_result() -> None:
    """Two literals of one result are one fetch; the same need in a later call is another."""
    text = f"{MANY}AB-1234567 AB-7654321 {LONG}"
    of = episode(
        uses("search", text),
        uses("cancel_order", order="AB-1234567", other="AB-7654321"),
        uses("refund", order="AB-7654321"),
    )
    assert played(of, "reference:above=300").overhead_calls == 1
    later = episode(uses("search", text), uses("a", order="AB-1234567"), uses("b", order="AB-7654321"))
    assert played(later, "reference:above=300").overhead_calls == 2


def test_what_the_stub_has_needs_no_fetch() -> None:
    """An id at the start of the result can be read in the stub, and so can the names that it lists."""
    of = episode(uses("search", f"{LONG} AB-1234567 {LONG}"), uses("cancel_order", order="AB-1234567"))
    assert played(of, "reference:above=300").overhead_calls == 0
