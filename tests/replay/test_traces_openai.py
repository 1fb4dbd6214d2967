"""Traces in OpenAI's chat form: what a line may say, and that the provider's own counts come out again."""

from __future__ import annotations

import gzip
import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from langchain_agentcost.errors import ReplayError
from langchain_agentcost.replay import Episode, Faults, read_traces
from langchain_agentcost.replay.sizes import Sizes, Toolset
from langchain_agentcost.replay.traces.lines import Line
from langchain_agentcost.replay.traces.openai_chat import episodes
from langchain_agentcost.tokens import TokenCounter

Record = dict[str, Any]
COUNTER = TokenCounter()


def asks(key: str, **fields: Any) -> Record:
    """An assistant's message that asks for a tool."""
    call = {"id": key, "type": "function", "function": {"name": "get_order", "arguments": '{"number": 3}'}}
    return {"role": "assistant", "content": None, "tool_calls": [call], **fields}


def gave(key: str, text: str = "two lamps", **fields: Any) -> Record:
    """What the tool gave."""
    return {"role": "tool", "tool_call_id": key, "name": "get_order", "content": text, **fields}


def user(text: str) -> Record:
    """What the user said."""
    return {"role": "user", "content": text}


def says(text: str, **fields: Any) -> Record:
    """What the assistant said."""
    return {"role": "assistant", "content": text, **fields}


def run(*messages: Record, **fields: Any) -> Record:
    """A line."""
    return {"id": "run-1", "system": "You help.", "messages": list(messages), **fields}


def read(*records: Record, folder: Path = Path()) -> tuple[list[Episode], Faults]:
    """What is read of lines."""
    faults = Faults()
    lines = [Line(f"traces.jsonl:{number}", record) for number, record in enumerate(records, 1)]
    return list(episodes(lines, faults, folder=folder)), faults


def one(record: Record, folder: Path = Path()) -> Episode:
    """The only run, without a fault."""
    found, faults = read(record, folder=folder)
    assert (len(found), faults.named) == (1, [])
    return found[0]


def prompts(episode: Episode) -> list[int]:
    """The size of each call's prompt."""
    sizes = Sizes(episode, COUNTER)
    return [sizes.tokens(Toolset(episode.tools), call.messages) for call in episode.calls]


TURNS = st.lists(
    st.tuples(st.lists(st.text(max_size=30), min_size=1, max_size=3), st.integers(0, 5_000), st.text(max_size=30)),
    min_size=1,
    max_size=8,
)


@given(TURNS, st.booleans())
@settings(max_examples=60, deadline=None)
def test_recorded_prompts_come_out_again(turns: list[tuple[list[str], int, str]], has_tools: bool) -> None:
    """Of a run that only adds to its prompt, every prompt has exactly the tokens that its provider counted."""
    messages: list[Record] = []
    counted: list[int] = []
    total = 0
    for texts, more, answer in turns:
        messages += map(user, texts)
        total += more + len(texts) + 3  # at least one for each new message, the tools and the system prompt
        counted.append(total)
        messages.append(says(answer, step={"prompt_tokens": total, "completion_tokens": 1}))
    tools = [{"type": "function", "function": {"name": "look", "description": "Look it up."}}]
    assert prompts(one(run(*messages, tools=tools if has_tools else []))) == counted


def test_every_answer_is_a_call() -> None:
    """Each assistant message is a call that was sent what stood before it; one that no model made is none."""
    greeting = says("Hello!", generated=False)
    episode = one(run(greeting, user("Order 3?"), asks("c1"), gave("c1"), says("Two lamps.")))
    assert [call.length for call in episode.calls] == [3, 5]
    assert [result.content for result in episode.calls[0].results] == ["two lamps"]


def test_failed_tool_is_an_error() -> None:
    """A tool message that says so is of status error."""
    episode = one(run(user("Hi"), asks("c1"), gave("c1", error=True), says("Sorry.")))
    assert [result.status for result in episode.calls[0].results] == ["error"]


def test_step_is_what_was_billed() -> None:
    """Counts, cost, time and model of a step are what was recorded; without a step nothing was."""
    step = {"prompt_tokens": 90, "completion_tokens": 7, "cached_tokens": 64, "cost_usd": 0.00041692, "model": "m"}
    first, second = one(run(user("Hi"), says("a", step={**step, "ts": "2026-01-01T00:00:00Z"}), says("b"))).calls
    assert first.recorded.usage is not None
    assert (first.recorded.usage.input_tokens, first.recorded.usage.cache_read_tokens) == (90, 64)
    assert (first.recorded.cost_nano, first.recorded.model, first.recorded.knows_cache) == (416_920, "m", True)
    assert first.recorded.at_s == 1_767_225_600
    assert (second.recorded.usage, second.recorded.cost_nano, second.recorded.knows_cache) == (None, None, False)


