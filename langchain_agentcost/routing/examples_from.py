"""Examples from elsewhere: LangSmith's experiments, and trials of the tiers on data of your own."""

from __future__ import annotations

import warnings
from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import replace
from datetime import UTC, timedelta
from decimal import Decimal
from functools import wraps
from statistics import fmean
from typing import TYPE_CHECKING, Any
from uuid import UUID, uuid4

from langchain_core.messages import BaseMessage, HumanMessage, convert_to_messages
from langchain_core.runnables import RunnableConfig

from langchain_agentcost.errors import RoutingError
from langchain_agentcost.exporters.langsmith.runs import runs
from langchain_agentcost.money import to_nano
from langchain_agentcost.pricing import PriceBook
from langchain_agentcost.routed import EVALUATION_PURPOSE
from langchain_agentcost.routing.example import Example
from langchain_agentcost.routing.request import RouteRequest
from langchain_agentcost.routing.tier import Tier
from langchain_agentcost.routing.warmth import Prompt
from langchain_agentcost.tokens import TokenCounter
from langchain_agentcost.usage import Usage

if TYPE_CHECKING:
    from langsmith import Client
    from langsmith.schemas import Example as Given

RequestOf = Callable[[Mapping[str, Any], Mapping[str, Any]], RouteRequest]
"""Makes a request of an example's inputs and its metadata."""

_TRIAL: RunnableConfig = {"metadata": {"agentcost_purpose": EVALUATION_PURPOSE}}
_SELECTS = ("ID", "REFERENCE_EXAMPLE_ID", "TOTAL_COST")


def request_of(inputs: Mapping[str, Any], metadata: Mapping[str, Any]) -> RouteRequest:
    """Make a request as most datasets have them: `messages`, or one text under whatever name.

    Args:
        inputs: The example's inputs.
        metadata: Its metadata: `langgraph_node`, `thread_id`, `tools` (names) and `schema` (a name) say what kind of
            step it is, where they are there.

    Raises:
        RoutingError: If there is neither; write a function of your own then.

    Example:
        >>> request = request_of({"question": "Total?"}, {"langgraph_node": "extract"})
        >>> request.text, request.node
        ('Total?', 'extract')
    """
    texts = [value for value in inputs.values() if isinstance(value, str)]
    if isinstance(inputs.get("messages"), Sequence):
        messages = convert_to_messages(inputs["messages"])
    elif len(texts) == 1:
        messages = [HumanMessage(texts[0])]
    else:
        raise RoutingError(f"No request in inputs {', '.join(inputs) or 'without a name'}; pass `request_of`.")
    request = RouteRequest.of(
        messages,
        node=metadata.get("langgraph_node"),
        thread=metadata.get("thread_id"),
        tools=tuple(metadata.get("tools") or ()),
        schema=metadata.get("schema"),
    )
    return replace(request, prompt_tokens=Prompt.of(request, TokenCounter()).total_tokens)


def examples_from_langsmith(
    client: Client,
    dataset: str,
    experiments: Mapping[str, str],
    *,
    feedback_key: str,
    request_of: RequestOf = request_of,
) -> list[Example]:
    """Make examples of experiments that each ran one tier on the same dataset.

    Args:
        client: A LangSmith client.
        dataset: The dataset's name.
        experiments: By tier, the name of the experiment that ran it.
        feedback_key: The feedback whose score, from 0 to 1, is the quality. Of several scores the mean counts.
        request_of: Makes a request of an example's inputs and metadata.

    Returns:
        An example for each of the dataset that at least one experiment has a score for; costs as LangSmith has them.

    Raises:
        LangSmithNotFoundError: If there is no such dataset or experiment.
        LangSmithError: If the service cannot be reached, or refuses the key.
        RoutingError: If a score is not from 0 to 1.
    """
    tried = {tier: _experiment(client, name, feedback_key) for tier, name in experiments.items()}
    found = []
    for given in client.list_examples(dataset_name=dataset):
        scored = {tier: results[str(given.id)] for tier, results in tried.items() if str(given.id) in results}
        if scored:
            quality = {tier: score for tier, (score, _) in scored.items()}
            nano = {tier: cost for tier, (_, cost) in scored.items() if cost is not None}
            request = request_of(given.inputs or {}, given.metadata or {})
            found.append(Example(request=request, quality=quality, nano=nano, id=str(given.id)))
    return found


