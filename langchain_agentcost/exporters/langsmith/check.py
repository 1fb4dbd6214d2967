"""Does LangSmith show our costs? One traced run says so."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from time import monotonic, sleep
from typing import TYPE_CHECKING
from uuid import uuid4

from langsmith.utils import LangSmithNotFoundError

from langchain_agentcost.exporters.langsmith.runs import StoredRun, link_to, project_id, runs
from langchain_agentcost.exporters.langsmith.tracer import LangSmithCostTracer
from langchain_agentcost.pricing import PriceBook

if TYPE_CHECKING:
    from langsmith import Client

CHECK_PROJECT = "langchain-agentcost-check"
"""The project that the run of a check is posted to."""


@dataclass(frozen=True, slots=True)
class CheckResult:
    """What came of a check.

    Args:
        project: The project that the run was posted to.
        run_id: The run.
        posted: The cost that was sent, in USD.
        shown: The cost that LangSmith gives back, in USD; None where it gave none in time.
        url: The page that shows the run; None where the run was not found.
    """

    project: str
    run_id: str
    posted: Decimal
    shown: Decimal | None = None
    url: str | None = None

    @property
    def ok(self) -> bool:
        """Whether LangSmith shows what was sent."""
        return self.shown == self.posted


def check(client: Client, *, project: str = CHECK_PROJECT, timeout_s: float = 30.0) -> CheckResult:
    """Post one traced run with a known cost and read the cost back.

    No model is called and nothing is paid for: the run is that of a fake chat model.

    Args:
        client: A LangSmith client.
        project: The project to post to.
        timeout_s: How long to wait for LangSmith to show the run, in seconds.

    Returns:
        The result; its `ok` says whether LangSmith shows the cost that was sent.

    Raises:
        LangSmithError: If the service cannot be reached, or refuses the key.
    """
    from langchain_agentcost.exporters.langsmith.probe import POSTED, PRICES, Probe  # noqa: PLC0415  # slow to import

    client.request_with_retries("GET", "/sessions", params={"limit": 1})
    run_id = uuid4()
    since = datetime.now(UTC) - timedelta(minutes=5)
    tracer = LangSmithCostTracer(client=client, project_name=project, prices=PriceBook(PRICES))
    Probe(cache=False).invoke("ping", config={"callbacks": [tracer], "run_id": run_id, "run_name": "agentcost check"})
    client.flush(timeout=timeout_s)
    run = _wait_for(client, str(run_id), project=project, since=since, timeout_s=timeout_s)
    if run is None:
        return CheckResult(project, str(run_id), POSTED)
    shown = None if run.total_cost is None else Decimal(str(run.total_cost))
    return CheckResult(project, run.id, POSTED, shown, link_to(client, run))


def _wait_for(client: Client, run_id: str, *, project: str, since: datetime, timeout_s: float) -> StoredRun | None:
    """Ask for a run until it has a cost; at the end what there is of it."""
    deadline = monotonic() + timeout_s
    pause_s = 0.05
    found: StoredRun | None = None
    while True:
        try:
            session = project_id(client, project)
            found = next(runs(client, project=session, since=since, ids=[run_id]), found)
        except LangSmithNotFoundError:
            pass
        if (found is not None and found.total_cost is not None) or monotonic() + pause_s > deadline:
            return found
        sleep(pause_s)
        pause_s = min(2.0, pause_s * 2)
