"""The key of a node's input for LangGraph's `CachePolicy`."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any
from uuid import uuid4

from langchain_agentcost.caching.keys import keyed
from langchain_agentcost.caching.plain import plain_json
from langchain_agentcost.caching.state_change import channels_of
from langchain_agentcost.caching.subgraph_question import canonical, listed
from langchain_agentcost.errors import CacheError, Unkeyable


def scoped_key(*channels: str) -> Callable[[Any], str]:
    """Make a `key_func` for `CachePolicy` of what a node's input says: ids of messages never cause a miss.

    Args:
        *channels: The channels that a result depends on; none stands for all.

    Returns:
        The function. Of an input that has no value it makes a key that nothing else has.

    Raises:
        CacheError: By the function, if the input lacks one of the channels.

    Example:
        >>> from langchain_core.messages import HumanMessage
        >>> key = scoped_key("messages")
        >>> key({"messages": [HumanMessage("Hi", id="1")]}) == key({"messages": [HumanMessage("Hi", id="2")]})
        True
    """

    def key_of(given: Any) -> str:
        held = channels_of(given)
        if missing := [name for name in channels if name not in held]:
            raise CacheError(f"The node's input has no {listed(missing)}, which its key names. It has {listed(held)}.")
        try:
            return keyed("input", *(plain_json([name, canonical(held[name])]) for name in channels or sorted(held)))
        except Unkeyable:
            return str(uuid4())

    return key_of
