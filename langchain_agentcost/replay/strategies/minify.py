"""Lossless minification: JSON in tool results without the blanks that nobody needs."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from langchain_core.messages import BaseMessage, ToolMessage

from langchain_agentcost.context.compress.json_text import minified
from langchain_agentcost.replay.strategies.rewriting import Rewriting, text_in
from langchain_agentcost.replay.strategy import Fidelity, Scene, Session


@dataclass(frozen=True, slots=True)
class Minify:
    """Write every tool result that is JSON without blanks. Nothing that it says is lost."""

    name: ClassVar[str] = "minify"
    fidelity: ClassVar[Fidelity] = Fidelity.SAME_INFORMATION
    needs_text: ClassVar[bool] = True

    def begin(self, scene: Scene) -> Session:
        """Open a run."""
        return _Minifying(scene)


class _Minifying(Rewriting):
    def written(self, message: ToolMessage) -> BaseMessage:
        text = text_in(message)
        small = minified(text) if text is not None else None
        return message if small is None else self.in_place_of(message, small)
