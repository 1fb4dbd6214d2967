"""Does LangSmith show our costs? One traced run says so."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from time import monotonic, sleep
from typing import TYPE_CHECKING, Any
from uuid import uuid4

from langchain_core.language_models.base import LangSmithParams
from langchain_core.language_models.chat_models import BaseChatModel
from langchain_core.messages import AIMessage, BaseMessage
from langchain_core.outputs import ChatGeneration, ChatResult

from langchain_agentcost.exporters.langsmith.runs import StoredRun, link_to, project_id, runs
from langchain_agentcost.exporters.langsmith.tracer import LangSmithCostTracer
from langchain_agentcost.pricing import PriceBook

if TYPE_CHECKING:
    from langsmith import Client

CHECK_PROJECT = "langchain-agentcost-check"
"""The project that the run of a check is posted to."""

MODEL = "agentcost-check"
"""A model that LangSmith has no price for: a cost that it shows can only be the one we sent."""

_PRICES = {"models": [{"model": MODEL, "input": "1.00", "cache_read": "0.10", "output": "4.00"}]}
_USAGE = {"input_tokens": 1000, "output_tokens": 50, "total_tokens": 1050, "input_token_details": {"cache_read": 600}}
POSTED = Decimal("0.00066")
"""What the run costs: 400 uncached, 600 cached and 50 generated tokens at 1.00, 0.10 and 4.00 USD a million."""


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
    client.request_with_retries("GET", "/sessions", params={"limit": 1})
    run_id = uuid4()
    since = datetime.now(UTC) - timedelta(minutes=5)
    tracer = LangSmithCostTracer(client=client, project_name=project, prices=PriceBook(_PRICES))
    _Probe(cache=False).invoke("ping", config={"callbacks": [tracer], "run_id": run_id, "run_name": "agentcost check"})
    client.flush(timeout=timeout_s)
    run = _wait_for(client, str(run_id), project=project, since=since, timeout_s=timeout_s)
    if run is None:
        return CheckResult(project, str(run_id), POSTED)
    shown = None if run.total_cost is None else Decimal(str(run.total_cost))
    return CheckResult(project, run.id, POSTED, shown, link_to(client, run))


def _wait_for(client: Client, run_id: str, *, project: str, since: datetime, timeout_s: float) -> StoredRun | None:
    """Ask for a run until it has a cost; at the end what there is of it."""
    from langsmith.utils import LangSmithNotFoundError  # noqa: PLC0415  # langsmith is slow to import

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


class _Probe(BaseChatModel):
    """A chat model that answers at once and reports a fixed usage."""

    @property
    def _llm_type(self) -> str:
        return "agentcost-check"

    def _get_ls_params(self, stop: list[str] | None = None, **kwargs: Any) -> LangSmithParams:
        return LangSmithParams(ls_provider="agentcost", ls_model_name=MODEL, ls_model_type="chat")

    def _generate(self, messages: list[BaseMessage], *args: Any, **kwargs: Any) -> ChatResult:
        answer = AIMessage("pong", usage_metadata=_USAGE, response_metadata={"model_name": MODEL})
        return ChatResult(generations=[ChatGeneration(message=answer)])
