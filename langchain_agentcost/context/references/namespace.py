"""Whose a reference is: nobody else's agent can read it."""

from __future__ import annotations

import re
from base64 import b32encode
from collections.abc import Callable

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

    Example:
        >>> namespace_of({"configurable": {"thread_id": "t1"}, "metadata": {"tenant": "acme"}})
        ('agentcost', 'references', 'acme', '~', 't1')
    """
    said = _TABLE.read(config.get("metadata"), config.get("configurable"))
    return (*ROOT, *(_label(said.get(name)) for name in ("tenant", "user", "session")))


_TABLE = AttributionMap()
_PLAIN = re.compile(r"[\w@:-]{1,64}")


def _label(value: str | None) -> str:
    """A name that any store takes: stores refuse full stops and nothing. No name that is given begins with a tilde."""
    if value is None:
        return "~"
    return value if _PLAIN.fullmatch(value) else f"~{b32encode(digest(value)).decode().rstrip('=').lower()}"
