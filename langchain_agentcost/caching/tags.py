"""What entries are ended and deleted by, as hashes: a store does not hold the names of tenants and users."""

from __future__ import annotations

from collections.abc import Iterable

from langchain_agentcost.caching.keys import keyed
from langchain_agentcost.caching.scope import Caller, Scope


def owner_tags(caller: Caller, scope: Scope, *, secret: bytes | None = None) -> tuple[str, ...]:
    """Give the tags of whose an entry is. Whoever filled a global entry is not its owner.

    Args:
        caller: Who filled it.
        scope: Who shares it.
        secret: See `keyed`.

    Example:
        >>> len(owner_tags(Caller(tenant="acme", user="ann", session="s1"), "user"))
        3
    """
    if scope == "global":
        return ()
    tags = []
    if caller.tenant is not None:
        tags.append(keyed("tenant", caller.tenant, secret=secret))
    if caller.user is not None:
        tags.append(keyed("user", caller.tenant, caller.user, secret=secret))
    if caller.session is not None:
        tags.append(keyed("session", caller.tenant, caller.session, secret=secret))
    return tuple(tags)


def model_tag(model: str, *, secret: bytes | None = None) -> str:
    """Give the tag of a model's answers."""
    return keyed("model", model, secret=secret)


def named_tags(names: Iterable[str], caller: Caller, scope: Scope, *, secret: bytes | None = None) -> tuple[str, ...]:
    """Give the tags that a user's names stand for: within a tenant, or of what everybody shares.

    Args:
        names: The user's own, such as "orders:7".
        caller: Whose they are.
        scope: Who shares the entry.
        secret: See `keyed`.
    """
    home = ("everybody",) if scope == "global" else ("tenant", caller.tenant)
    return tuple(keyed("named", *home, name, secret=secret) for name in names)


def written_tags(names: Iterable[str], caller: Caller, *, secret: bytes | None = None) -> tuple[str, ...]:
    """Give the tags that a write under these names ends: the tenant's, and what everybody shares.

    Args:
        names: The user's own.
        caller: Who writes.
        secret: See `keyed`.
    """
    wanted = tuple(names)
    return (
        *named_tags(wanted, caller, "tenant", secret=secret),
        *named_tags(wanted, caller, "global", secret=secret),
    )
