"""What is read is what was written, or it is an error: nothing that comes from a store is ever run."""

from __future__ import annotations

import dataclasses
import datetime
import json
import pickle
import uuid
from pathlib import Path
from typing import Any

import ormsgpack
import pytest
from hypothesis import given
from hypothesis import strategies as st
from langchain_core.documents import Document
from langchain_core.messages import (
    AIMessage,
    BaseMessage,
    FunctionMessage,
    HumanMessage,
    SystemMessage,
    ToolMessage,
)

from langchain_agentcost.caching.codec import StrictSerializer, dump_json, load_json, message_data, message_of
from langchain_agentcost.errors import Unreadable, Unstorable

MESSAGES: list[BaseMessage] = [
    HumanMessage("Where is it?", id="h1", name="ann"),
    HumanMessage([{"type": "text", "text": "See"}, {"type": "image_url", "image_url": {"url": "data:,x"}}]),
    SystemMessage("Be brief.", additional_kwargs={"__openai_role__": "developer"}),
    AIMessage(
        [{"type": "reasoning", "id": "rs_1", "summary": []}, {"type": "text", "text": "é\U0001f600\x00", "index": 0}],
        id="a1",
        tool_calls=[{"name": "find", "args": {"order": 7, "deep": {"x": [1.5, None, True]}}, "id": "c1"}],
        invalid_tool_calls=[{"name": "find", "args": "{", "id": "c2", "error": "broken"}],
        usage_metadata={
            "input_tokens": 9, "output_tokens": 3, "total_tokens": 12, "input_token_details": {"cache_read": 4},
        },
        response_metadata={"model_name": "gpt-x", "logprobs": None},
    ),
    ToolMessage("42", tool_call_id="c1", artifact={"rows": [{"a": 1}], "note": None}, status="error", name="find"),
    FunctionMessage(content="42", name="find"),
]  # fmt: skip


@pytest.mark.parametrize("message", MESSAGES, ids=lambda message: message.type)
def test_a_message_comes_back_whole(message: BaseMessage) -> None:
    """Ids, tool calls, usage, blocks and artifacts are what they were, after JSON as before it."""
    assert message_of(load_json(dump_json(message_data(message)))) == message


@pytest.mark.parametrize(
    "artifact", [{1: "a"}, (1, 2), {"a": (1,)}, Document("x"), b"x", float("nan"), object(), {1, 2}]
)
def test_an_artifact_that_json_would_change_is_refused(artifact: Any) -> None:
    """A hit never gives a tool's artifact in another form than the tool itself did."""
    with pytest.raises(Unstorable):
        message_data(ToolMessage("x", tool_call_id="1", artifact=artifact))


