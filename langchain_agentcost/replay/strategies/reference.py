"""Reference by id: a large tool result is kept outside the prompt, which has its beginning and where to find it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from langchain_core.messages import BaseMessage, ToolMessage

from langchain_agentcost.context.references.marks import Mark
from langchain_agentcost.replay.episode import Call
from langchain_agentcost.replay.request import Overhead, Request
from langchain_agentcost.replay.strategies.compact import of_a_replay
from langchain_agentcost.replay.strategies.rewriting import Rewriting
from langchain_agentcost.replay.strategy import Fidelity, Scene, Session

FETCH_TOKENS = 40
"""What a model writes to fetch a result by its id."""


@dataclass(frozen=True, slots=True)
class Reference:
    """Put a large result aside, send a stub with a reference, and let the agent read it: the package's `References`.

    Where a recorded call uses a literal that stands in such results only, the agent is charged for a fetch: one more
    call with the same prompt and the whole result, which the recorded call then has read. The results that were fetched
    stay out of later prompts. Smaller results are compressed without loss.

    Args:
        above: Results of more tokens than this are put aside.
    """

    name: ClassVar[str] = "reference"
    fidelity: ClassVar[Fidelity] = Fidelity.OPEN_LOOP
    needs_text: ClassVar[bool] = True

    above: int = 1000

    def __post_init__(self) -> None:
        if self.above < 1:
            raise ValueError(f"above is at least 1, not {self.above}.")

    def begin(self, scene: Scene) -> Session:
        """Open a run."""
        return _Referring(scene, self.above)


class _Referring(Rewriting):
    def __init__(self, scene: Scene, above: int) -> None:
        super().__init__(scene)
        self._references = of_a_replay(above)
        self._aside: set[int] = set()

    def written(self, message: ToolMessage) -> BaseMessage:
        made = self._references.offload(message, messages=self.standing, config={})
        if made is message:
            return message
        mark = Mark.of(made)
        if mark is not None and not mark.repeat:
            self._aside.add(id(message))
        return self.shorter(message, made)

    def before(self, call: Call, request: Request) -> Request:
        sent = super().before(call, request)
        if self._aside:
            self._fetch(call, sent)
        return sent

    def _fetch(self, call: Call, sent: Request) -> None:
        """Charge the fetches without which the recorded call could not have been made."""
        needed: dict[int, BaseMessage] = {}
        for literal in self.scene.literals.dangling(call, sent.messages):
            sources = self.scene.literals.sources(call, literal)
            source = next((message for message in sources if id(message) in self._aside), None)
            if source is not None:
                needed[id(source)] = source
        sizes = self.scene.sizes
        if needed:
            prompt = sizes.tokens(sent.tools, sent.messages)
            for source in needed.values():
                self.tally["fetches"] += 1
                self.overhead.append(Overhead(prompt + sizes.of(source).tokens, FETCH_TOKENS, read_tokens=prompt))
