"""Costs for traces that are in LangSmith already."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import TYPE_CHECKING, Any

from langchain_core.messages import AIMessage

from langchain_agentcost.exporters.langsmith.costs import STATED, costs_of, price_labels, stated_nano
from langchain_agentcost.exporters.langsmith.runs import StoredRun, project_id, runs
from langchain_agentcost.money import from_nano
from langchain_agentcost.pricing.cost import Cost
from langchain_agentcost.usage import Usage

if TYPE_CHECKING:
    from langsmith import Client

    from langchain_agentcost.pricing import PriceBook

DEFAULT_DAYS = 7


@dataclass(slots=True)
class BackfillResult:
    """What a backfill found and did.

    Args:
        examined: Model runs looked at.
        priced: Runs that got a cost, or would have got one in a dry run.
        kept: Runs whose cost was left as it is.
        without_usage: Runs that carry no token counts.
        unpriced: Runs without a known price, by model.
        total_nano: The cost of the priced runs in nano-USD.
    """

    examined: int = 0
    priced: int = 0
    kept: int = 0
    without_usage: int = 0
    unpriced: Counter[str] = field(default_factory=Counter)
    total_nano: int = 0

    @property
    def total(self) -> Decimal:
        """The cost of the priced runs in USD."""
        return from_nano(self.total_nano)


def backfill(
    client: Client,
    *,
    project: str,
    prices: PriceBook,
    since: datetime | None = None,
    force: bool = False,
    dry_run: bool = False,
) -> BackfillResult:
    """Put costs on the model runs of a project that have none.

    Each run is priced at the time it started. Running it again changes nothing, since the runs have costs by then.

    Args:
        client: A LangSmith client.
        project: The project's name.
        prices: The price book.
        since: Only runs that started at or after this instant; None is seven days ago.
        force: Also replace LangSmith's own estimates and costs that this package wrote before. A cost that the
            application stated itself is always kept.
        dry_run: Only count; change nothing.

    Returns:
        What was found and done.

    Raises:
        LangSmithNotFoundError: If there is no such project.
        LangSmithError: If the service cannot be reached, or refuses the key.
    """
    since = since or datetime.now(UTC) - timedelta(days=DEFAULT_DAYS)
    session = project_id(client, project)
    result = BackfillResult()
    wrappers: set[str] = set()
    for run in runs(client, project=session, since=since, run_type="LLM"):
        wrappers.update((run.fields.get("parent_run_ids") or ())[-1:])
        result.examined += 1
        if run.id in wrappers or _is_settled(run, force=force):
            result.kept += 1
            continue
        cost = _priced(run, prices, result)
        if cost is None:
            continue
        result.priced += 1
        result.total_nano += cost.total_nano
        if not dry_run:
            _update(client, run, session=session, cost=cost)
    client.flush()
    return result


def _is_settled(run: StoredRun, *, force: bool) -> bool:
    """Whether a run's cost stays as it is."""
    if stated_nano(run.usage_metadata) is None:
        return run.total_cost is not None and not force
    ours = run.metadata.get("agentcost_price_source") not in {None, STATED}
    return not (ours and force)


def _priced(run: StoredRun, prices: PriceBook, result: BackfillResult) -> Cost | None:
    """What a run cost; where that is not known, the reason is counted."""
    answer = run.message.get("response_metadata") or {}
    usage = Usage.from_message(
        AIMessage.model_construct(content="", usage_metadata=run.usage_metadata, response_metadata=answer)
    )
    if usage is None:
        result.without_usage += 1
        return None
    provider = run.metadata.get("ls_provider")
    names = [answer.get("model_name") or answer.get("model"), run.metadata.get("ls_model_name")]
    for name in dict.fromkeys(name for name in names if name):
        cost = prices.cost(usage, name, provider=provider, at=run.started)
        if cost is not None:
            return cost
    result.unpriced[str(names[1] or names[0] or "unknown")] += 1
    return None


def _update(client: Client, run: StoredRun, *, session: str, cost: Cost) -> None:
    """Write a cost on a run. A patch replaces `extra` as a whole and every field it names: all are sent again."""
    fields = run.fields
    usage: dict[str, Any] = {**run.usage_metadata, **costs_of(cost)}
    metadata = {**run.metadata, **price_labels(cost), "usage_metadata": usage}
    client.update_run(
        run.id,
        name=fields.get("name"),
        run_type="llm",
        start_time=run.started,
        end_time=run.ended,
        error=fields.get("error"),
        extra={**(fields.get("extra") or {}), "metadata": metadata},
        tags=fields.get("tags"),
        trace_id=fields.get("trace_id"),
        dotted_order=fields.get("dotted_order"),
        parent_run_id=next(iter((fields.get("parent_run_ids") or ())[-1:]), None),
        session_id=session,
    )