def test_counts_that_leave_out_the_cache_are_added() -> None:
    """Where a model's cached tokens exceed its prompt tokens, the latter leave the former out, in the whole run."""
    steps = [{"prompt_tokens": 10, "cached_tokens": 90}, {"prompt_tokens": 120, "cached_tokens": 30}]
    calls = one(run(user("Hi"), *(says("a", step=step) for step in steps))).calls
    assert [call.recorded.usage and call.recorded.usage.input_tokens for call in calls] == [100, 150]


@pytest.mark.parametrize(
    ("fields", "success"),
    [
        ({"success": True}, True),
        ({"success": False, "reward": 1}, False),
        ({"success": None, "reward": 1}, None),
        ({"reward": 1}, True),
        ({"reward": 0.0}, False),
        ({"reward": 0.5}, None),
        ({}, None),
    ],
)
def test_success(fields: Record, success: bool | None) -> None:
    """A verdict counts, else a reward of 1 or 0; null and anything between are not known."""
    assert one(run(says("a"), **fields)).success is success


def test_prompts_and_tools_beside_the_file(tmp_path: Path) -> None:
    """Names of system prompts and tools are looked up beside the file, and shared between runs."""
    (tmp_path / "prompts.json").write_text('{"p": "You work for a shop."}')
    with gzip.open(tmp_path / "tools.json.gz", "wt") as file:
        file.write('{"t": [{"name": "look"}]}')
    named: Record = {"system": None, "system_id": "p", "tools_id": "t"}
    found, faults = read(run(says("a"), **named), run(says("b"), **{**named, "id": "2"}), folder=tmp_path)
    first, second = found
    assert faults.count == 0
    assert first.calls[0].messages[0].content == "You work for a shop."
    assert first.calls[0].messages[0] is second.calls[0].messages[0]
    assert first.tools is second.tools
    assert first.tools == ({"name": "look"},)


@pytest.mark.parametrize(
    ("named", "why"),
    [
        ({"system": None, "system_id": "p9"}, "prompts.json beside the file has no 'p9': it is read without"),
        ({"tools_id": "t9"}, "tools.json beside the file has no 't9': it is read without"),
        ({"system": 7}, "its system prompt is a text, not int: it is read without"),
        ({"tools": {"name": "look"}}, "its tools are no list of descriptions: it is read without"),
    ],
)
def test_what_is_not_beside_the_file_is_a_fault(named: Record, why: str) -> None:
    """A run whose system prompt or tools are missing is read all the same, and that they are is named."""
    found, faults = read(run(says("a"), **named))
    assert [len(episode.calls) for episode in found] == [1]
    assert [fault.why for fault in faults.named] == [why]


@pytest.mark.parametrize("text", ["{", "[]", '{"a": ' * 100_000, "\x00"])
def test_damaged_file_beside(tmp_path: Path, text: str) -> None:
    """A file beside the traces that cannot be read is refused with its name."""
    (tmp_path / "prompts.json").write_text(text)
    with pytest.raises(ReplayError, match=r"prompts\.json"):
        read(run(says("a")), folder=tmp_path)


def test_folder_is_all_its_files(tmp_path: Path) -> None:
    """A folder's files are read in the order of their names; a run that was there before is a fault."""
    for name, key in (("b.jsonl", "2"), ("a.jsonl", "1"), ("c.jsonl", "1")):
        (tmp_path / name).write_text(json.dumps(run(says("a"), id=key)) + "\n")
    faults = Faults()
    moved: list[int] = []
    assert [episode.id for episode in read_traces([tmp_path], faults, moved=moved.append)] == ["1", "2"]
    assert [str(fault) for fault in faults.named] == ["c.jsonl: run 1 was there before"]
    assert moved == sorted(moved)
    assert moved[-1] == sum(path.stat().st_size for path in tmp_path.iterdir())


@pytest.mark.parametrize(("name", "why"), [("none.jsonl", "does not exist"), ("", r"has no file that ends in \.jsonl")])
def test_nothing_there(tmp_path: Path, name: str, why: str) -> None:
    """A path that is not there, or a folder without traces, is refused."""
    with pytest.raises(ReplayError, match=why):
        list(read_traces([tmp_path / name], Faults()))
