"""How many tokens each message of a recorded run has: as the provider counted, where it did."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple, TypeVar

from langchain_core.messages import BaseMessage

from langchain_agentcost.canonical import as_json, canonical, digest
from langchain_agentcost.finops.prompt_bill import share_out
from langchain_agentcost.replay.episode import Call, Episode, Piece
from langchain_agentcost.tokens import TokenCounter

Message = TypeVar("Message", bound=BaseMessage)


class Toolset(NamedTuple):
    """The descriptions of the tools that a call is sent, as one piece: they come first in a prompt.

    Args:
        schemas: The descriptions.
        stamp: What else stands with them and changes their text, such as the date.
    """

    schemas: tuple[Mapping[str, Any], ...]
    stamp: str = ""


class Sizes:
    """The pieces of an episode's prompts.

    Where a provider counted the prompts of a history that grows, each message has its share of what its call added to
    the count before. Everything else (what a strategy puts in a prompt, the prompts of a sub-agent, a run that nobody
    counted) is counted by this package, times what the provider's counts were off in this episode; tools times what
    they were off for the run's own. `scale` then makes the recorded input of every call come out again.

    Args:
        episode: The run.
        counter: What counts.

    Attributes:
        episode: The run.
        factor: The provider's counts over ours, in this episode; 1.0 where there are none.
    """

    def __init__(self, episode: Episode, counter: TokenCounter) -> None:
        self.factor = self._tools_factor = 1.0
        self.episode = episode
        self._counter = counter
        self._pieces: dict[int, Piece] = {}
        self._tools: dict[tuple[int, str], Piece] = {}
        self._answers: dict[int, int] = {}
        self._scales: dict[int, float] = {}
        self._sums: dict[int, list[int]] = {}
        self._held: list[object] = []  # an id is another object's once its own is gone
        self._calibrate()

    def of(self, message: BaseMessage) -> Piece:
        """Give the piece that a message is."""
        known = self._pieces.get(id(message))
        if known is None:
            mark = self.episode.marks.get(id(message))
            key, tokens = mark or (key_of(message), round(self._raw(message) * self.factor))
            known = self._keep(message, key, tokens)
        return known

    def of_tools(self, tools: Toolset) -> Piece:
        """Give the piece that the tool descriptions are; it has no tokens where there are none."""
        place = (id(tools.schemas), tools.stamp)
        known = self._tools.get(place)
        if known is None:
            self._held.append(tools.schemas)
            known = self._tools[place] = self._stamped(tools) if tools.stamp else self._described(tools.schemas)
        return known

    def tokens(self, tools: Toolset, messages: Sequence[BaseMessage]) -> int:
        """Give the tokens of a whole prompt."""
        return self.of_tools(tools).tokens + sum([self.of(message).tokens for message in messages])

    def scale(self, call: Call) -> float:
        """Give the provider's count of a call's recorded prompt over the sum of its pieces.

        It is 1.0 for calls that were not counted and, as a rule, for those of a history that only grows: their pieces
        are shares of the counts. Where a history was cut, a sub-agent has one of its own, or another model counts by
        another tokenizer, it makes the recorded count come out all the same.
        """
        known = self._scales.get(id(call))
        if known is None:
            usage = call.recorded.usage
            counted = usage.input_tokens if usage is not None else 0
            ours = self._recorded(call) if counted else 0
            known = self._scales[id(call)] = counted / ours if ours else 1.0
        return known

    def answer_tokens(self, call: Call) -> int:
        """Give the length of a recorded answer: the provider's count of it, where there is one."""
        known = self._answers.get(id(call))
        if known is None:
            usage = call.recorded.usage
            counted = usage.output_tokens if usage is not None else 0
            known = self._answers[id(call)] = counted or self.of(call.answer).tokens
        return known

    def assume(self, message: Message, tokens: int) -> Message:
        """Take a message to have so many tokens, as one that stands for a text which nobody wrote."""
        self._keep(message, key_of(message), tokens)
        return message

    def rewritten(self, original: BaseMessage, new: Message) -> Message:
        """Size a message that replaces another one by how the two compare."""
        before, after = self._raw(original), self._raw(new)
        tokens = self.of(original).tokens
        self._keep(new, key_of(new), round(tokens * after / before) if before else after)
        return new

    def _calibrate(self) -> None:
        """Share the provider's counts out among the messages."""
        counted = [(call, use) for call in self.episode.calls if (use := call.recorded.usage) and use.input_tokens]
        if not counted or not self.episode.readable:
            return
        history, length = counted[0][0].history, 0
        described = ours = self._raw_tools(self.episode.tools)
        theirs = 0
        for call, usage in counted:
            if call.history is not history or call.length <= length:
                continue  # of a sub-agent, or made again
            new = history[length : call.length]
            weights = [self._raw(message) for message in new]
            shares = _shares(usage.input_tokens - theirs, weights if length else [*weights, described])
            for message, tokens in zip(new, shares, strict=False):
                self._keep(message, key_of(message), tokens)
            if described and not length:
                self._tools_factor = shares[-1] / described
            ours, theirs, length = ours + sum(weights), theirs + sum(shares), call.length
        self.factor = theirs / ours if ours else 1.0

    def _recorded(self, call: Call) -> int:
        """The sum of the pieces of a recorded prompt: of a history that calls share, each message is added once."""
        sums = self._sums.setdefault(id(call.history), [0])
        for message in call.history[len(sums) - 1 : call.length]:
            sums.append(sums[-1] + self.of(message).tokens)
        return self.of_tools(Toolset(self.episode.tools)).tokens + sums[call.length]

    def _described(self, schemas: Sequence[Mapping[str, Any]]) -> Piece:
        return Piece(key_of_tools(schemas), round(self._raw_tools(schemas) * self._tools_factor))

    def _stamped(self, tools: Toolset) -> Piece:
        plain = self.of_tools(Toolset(tools.schemas))
        stamp = self._counter.count_text(tools.stamp, model=self.episode.model)
        return Piece(plain.key + tools.stamp.encode(), plain.tokens + round(stamp * self.factor))

    def _raw(self, message: BaseMessage) -> int:
        return self._counter.count_message(message, model=self.episode.model)

    def _raw_tools(self, schemas: Sequence[Mapping[str, Any]]) -> int:
        return self._counter.count_schemas(schemas, model=self.episode.model) if schemas else 0

    def _keep(self, of: BaseMessage, key: bytes, tokens: int) -> Piece:
        self._held.append(of)
        piece = self._pieces[id(of)] = Piece(key, tokens)
        return piece


def _shares(tokens: int, weights: Sequence[int]) -> tuple[int, ...]:
    """Divide what a call added to the count; where a provider counted less than before, each message has one token."""
    if tokens < len(weights):
        return tuple([min(weight, 1) for weight in weights])
    return share_out(tokens, weights) if any(weights) else (0,) * len(weights)


def key_of(message: BaseMessage) -> bytes:
    """Give the key of a message: a hash of what it says."""
    return digest(canonical(message))


def key_of_tools(schemas: Sequence[Mapping[str, Any]]) -> bytes:
    """Give the key of tool descriptions: a hash of them in their order."""
    return digest(as_json(list(schemas)))
