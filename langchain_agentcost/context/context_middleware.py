"""The projector inside `langchain.agents.create_agent`."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from importlib.util import find_spec
from typing import Annotated, Any, NotRequired

from langchain_core.messages import AIMessage
from langgraph.managed.is_last_step import RemainingStepsManager
from langgraph.types import Command

from langchain_agentcost.context.audit import AuditReport
from langchain_agentcost.context.context_node import calls_left
from langchain_agentcost.context.projecting_model import Beside, ModelFacts
from langchain_agentcost.context.projecting_state import CONTEXT_KEY
from langchain_agentcost.context.projector import ContextProjector, Projection
from langchain_agentcost.errors import MissingExtra

if find_spec("langchain") is None:
    raise MissingExtra("langchain", extra="agents", what="ContextMiddleware")

from langchain.agents.middleware import AgentMiddleware, AgentState, ModelRequest, ModelResponse
from langchain.agents.middleware.types import ExtendedModelResponse, PrivateStateAttr

Request = ModelRequest[Any]
Response = ModelResponse[Any]


class ContextAgentState(AgentState[Any]):
    """An agent's state with the projector's channel, which is nobody else's affair."""

    agentcost_context: NotRequired[Annotated[dict[str, Any], PrivateStateAttr]]


class BudgetedContextAgentState(ContextAgentState):
    """The same, with LangGraph's count of the steps that are left."""

    remaining_steps: NotRequired[Annotated[int, PrivateStateAttr, RemainingStepsManager]]


class ContextMiddleware(AgentMiddleware[Any, Any, Any]):
    """Sends of an agent's history what is worth its price; the agent's messages stay as they are.

    Put it before what adds messages to a request, such as working memory, so that it sees the history itself: what it
    plans holds for messages that stay where they are. Model, system prompt and tools it takes from each request. What
    tries a call again may stand before or behind it: each attempt is sent the same.

    Args:
        projector: Projects; None is one with the defaults.
        facts: What a model costs; None looks it up by the model that is called.
        steps_per_call: How many steps of the graph one model call takes, its tools included: then a run is expected to
            be no longer than LangGraph's `recursion_limit` allows. None does not look at it.

    Example:
        >>> from langchain.agents import create_agent
        >>> from langchain_agentcost.testing import FakeMeteredChatModel
        >>> agent = create_agent(FakeMeteredChatModel(), middleware=[ContextMiddleware()])
        >>> sorted(agent.invoke({"messages": "Which bay is free?"}))
        ['messages']
    """

    def __init__(
        self,
        projector: ContextProjector | None = None,
        *,
        facts: Callable[[Any], ModelFacts] | None = None,
        steps_per_call: int | None = None,
    ) -> None:
        super().__init__()
        self.projector = projector or ContextProjector()
        self.state_schema = ContextAgentState if steps_per_call is None else BudgetedContextAgentState
        self._facts = facts or ModelFacts.of
        self._steps_per_call = steps_per_call

    def wrap_model_call(self, request: Request, handler: Callable[[Request], Response]) -> ExtendedModelResponse[Any]:
        """Make the call with what is left of the history, and keep the plan in the agent's state."""
        made = self.projector.project(request.messages, _stored(request), beside=self._beside(request))
        return self._kept(made, handler(_with(request, made)))

    async def awrap_model_call(
        self, request: Request, handler: Callable[[Request], Awaitable[Response]]
    ) -> ExtendedModelResponse[Any]:
        """Make the call with what is left of the history, and keep the plan in the agent's state."""
        made = await self.projector.aproject(request.messages, _stored(request), beside=self._beside(request))
        return self._kept(made, await handler(_with(request, made)))

    def report(self, state: Any, model: Any) -> AuditReport:
        """Give what the cuts of a thread were expected to save and have saved.

        Args:
            state: The values of the agent's state, as `agent.get_state(config).values` has them.
            model: The agent's model, or its name.
        """
        return self.projector.report(state.get(CONTEXT_KEY), state.get("messages") or (), model=self._facts(model))

    def _beside(self, request: Request) -> Beside:
        left = calls_left(request.state, self._steps_per_call)
        facts = self._facts(request.model)
        return Beside(model=facts, system=request.system_message, tools=request.tools, at_most=left)

    def _kept(self, made: Projection, response: Response) -> ExtendedModelResponse[Any]:
        answer = next((one for one in response.result if isinstance(one, AIMessage)), None)
        stored = self.projector.answered(made.stored, answer)
        return ExtendedModelResponse(model_response=response, command=Command(update={CONTEXT_KEY: stored}))


def _stored(request: Request) -> Any:
    return request.state.get(CONTEXT_KEY)


def _with(request: Request, made: Projection) -> Request:
    return request.override(messages=made.messages)  # type: ignore[arg-type]  # the messages it had, and notes for some
