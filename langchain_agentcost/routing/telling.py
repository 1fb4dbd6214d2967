"""An answer that says how it came about, in its `response_metadata`."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from functools import reduce
from operator import add
from typing import Any

from langchain_core.messages import AIMessage

TOLD = "router"
"""The key of `response_metadata`."""


def telling(answer: Any, said: Mapping[str, Any]) -> Any:
    """Give an answer that says how it came about. What is no message, such as a parsed form, has no place for it.

    Example:
        >>> telling(AIMessage("Hi"), {"tier": "small"}).response_metadata
        {'router': {'tier': 'small'}}
    """
    if not isinstance(answer, AIMessage):
        return answer
    return answer.model_copy(update={"response_metadata": {**answer.response_metadata, TOLD: dict(said)}})


def told_first(chunks: Iterable[Any], said: Mapping[str, Any]) -> Iterator[Any]:
    """Give chunks of which the first says it: what each said would be added up."""
    for number, chunk in enumerate(chunks):
        yield chunk if number else telling(chunk, said)


def summed(chunks: Iterable[Any]) -> Any:
    """Add chunks up to an answer; None where there were none. Of what cannot be added the last is the whole."""
    came: Sequence[Any] = list(chunks)
    if not came:
        return None
    return reduce(add, came) if _pieces(came) else came[-1]


def _pieces(chunks: Sequence[Any]) -> bool:
    """Whether chunks are pieces; a parsed form comes whole again and again as it grows."""
    return all(isinstance(chunk, AIMessage | str) for chunk in chunks)
