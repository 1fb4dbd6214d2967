"""What was recorded, as it was recorded."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from langchain_agentcost.replay.strategy import Fidelity, Scene, Session


@dataclass(frozen=True, slots=True)
class Nothing:
    """Change nothing: what all others are compared with."""

    name: ClassVar[str] = "none"
    fidelity: ClassVar[Fidelity] = Fidelity.EXACT
    needs_text: ClassVar[bool] = False

    def begin(self, scene: Scene) -> Session:
        """Open a run."""
        return Session(scene)
