"""The public names of the context room."""

from __future__ import annotations

import pytest

from langchain_agentcost import context


def test_every_public_name_can_be_imported() -> None:
    """Each name of `__all__` is there, in order, and is what `dir` shows."""
    assert sorted(set(context.__all__)) == sorted(context.__all__) == sorted(dir(context))
    assert all(getattr(context, name) is not None for name in context.__all__)


def test_an_unknown_name_is_an_attribute_error() -> None:
    """A name that does not exist is told like any module tells it."""
    with pytest.raises(AttributeError, match="no attribute 'Nonsense'"):
        _ = context.Nonsense
