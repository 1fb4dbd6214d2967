"""One line of the ledger."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime
from decimal import Decimal
from typing import Literal, get_args
from uuid import UUID, uuid5

from langchain_agentcost.attribution import Attribution
from langchain_agentcost.pricing.cost import Cost
from langchain_agentcost.routed import Routed
from langchain_agentcost.usage import Usage

Kind = Literal["llm", "embedding", "tool", "retriever", "cache_hit", "saving", "outcome", "correction", "decision"]
Status = Literal["ok", "error", "aborted"]

KINDS: tuple[Kind, ...] = get_args(Kind)
STATUSES: tuple[Status, ...] = get_args(Status)
"""Stores keep kinds and statuses by their place here: add at the end."""

PAID_KINDS = ("llm", "embedding")
"""Kinds that should have a price: without one they are counted as unpriced."""

CALL_KINDS = ("llm", "embedding", "tool", "retriever", "cache_hit")
"""Kinds that count as a call."""

CONSUMING_KINDS = ("llm", "embedding", "tool", "retriever")
"""Kinds whose usage was really consumed: a cache hit or a saving tells what it avoided."""

SAVING_KINDS = ("cache_hit", "saving")
"""Kinds that say what was not spent: without a `saved` they are counted as unpriced."""

PRICED = "priced"
"""The name of a correction that gives a price to a call that had none."""


@dataclass(frozen=True, slots=True)
class InputSplit:
    """What the input tokens of a model call were made of. The four parts sum to `Usage.input_tokens`.

    The counts are the provider's total, divided by our estimate of each part.

    Args:
        new_tokens: What this call adds to the conversation: user turns, the last answer, a first system prompt.
        resent_tokens: What an earlier call had already sent.
        tool_schema_tokens: The descriptions of the bound tools.
        tool_result_tokens: Tool results that are sent for the first time.
    """

    new_tokens: int = 0
    resent_tokens: int = 0
    tool_schema_tokens: int = 0
    tool_result_tokens: int = 0


@dataclass(frozen=True, slots=True)
class Entry:
    """One event, as it is remembered: counts, money and labels, never the text of a prompt or an answer.

    A correction is an entry of its own. It has the attribution, the `at` and the status of the entry that it corrects,
    so that it falls into the same groups, days and filters; `parent_id` is that entry's id; `cost` is what has to be
    added to the costs booked so far (new price less the old one, negative for a credit); it has no usage and no
    duration. Its name is `PRICED` for the first price of an entry whose cost was None: that takes one from
    `Total.unpriced_calls`. Any other name ("repriced") moves money only.

    A routing decision is an entry of its own too, one however many calls were made for it. It has the attribution of
    the first of them and no cost: what was paid stands with the calls, which name it in `decision`.

    Args:
        id: `str(run_id)` of the LangChain run for model, tool and retriever calls, and for those that LangChain's own
            cache answered; else `event_id(...)`. Appending the same id again changes nothing, so nothing counts twice.
        kind: "llm", "embedding", "tool", "retriever"; "cache_hit" (served without the provider), "saving" (avoided in
            another way), "outcome" (what a run achieved), "correction" (what a re-pricing adds or takes away),
            "decision" (which tier a router chose).
        at: When the call started, UTC.
        attribution: Who and what it is booked to.
        duration_s: How long it took, in seconds; None where it was not measured.
        first_token_s: Seconds until the first streamed token; None where nothing was streamed.
        usage: What it consumed; None where that is not known or makes no sense.
        cost: What it cost; None where that is not known. A tool without a price has None too.
        saved: What it would have cost, where it cost nothing. Of a cache hit or a saving, None is not known; 0 where
            there was no price to save, as with a tool without one.
        status: "ok", "error", or "aborted" for a stream or run that was left.
        error_type: The class name of the error, never its message.
        parent_id: The parent run; for a correction, the entry that it corrects; for a decision, the first call that was
            made for it.
        name: The name of an outcome, a cache or a correction; for a decision, the policy; for a model call, the name
            that was asked for, where another one answered.
        value: The value of an outcome; of a decision, what the call was expected to cost on the strongest tier, in USD.
        success: Whether an outcome was one.
        split: What the input was made of; None where it was not analysed.
        fingerprints: Per message, a salted hash and its token count; None unless asked for.
        decision: Of a call that a router made, of its corrections and of the decision itself, the decision's id.
        routed: Of a decision, all that the router told of it: what is too many different things for tags.

    Example:
        >>> from datetime import UTC
        >>> Entry("r1", "llm", datetime.now(UTC), usage=Usage(input_tokens=3)).status
        'ok'
    """

    id: str
    kind: Kind
    at: datetime
    attribution: Attribution = field(default_factory=Attribution)
    duration_s: float | None = None
    first_token_s: float | None = None
    usage: Usage | None = None
    cost: Cost | None = None
    saved: Cost | None = None
    status: Status = "ok"
    error_type: str | None = None
    parent_id: str | None = None
    name: str | None = None
    value: Decimal | None = None
    success: bool | None = None
    split: InputSplit | None = None
    fingerprints: tuple[tuple[str, int], ...] | None = None
    decision: str | None = None
    routed: Routed | None = None


def event_id(run_id: UUID, kind: Kind, name: str, event: str) -> str:
    """Make the id of an entry that is not itself a LangChain run: the same event always has the same id.

    Example:
        >>> run = UUID(int=7)
        >>> event_id(run, "outcome", "resolved", "1") == event_id(run, "outcome", "resolved", "1")
        True
    """
    return str(uuid5(run_id, f"{kind}:{name}:{event}"))
