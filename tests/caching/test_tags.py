"""What ends entries belongs to a tenant, and says nothing of it."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from langchain_agentcost.caching.scope import Caller
from langchain_agentcost.caching.tags import named_tags, owner_tags, written_tags

names = st.text(st.characters()) | st.sampled_from(["", "\0", "everybody", "tenant", "None", "a:b"])
some = st.none() | names


@given(some, some, names, names)
def test_a_tenants_write_ends_only_its_own_and_what_is_everybodys(
    one: str | None, other: str | None, name: str, another: str
) -> None:
    """No choice of names lets one tenant end another's entries, or one name another's."""
    written = set(written_tags([name], Caller(tenant=one)))
    assert set(named_tags([name], Caller(tenant=one), "tenant")) <= written
    assert set(named_tags([name], Caller(tenant=other), "global")) <= written
    if one != other:
        assert not written & set(named_tags([name], Caller(tenant=other), "tenant"))
    if name != another:
        assert not written & {
            *named_tags([another], Caller(tenant=one), "tenant"),
            *named_tags([another], Caller(), "global"),
        }


@given(st.builds(Caller, tenant=some, user=some, session=some), st.builds(Caller, tenant=some, user=some, session=some))
def test_owners_are_told_apart(one: Caller, other: Caller) -> None:
    """Two callers share a tag only where they are the same tenant, the tenant's same user, or its same session."""
    shared = len(set(owner_tags(one, "user")) & set(owner_tags(other, "user")))
    same_tenant = one.tenant == other.tenant
    same = [
        same_tenant and one.tenant is not None,
        same_tenant and one.user == other.user and one.user is not None,
        same_tenant and one.session == other.session and one.session is not None,
    ]
    assert shared == sum(same)


@given(names, names, names)
def test_tags_of_different_kinds_never_meet(tenant: str, user: str, session: str) -> None:
    """A user called as a session, or a tag called as a tenant, is not taken for it."""
    caller = Caller(tenant=tenant, user=user, session=session)
    tags = [*owner_tags(caller, "user"), *written_tags([tenant], caller)]
    assert len(set(tags)) == 5


def test_a_global_entry_has_no_owner() -> None:
    """It is everybody's, whoever filled it."""
    assert owner_tags(Caller(tenant="acme", user="ann", session="s"), "global") == ()


@pytest.mark.parametrize("secret", [None, b"0123456789abcdef"])
def test_tags_do_not_show_names_and_depend_on_the_secret(secret: Any) -> None:
    """A store sees 64 hexadecimal digits, which nobody without the secret can make."""
    caller = Caller(tenant="acme", user="ann", session="s")
    for tag in (*owner_tags(caller, "user", secret=secret), *written_tags(["orders:7"], caller, secret=secret)):
        assert len(tag) == 64
        assert set(tag) <= set("0123456789abcdef")
    assert not set(owner_tags(caller, "user", secret=secret)) & set(
        owner_tags(caller, "user", secret=b"another secret..")
    )
