"""What a run of a graph changed of the state that it was given, in a form that holds for other states too.

A graph's output repeats what it was given: the messages of a thread, channels that it never touched. To store that
would hand one thread's history to another one. So only what nodes wrote is kept, and of lists only what they appended.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, fields, is_dataclass
from typing import Any, Self
from uuid import uuid4

from langchain_core.messages import AIMessage, BaseMessage, UsageMetadata, convert_to_messages
from langchain_core.messages.base import TextAccessor
from langgraph.channels import AnyValue, EphemeralValue, LastValue, UntrackedValue
from langgraph.channels.base import BaseChannel
from pydantic import BaseModel

from langchain_agentcost.caching.answer import MARK
from langchain_agentcost.caching.codec import StrictSerializer, dump_json, load_json
from langchain_agentcost.caching.plain import plain_json
from langchain_agentcost.errors import CacheError, Unkeyable, Unreadable, Unstorable
from langchain_agentcost.saving import SparedCall

State = Mapping[str, Any]


@dataclass(frozen=True, slots=True, kw_only=True)
class StateChange:
    """What a graph does to a state.

    Args:
        kept: Channels of the output that no node wrote: they are as they were given.
        appended: What was appended to channels that hold lists.
        written: The values of the other channels.
    """

    kept: tuple[str, ...]
    appended: Mapping[str, list[Any]]
    written: Mapping[str, Any]

    @classmethod
    def between(
        cls, given: State, output: Any, *, wrote: Collection[str], accumulating: Collection[str], key: Collection[str]
    ) -> Self:
        """Find what changed.

        Args:
            given: The state that the graph was given.
            output: What it gave.
            wrote: The channels that its nodes wrote.
            accumulating: The channels whose value depends on the one before: those with a reducer.
            key: The channels that the cache's key holds.

        Raises:
            Unstorable: If a channel's value depends on what it was before in another way than being appended to.
        """
        if not isinstance(output, Mapping):
            raise Unstorable("The graph's output has no channels.")
        appended: dict[str, list[Any]] = {}
        written: dict[str, Any] = {}
        for name in output.keys() & set(wrote):
            before, after = given.get(name), output[name]
            if isinstance(after, list) and (before or name in accumulating) and _starts_with(after, before or []):
                appended[name] = after[len(before or ()) :]
            elif name not in accumulating or (name in key and not _has_messages(after)):
                written[name] = after
            else:
                raise Unstorable(f"The channel {name!r} was changed, not appended to, and is not in the key.")
        kept = tuple(name for name in output if name in given and name not in wrote)
        return cls(kept=kept, appended=appended, written=written)

    def onto(self, given: State, mark: Mapping[str, Any]) -> dict[str, Any]:
        """Give what the graph would have given for a state: stored messages have new ids, no usage, and the mark."""
        anew = Anew(mark)
        output = {name: given[name] for name in self.kept if name in given}
        output.update({name: anew(value) for name, value in self.written.items()})
        for name, items in self.appended.items():
            before = given.get(name) or []
            has_messages = any(isinstance(item, BaseMessage) for item in items)
            output[name] = [*(convert_to_messages(before) if has_messages else before), *anew(items)]
        return output


@dataclass(frozen=True, slots=True)
class StoredChange:
    """A change and what it took, as it is kept.

    Args:
        change: The change.
        spared: The calls that a hit takes the place of.

    Example:
        >>> change = StateChange(kept=(), appended={}, written={"answer": "yes"})
        >>> StoredChange.from_bytes(StoredChange(change, (SparedCall(tool="look_up"),)).to_bytes()).spared
        (SparedCall(model=None, provider=None, usage=None, tool='look_up'),)
    """

    change: StateChange
    spared: tuple[SparedCall, ...]

    def to_bytes(self) -> bytes:
        """Write it.

        Raises:
            Unstorable: If something in it would be read back as something else.
        """
        change = self.change
        spared = [load_json(dump_json(call.as_dict())) for call in self.spared]  # no tuples: msgpack has none
        return dump_state([list(change.kept), dict(change.appended), dict(change.written), spared])

    @classmethod
    def from_bytes(cls, data: bytes) -> Self:
        """Read it.

        Raises:
            Unreadable: If it is not what `to_bytes` writes.
        """
        parts = load_state(data)
        try:
            kept, appended, written, spared = parts
            if not all(isinstance(items, list) for items in appended.values()) or not isinstance(written, dict):
                raise TypeError("not a change")  # noqa: TRY301  # one sentence for all that it may be instead
            change = StateChange(kept=tuple(kept), appended=appended, written=written)
            return cls(change, tuple(SparedCall.from_dict(call) for call in spared))
        except (TypeError, ValueError, AttributeError) as error:
            raise Unreadable(f"It is not a change of a state: {type(error).__name__}") from error


def dump_state(value: Any) -> bytes:
    """Write what a state can hold.

    Raises:
        Unstorable: If something in it would be read back as something else.
    """
    value = plain_texts(value)
    kind, data = _SERIALIZER.dumps_typed(value)
    try:
        same = kind == _KIND and plain_json(load_state(data)) == plain_json(value)
    except (Unkeyable, Unreadable) as error:
        raise Unstorable(f"It cannot be stored: {error}") from error
    if not same:
        raise Unstorable("It would be read back as something else: keep lists, plain data and messages in the state.")
    return data


def plain_texts(value: Any) -> Any:
    """Give a value with plain texts in the place of what a message's `text` gives, which is a text that can be called.

    Example:
        >>> type(plain_texts([AIMessage("Hi").text])[0])
        <class 'str'>
    """
    if isinstance(value, TextAccessor):
        return str(value)
    if type(value) is list:
        return [plain_texts(item) for item in value]
    if type(value) is dict:
        return {plain_texts(name): plain_texts(item) for name, item in value.items()}
    return value


def load_state(data: bytes) -> Any:
    """Read what `dump_state` wrote.

    Raises:
        Unreadable: If it is not that.
    """
    return _SERIALIZER.loads_typed((_KIND, data))


_SERIALIZER = StrictSerializer()
_KIND = "msgpack"


def channels_of(state: Any) -> State:
    """Give a state's channels by name, whether it is a mapping, a dataclass or a pydantic model.

    Raises:
        CacheError: If it is none of them.
    """
    if isinstance(state, Mapping):
        return state
    if isinstance(state, BaseModel):
        return dict(state)
    if is_dataclass(state) and not isinstance(state, type):
        return {field.name: getattr(state, field.name) for field in fields(state)}
    raise CacheError(f"A state is a mapping, a dataclass or a pydantic model, not a {type(state).__name__}.")


def accumulating(channels: Mapping[str, Any]) -> frozenset[str]:
    """Give the channels whose value depends on the one before, of a graph's `channels`."""
    return frozenset(
        name for name, channel in channels.items() if isinstance(channel, BaseChannel) and not _overwrites(channel)
    )


