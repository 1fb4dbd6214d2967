"""A reservation that is made before the callback of its model call fires, by whoever can still shape the call."""

from __future__ import annotations

from collections.abc import Sequence
from contextvars import ContextVar
from types import TracebackType
from typing import Self

from langchain_agentcost.limits.limiter import Admission

_permit: ContextVar[Permit | None] = ContextVar("langchain_agentcost_permit", default=None)
"""What a caller that can shape its call (middleware, router) has reserved for the very next model call: LangChain
offers no other way from there to the callback that does not change the model or its metadata."""


UNCAPPED_TOKENS = 2**31
"""The longest answer where no limit says anything: longer than any."""


class Permit:
    """A reservation for the next model call of this thread or task: use it in a `with` block around that call.

    A permit that no model call took is given back.

    Args:
        admissions: What was reserved.
        output_tokens: The longest answer that was reserved for: what `max_tokens` has to be.
    """

    def __init__(self, admissions: Sequence[Admission], output_tokens: int) -> None:
        self.output_tokens = output_tokens
        self.owner: object = None
        """Who may take it: the gate that reserved. Another meter's limits hold for the call as well."""
        self._admissions: Sequence[Admission] | None = admissions

    @property
    def admissions(self) -> Sequence[Admission]:
        """What was reserved; nothing once a call has taken it."""
        return self._admissions or ()

    def take(self) -> Sequence[Admission] | None:
        """Take it, once; None where another call has."""
        admissions, self._admissions = self._admissions, None
        return admissions

    def __enter__(self) -> Self:
        """Offer it to the next model call."""
        _permit.set(self)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        """Give it back if no call took it."""
        _permit.set(None)
        for admission in self.take() or ():
            admission.void()


def taken_permit(owner: object) -> Sequence[Admission] | None:
    """What this owner reserved for the model call that starts here; None where nothing was."""
    permit = _permit.get()
    return permit.take() if permit is not None and permit.owner is owner else None
