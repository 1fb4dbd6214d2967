"""What decides before a model's node, as LangGraph takes it: a node, or a hook that also gives the messages."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from typing import Any

from langchain_core.messages import BaseMessage
from langchain_core.runnables import Runnable, RunnableConfig, RunnableLambda


class AsNode(ABC):
    """Something that looks at a state before each model call, and says by what it writes there what the model sees.

    Attributes:
        name: What its node is called.
    """

    name: str

    @abstractmethod
    def invoke(self, state: Mapping[str, Any], config: RunnableConfig | None = None) -> dict[str, Any]:
        """Decide; give the update of the state."""

    @abstractmethod
    async def ainvoke(self, state: Mapping[str, Any], config: RunnableConfig | None = None) -> dict[str, Any]:
        """Decide from async code; see `invoke`."""

    @abstractmethod
    def view(self, messages: Sequence[BaseMessage], state: Mapping[str, Any]) -> list[BaseMessage]:
        """Give the messages for the model by what stands in a state: a pure function."""

    def node(self) -> Runnable[Any, Any]:
        """Give it as a node of a graph, sync and async."""

        def run(state: Any, config: RunnableConfig) -> dict[str, Any]:
            return self.invoke(state, config)

        async def arun(state: Any, config: RunnableConfig) -> dict[str, Any]:
            return await self.ainvoke(state, config)

        return RunnableLambda(run, arun, name=self.name)

    def hook(self) -> Runnable[Any, Any]:
        """Give it as `pre_model_hook` of langgraph's `create_react_agent`: it also gives the messages for the model."""

        def run(state: Any, config: RunnableConfig) -> dict[str, Any]:
            return self._with_messages(state, self.invoke(state, config))

        async def arun(state: Any, config: RunnableConfig) -> dict[str, Any]:
            return self._with_messages(state, await self.ainvoke(state, config))

        return RunnableLambda(run, arun, name=self.name)

    def _with_messages(self, state: Mapping[str, Any], update: dict[str, Any]) -> dict[str, Any]:
        return {**update, "llm_input_messages": self.view(state["messages"], {**state, **update})}