def _overwrites(channel: BaseChannel[Any, Any, Any]) -> bool:
    return isinstance(channel, LastValue | AnyValue | EphemeralValue | UntrackedValue)


def _starts_with(items: Sequence[Any], before: Any) -> bool:
    if not isinstance(before, Sequence) or len(before) > len(items):
        return False
    if any(isinstance(item, BaseMessage) for item in items):
        before = convert_to_messages(before)
    return all(_same(old, new) for old, new in zip(before, items, strict=False))


def _same(old: Any, new: Any) -> bool:
    """Whether an item is the one that was given; a graph gives messages without an id one."""
    if old is new:
        return True
    if isinstance(old, BaseMessage) and isinstance(new, BaseMessage):
        if old.id is not None and old.id != new.id:
            return False
        return type(old) is type(new) and _told(old) == _told(new)
    try:
        return plain_json(old) == plain_json(new)
    except CacheError:
        return False


def _told(message: BaseMessage) -> Any:
    return message.model_dump(exclude={"id"})


def _has_messages(value: Any) -> bool:
    return isinstance(value, list) and any(isinstance(item, BaseMessage) for item in value)


class Anew:
    """Gives stored messages new ids, one for each old one: with the old ones they would replace what a thread holds.

    Args:
        mark: What the messages of models say of where they come from; what they once used counts for nothing now.
    """

    def __init__(self, mark: Mapping[str, Any]) -> None:
        self._mark = dict(mark)
        self._ids: dict[str, str] = {}

    def __call__(self, value: Any) -> Any:
        """Give a stored value as it is served."""
        if isinstance(value, BaseMessage):
            return self._message(value)
        if isinstance(value, list):
            return [self(item) for item in value]
        if type(value) is dict:
            return {key: self(item) for key, item in value.items()}
        return value

    def _message(self, message: BaseMessage) -> BaseMessage:
        update: dict[str, Any] = {"id": message.id and self._ids.setdefault(message.id, str(uuid4()))}
        if isinstance(message, AIMessage):
            update["usage_metadata"] = UsageMetadata(input_tokens=0, output_tokens=0, total_tokens=0)
            update["response_metadata"] = {**message.response_metadata, MARK: self._mark}
        return message.model_copy(update=update)
