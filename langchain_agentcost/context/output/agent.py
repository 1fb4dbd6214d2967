"""Output controls inside `langchain.agents.create_agent`."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import replace
from importlib.util import find_spec
from typing import Any

from langchain_core.language_models import BaseChatModel
from langchain_core.messages import AIMessage, SystemMessage, ToolMessage
from langchain_core.runnables.config import ensure_config

from langchain_agentcost.attribution import node_path
from langchain_agentcost.context.output.controls import OutputControls
from langchain_agentcost.context.output.cut import was_cut, without_calls
from langchain_agentcost.context.output.fitted import Fitted
from langchain_agentcost.errors import MissingExtra

if find_spec("langchain") is None:
    raise MissingExtra("langchain", extra="agents", what="OutputControlsMiddleware")

from langchain.agents.middleware import AgentMiddleware, ModelRequest, ModelResponse

Request = ModelRequest[Any]
Response = ModelResponse[Any]


class OutputControlsMiddleware(AgentMiddleware[Any, Any, Any]):
    """Puts output controls on an agent's model calls.

    Put it before `agentcost_middleware`, which comes last: that one then reserves no more than the cap, and lowers it
    where a budget has less room. An answer that was cut by such a lower cap is not asked for again.

    Whoever streams the agent's tokens sees a cut answer, and then the whole one; the state has the whole one alone.
    Tool calls of an answer that was cut are not run. A structured answer that was cut by another cap than this and is
    valid all the same stays, as LangChain takes it.

    Args:
        controls: What is done.
        fitted: Caps by node; the agent's own node and model are looked up at each call. None has the controls' own.

    Raises:
        ValueError: If the caps are by something else than the node: look them up, `controls.fitted(caps, place)`.

    Example:
        >>> from langchain.agents import create_agent
        >>> from langchain_agentcost.testing import FakeMeteredChatModel
        >>> model = FakeMeteredChatModel()
        >>> agent = create_agent(model, middleware=[OutputControlsMiddleware(OutputControls("Be brief."))])
        >>> done = agent.invoke({"messages": "Where is my order?"})
        >>> model.prompts[0][0].text
        'Be brief.'
    """

    def __init__(self, controls: OutputControls, *, fitted: Fitted | None = None) -> None:
        super().__init__()
        if fitted is not None and fitted.by != "node":
            raise ValueError(f"These caps are by {fitted.by!r}, not by node: give controls.fitted(caps, place).")
        self._controls = controls
        self._fitted = fitted

    def wrap_model_call(self, request: Request, handler: Callable[[Request], Response]) -> Response:
        """Make a model call under the controls, and once more where the cap has cut it."""
        controls = self._here(request.model)
        capped, cap = _shaped(request, controls, cap=True)
        try:
            response = handler(capped)
        except Exception as error:
            if not controls.asks_again(cap, error):
                raise
        else:
            if not controls.asks_again(cap, _answer(response)):
                return _safe(response)
        return _safe(handler(_shaped(request, controls, cap=False)[0]))

    async def awrap_model_call(self, request: Request, handler: Callable[[Request], Awaitable[Response]]) -> Response:
        """Make a model call under the controls, and once more where the cap has cut it, in async code."""
        controls = self._here(request.model)
        capped, cap = _shaped(request, controls, cap=True)
        try:
            response = await handler(capped)
        except Exception as error:
            if not controls.asks_again(cap, error):
                raise
        else:
            if not controls.asks_again(cap, _answer(response)):
                return _safe(response)
        return _safe(await handler(_shaped(request, controls, cap=False)[0]))

    def _here(self, model: object) -> OutputControls:
        """The controls with the cap of this node and model."""
        if self._fitted is None or not isinstance(model, BaseChatModel):
            return self._controls
        ns = ensure_config().get("metadata", {}).get("langgraph_checkpoint_ns")
        node = "/".join(node_path(ns)) if isinstance(ns, str) else None
        name = model._get_ls_params().get("ls_model_name")  # noqa: SLF001  # what LangChain announces, and meters book
        return self._controls.fitted(self._fitted, node, name)


def _shaped(request: Request, controls: OutputControls, *, cap: bool) -> tuple[Request, int | None]:
    """The request as it is made, and the cap that it got."""
    changes: dict[str, Any] = {}
    put = None
    if isinstance(request.model, BaseChatModel):  # a router chooses the model by itself, and later
        changes["model"], changes["model_settings"], put = controls.shaped(
            request.model, request.model_settings, cap=cap
        )
    if controls.instruction is not None:
        [system] = controls.instructed([request.system_message or SystemMessage("")])
        changes["system_message"] = system
    return request.override(**changes), put


def _answer(response: Response) -> AIMessage:
    """The model's own message; other middleware may give a bare one, or add to what the model gave."""
    if isinstance(response, AIMessage):
        return response
    inner = getattr(response, "model_response", response)
    return next((one for one in inner.result if isinstance(one, AIMessage)), AIMessage(""))


def _safe(response: Response) -> Response:
    """The response; of an answer that was cut, without the tool calls that would be run.

    Calls that fill in a form have their results already, and stay: an agent without any would be asked for one until
    its steps run out.
    """
    answer = _answer(response)
    if not was_cut(answer) or not isinstance(response, ModelResponse):
        return response
    others = [one for one in response.result if one is not answer]
    safe = without_calls(answer, keep={one.tool_call_id for one in others if isinstance(one, ToolMessage)})
    return response if safe is answer else replace(response, result=[safe, *others])
