"""LangGraph's checkpoints as runs: a thread's history, from any saver or from the file of a `SqliteSaver`."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import Any, NamedTuple

from langchain_core.messages import AIMessage, BaseMessage, SystemMessage, ToolMessage
from langgraph.checkpoint.base import BaseCheckpointSaver, CheckpointTuple
from langgraph.checkpoint.serde.jsonplus import JsonPlusSerializer

from langchain_agentcost.attribution import AttributionMap
from langchain_agentcost.errors import ReplayError
from langchain_agentcost.replay.episode import Call, Episode, Recorded
from langchain_agentcost.replay.traces.answering import most_used
from langchain_agentcost.replay.traces.chat import message_of
from langchain_agentcost.replay.traces.fields import mapping_of, name_of, seconds_of, shown
from langchain_agentcost.replay.traces.histories import Histories, Shared, key_of_message
from langchain_agentcost.replay.traces.lines import Faults
from langchain_agentcost.usage import Usage, is_cache_hit

NAME = "LangGraph checkpoints"

_BY_HAND = ("update", "fork")
"""Sources of checkpoints whose messages no node wrote."""

_HAS_CHECKPOINTS = "SELECT 1 FROM sqlite_master WHERE type = 'table' AND name = 'checkpoints'"

_LABELS = AttributionMap()


@dataclass(frozen=True, slots=True)
class Sent:
    """What a graph sends its model beside the messages that it keeps: a checkpoint does not say.

    Where a provider counted the prompts, their sizes are right without it too; then it is part of the first message.

    Args:
        system: The system prompt.
        tools: The descriptions of the tools, in OpenAI's form or the provider's.
    """

    system: str = ""
    tools: Sequence[Mapping[str, Any]] = ()


NOTHING_ELSE = Sent()


def episodes(
    saver: BaseCheckpointSaver[Any],
    *,
    threads: Iterable[str] | None = None,
    messages_key: str = "messages",
    sent: Sent = NOTHING_ELSE,
    source: str = "checkpoints",
    faults: Faults | None = None,
) -> Iterator[Episode]:
    """Read threads from a checkpointer.

    Each model's message that a node wrote is a call; its prompt is what stood before it when it was written, also if it
    was removed or summarised later. Messages that came with the input, or by `update_state`, are no calls. A subgraph
    whose checkpoints the saver keeps is part of its thread. One thread is in memory at a time.

    A synchronous saver is needed, or an async one that can be asked from another thread than its event loop's, as
    `AsyncSqliteSaver` and `AsyncPostgresSaver` can: `await asyncio.to_thread(lambda: list(episodes(saver)))`.

    Args:
        saver: The checkpointer.
        threads: The ids of the threads; None is all, for which every checkpoint is looked at once more.
        messages_key: The channel of the state that holds the messages.
        sent: What the model was sent beside them.
        source: What the threads are part of, where their metadata name no tenant.
        faults: Where threads are named that cannot be read, or have no call.

    Yields:
        The threads with at least one call, in the order in which they are named.

    Example:
        >>> from langgraph.checkpoint.memory import InMemorySaver
        >>> list(episodes(InMemorySaver()))
        []
    """
    noted = faults if faults is not None else Faults()
    for thread in _all_threads(saver) if threads is None else threads:
        try:
            episode = _Thread(thread, messages_key, sent, source).read(saver)
        except (TypeError, ValueError, KeyError, AttributeError, NotImplementedError, RecursionError) as error:
            noted.add(f"thread {thread}", f"cannot be read: {error}")
            continue
        if episode.calls:
            yield episode
        else:
            noted.add(f"thread {thread}", f"no answer of a model in its {messages_key!r}: name another messages_key")


def fits(path: Path) -> bool:
    """Tell whether a file is one of SQLite, damaged or not; whether checkpoints are in it is seen when it is read."""
    try:
        with closing(_opened(path)) as connection:
            connection.execute("PRAGMA schema_version")
            return path.stat().st_size > 0
    except sqlite3.Error as error:
        return error.sqlite_errorname != "SQLITE_NOTADB"


def read(path: Path, faults: Faults) -> Iterator[Episode]:
    """Read the threads of a `SqliteSaver`'s file, which is not changed.

    Nothing in it is executed: messages and plain values are made, whatever else is there stays data.

    Args:
        path: The file.
        faults: Where threads are named that cannot be read.

    Yields:
        The threads with at least one call, the oldest first.

    Raises:
        ReplayError: If there are no checkpoints in it, it is damaged, or langgraph-checkpoint-sqlite is not installed.
    """
    try:
        with closing(_opened(path)) as connection:
            if connection.execute(_HAS_CHECKPOINTS).fetchone() is None:
                raise ReplayError(f"{path} is a SQLite file, but neither a ledger nor one of LangGraph's checkpoints.")
            if find_spec("langgraph.checkpoint.sqlite") is None:
                raise ReplayError(f"{path} holds checkpoints: to read it, pip install langgraph-checkpoint-sqlite.")
            from langgraph.checkpoint.sqlite import SqliteSaver  # noqa: PLC0415  # optional

            saver = SqliteSaver(connection, serde=JsonPlusSerializer(allowed_msgpack_modules=None))
            found = connection.execute(
                "SELECT thread_id FROM checkpoints GROUP BY thread_id ORDER BY MIN(checkpoint_id)"
            )
            threads = [str(thread) for (thread,) in found]
            yield from episodes(saver, threads=threads, source=shown(path.stem), faults=faults)
    except sqlite3.Error as error:
        raise ReplayError(f"{path} cannot be read as LangGraph checkpoints: {error}.") from error


def _opened(path: Path) -> sqlite3.Connection:
    return sqlite3.connect(f"{path.absolute().as_uri()}?mode=ro", uri=True, check_same_thread=False)


def _all_threads(saver: BaseCheckpointSaver[Any]) -> list[str]:
    """The ids of all threads, the oldest first. A saver may not be asked anything else while it lists."""
    found = {str(each.config["configurable"]["thread_id"]): None for each in saver.list(None)}
    return list(reversed(found))


class _State(NamedTuple):
    """A checkpoint, as far as it matters here."""

    id: str
    parent: str | None
    by: str
    at_s: float | None
    messages: tuple[BaseMessage, ...]


class _Thread:
    """A thread that is being read."""

    def __init__(self, thread: str, messages_key: str, sent: Sent, source: str) -> None:
        self._id = thread
        self._key = messages_key
        self._sent = sent
        self._source = source
        self._head: tuple[BaseMessage, ...] = (SystemMessage(sent.system),) if sent.system else ()
        self._shared = Shared()
        self._labels: dict[str, Any] = {}

    def read(self, saver: BaseCheckpointSaver[Any]) -> Episode:
        """Read it from the saver."""
        listed = saver.list({"configurable": {"thread_id": self._id}})
        states = sorted(map(self._state, listed), key=lambda state: state.id)
        calls = tuple(self._calls(states))
        model, provider = most_used((call.recorded, _named(call.answer, "model_provider")) for call in calls)
        source = self._labels.get("tenant") or self._source
        benchmark = self._labels.get("workflow") or self._labels.get("agent") or source
        return Episode(
            shown(self._id),
            calls,
            tools=tuple(self._sent.tools),
            source=source,
            benchmark=benchmark,
            family=benchmark,
            task=shown(self._id),
            model=model,
            provider=provider,
        )

    def _state(self, saved: CheckpointTuple) -> _State:
        """Read a checkpoint."""
        checkpoint, metadata = saved.checkpoint, mapping_of(saved.metadata)
        held = checkpoint["channel_values"].get(self._key) or []
        if not isinstance(held, list | tuple):
            raise TypeError(f"{self._key!r} is no list of messages, but {type(held).__name__}")
        self._labels = {**_LABELS.read(metadata), **self._labels}
        made = [given if isinstance(given, BaseMessage) else message_of(given) for given in held]
        parent = mapping_of(saved.parent_config).get("configurable", {}).get("checkpoint_id")
        messages = self._shared.prompt((_key_of(message), message) for message in made)
        source = str(metadata.get("source"))
        return _State(str(checkpoint["id"]), parent, source, seconds_of(checkpoint.get("ts")), messages)

    def _calls(self, states: Sequence[_State]) -> Iterator[Call]:
        """The calls, in the order in which their answers were first kept."""
        by = {state.id: state.by for state in states}
        results: dict[str, ToolMessage] = {}
        for state in states:
            for message in state.messages:
                if isinstance(message, ToolMessage):
                    results.setdefault(message.tool_call_id, message)
        seen: set[object] = set()
        histories = Histories()
        for state in states:
            from_node = state.by not in _BY_HAND and by.get(state.parent or "") != "input"
            for prompt, answer in _new(state.messages, seen):
                if from_node and not is_cache_hit(answer):
                    asked = (call["id"] for call in answer.tool_calls)
                    given = tuple(results[call] for call in asked if call in results)
                    yield Call(*histories.place((*self._head, *prompt)), answer, given, _recorded(answer, state.at_s))


def _new(messages: Sequence[BaseMessage], seen: set[object]) -> Iterator[tuple[Sequence[BaseMessage], AIMessage]]:
    """The model's messages that no checkpoint had before, and what stood before them.

    New ones next to each other were given to one prompt, by nodes that ran side by side.
    """
    start: int | None = None
    for at, message in enumerate(messages):
        known = message.id or id(message)
        if not isinstance(message, AIMessage) or known in seen:
            start = None
            continue
        seen.add(known)
        start = at if start is None else start
        yield messages[:start], message


def _recorded(answer: AIMessage, at_s: float | None) -> Recorded:
    details = mapping_of(mapping_of(answer.usage_metadata).get("input_token_details"))
    model = _named(answer, "model_name") or _named(answer, "model")
    provider = _named(answer, "model_provider")
    return Recorded(Usage.from_message(answer), "cache_read" in details, None, at_s, model, provider)


def _named(answer: AIMessage, key: str) -> str | None:
    return name_of(mapping_of(answer.response_metadata), key) or None


def _key_of(message: BaseMessage) -> bytes:
    """A message's key; the ids that LangGraph gives to messages stay with them."""
    return key_of_message(message) + str(message.id or "").encode("utf-8", "replace")
