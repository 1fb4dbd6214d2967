"""What a node wrote, as a node cache keeps it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Self

from langchain_core.messages import AIMessage

from langchain_agentcost.caching.answer import MARK
from langchain_agentcost.caching.state_change import Anew, dump_state, load_state
from langchain_agentcost.errors import Unreadable
from langchain_agentcost.saving import SparedCall
from langchain_agentcost.usage import Usage, is_cache_hit


@dataclass(frozen=True, slots=True, kw_only=True)
class NodeWrites:
    """A node's writes.

    Args:
        writes: Channels and what was written to them, in order.
        marks: How its tags were marked when the node began: where one is marked otherwise now, the writes are dead.
        kept_s: When they were kept, in seconds since 1970.

    Example:
        >>> writes = NodeWrites(writes=(("answer", "yes"),), marks=(b"1",), kept_s=0.0)
        >>> NodeWrites.from_bytes(writes.to_bytes()) == writes
        True
    """

    writes: tuple[tuple[str, Any], ...]
    marks: tuple[bytes, ...]
    kept_s: float

    def to_bytes(self) -> bytes:
        """Write them.

        Raises:
            Unstorable: If a value would be read back as something else.
        """
        return dump_state([list(self.marks), self.kept_s, [list(write) for write in self.writes]])

    @classmethod
    def from_bytes(cls, data: Any) -> Self:
        """Read them.

        Raises:
            Unreadable: If they are not what `to_bytes` writes.
        """
        if not isinstance(data, bytes):
            raise Unreadable("It is not bytes.")
        try:
            marks, kept_s, writes = load_state(data)
            read = tuple((str(channel), value) for channel, value in writes)
            return cls(writes=read, marks=tuple(map(bytes, marks)), kept_s=float(kept_s))
        except (TypeError, ValueError) as error:
            raise Unreadable(f"It is not what a node wrote: {type(error).__name__}") from error

    def served(self, mark: Mapping[str, Any]) -> list[tuple[str, Any]]:
        """Give the writes anew: messages have new ids, no usage, and the mark."""
        anew = Anew(mark)
        return [(channel, anew(value)) for channel, value in self.writes]

    def spared(self) -> tuple[SparedCall, ...]:
        """Give the model calls that a hit takes the place of: those whose answers are among what was written.

        A call whose answer the node did not hand on is not known here, and tools are not either: the saving is what it
        is at least.
        """
        return tuple(_calls([value for _, value in self.writes]))


def _calls(value: Any) -> Iterator[SparedCall]:
    if isinstance(value, AIMessage):
        usage, said = Usage.from_message(value), value.response_metadata
        if usage is not None and MARK not in said and not is_cache_hit(value):
            model = said.get("model_name") or said.get("model")
            yield SparedCall(model=model, provider=said.get("model_provider"), usage=usage)
    elif isinstance(value, Mapping):
        yield from _calls(list(value.values()))
    elif isinstance(value, Sequence) and not isinstance(value, str | bytes):
        for item in value:
            yield from _calls(item)
