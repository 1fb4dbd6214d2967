"""What is said when a limit comes near, is reached, or asks a person."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any, Literal

AlertKind = Literal["threshold", "denied", "would_deny", "tripped", "warned", "approval", "store"]
"""threshold: a share of a budget was used; denied: a call was not made; would_deny: it would not have been, had the
mode been "enforce"; tripped, warned: a breaker; approval: a person is asked; store: the budget store failed."""


@dataclass(frozen=True, slots=True)
class Alert:
    """Something about a limit that a person or a program may want to know.

    Args:
        kind: What happened.
        message: A sentence with limit and actual.
        scope: The account's scope, or the run that a breaker watched.
        action: What follows, such as "raise" or "interrupt".
        share: The share of the limit that is used, 0.85 for 85 %; None where that does not apply.
        limit: The limit in its unit (USD as text, counts, seconds as text); None where that does not apply.
        spent: What is spent, likewise.
        evidence: What else a person needs to decide: thread, run, the command that resumes.
        at: When, UTC.
    """

    kind: AlertKind
    message: str
    scope: str | None = None
    action: str | None = None
    share: float | None = None
    limit: str | int | None = None
    spent: str | int | None = None
    evidence: Mapping[str, Any] = field(default_factory=dict)
    at: datetime = field(default_factory=lambda: datetime.now(UTC))


AlertSink = Callable[[Alert], object]
"""Takes alerts: a function, or a `Webhook`. It is called on the run's own thread, so it must not block."""
