"""A tier: a model with what it costs, what it can, and how it has done so far."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from decimal import Decimal
from importlib.util import find_spec
from typing import Any, Literal, get_args

from langchain_core.runnables import Runnable

from langchain_agentcost.chat_model import names_of, profile_of, window_of
from langchain_agentcost.errors import MissingExtra, RoutingError
from langchain_agentcost.money import from_nano
from langchain_agentcost.pricing import PriceBook, PriceCard

Level = Literal["small", "mid", "frontier"]
"""How strong a tier is, and what a step asks for."""

LEVELS: tuple[Level, ...] = get_args(Level)

Ability = Literal["tools", "structured_output", "images"]

_ABILITIES: dict[Ability, str] = {
    "tools": "tool_calling",
    "structured_output": "structured_output",
    "images": "image_inputs",
}
"""What a model may not be able to do, and the key of LangChain's profile that says so."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Record:
    """How a tier has done, measured.

    Args:
        runs: How many workflow runs it answered, or examples it was tried on.
        solved: How many of them were a success.
        nano: What they cost together, in nano-USD; None where some of it has no price.

    Example:
        >>> Record(runs=10, solved=4, nano=2_000_000_000).usd_per_solved
        Decimal('0.500000000')
    """

    runs: int
    solved: int
    nano: int | None

    @property
    def usd_per_solved(self) -> Decimal | None:
        """What one success costs, failures paid along; None where there is none, or no price."""
        if self.nano is None or not self.solved:
            return None
        return from_nano(round(self.nano / self.solved))


@dataclass(frozen=True, slots=True)
class Tier:
    """A model that a router may choose.

    Args:
        name: What it is called in decisions and reports.
        model: The chat model; or its name for `init_chat_model`, such as "openai:gpt-5-mini" (extra `agents`).
        level: How strong it is; None takes it from its place among the tiers.
        price: Its prices; None looks them up by the model's name.
        max_input_tokens: The longest prompt that it takes; None takes the model's profile, where it has one.
        abilities: What it can; None takes the model's profile. What a profile does not say counts as there.
        record: How it has done so far; None where that was not measured.

    Raises:
        RoutingError: If the name is empty or the model is neither a Runnable nor a name.
        MissingExtra: If the model is a name and langchain is not installed.

    Example:
        >>> from langchain_agentcost.testing import FakeMeteredChatModel
        >>> Tier("small", FakeMeteredChatModel()).can("tools")
        True
    """

    name: str
    model: Any
    level: Level | None = field(default=None, kw_only=True)
    price: PriceCard | None = field(default=None, kw_only=True)
    max_input_tokens: int | None = field(default=None, kw_only=True)
    abilities: frozenset[Ability] | None = field(default=None, kw_only=True)
    record: Record | None = field(default=None, kw_only=True)

    def __post_init__(self) -> None:
        if not self.name or not isinstance(self.name, str):
            raise RoutingError("A tier needs a name, such as 'small'.")
        if self.level is not None and self.level not in LEVELS:
            raise RoutingError(f"level is one of {', '.join(LEVELS)}, not {self.level!r}.")
        if isinstance(self.model, str):
            object.__setattr__(self, "model", _made(self.model))
        if not isinstance(self.model, Runnable):
            raise RoutingError(f"The model of tier {self.name!r} is a chat model or its name, not {self.model!r}.")
        if self.max_input_tokens is None:
            object.__setattr__(self, "max_input_tokens", window_of(self.model))
        if self.abilities is None:
            profile = profile_of(self.model)
            able = frozenset(name for name, key in _ABILITIES.items() if profile.get(key) is not False)
            object.__setattr__(self, "abilities", able)

    def can(self, ability: Ability) -> bool:
        """Tell whether the model can do something, as far as is known."""
        return self.abilities is None or ability in self.abilities

    def card(self, prices: PriceBook) -> PriceCard | None:
        """Give its prices; None where there are none."""
        if self.price is not None:
            return self.price
        model, provider = names_of(self.model)
        return prices.card(model, provider=provider) if model is not None else None


def with_levels(tiers: Sequence[Tier]) -> tuple[Tier, ...]:
    """Give every tier a level: its own, or by its place where it states none.

    Example:
        >>> from langchain_agentcost.testing import FakeMeteredChatModel
        >>> tiers = [Tier(name, FakeMeteredChatModel()) for name in ("haiku", "sonnet", "opus")]
        >>> [tier.level for tier in with_levels(tiers)]
        ['small', 'mid', 'frontier']
    """
    placed = zip(tiers, placed_levels(len(tiers)), strict=True)
    return tuple(tier if tier.level is not None else replace(tier, level=level) for tier, level in placed)


def placed_levels(count: int) -> list[Level]:
    """Give the levels of so many tiers by their place: the last is the strongest, the first the weakest.

    Example:
        >>> placed_levels(4), placed_levels(1)
        (['small', 'mid', 'mid', 'frontier'], ['frontier'])
    """
    return ["frontier" if place == count - 1 else "mid" if place else "small" for place in range(count)]


def _made(name: str) -> Any:
    if find_spec("langchain") is None:
        raise MissingExtra("langchain", extra="agents", what=f"A tier by the name {name!r}")
    from langchain.chat_models import init_chat_model  # noqa: PLC0415  # the optional dependency, only where needed

    return init_chat_model(name)
