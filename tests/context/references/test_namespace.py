import pytest
from hypothesis import given
from hypothesis import strategies as st
from langchain_core.runnables import RunnableConfig
from langgraph.store.memory import InMemoryStore

from langchain_agentcost.context.references.namespace import namespace_of


def config(tenant: str, thread: str) -> RunnableConfig:
    """What a run says."""
    return {"configurable": {"thread_id": thread}, "metadata": {"tenant": tenant}}


def test_a_run_has_the_namespace_of_its_tenant_user_and_thread() -> None:
    """What it does not say is a tilde."""
    assert namespace_of(config("acme", "t1"))[2:] == ("acme", "~", "t1")
    assert namespace_of({"configurable": {"user_id": "ann", "session_id": "s1"}})[2:] == ("~", "ann", "s1")
    assert namespace_of({})[2:] == ("~", "~", "~")


@given(st.text(min_size=1), st.text(min_size=1), st.text(min_size=1), st.text(min_size=1))
def test_any_name_is_one_that_a_store_takes_and_two_are_two(a: str, b: str, c: str, d: str) -> None:
    """Full stops, blanks and anything else in a name neither raise nor make two tenants one."""
    one, other = namespace_of(config(a, b)), namespace_of(config(c, d))
    store = InMemoryStore()
    store.put(one, "key", {"of": "one"}, index=False)
    assert (one == other) == (store.get(other, "key") is not None)
    assert (one == other) == ((a, b) == (c, d))


def test_long_names_are_told_apart_by_their_ends() -> None:
    """No name is shortened."""
    assert namespace_of(config("x" * 300 + "a", "t")) != namespace_of(config("x" * 300 + "b", "t"))


def test_a_name_that_is_no_name_is_refused() -> None:
    """An object may be written as the next tenant's is."""
    with pytest.raises(TypeError, match="tenant is a text or a number, not a object"):
        namespace_of({"metadata": {"tenant": object()}})
