from __future__ import annotations

import gc
import warnings
from collections.abc import Iterator

import pytest

SEVERAL_HANDLERS = ("astream messages", "astream_events v2", "astream_events v3", "astream updates")


@pytest.fixture(autouse=True)
def _unawaited_handlers(request: pytest.FixtureRequest) -> Iterator[None]:
    """Let go of what langchain-core leaves behind where several handlers listen to an async call and one raises.

    It makes the coroutines of all handlers first, and drops the others' when one raises: Python warns of each.
    """
    yield
    callspec = getattr(request.node, "callspec", None)
    if callspec is not None and not {*SEVERAL_HANDLERS}.isdisjoint(map(str, callspec.params.values())):
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", RuntimeWarning)
            gc.collect()
