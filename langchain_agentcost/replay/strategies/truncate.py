"""Truncation at write: a long tool result is cut when it comes in."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from langchain_core.messages import BaseMessage, ToolMessage

from langchain_agentcost.replay.strategies.rewriting import Rewriting, text_in
from langchain_agentcost.replay.strategy import Fidelity, Scene, Session


@dataclass(frozen=True, slots=True)
class Truncate:
    """Cut every tool result to its first tokens before it is ever sent.

    Args:
        tokens: How many tokens of a result stay.
    """

    name: ClassVar[str] = "truncate"
    fidelity: ClassVar[Fidelity] = Fidelity.OPEN_LOOP
    needs_text: ClassVar[bool] = True

    tokens: int = 500

    def __post_init__(self) -> None:
        if self.tokens < 1:
            raise ValueError(f"tokens is at least 1, not {self.tokens}.")

    def begin(self, scene: Scene) -> Session:
        """Open a run."""
        return _Truncating(scene, self.tokens)


class _Truncating(Rewriting):
    def __init__(self, scene: Scene, tokens: int) -> None:
        super().__init__(scene)
        self._tokens = tokens

    def written(self, message: ToolMessage) -> BaseMessage:
        text, tokens = text_in(message), self.scene.sizes.of(message).tokens
        if tokens <= self._tokens or text is None:
            return message
        return self.in_place_of(message, f"{beginning(text, self._tokens / tokens)}\n[cut]")


def beginning(text: str, share: float) -> str:
    """Give the beginning of a text: about this share of its tokens.

    Example:
        >>> beginning("0123456789", 0.3)
        '012'
    """
    return text[: int(len(text) * share)]
