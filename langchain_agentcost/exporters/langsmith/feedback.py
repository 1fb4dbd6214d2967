"""Feedback in LangSmith as outcomes in the ledger, so that reports can say what a success costs."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime
from decimal import Decimal
from typing import TYPE_CHECKING, Any

from langchain_agentcost.attribution import Attribution, label
from langchain_agentcost.exporters.langsmith.runs import project_id
from langchain_agentcost.ledger.entry import Entry, event_id

if TYPE_CHECKING:
    from langsmith import Client
    from langsmith.schemas import Feedback

    from langchain_agentcost.ledger.base import Ledger


def passed(feedback: Feedback) -> bool | None:
    """Call a score of 0.5 or more a success, which fits yes and no as well as shares; None where there is no score."""
    return None if feedback.score is None else float(feedback.score) >= 0.5


def import_feedback(
    client: Client,
    ledger: Ledger,
    *,
    project: str,
    key: str | None = None,
    since: datetime | None = None,
    succeeds: Callable[[Feedback], bool | None] = passed,
) -> int:
    """Write a project's feedback into the ledger as outcomes of its traces.

    An entry's id comes from the feedback's, so importing again adds nothing. Feedback that was changed since is one
    outcome more, later than the first: of several outcomes of one name, the latest counts.

    Args:
        client: A LangSmith client.
        ledger: Where the outcomes go.
        project: The project's name.
        key: Only feedback with this key, such as "correctness"; None is all.
        since: Only feedback that was created at or after this instant; None is all.
        succeeds: Whether a feedback means success; None leaves it open.

    Returns:
        How many outcomes were read.

    Raises:
        LangSmithNotFoundError: If there is no such project.
        LangSmithError: If the service cannot be reached, or refuses the key.
        StoreUnavailable: If the ledger cannot be written.
    """
    asked: dict[str, Any] = {"session": [project_id(client, project)]}
    asked |= {"min_created_at": since.isoformat()} if since else {}
    imported = 0
    for feedback in client.list_feedback(feedback_key=[key] if key else None, **asked):
        entry = _outcome(feedback, success=succeeds(feedback))
        if entry is not None:
            ledger.append(entry)
            imported += 1
    return imported


def _outcome(feedback: Feedback, *, success: bool | None) -> Entry | None:
    """An outcome of the trace that a feedback is about; None for feedback about a project as a whole."""
    run_id = feedback.trace_id or feedback.run_id
    if run_id is None:
        return None
    at = feedback.modified_at
    return Entry(
        id=event_id(run_id, "outcome", label(feedback.key), f"{feedback.id} {at.isoformat()}"),
        kind="outcome",
        at=at if at.tzinfo else at.replace(tzinfo=UTC),
        attribution=Attribution(run=str(run_id)),
        name=label(feedback.key),
        value=None if feedback.score is None else Decimal(str(float(feedback.score))),
        success=success,
    )
