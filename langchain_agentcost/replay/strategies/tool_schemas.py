"""Tool-schema pruning: tools that are not used are not described."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from typing import Any, ClassVar

from langchain_agentcost.replay.episode import Call, Episode
from langchain_agentcost.replay.request import Request
from langchain_agentcost.replay.sizes import Toolset
from langchain_agentcost.replay.strategy import Fidelity, Paid, Scene, Session


@dataclass(frozen=True, slots=True)
class PruneTools:
    """Leave out the tools that no earlier run of the same source has used, once enough runs were seen.

    A recorded call of a tool that was left out is counted as harm: `missing_tool`.

    Args:
        after: How many runs are watched before anything is left out.
    """

    name: ClassVar[str] = "prune_tools"
    fidelity: ClassVar[Fidelity] = Fidelity.SAME_INFORMATION
    needs_text: ClassVar[bool] = True

    after: int = 20

    def __post_init__(self) -> None:
        if self.after < 1:
            raise ValueError(f"after is at least 1, not {self.after}: before the first run no use is known.")

    def begin(self, scene: Scene) -> Session:
        """Open a run."""
        used: set[str] = scene.memory.setdefault("used", set())
        seen = scene.memory["seen"] = scene.memory.get("seen", 0) + 1
        return _Pruned(scene, set(used) if seen > self.after else None, used)


@dataclass(frozen=True, slots=True)
class PruneToolsOracle:
    """Describe to each run only the tools that it will use: hindsight, the most that pruning could ever save."""

    name: ClassVar[str] = "prune_tools_oracle"
    fidelity: ClassVar[Fidelity] = Fidelity.PRICE_BOUND
    needs_text: ClassVar[bool] = True

    def begin(self, scene: Scene) -> Session:
        """Open a run."""
        return _Pruned(scene, used_tools(scene.episode), set())


class _Pruned(Session):
    def __init__(self, scene: Scene, keep: Collection[str] | None, used: set[str]) -> None:
        super().__init__(scene)
        tools = scene.episode.tools
        self._used = used
        self._left_out = set() if keep is None else {tool_name(tool) for tool in tools}.difference(keep)
        self._schemas = tuple(tool for tool in tools if tool_name(tool) not in self._left_out)

    def before(self, call: Call, request: Request) -> Request:
        return request._replace(tools=Toolset(self._schemas, request.tools.stamp)) if self._left_out else request

    def after(self, call: Call, paid: Paid) -> None:
        for asked in call.answer.tool_calls:
            self._used.add(asked["name"])
            self.tally["missing_tool"] += asked["name"] in self._left_out


def tool_name(schema: Mapping[str, Any]) -> str:
    """Give the name in a tool's description, of OpenAI's form or of another one."""
    inner = schema.get("function")
    return str((inner if isinstance(inner, Mapping) else schema).get("name"))


def used_tools(episode: Episode) -> set[str]:
    """Give the names of the tools that a run called."""
    return {asked["name"] for call in episode.calls for asked in call.answer.tool_calls}
