"""What a cut is worth under a provider's prompt cache: three formulas, and the rates that they need.

All tokens of a prompt that were sent before are read from the cache; a change makes everything behind it be written
again. With read rate r, write rate w, s tokens cut, T cached tokens behind the cut, n calls to come (the next among
them) and F for a summary (after a pause, when nothing is cached, T is 0 and the first of the n saves s * w):

    saving = s * r * n - T * (w - r) - F                 it pays if n > (w - r) / r * T / s

How much should pile up before the next cut? To wait costs s * r a call, to cut costs K * (w - r) + F, K being what is
kept behind any cut; s grows by g a call. That is the economic order quantity (F. W. Harris, Factory 10, 1913):

    s* = sqrt(2 * g * (K * (w - r) + F) / r)
"""

from __future__ import annotations

from dataclasses import dataclass
from decimal import Decimal
from math import sqrt

from langchain_agentcost.errors import ContextError
from langchain_agentcost.pricing import PriceBook, PriceCard
from langchain_agentcost.pricing.prompt_caching import terms_of, with_cache_rates


@dataclass(frozen=True, slots=True, kw_only=True)
class CacheRates:
    """What a prompt's tokens cost, in nano-USD each.

    Args:
        read: A token that the prompt cache serves.
        write: A token that it does not serve, and stores.
        window_tokens: The longest prompt; None where that is not known.

    Example:
        >>> rates = CacheRates.of(PriceBook().card("claude-sonnet-4-5"))
        >>> rates.read, rates.write
        (Decimal('300.0'), Decimal('3750.00'))
    """

    read: Decimal
    write: Decimal
    window_tokens: int | None = None

    @classmethod
    def of(cls, card: PriceCard | None, *, window_tokens: int | None = None) -> CacheRates:
        """Take the rates of a card; where the model has no prompt cache, all input costs the same.

        Args:
            card: The price card.
            window_tokens: The longest prompt.

        Raises:
            ContextError: If there is no card, or it has no rate for input.
        """
        terms = None if card is None else terms_of(card.model, card.provider)
        full = with_cache_rates(card, terms) if card is not None and terms is not None else card
        base = None if full is None else full.usd("input")
        if full is None or base is None:
            raise ContextError("No price of the model's input is known: give rates=CacheRates(…) or a price override.")
        read, write = (full.usd(rate) if terms is not None else None for rate in ("cache_read", "cache_write"))
        return cls(read=_nano(base if read is None else read), write=_nano(write or base), window_tokens=window_tokens)

    @classmethod
    def uncached(cls, card: PriceCard, *, window_tokens: int | None = None) -> CacheRates:
        """Take the rates of a card where nothing is cached: all input costs the same.

        Raises:
            ContextError: If it has no rate for input.
        """
        plain = card.usd("input")
        if plain is None:
            raise ContextError(f"No price of the input of {card.model} is known: give rates=CacheRates(…).")
        return cls(read=_nano(plain), write=_nano(plain), window_tokens=window_tokens)

    @classmethod
    def named(cls, model: str, *, prices: PriceBook | None = None, window_tokens: int | None = None) -> CacheRates:
        """Take the rates of a model by its name.

        Raises:
            ContextError: If no price of it is known.
        """
        return cls.of((prices or PriceBook()).card(model), window_tokens=window_tokens)


@dataclass(frozen=True, slots=True, kw_only=True)
class Cut:
    """What a cut would change, in tokens.

    Args:
        evicted_tokens: What is sent less, at each call from now on.
        rewritten_tokens: What is cached now, stays, and must be written to the cache again.
        kept_tokens: The part of that which stands behind any cut.
        growth_tokens: By how much what can be cut grows with each call.
        fee_nano: What the cut itself costs, such as a call that writes a summary, in nano-USD.
        unsent_tokens: The part of `evicted_tokens` that the next call would have to write to the cache, and not read
            from it: all of them after a pause in which the cache was lost.
    """

    evicted_tokens: int
    rewritten_tokens: int
    kept_tokens: int
    growth_tokens: float
    fee_nano: int = 0
    unsent_tokens: int = 0

    def saving_nano(self, rates: CacheRates, remaining: float) -> int:
        """Give what it saves over the calls to come, in nano-USD; less than 0 where it costs.

        Args:
            rates: The rates.
            remaining: The calls to come, the next among them.

        Example:
            >>> cut = Cut(evicted_tokens=9_000, rewritten_tokens=2_000, kept_tokens=2_000, growth_tokens=300)
            >>> rates = CacheRates(read=Decimal(300), write=Decimal(3_750))
            >>> cut.saving_nano(rates, 2), cut.saving_nano(rates, 20)
            (-1500000, 47100000)
        """
        saved = self.evicted_tokens * rates.read * Decimal(remaining)
        return int(saved - (self.rewritten_tokens - self.unsent_tokens) * self._again(rates)) - self.fee_nano

    def needed_steps(self, rates: CacheRates) -> float | None:
        """Give after how many calls it has paid for itself; None where it never does."""
        gain = self.evicted_tokens * rates.read
        if gain <= 0:
            return None
        cost = (self.rewritten_tokens - self.unsent_tokens) * self._again(rates) + self.fee_nano
        return max(0.0, float(cost / gain))

    def batch_tokens(self, rates: CacheRates, remaining: float) -> float:
        """Give how many tokens should have piled up before it is made.

        That is the economic order quantity, but no more than what piles up in as many calls as are still to come: to
        wait one call more adds g * n to what a cut saves, and takes s.
        """
        if not rates.read:
            return float("inf")
        fixed = self.kept_tokens * self._again(rates) + self.fee_nano
        return min(sqrt(2 * self.growth_tokens * float(fixed / rates.read)), self.growth_tokens * remaining)

    def _again(self, rates: CacheRates) -> Decimal:
        return max(Decimal(0), rates.write - rates.read)


def _nano(usd_per_million: Decimal) -> Decimal:
    """USD per million tokens as nano-USD per token."""
    return usd_per_million * 1000
