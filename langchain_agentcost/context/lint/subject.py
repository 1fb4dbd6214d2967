"""What lint looks at: the fixed part of an agent's prompts, and what recorded calls tell of it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any


@dataclass(frozen=True, slots=True, kw_only=True)
class Seen:
    """What recorded calls tell of a prompt's fixed part.

    Args:
        runs: How many runs were recorded.
        calls: How many model calls.
        used: How often each tool was called, by name.
        systems: Texts of the system message, the most frequent first.
        switches: Calls whose system message was another one than in the call before, in the same run.
        run_switches: Runs whose system message was another one than in the run before.
        reordered: Runs whose tools were those of the run before, in another order or with their keys in another order.
        prompts: The length of each call's whole prompt, in tokens.
        cached: Whether the provider said that its cache served any of it; None where it did not say.
    """

    runs: int = 0
    calls: int = 0
    used: Mapping[str, int] = field(default_factory=dict)
    systems: tuple[str, ...] = ()
    switches: int = 0
    run_switches: int = 0
    reordered: int = 0
    prompts: tuple[int, ...] = ()
    cached: bool | None = None

    @property
    def prompt_tokens(self) -> float:
        """The mean length of a prompt; 0 where none is known."""
        return sum(self.prompts) / len(self.prompts) if self.prompts else 0.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Subject:
    """The fixed part of one agent's prompts.

    Args:
        name: What people call it.
        system: Its system message; empty where there is none, or none could be seen.
        tools: The descriptions of its tools.
        model: The model that reads it.
        provider: Who serves that.
        seen: What recorded calls tell; None where there are none.
        unseen: What could not be seen, as sentences.
    """

    name: str
    system: str = ""
    tools: tuple[Mapping[str, Any], ...] = ()
    model: str | None = None
    provider: str | None = None
    seen: Seen | None = None
    unseen: tuple[str, ...] = ()