def examples_by_evaluating(
    tiers: Sequence[Tier],
    data: Sequence[Given | Mapping[str, Any]],
    evaluator: Callable[..., Any],
    *,
    request_of: RequestOf = request_of,
    prices: PriceBook | None = None,
    max_concurrency: int = 4,
) -> list[Example]:
    """Have each tier answer data of your own, by `langsmith.evaluate(upload_results=False)`. Nothing is uploaded.

    LangSmith's own switch leaves the traces of LangChain models within a target and an evaluator to be uploaded,
    prompts and all, and its client asks the service what it is (seen with 0.15.1). So tracing is off within them here,
    whatever the environment says, and the client is one that does not ask.

    Args:
        tiers: The tiers.
        data: LangSmith examples, or mappings with `inputs`, and `outputs` and `metadata` where there are any.
        evaluator: A LangSmith evaluator: a function of `inputs`, `outputs` and `reference_outputs`, as it names them,
            that gives true, false or a score from 0 to 1. `outputs` are the text, as "output", and "tool_calls".
        request_of: Makes a request of an example's inputs and metadata.
        prices: What models cost; None takes the built-in prices.
        max_concurrency: How many calls are made at a time.

    Returns:
        An example for each of the data. A tier that failed or has no score is not in its quality.

    Raises:
        RoutingError: If a score is not from 0 to 1.
    """
    book = prices if prices is not None else PriceBook()
    rows = [_given(one) for one in data]
    requests = {row.id: request_of(row.inputs or {}, row.metadata or {}) for row in rows}
    quality: defaultdict[UUID, dict[str, float]] = defaultdict(dict)
    nano: defaultdict[UUID, dict[str, int]] = defaultdict(dict)
    for tier in tiers:
        for at, score, usage in _evaluated(tier, rows, requests, evaluator, max_concurrency):
            if score is not None:
                quality[at][tier.name] = score
            card = tier.card(book)
            cost = card.cost(usage) if card is not None and usage is not None else None
            if cost is not None:
                nano[at][tier.name] = cost.total_nano
    return [
        Example(request=requests[row.id], quality=quality[row.id], nano=nano[row.id], id=str(row.id)) for row in rows
    ]


def _experiment(client: Client, name: str, key: str) -> dict[str, tuple[float, int | None]]:
    """The score and the cost of an experiment's runs, by the id of the dataset's example."""
    project = client.read_project(project_name=name)
    scores: defaultdict[str, list[float]] = defaultdict(list)
    for feedback in client.list_feedback(feedback_key=[key], session=[str(project.id)]):
        if feedback.score is not None:
            scores[str(feedback.run_id)].append(float(feedback.score))
    started = project.start_time
    since = (started if started.tzinfo else started.replace(tzinfo=UTC)) - timedelta(days=1)
    return {
        run.fields["reference_example_id"]: (fmean(scores[run.id]), _nano(run.total_cost))
        for run in runs(client, project=str(project.id), since=since, selects=_SELECTS)
        if run.fields.get("reference_example_id") and run.id in scores
    }


def _nano(usd: Any) -> int | None:
    return None if usd is None else to_nano(Decimal(str(usd)))


def _given(one: Given | Mapping[str, Any]) -> Given:
    from langsmith.schemas import Example as Made  # noqa: PLC0415  # LangSmith's models take long to import

    if not isinstance(one, Mapping):
        return one
    return Made(id=uuid4(), inputs=one["inputs"], outputs=one.get("outputs"), metadata=one.get("metadata"))


def _evaluated(
    tier: Tier,
    rows: Sequence[Given],
    requests: Mapping[UUID, RouteRequest],
    evaluator: Callable[..., Any],
    max_concurrency: int,
) -> Iterator[tuple[UUID, float | None, Usage | None]]:
    """The id, score and usage of each example at a tier."""
    from langsmith import Client, evaluate, get_current_run_tree, tracing_context  # noqa: PLC0415  # it takes long to import

    usages: dict[UUID, Usage] = {}

    def target(inputs: dict[str, Any]) -> dict[str, Any]:
        del inputs  # the request was made of them
        run = get_current_run_tree()
        if run is None or run.reference_example_id is None:
            raise RoutingError("langsmith.evaluate does not say which example it is at; update langsmith.")
        with tracing_context(enabled=False):
            answer = tier.model.invoke(list(requests[run.reference_example_id].messages), _TRIAL)
        usage = Usage.from_message(answer) if isinstance(answer, BaseMessage) else None
        if usage is not None:
            usages[run.reference_example_id] = usage
        return _outputs(answer)

    @wraps(evaluator)
    def untraced(*args: Any, **kwargs: Any) -> Any:
        with tracing_context(enabled=False):
            return evaluator(*args, **kwargs)

    asked: dict[str, Any] = {"upload_results": False, "max_concurrency": max_concurrency}
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message=".*is in beta")
        silent = Client(auto_batch_tracing=False)  # the usual one asks the service what it is, in a thread of its own
        results = evaluate(target, data=list(rows), evaluators=[untraced], client=silent, **asked)
    for row in results:
        found = row["evaluation_results"]["results"]
        score = found[0].score if found and not row["run"].error else None
        yield row["example"].id, None if score is None else float(score), usages.get(row["example"].id)


def _outputs(answer: Any) -> dict[str, Any]:
    if not isinstance(answer, BaseMessage):
        return {"output": answer}
    return {"output": answer.text, "tool_calls": list(getattr(answer, "tool_calls", ()))}
