"""What a model is asked in a replay, what it answers, and what that takes: the script of one run."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import cached_property
from threading import Lock
from typing import Any, NamedTuple, NoReturn

from langchain_core.messages import BaseMessage, BaseMessageChunk, message_chunk_to_message

from langchain_agentcost.attribution import label
from langchain_agentcost.errors import ReplayError, ReplayMismatch
from langchain_agentcost.pricing import PriceCard
from langchain_agentcost.replay.difference import difference
from langchain_agentcost.replay.episode import Call, Episode
from langchain_agentcost.replay.provider import Conversation, Provider
from langchain_agentcost.replay.request import Request
from langchain_agentcost.replay.sizes import Sizes, Toolset, key_of, key_of_tools
from langchain_agentcost.replay.tariff import Tariffs
from langchain_agentcost.tokens import TokenCounter
from langchain_agentcost.usage import Usage

UNNAMED = "replay"
"""What a model is called of which no trace says its name."""


_DIFFERS = "Send what was recorded, or replay in open loop, where answers are played by their number."
_ENDED = "The recorded run ended before it: look for what makes the code go on."


class Turn(NamedTuple):
    """A call that is to be made.

    Args:
        call: The recorded call, which says what is answered.
        request: What is to be sent.
    """

    call: Call
    request: Request


class Played(NamedTuple):
    """An answer.

    Args:
        call: The recorded call.
        usage: What the provider reports of it.
        provider: Who serves it, as LangChain names it; None where that is not known.
        model: The model that answers.
    """

    call: Call
    usage: Usage
    provider: str | None
    model: str


class Script:
    """Answers the calls of one run in their order, whoever makes them. Safe to share between threads.

    Args:
        episode: The run.
        exact: Whether what is asked has to be what is to be sent; else calls are answered by their number.
        provider: Says what its prompt cache has and reports usage of what is really asked; see `provider_of`. None
            reports what was recorded where the recorded prompt is asked, and what this package counts elsewhere.
        sizes: The sizes of its messages, where they are known.
        turns: The calls that are to be made, where they are not those that were recorded.

    Attributes:
        episode: The run.
        cards: The prices of the models that calls went to, by the names that `names` gives.

    Raises:
        ReplayError: If the texts of the run are not known.
    """

    def __init__(
        self,
        episode: Episode,
        *,
        exact: bool = True,
        provider: Provider | None = None,
        sizes: Sizes | None = None,
        turns: Sequence[Turn] | None = None,
    ) -> None:
        if not episode.readable:
            raise ReplayError(f"{_named(episode)} has hashes in place of texts: no model can answer from it.")
        self.episode = episode
        self.cards: dict[str, PriceCard] = {}
        self._exact = exact
        self._sizes = sizes or Sizes(episode, TokenCounter())
        self._turns = turns
        self._made = 0
        self._lock = Lock()
        self._provider = provider

    @property
    def left(self) -> int:
        """How many calls are still to be made."""
        return self._length - self._made

    def names(self, asked_for: str | None = None) -> tuple[str | None, str]:
        """Give the provider and the model that the next call goes to.

        Args:
            asked_for: The model that it asks for; None is the one that was recorded.
        """
        if not self._length:
            return self.episode.provider, asked_for or self.episode.model or UNNAMED
        return self._names(self._turn_at(min(self._made, self._length - 1)).call, asked_for)

    def play(self, asked: Request) -> Played:
        """Answer the next call.

        Args:
            asked: What is really sent.

        Returns:
            The recorded answer, and what it takes.

        Raises:
            ReplayMismatch: If it is not what is to be sent, or no call is left.
        """
        asked = asked._replace(messages=tuple(map(_whole, asked.messages)))
        with self._lock:
            if self._made >= self._length:
                self._refuse(f"is call {self._made + 1}, and only {self._length} are to be made", _ENDED)
            turn = self._turn_at(self._made)
            request = self._checked(turn, asked) if self._exact else self._recognised(asked)
            usage = self._usage(turn.call, request)
            self._made += 1
        return Played(turn.call, usage, *self._names(turn.call, asked.model))

    @property
    def _length(self) -> int:
        return len(self.episode.calls if self._turns is None else self._turns)

    def _turn_at(self, place: int) -> Turn:
        if self._turns is not None:
            return self._turns[place]
        call = self.episode.calls[place]
        return Turn(call, self._recorded(call))

    def _names(self, call: Call, asked_for: str | None) -> tuple[str | None, str]:
        if self._provider is None:
            return self.episode.provider, asked_for or call.recorded.model or self.episode.model or UNNAMED
        own, card = self._provider.tariff(call).card, self._provider.tariff(call, asked_for).card
        is_share = card is not own and card.model == own.model
        name = f"{asked_for} of {card.model}" if is_share else card.model
        self.cards[name] = card
        return card.provider, name

    def _recorded(self, call: Call) -> Request:
        return Request(Toolset(self.episode.tools), call.messages)

    def _checked(self, turn: Turn, asked: Request) -> Request:
        found = difference(turn.request, asked, self._key)
        if found is not None:
            self._refuse(f"(call {self._made + 1} of {self._length}) is not what is to be sent: {found}", _DIFFERS)
        return turn.request

    def _refuse(self, why: str, then: str) -> NoReturn:
        raise ReplayMismatch(f"What is asked in {_named(self.episode)} {why}. {then}")

    def _recognised(self, asked: Request) -> Request:
        """Put recorded messages and tools in place of equal ones: how many tokens those have is known."""
        known, schemas = self._known, asked.tools.schemas
        tools = Toolset(self._toolsets.setdefault(key_of_tools(schemas), schemas), asked.tools.stamp)
        messages = [known.get(key_of(message), message) for message in asked.messages]
        return Request(tools, tuple(messages), asked.model)

    @cached_property
    def _known(self) -> dict[bytes, BaseMessage]:
        histories = {id(call.history): call.history for call in self.episode.calls}
        found: dict[bytes, BaseMessage] = {}
        for history in histories.values():
            for message in history:
                found.setdefault(self._key(message), message)
        return found

    @cached_property
    def _toolsets(self) -> dict[bytes, tuple[Mapping[str, Any], ...]]:
        return {key_of_tools(self.episode.tools): self.episode.tools}

    def _usage(self, call: Call, request: Request) -> Usage:
        if self._provider is not None:
            return self._provider.answer(request, call).usage
        recorded = call.recorded.usage
        if recorded is not None and (self._as_recorded or self._is_recorded(call, request)):
            return recorded
        return Usage(self._sizes.tokens(request.tools, request.messages), self._sizes.answer_tokens(call))

    @property
    def _as_recorded(self) -> bool:
        """Whether all that is answered is what was recorded."""
        return self._exact and self._turns is None

    def _is_recorded(self, call: Call, request: Request) -> bool:
        return difference(self._recorded(call), request, self._key) is None

    def _key(self, message: BaseMessage) -> bytes:
        return self._sizes.of(message).key


def provider_of(
    sizes: Sizes, tariffs: Tariffs, *, warm: bool = False, conversation: Conversation | None = None
) -> Provider:
    """Give what a run's provider would report.

    Args:
        sizes: The run and the sizes of its messages.
        tariffs: The prices.
        warm: Whether the provider's cache has the tools and system message when the run starts.
        conversation: The prompts of earlier turns of the same conversation.

    Raises:
        ReplayError: If a price is not known.
    """
    episode = sizes.episode
    tariff = tariffs.of_episode(episode)
    if tariff is None:
        model = label(tariffs.unpriced(episode) or "no model")
        raise ReplayError(f"{_named(episode)} is of {model}, of which no price is known: name one, Tariffs(model=…).")
    return Provider(sizes, tariffs, warm=warm, conversation=conversation)


def _named(episode: Episode) -> str:
    """Name a run, without the control characters that a trace may have in its id."""
    return f"run {label(episode.id)!r}"


def _whole(message: BaseMessage) -> BaseMessage:
    """What came as a stream and was added up is sent like any message."""
    return message_chunk_to_message(message) if isinstance(message, BaseMessageChunk) else message