class Trap:
    """Something whose pickle makes a file when it is read."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self) -> Any:
        """Say how it is made."""
        return (open, (str(self.path), "w"))


def poisons(path: Path) -> list[bytes]:
    """Give what somebody may have put into a store in order to have a file made."""
    touch = f"open({str(path)!r}, 'w')"
    named = {"lc": 1, "type": "constructor", "id": ["builtins", "open"], "kwargs": {"file": str(path), "mode": "w"}}
    return [
        pickle.dumps(Trap(path)),
        *(
            ormsgpack.packb(ormsgpack.Ext(code, ormsgpack.packb(held)))
            for code in range(9)
            for held in (
                ["builtins", "eval", touch],
                ["builtins", "eval", [touch], "__call__"],
                ["builtins", "open", {"file": str(path), "mode": "w"}, "x"],
                ["os", "system", f"touch {path}", "x"],
                ["pathlib", "Path", str(path), "touch"],
                ["uuid", "UUID", "no uuid"],
                ["langchain_core.messages.human", "HumanMessage", {"nothing": 1}, "model_construct", touch][:3],
                1,
                [],
                {"a": 1},
                None,
            )
        ),
        json.dumps(named).encode(),
        json.dumps({**named, "lc": 2}).encode(),
        json.dumps({"type": "constructor", "data": named}).encode(),
        b"\x00", b"", b"{", b"[" * 100_000, b"9" * 5_000, b"\x91" * 100_000, b"\xff\xfe\x00\xd8",
        b"nul", b"x" * 10_000_000,
    ]  # fmt: skip


def test_poisoned_bytes_are_unreadable_or_harmless(tmp_path: Path) -> None:
    """Pickles, constructors and 10 MB of anything run no code and raise nothing but `Unreadable`."""
    made = tmp_path / "made"
    serializer = StrictSerializer()
    for poison in poisons(made):
        for read in (
            lambda data: message_of(load_json(data)),
            lambda data: serializer.loads_typed(("msgpack", data)),
            lambda data: serializer.loads_typed(("pickle", data)),
            lambda data: serializer.loads_typed(("json", data)),
        ):
            try:
                value = read(poison)
            except Unreadable:
                continue
            assert isinstance(value, int | str | bytes | list | dict | BaseMessage), (poison, value)
    assert not made.exists()


@given(st.binary(max_size=200))
def test_any_bytes_are_read_or_unreadable(data: bytes) -> None:
    """No bytes make a reader raise anything else."""
    for read in (
        load_json,
        lambda data: message_of(load_json(data)),
        lambda d: StrictSerializer().loads_typed(("msgpack", d)),
    ):
        try:
            read(data)
        except Unreadable:
            continue


@given(
    st.recursive(
        st.none() | st.integers() | st.text(), lambda x: st.lists(x) | st.dictionaries(st.text(), x), max_leaves=5
    )
)
def test_any_json_is_a_message_or_unreadable(data: Any) -> None:
    """JSON of a stranger's gives a message of LangChain's or an error."""
    for given_data in (data, {"type": "ai", "data": data}, {"type": "human", "data": {"content": data}}):
        try:
            assert isinstance(message_of(given_data), BaseMessage)
        except Unreadable:
            continue


def test_a_constructor_within_a_message_stays_data() -> None:
    """LangChain's own form of objects is not revived from what a model or a tool said."""
    named = {"lc": 1, "type": "constructor", "id": ["langchain_core", "messages", "ai", "AIMessage"], "kwargs": {}}
    message = ToolMessage("x", tool_call_id="1", artifact=named)
    assert message_of(load_json(dump_json(message_data(message)))).artifact == named  # type: ignore[attr-defined]


@pytest.mark.parametrize(
    "value",
    [
        None, b"x", bytearray(b"x"), 1, "é", {"a": {1: 2.5}}, [MESSAGES[3]], MESSAGES[4], Document("x"),
        uuid.UUID(int=7),
        datetime.datetime(2026, 1, 1, tzinfo=datetime.UTC), datetime.timedelta(1), {1, 2}, Path("a"),
    ],
    ids=lambda value: type(value).__name__,
)  # fmt: skip
def test_the_serializer_gives_back_what_it_was_given(value: Any) -> None:
    """Channels of graphs hold these: none comes back as another type."""
    serializer = StrictSerializer()
    read = serializer.loads_typed(serializer.dumps_typed(value))
    assert (type(read), read) == (type(value), value)


@dataclasses.dataclass
class Mine:
    """A type that only this project knows."""

    a: int


@pytest.mark.parametrize("strict", ["true", "false"])
@pytest.mark.parametrize("value", [Mine(1), {"x": [Mine(1)]}, object(), [lambda: 1]])
def test_what_could_not_be_read_again_is_not_written(value: Any, strict: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """A dataclass would come back as a mapping; so it is refused, whatever LangGraph's environment variable says."""
    monkeypatch.setenv("LANGGRAPH_STRICT_MSGPACK", strict)
    with pytest.raises(Unstorable):
        StrictSerializer().dumps_typed(value)


@pytest.mark.parametrize("value", [object(), {("a",): 1}, b"x", {1, 2}])
def test_json_refuses_what_it_cannot_hold(value: Any) -> None:
    """What JSON has no form for is an error of ours."""
    with pytest.raises(Unstorable):
        dump_json(value)


def test_json_refuses_what_holds_itself() -> None:
    """A cycle is an error of ours, too."""
    cycle: list[Any] = []
    cycle.append(cycle)
    with pytest.raises(Unstorable):
        dump_json(cycle)
