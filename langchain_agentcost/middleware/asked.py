"""A model request as the meter sees it, and as it may be made."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext
from typing import Any, cast

from langchain.agents.middleware import ModelRequest
from langchain.agents.structured_output import AutoStrategy, ProviderStrategy, ToolStrategy
from langchain_core.language_models import BaseChatModel

from langchain_agentcost.answer_caps import CAPS, FIELD, NESTED, argument_of
from langchain_agentcost.meter import CostMeter
from langchain_agentcost.meter.max_output import longest_answer
from langchain_agentcost.recent import Recent

_FORMS = (AutoStrategy, ProviderStrategy, ToolStrategy)

MAX_FORMS = 64
"""For how many pairs of tools and answer's form the tools are remembered that they make together."""


class Asker:
    """Asks a meter for permits, and gives requests back that stay within them.

    Args:
        meter: The meter.
        least_output_tokens: The shortest answer worth having.
    """

    def __init__(self, meter: CostMeter, *, least_output_tokens: int) -> None:
        self._meter = meter
        self._least = least_output_tokens
        self._tools: Recent[tuple[int, int], tuple[object, object, Sequence[Any]]] = Recent(MAX_FORMS)

    def ask(self, request: ModelRequest[Any]) -> tuple[ModelRequest[Any], AbstractContextManager[object]]:
        """Reserve for a request, with as long an answer as there is room for.

        What does not say which model it is, such as a router, asks for itself: its request is given back as it is.

        Returns:
            The request, with a cap where the longest answer has no room; and the permit to make it in.

        Raises:
            LimitReached: If there is no room even for the shortest answer worth having.
            GraphInterrupt: If a person is asked.
        """
        model: object = request.model
        if not isinstance(model, BaseChatModel):
            return request, nullcontext()
        settings = request.model_settings
        named = model._get_ls_params(**settings)  # noqa: SLF001  # what LangChain announces; it has no public name
        sent = {**model._get_invocation_params(**settings), "tools": self._tools_of(request)}  # noqa: SLF001  # same
        name, provider = named.get("ls_model_name"), named.get("ls_provider")
        longest = longest_answer(name, provider, sent, named)
        permit = self._meter.permit(
            request.messages if request.system_message is None else [request.system_message, *request.messages],
            model=name,
            provider=provider,
            settings=sent,
            least_output_tokens=min(longest.tokens, longest.answers * (self._least + _thinking_tokens(sent))),
        )
        if permit.output_tokens >= longest.tokens:
            return request, permit
        return capped(request, permit.output_tokens // longest.answers, sent=sent), permit

    def _tools_of(self, request: ModelRequest[Any]) -> Sequence[Any]:
        """The bound tools, and the form that an answer must have, which is one more tool or costs as much."""
        tools, form = request.tools, cast("Any", request.response_format)
        if form is None:
            return tools
        key = (id(tools), id(form))
        known = self._tools.get(key)
        if known is None or known[0] is not tools or known[1] is not form:
            schema = form.schema if isinstance(form, _FORMS) else form
            specs = ToolStrategy(schema).schema_specs
            known = (tools, form, [*tools, *(_described(spec) for spec in specs)])
            self._tools.put(key, known)
        return known[2]


def capped(request: ModelRequest[Any], tokens: int, *, sent: Mapping[str, Any]) -> ModelRequest[Any]:
    """Cap the answers of a request.

    Args:
        request: The request.
        tokens: The longest that an answer may be.
        sent: Its invocation parameters, which may hold a cap inside another parameter.
    """
    settings = {name: value for name, value in request.model_settings.items() if name not in CAPS}
    for name in NESTED:
        inner = sent.get(name)
        if isinstance(inner, Mapping) and any(cap in inner for cap in CAPS):
            settings[name] = {**inner, **{cap: tokens for cap in CAPS if cap in inner}}
    model = request.model
    if FIELD in type(model).model_fields:
        return request.override(model=model.model_copy(update={FIELD: tokens}), model_settings=settings)
    return request.override(model_settings={**settings, argument_of(model): tokens})


def _thinking_tokens(sent: Mapping[str, Any]) -> int:
    """What Anthropic's models may think for: it is inside the cap, and a lower cap is refused."""
    thinking = sent.get("thinking")
    budget = thinking.get("budget_tokens") if isinstance(thinking, Mapping) else None
    return budget if type(budget) is int else 0


def _described(spec: Any) -> Mapping[str, Any]:
    return {"name": spec.name, "description": spec.description, "parameters": spec.json_schema}
