"""An answer that says how it came about, in its `response_metadata`."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from functools import reduce
from operator import add
from typing import Any

from langchain_core.messages import AIMessage

TOLD = "router"
"""The key of `response_metadata`."""

_RAW = "raw"
_PARSED = {_RAW, "parsed", "parsing_error"}
"""What `with_structured_output(include_raw=True)` gives."""


def telling(answer: Any, said: Mapping[str, Any]) -> Any:
    """Give an answer that says how it came about: a message, or a parsed form that has the message beside it ("raw").

    A parsed form alone has no place for it; whoever needs it there asks with `include_raw=True`.

    Example:
        >>> telling(AIMessage("Hi"), {"tier": "small"}).response_metadata
        {'router': {'tier': 'small'}}
    """
    if isinstance(answer, Mapping) and isinstance(answer.get(_RAW), AIMessage):
        return {**answer, _RAW: telling(answer[_RAW], said)}
    if not isinstance(answer, AIMessage):
        return answer
    return answer.model_copy(update={"response_metadata": {**answer.response_metadata, TOLD: dict(said)}})


def told_first(chunks: Iterable[Any], said: Mapping[str, Any]) -> Iterator[Any]:
    """Give chunks of which the first says it: what each said would be added up."""
    for number, chunk in enumerate(chunks):
        yield chunk if number else telling(chunk, said)


def summed(chunks: Iterable[Any]) -> Any:
    """Add chunks up to an answer; None where there were none.

    Messages and texts are pieces; so are mappings by key, as `include_raw=True` streams them. Of anything else, such as
    a form that is parsed as it grows, the last is the whole.
    """
    came: Sequence[Any] = list(chunks)
    if not came:
        return None
    if all(isinstance(chunk, Mapping) and chunk.keys() <= _PARSED for chunk in came):
        keys = dict.fromkeys(key for chunk in came for key in chunk)
        return {key: summed(chunk[key] for chunk in came if key in chunk) for key in keys}
    return reduce(add, came) if all(isinstance(chunk, AIMessage | str) for chunk in came) else came[-1]
