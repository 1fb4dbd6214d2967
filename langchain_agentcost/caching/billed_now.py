"""What a call that a cache spared would have consumed now: its prompt would have met the provider's own prompt cache.

A prompt that was sent a minute ago costs a tenth of its list price where the provider caches it, so a saving that is
counted at the list price may be ten times too high. What was sent before is warm as long as the provider keeps it since
the last time it was asked for, by a call or by a hit that took the place of one.
"""

from __future__ import annotations

from dataclasses import replace

from langchain_agentcost.pricing.prompt_caching import terms_of
from langchain_agentcost.recent import Recent
from langchain_agentcost.saving import SparedCall


def billed_now(call: SparedCall, *, shared_share: float, idle_s: float) -> SparedCall:
    """Give a spared call as the provider would bill it now.

    Args:
        call: The call, with the usage that was reported when it was made.
        shared_share: Which share of its prompt was sent before, from the start on: 1 for an equal prompt.
        idle_s: How long ago that was last asked for, in seconds.

    Returns:
        The call, with as much of the prompt read from the prompt cache as the provider's terms promise (where caching
        has to be asked for: of the part that was marked), and nothing written to it beyond the rest of that. Where no
        terms are known, or caching has to be asked for and was not, as it was.

    Example:
        >>> from langchain_agentcost.usage import Usage
        >>> call = SparedCall(model="gpt-4.1", provider="openai", usage=Usage(2_000, 50))
        >>> billed_now(call, shared_share=1, idle_s=10).usage.cache_read_tokens
        1920
        >>> billed_now(call, shared_share=1, idle_s=3600).usage.cache_read_tokens
        0
    """
    usage = call.usage
    terms = terms_of(call.model, call.provider) if call.model else None
    if usage is None or terms is None:
        return call
    written = usage.cache_write_tokens + usage.cache_write_1h_tokens
    kept_s = terms.long_ttl_s if usage.cache_write_1h_tokens and terms.long_ttl_s else terms.ttl_s
    asked_for = terms.automatic or written or usage.cache_read_tokens
    cacheable = usage.input_tokens if terms.automatic else min(written + usage.cache_read_tokens, usage.input_tokens)
    share = min(shared_share, 1) if asked_for and shared_share > 0 and idle_s <= kept_s else 0
    read = terms.cached(min(round(usage.input_tokens * share), cacheable), usage.input_tokens)
    marked = max(0, min(written + usage.cache_read_tokens, usage.input_tokens) - read) if written else 0
    for_an_hour = usage.cache_write_1h_tokens > 0
    again = replace(
        usage,
        cache_read_tokens=read,
        cache_write_tokens=0 if for_an_hour else marked,
        cache_write_1h_tokens=marked if for_an_hour else 0,
    )
    return replace(call, usage=again)


class LastAsked:
    """Remembers when something was last asked for, by a call or by a hit that took the place of one."""

    def __init__(self) -> None:
        self._asked_at: Recent[str, float] = Recent()

    def idle_s(self, key: str, now_s: float) -> float:
        """Note that this is asked for now, and say how long it was not; 0 where this process does not know.

        So no saving is overstated: what was asked for a moment ago is in the provider's own cache.
        """
        before = self._asked_at.get(key)
        self._asked_at.put(key, now_s)
        return 0.0 if before is None else now_s - before
