"""The same information in fewer tokens: lossless compression, results that stand above already, lean tool schemas."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar

from langchain_core.messages import BaseMessage, ToolMessage

from langchain_agentcost.context.lint.schemas import lean_tools
from langchain_agentcost.context.references.policy import ReferencePolicy
from langchain_agentcost.context.references.references import References
from langchain_agentcost.replay.episode import Call
from langchain_agentcost.replay.request import Request
from langchain_agentcost.replay.sizes import Toolset
from langchain_agentcost.replay.strategies.rewriting import Rewriting
from langchain_agentcost.replay.strategy import Fidelity, Scene, Session

_NEVER = 10**12
"""No result has so many tokens: nothing is put aside."""


@dataclass(frozen=True, slots=True)
class Compact:
    """Say the same in fewer tokens: nothing that the model could read is lost.

    Tool results are compressed without loss when they come, one that stands above to the letter is told by a note, and
    tool schemas are sent without what says nothing. The code is that of `lean_tools` and of `References`, which puts
    nothing aside here.

    Args:
        tools: Whether tool schemas are made lean.
    """

    name: ClassVar[str] = "compact"
    fidelity: ClassVar[Fidelity] = Fidelity.SAME_INFORMATION
    needs_text: ClassVar[bool] = True

    tools: bool = True

    def begin(self, scene: Scene) -> Session:
        """Open a run."""
        return _Compacting(scene, lean=self.tools)


def of_a_replay(above_tokens: int) -> References:
    """Give references that are the same whether a run is counted or made again in a graph, which has a thread.

    Args:
        above_tokens: Results of more tokens are put aside.
    """
    return References(policy=ReferencePolicy(above_tokens=above_tokens), namespace=lambda config: ("replay",))


class _Compacting(Rewriting):
    def __init__(self, scene: Scene, *, lean: bool) -> None:
        super().__init__(scene)
        self._references = of_a_replay(_NEVER)
        self._lean = lean
        self._tools: dict[int, tuple[Mapping[str, Any], ...]] = {}

    def before(self, call: Call, request: Request) -> Request:
        sent = super().before(call, request)
        return sent._replace(tools=self._leaner(sent.tools)) if self._lean else sent

    def written(self, message: ToolMessage) -> BaseMessage:
        made = self._references.offload(message, messages=self.standing, config={})
        return message if made is message else self.shorter(message, made)

    def _leaner(self, tools: Toolset) -> Toolset:
        key = id(tools.schemas)
        if key not in self._tools:
            lean = lean_tools(tools.schemas)
            shorter = self.scene.sizes.of_tools(Toolset(lean)).tokens < self.scene.sizes.of_tools(tools).tokens
            self._tools[key] = lean if shorter else tools.schemas
        return tools._replace(schemas=self._tools[key])
