"""Whose a reference is: nobody else's agent can read it."""

from __future__ import annotations

import re
from base64 import b32encode
from collections.abc import Callable, Mapping
from typing import Any
from uuid import UUID

from langchain_core.runnables import RunnableConfig

from langchain_agentcost.attribution import AttributionMap
from langchain_agentcost.canonical import digest

Namespace = tuple[str, ...]
NamespaceOf = Callable[[RunnableConfig], Namespace]
"""Gives the namespace of a run in a LangGraph store."""

ROOT: Namespace = ("agentcost", "references")


def namespace_of(config: RunnableConfig) -> Namespace:
    """Give a run's own namespace: by tenant, user and session or thread, as its metadata and `configurable` say them.

    Runs that name none of them share one: a reference is a hash, which nobody can guess who has not seen the text.

    Args:
        config: The config of the run.

    Raises:
        TypeError: If a name is no text and no number: it may be another tenant's tomorrow.

    Example:
        >>> namespace_of({"configurable": {"thread_id": "t1"}, "metadata": {"tenant": "acme"}})
        ('agentcost', 'references', 'acme', '~', 't1')
    """
    sources = (config.get("metadata") or {}, config.get("configurable") or {})
    return (*ROOT, *(_label(_named(name, sources)) for name in ("tenant", "user", "session")))


_TABLE = AttributionMap()
_PLAIN = re.compile(r"[\w@:-]{1,64}")


def _named(dimension: str, sources: tuple[Mapping[str, Any], ...]) -> str | None:
    """The first name that is given, as it stands: a label of the ledger is shortened, and two might become one."""
    given = (source.get(key) for source in sources for key in _TABLE.keys_of(dimension))
    value = next((one for one in given if one is not None and one != ""), None)
    if value is not None and not isinstance(value, str | int | float | UUID):
        raise TypeError(f"The run's {dimension} is a text or a number, not a {type(value).__name__}.")
    return None if value is None else str(value)


def _label(value: str | None) -> str:
    """A name that any store takes: stores refuse full stops and nothing. No name that is given begins with a tilde."""
    if value is None:
        return "~"
    return value if _PLAIN.fullmatch(value) else f"~{b32encode(digest(value)).decode().rstrip('=').lower()}"
