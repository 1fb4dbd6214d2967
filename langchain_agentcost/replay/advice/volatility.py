"""What changes again and again in the prompts of a run, and what it would save to say that behind all that stays."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace
from datetime import UTC, datetime
from typing import NamedTuple

from langchain_agentcost.prefix import PrefixChange, PrefixStabilityMonitor
from langchain_agentcost.replay.advice.paid import Paid
from langchain_agentcost.replay.advice.seen import SeenCall, Volatility
from langchain_agentcost.replay.episode import Call, Episode
from langchain_agentcost.replay.run import Outcome
from langchain_agentcost.replay.tariff import Tariff
from langchain_agentcost.usage import Usage


def volatility_of(episode: Episode, paid: Paid, calls: Sequence[SeenCall], as_it_was: Outcome) -> Volatility:
    """Find the parts of a run's prompts that change again and again, and what they cost.

    Prompts are sized as the provider counted them. Where it said what its cache served and stored, what a change lost
    is priced by that: tokens that were written or sent in full would have been read. Where nobody asked for a cache, or
    nothing is known of it, calls are taken as the replay bills them with the cache on, and the saving is against the
    smaller of the two bills: what the cache alone would save is another finding's.

    Args:
        episode: The run, of known texts.
        paid: Its prices.
        calls: Its calls as they were billed.
        as_it_was: The replay that changes nothing.

    Returns:
        The changes, and the saving. Calls that go on with one history have none.
    """
    if len({id(call.history) for call in episode.calls}) <= 1:
        return Volatility()
    sent = list(_sent(episode, paid, calls, as_it_was))
    changes = list(_changes(episode, paid, sent))
    if not any(changes):
        return Volatility()
    reported = plain = cached = moved = longest = tokens = 0
    for one, change in zip(sent, changes, strict=True):
        lost = _lost(one, change, most=longest)
        if one.reported:
            reported += min(round(_dearer(one, lost) * paid.scale), one.input_nano)
        else:
            plain += one.paid_nano
            cached += round(one.on_nano * paid.scale)
            moved += round(_moved(one, lost, most=longest) * paid.scale)
        tokens, longest = tokens + lost, max(longest, one.usage.input_tokens)
    found = tuple(change for change in changes if change is not None)
    saved = reported + min(plain, cached) - moved
    return Volatility(found, tokens, saved, cached=all(one.reported for one in sent))


class _Sent(NamedTuple):
    """A call: its prices, and its usage as its provider reported it, or else would have with its cache asked for.

    Args:
        call: The call.
        tariff: Its prices.
        usage: The usage.
        reported: Whether a cache is known to have been at work, so that the usage is what was billed.
        paid_nano: What the call was billed.
        input_nano: The part of it that went into input.
        on_nano: What the replay bills for it with the cache on.
    """

    call: Call
    tariff: Tariff
    usage: Usage
    reported: bool
    paid_nano: int
    input_nano: int
    on_nano: int


def _sent(episode: Episode, paid: Paid, calls: Sequence[SeenCall], as_it_was: Outcome) -> Iterator[_Sent]:
    asked = any(_cached(call) for call in episode.calls)
    for call, seen, on_nano in zip(episode.calls, calls, as_it_was.costs, strict=True):
        told, tariff = call.recorded, paid.tariffs.of_call(call, episode) or paid.tariff
        works = tariff.terms is not None and (tariff.terms.automatic or asked)
        reported = works and told.knows_cache and told.usage is not None
        usage = told.usage if reported and told.usage is not None else None
        output = round(tariff.nano(Usage(0, seen.output_tokens)) * paid.scale)
        yield _Sent(
            call,
            tariff,
            usage or tariff.usage(seen.input_tokens, seen.output_tokens),
            reported,
            seen.amount,
            max(0, seen.amount - output),
            on_nano,
        )


def _cached(call: Call) -> bool:
    usage = call.recorded.usage
    if usage is None:
        return False
    return bool(usage.cache_read_tokens + usage.cache_write_tokens + usage.cache_write_1h_tokens)


def _changes(episode: Episode, paid: Paid, sent: Sequence[_Sent]) -> Iterator[PrefixChange | None]:
    """Give each call's change, if it is of a part that changes again and again."""
    monitor = PrefixStabilityMonitor(paid.tariffs.book)
    found = [
        monitor.observe(
            episode.id,
            one.call.messages,
            tools=episode.tools,
            model=one.tariff.card.model,
            provider=one.tariff.card.provider,
            at=None if one.call.recorded.at_s is None else datetime.fromtimestamp(one.call.recorded.at_s, UTC),
            usage=one.usage,
        )
        for one in sent
    ]
    again = {(change.section, change.since_call) for change in found if change is not None and change.recurring}
    for change in found:
        yield change if change is not None and (change.section, change.since_call) in again else None


def _lost(one: _Sent, change: PrefixChange | None, *, most: int) -> int:
    """The tokens that the cache would have served, but for the change.

    Args:
        one: The call.
        change: Its change.
        most: The tokens of the longest prompt before it: a cache has no more of it than that.
    """
    told = (change.lost_tokens or 0) if change is not None else 0
    return max(0, min(told, _known(one, most) - one.usage.cache_read_tokens))


def _known(one: _Sent, most: int) -> int:
    """What a cache could serve at best of a call, where the longest prompt before it had so many tokens."""
    terms, sent = one.tariff.terms, one.usage.input_tokens
    return terms.cached(min(most, sent), sent) if terms is not None else 0


def _dearer(one: _Sent, lost: int) -> int:
    """What it cost more to send, or to store, so many tokens than to read them from the cache."""
    usage = one.usage
    written = min(lost, usage.cache_write_tokens)
    for_long = min(lost - written, usage.cache_write_1h_tokens)
    served = replace(
        usage,
        cache_read_tokens=usage.cache_read_tokens + lost,
        cache_write_tokens=usage.cache_write_tokens - written,
        cache_write_1h_tokens=usage.cache_write_1h_tokens - for_long,
    )
    return one.tariff.nano(usage) - one.tariff.nano(served)


def _moved(one: _Sent, lost: int, *, most: int) -> int:
    """What a call would cost with the cache on and hit, were the changing part behind all that stays.

    It is no less than if all that was sent before were read.
    """
    served = one.tariff.usage(one.usage.input_tokens, one.usage.output_tokens, read_tokens=_known(one, most))
    least = one.tariff.nano(served)
    return max(one.on_nano - _dearer(one, lost), min(one.on_nano, least))
