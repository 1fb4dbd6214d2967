"""Whose a cached answer is. A cache never looks outside of it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from threading import Lock
from typing import Any, Literal, Self, get_args
from uuid import UUID, uuid4

from langchain_core.runnables import RunnableConfig
from langchain_core.runnables.config import ensure_config
from langgraph.runtime import get_runtime

from langchain_agentcost.attribution import AttributionMap
from langchain_agentcost.recent import Recent

Scope = Literal["run", "session", "user", "tenant", "global"]
"""Who shares a cache, from nobody to everybody."""

SCOPES: tuple[Scope, ...] = get_args(Scope)

Namespace = tuple[str | None, ...]
"""A scope's name and who it is of, in a fixed order; each text as it was given, never shortened or cleaned."""


def checked_scope(scope: str) -> Scope:
    """Give the scope, if it is one.

    Raises:
        ValueError: If it is not.
    """
    for known in SCOPES:
        if scope == known:
            return known
    raise ValueError(f"scope is one of {', '.join(SCOPES)}, not {scope!r}.")


@dataclass(frozen=True, slots=True, kw_only=True)
class Caller:
    """Who asks, as the metadata and the `configurable` of the run say it.

    Args:
        tenant: The tenant; None where none is named.
        user: The user.
        session: The session or thread.
        run: The outermost graph's run; None outside LangGraph.

    Example:
        >>> Caller(tenant="acme", user="ann").namespace("user")
        ('user', 'acme', 'ann')
        >>> Caller(user="ann", session="s1").namespace("tenant")  # no tenant: the session's own
        ('session', None, 'ann', 's1')
    """

    tenant: str | None = None
    user: str | None = None
    session: str | None = None
    run: str | None = None

    @classmethod
    def of(
        cls, config: RunnableConfig | None = None, *, table: AttributionMap | None = None, run: str | None = None
    ) -> Self:
        """Read who asks.

        Args:
            config: The config of the call; None takes that of the run that this code is in.
            table: Which keys name tenant, user and session; the same that the meter has.
            run: The run, as `Runs` knows it.
        """
        known = table or _TABLE
        config = ensure_config(config)
        sources = (config.get("metadata") or {}, config.get("configurable") or {})
        return cls(
            tenant=_named(known, "tenant", sources),
            user=_named(known, "user", sources),
            session=_named(known, "session", sources),
            run=run,
        )

    def namespace(self, scope: Scope) -> Namespace | None:
        """Give what a scope means for this caller.

        Without a tenant, "tenant" and "user" are the session: a user's name alone does not say whose user it is.
        Without a user, "user" is the session. Without a session, it is the run; without a run, nothing is shared.

        Args:
            scope: Who shares.

        Returns:
            The namespace; None where nothing may be cached.
        """
        if scope == "global":
            return ("global",)
        if scope == "tenant" and self.tenant is not None:
            return ("tenant", self.tenant)
        if scope == "user" and self.tenant is not None and self.user is not None:
            return ("user", self.tenant, self.user)
        if scope != "run" and self.session is not None:
            return ("session", self.tenant, self.user, self.session)
        return ("run", self.tenant, self.user, self.run) if self.run is not None else None


class Runs:
    """Knows which LangGraph run this code is in: subgraphs, and the tools of a run, share one.

    LangGraph hands one `RunControl` down through a run and its subgraphs. It is kept as long as the run is remembered,
    so that no later run can have its identity.
    """

    def __init__(self) -> None:
        self._known: Recent[int, tuple[object, str]] = Recent()
        self._lock = Lock()

    def current(self) -> str | None:
        """Give the run's id; None outside LangGraph."""
        try:
            control = getattr(get_runtime(), "control", None)
        except (RuntimeError, KeyError):
            return None
        if control is None:
            return None
        with self._lock:  # the branches of a fan-out ask at the same time
            known = self._known.get(id(control))
            if known is None:
                known = (control, str(uuid4()))
                self._known.put(id(control), known)
        return known[1]


_TABLE = AttributionMap()


def _named(table: AttributionMap, dimension: str, sources: tuple[Mapping[str, Any], ...]) -> str | None:
    """The first key's value as it stands: a label of the ledger is shortened, and two might become one.

    An empty name names nobody. One that is no text and no number is not taken for one: an object may be written by its
    address, and the next tenant's may get the same.
    """
    keys = table.keys_of(dimension)
    for source in sources:
        for key in keys:
            if (value := source.get(key)) is not None and value != "":
                return str(value) if isinstance(value, str | int | float | UUID) else None
    return table.constants.get(dimension) or None
