"""The projector in a graph of your own: a node that decides before the model's node, and what that node then sends."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from langchain_core.messages import BaseMessage, SystemMessage
from langchain_core.runnables import RunnableConfig
from langgraph.managed import RemainingSteps

from langchain_agentcost.context.as_node import AsNode
from langchain_agentcost.context.audit import AuditReport
from langchain_agentcost.context.projecting_model import Beside
from langchain_agentcost.context.projecting_state import CONTEXT_KEY, ContextState
from langchain_agentcost.context.projector import ContextProjector, Projection


class BudgetedContextState(ContextState):
    """The projector's channel, and LangGraph's count of the steps that are left."""

    remaining_steps: RemainingSteps


class ContextNode(AsNode):
    """Decides before each model call what of the history is sent. No message of the state is removed.

    In a graph of your own, put `node()` before the model's node, which then asks with
    `node.view(state["messages"], state)`. For langgraph's `create_react_agent(state_schema=…, pre_model_hook=…)` take
    `hook()`. With a `CostCheckpointer`: `context=[node]`.

    Args:
        projector: Projects; its `model` has to be known.
        system: The agent's system message, where it is not among the messages.
        tools: The tools that are bound to the model.
        steps_per_call: How many steps of the graph one model call takes, its tools included: then a run is expected to
            be no longer than LangGraph's `recursion_limit` allows. None does not look at it.

    Example:
        >>> from langchain_core.messages import HumanMessage
        >>> node, said = ContextNode(ContextProjector("gpt-4.1")), [HumanMessage("Where is A-1742?")]
        >>> update = node.invoke({"messages": said})
        >>> node.view(said, update) == said
        True
    """

    name = "context"

    def __init__(
        self,
        projector: ContextProjector,
        *,
        system: SystemMessage | str | None = None,
        tools: Sequence[Any] = (),
        steps_per_call: int | None = None,
    ) -> None:
        self.projector = projector
        self.schema: type[Any] | None = ContextState if steps_per_call is None else BudgetedContextState
        self._system = system
        self._tools = tools
        self._steps_per_call = steps_per_call

    def invoke(self, state: Mapping[str, Any], config: RunnableConfig | None = None) -> dict[str, Any]:
        """Decide; the update of the state."""
        return {CONTEXT_KEY: self._project(state, config).stored}

    async def ainvoke(self, state: Mapping[str, Any], config: RunnableConfig | None = None) -> dict[str, Any]:
        """Decide from async code; see `invoke`."""
        return {CONTEXT_KEY: (await self._aproject(state, config)).stored}

    def view(self, messages: Sequence[BaseMessage], state: Mapping[str, Any]) -> list[BaseMessage]:
        """Give the messages for the model, by the plan of a state: a pure function."""
        return self.projector.view(messages, state.get(CONTEXT_KEY))

    def report(self, state: Mapping[str, Any]) -> AuditReport:
        """Give what the cuts of a thread were expected to save and have saved, from its state."""
        return self.projector.report(state.get(CONTEXT_KEY), state.get("messages") or ())

    def _project(self, state: Mapping[str, Any], config: RunnableConfig | None) -> Projection:
        messages = state.get("messages") or []
        return self.projector.project(messages, state.get(CONTEXT_KEY), beside=self._beside(state), config=config)

    async def _aproject(self, state: Mapping[str, Any], config: RunnableConfig | None) -> Projection:
        messages = state.get("messages") or []
        return await self.projector.aproject(
            messages, state.get(CONTEXT_KEY), beside=self._beside(state), config=config
        )

    def _beside(self, state: Mapping[str, Any]) -> Beside:
        left = calls_left(state, self._steps_per_call)
        return Beside(system=self._system, tools=self._tools, at_most=left)


def calls_left(state: Mapping[str, Any], steps_per_call: int | None) -> float | None:
    """Give how many model calls LangGraph's step limit leaves room for; None where that is not asked for or known.

    Example:
        >>> calls_left({"remaining_steps": 9}, 2)
        4.5
    """
    left = state.get("remaining_steps")
    return left / steps_per_call if steps_per_call and isinstance(left, int) else None
