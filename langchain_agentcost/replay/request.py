"""What a strategy makes of a model call: another prompt, an answer from elsewhere, or the end of the run."""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

from langchain_core.messages import BaseMessage

from langchain_agentcost.replay.sizes import Toolset


class Request(NamedTuple):
    """What would be sent to a provider.

    Args:
        tools: The tool descriptions, which stand before everything else.
        messages: The messages, the system message first where there is one.
        model: The model, where it is another than the replay's own.
    """

    tools: Toolset
    messages: tuple[BaseMessage, ...]
    model: str | None = None


@dataclass(frozen=True, slots=True)
class Served:
    """The call is not made: the answer comes from a cache."""


@dataclass(frozen=True, slots=True)
class Stopped:
    """The call is not made, nor any after it: a limit ends the run.

    Args:
        why: The limit.
    """

    why: str


Decision = Request | Served | Stopped


@dataclass(frozen=True, slots=True)
class Overhead:
    """A model call that only the strategy makes, such as the one that writes a summary.

    Args:
        input_tokens: What it sends, all of it.
        output_tokens: What it answers.
        read_tokens: The part of the input that the provider's prompt cache has.
    """

    input_tokens: int
    output_tokens: int
    read_tokens: int = 0
