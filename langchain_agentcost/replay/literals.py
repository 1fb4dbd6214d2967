"""What a recorded call needs to have read: paths, ids and numbers in its arguments that stood in its prompt.

A literal dangles where the recorded call uses it, it could be read in the recorded prompt, and it cannot be read in the
prompt that a strategy would send: proof that the input of a recorded action was removed. It is a proxy for harm, not a
bound: the agent might read it again or guess it, and facts that are no literals are not counted.
"""

from __future__ import annotations

import re
from bisect import bisect_right
from collections.abc import Iterator, Sequence
from itertools import accumulate

from langchain_core.messages import BaseMessage

from langchain_agentcost.context.message_text import leaves, text_of
from langchain_agentcost.replay.cache import common
from langchain_agentcost.replay.episode import Call, Episode

MIN_CHARS = 6
"""Shorter ones are found anywhere."""

MAX_CALL_LITERALS = 64
"""More literals of one call than this add nothing: an answer that writes a file is full of them."""

_WORD = re.compile(r"[A-Za-z0-9_@#/][A-Za-z0-9_./@#:+-]{5,}")
_TRAILING = ".@#:+-"
_TELLING = re.compile(r"[0-9_/@#]|[a-z]\.[a-z]")


class Literals:
    """The literals of one run's calls, looked up once for all strategies.

    Args:
        episode: The run.
    """

    def __init__(self, episode: Episode) -> None:
        self._readable = episode.readable
        self._texts: dict[int, _Texts] = {}
        self._wanted: dict[int, tuple[str, ...]] = {}
        self._places: dict[tuple[int, str], tuple[int, ...]] = {}

    def dangling(self, call: Call, sent: Sequence[BaseMessage]) -> list[str]:
        """Give the literals of a call that stood in its recorded prompt, and not in what is sent.

        Args:
            call: The recorded call.
            sent: The messages that are sent in place of the recorded ones.
        """
        if not self._readable or (len(sent) == call.length == common(sent, call.history)):
            return []
        gone = [literal for literal in self._of(call) if self._is_gone(call, literal, sent)]
        if not gone:
            return []
        recorded = set(map(id, call.history[: call.length]))
        new = [text_of(message) for message in sent if id(message) not in recorded]
        return [literal for literal in gone if not any(literal in text for text in new)]

    def sources(self, call: Call, literal: str) -> list[BaseMessage]:
        """Give the messages of a call's recorded prompt in which a literal stands."""
        return [call.history[at] for at in self._found(call, literal) if at < call.length]

    def _of(self, call: Call) -> tuple[str, ...]:
        wanted = self._wanted.get(id(call))
        if wanted is None:
            wanted = self._wanted[id(call)] = tuple(dict.fromkeys(_literals(call)))[:MAX_CALL_LITERALS]
        return wanted

    def _found(self, call: Call, literal: str) -> tuple[int, ...]:
        """Where in the history a literal stands."""
        history = id(call.history)
        places = self._places.get((history, literal))
        if places is None:
            texts = self._texts.get(history)
            if texts is None:
                texts = self._texts[history] = _Texts(call.history)
            places = self._places[history, literal] = tuple(texts.places(literal))
        return places

    def _is_gone(self, call: Call, literal: str, sent: Sequence[BaseMessage]) -> bool:
        """Whether a literal stood in the recorded prompt, and no message in which it did is sent."""
        history, places = call.history, [at for at in self._found(call, literal) if at < call.length]
        if not places or any(at < len(sent) and sent[at] is history[at] for at in places):
            return False  # most messages stay in their place
        here = set(map(id, sent))
        return not any(id(history[at]) in here for at in places)


class _Texts:
    """The texts of a history, as one: to search it takes a tenth of the time that many short ones take."""

    def __init__(self, history: Sequence[BaseMessage]) -> None:
        texts = list(map(text_of, history))
        self._all = "\n".join(texts)  # no literal has a line break in it
        self._ends = list(accumulate(len(text) + 1 for text in texts))

    def places(self, literal: str) -> Iterator[int]:
        """The messages in which a literal stands."""
        at = self._all.find(literal)
        while at >= 0:
            place = bisect_right(self._ends, at)
            yield place
            at = self._all.find(literal, self._ends[place])


def _literals(call: Call) -> Iterator[str]:
    for asked in call.answer.tool_calls:
        for text in leaves(asked["args"]):
            alone = text.strip()
            if len(alone) >= MIN_CHARS and len(alone.split(maxsplit=1)) == 1:
                yield alone
            else:
                words = (word.rstrip(_TRAILING) for word in _WORD.findall(text))
                yield from (word for word in words if len(word) >= MIN_CHARS and _TELLING.search(word))
