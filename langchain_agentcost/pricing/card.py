"""The prices of one model at one instant, ready to be multiplied.

A card holds every rate twice: as the `Decimal` that people read, and as whole atto-USD per token, so that a cost is a
few integer products, rounded once.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from decimal import Decimal
from typing import Any

from langchain_agentcost.money import ATTO_PER_NANO, atto_rate, split_atto
from langchain_agentcost.pricing.cost import PARTS, Cost, PriceSource
from langchain_agentcost.usage import Usage

TOKENS_PER_RATE = 1_000_000

RATES = (
    "input",
    "output",
    "cache_read",
    "cache_write",
    "cache_write_1h",
    "input_audio",
    "cache_audio_read",
    "output_audio",
    "reasoning",
)
"""The kinds of token that can have a price of their own, in the order of a card's columns."""

ESTIMATED = "estimated usage"
ANOMALOUS = "usage with anomalies"
PARTS_EXCEED_INPUT = "cache parts exceed the input; none of it is billed as uncached"
PARTS_EXCEED_OUTPUT = "parts exceed the output; none of it is billed as plain output"
AUDIO_IN_CACHE_UNKNOWN = "how much of the cached input was audio is not reported; it counts as uncached first"

_SUBSTITUTES: tuple[tuple[str, tuple[str, ...], bool], ...] = (
    ("cache_read", ("input",), True),
    ("cache_write", ("input",), True),
    ("cache_write_1h", ("cache_write", "input"), True),
    ("input_audio", ("input",), True),
    ("cache_audio_read", ("cache_read", "input_audio", "input"), True),
    ("output_audio", ("output",), True),
    ("reasoning", ("output",), False),
)
"""Whose rate stands in for one that a source does not state, and whether that needs a flag.

Reasoning is output by every provider's definition, so its silence means nothing; the others are billed like plain input
by genai-prices and LiteLLM too, and a reader must be told."""


@dataclass(frozen=True, slots=True)
class Rate:
    """A price per million tokens that may step with the length of the prompt.

    The steps are cliffs: a request whose whole input, cached or not, is longer than a threshold pays the new rate for
    every token. A request of exactly that length does not.

    Args:
        usd: USD per million tokens.
        above: Steps as (threshold in input tokens, USD per million tokens), the lowest threshold first.

    Example:
        >>> rate = Rate(Decimal("1.25"), above=((200_000, Decimal("2.5")),))
        >>> rate.at(200_000), rate.at(200_001)
        (Decimal('1.25'), Decimal('2.5'))
    """

    usd: Decimal
    above: tuple[tuple[int, Decimal], ...] = ()

    def at(self, input_tokens: int) -> Decimal:
        """Give the USD per million tokens for a request of this length."""
        for threshold, usd in reversed(self.above):
            if input_tokens > threshold:
                return usd
        return self.usd

    def times(self, factor: Decimal) -> Rate:
        """Give the rate multiplied, as a discount does."""
        return Rate(self.usd * factor, tuple((threshold, usd * factor) for threshold, usd in self.above))


@dataclass(frozen=True, slots=True)
class PriceCard:
    """What one model costs at one provider, instant and service tier.

    Args:
        model: The model as the source names it.
        provider: The provider as the source names it; None where the price holds for any.
        rates: The rates that the source states, by name (`RATES`).
        price: Where they come from.
        request: USD per request.
        task: USD per task, for models that are billed by the piece of work.
        tools: USD per call of the provider's own tools, such as "web_search".
        service_tier: The tier that the rates are for; None is standard.
        flags: What every cost from this card has to say.
        notes: What a cost has to say if it used the rate of that name.

    Example:
        >>> card = PriceCard(
        ...     "gpt-4o-mini",
        ...     rates={"input": Rate(Decimal("0.15")), "output": Rate(Decimal("0.6"))},
        ...     price=PriceSource("example", "1"),
        ... )
        >>> card.cost(Usage(input_tokens=10_000, output_tokens=500)).usd
        Decimal('0.001800000')
    """

    model: str
    provider: str | None = field(default=None, kw_only=True)
    rates: Mapping[str, Rate] = field(kw_only=True)
    price: PriceSource = field(kw_only=True)
    request: Decimal = field(default=Decimal(0), kw_only=True)
    task: Decimal = field(default=Decimal(0), kw_only=True)
    tools: Mapping[str, Decimal] = field(default_factory=dict, kw_only=True)
    service_tier: str | None = field(default=None, kw_only=True)
    flags: tuple[str, ...] = field(default=(), kw_only=True)
    notes: Mapping[str, str] = field(default_factory=dict, kw_only=True)
    _bands: tuple[tuple[int, _Band], ...] = field(init=False, repr=False, compare=False)
    _fees: _Fees = field(init=False, repr=False, compare=False)
    _plain: _Plain | None = field(init=False, repr=False, compare=False)
    _worst: tuple[_Steps, _Steps] | None = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        rates, notes = _completed(self.rates, self.notes)
        starts = sorted({0, *(start for rate in rates.values() for start, _ in rate.above)})
        object.__setattr__(self, "notes", notes)
        object.__setattr__(self, "_bands", tuple((start, _band(rates, start)) for start in starts))
        object.__setattr__(self, "_fees", _fees(self))
        object.__setattr__(self, "_plain", _plain(self))
        object.__setattr__(self, "_worst", _worst(self._bands))

    def usd(self, rate: str, *, input_tokens: int = 0) -> Decimal | None:
        """Give a rate in USD per million tokens, or None where the source does not state it.

        Args:
            rate: One of `RATES`.
            input_tokens: The length of the whole prompt, which may reach a dearer step.
        """
        stated = self.rates.get(rate)
        return stated.at(input_tokens) if stated else None

    def cost(self, usage: Usage, *, requests: int = 1, tasks: int = 0) -> Cost | None:
        """Price one call.

        Args:
            usage: What it consumed.
            requests: How many requests it was, for models with a fee per request.
            tasks: How many tasks it finished, for models with a fee per task.

        Returns:
            The cost, rounded once; None where the card has no rate for a kind of token that was used.
        """
        plain = self._plain
        if plain is not None and requests == 1 and not tasks:
            longest, most_read, most_written, per_input, per_output, per_read, per_write, fee = plain
            tokens, read, written = usage.input_tokens, usage.cache_read_tokens, usage.cache_write_tokens
            uncached = tokens - read - written
            if (
                uncached >= 0
                and tokens <= longest
                and read <= most_read
                and written <= most_written
                and not (
                    usage.cache_write_1h_tokens
                    or usage.input_audio_tokens
                    or usage.output_audio_tokens
                    or usage.server_tools
                    or usage.estimated
                    or usage.anomalies
                )
            ):
                cost = _new_cost(Cost)
                paid_in, paid_out = uncached * per_input, usage.output_tokens * per_output
                paid_read, paid_write = read * per_read, written * per_write
                _set_total(cost, paid_in + paid_out + paid_read + paid_write + fee)
                _set_input(cost, paid_in)
                _set_output(cost, paid_out)
                _set_read(cost, paid_read)
                _set_write(cost, paid_write)
                _set_request(cost, fee)
                _set_tool(cost, 0)
                _set_price(cost, self.price)
                _set_tier(cost, self.service_tier)
                _set_flags(cost, self.flags)
                return cost
        return self._itemised(usage, requests, tasks)

    def worst(
        self, input_tokens: int, *, audio: bool = False, tool_calls: Mapping[str, int] | None = None
    ) -> tuple[int, int] | None:
        """Give what a call can cost at most: no usage within these bounds is priced above it.

        Every token of the input is taken at the dearest rate that it may get (plain, cache read, or cache write of any
        lifetime) and at the dearest long-context step that this many tokens may reach.

        Args:
            input_tokens: The longest that the input may be.
            audio: Whether some of the input or the output may be audio.
            tool_calls: How often the provider's own tools may be called at most; none where it is not said.

        Returns:
            Nano-USD of the input with the fees per request, task and tool call, and nano-USD of one token of the
            answer, both rounded up; None where the card has no rate for input or output.

        Example:
            >>> rates = {"input": Rate(Decimal(1)), "cache_write": Rate(Decimal("1.25")), "output": Rate(Decimal(5))}
            >>> PriceCard("m", rates=rates, price=PriceSource("example", "1")).worst(1000)
            (1250000, 5000)
        """
        if self._worst is None:
            return None
        steps = self._worst[audio]
        per_input, per_output = steps[0][1:]
        for start, *dearer in steps[1:]:
            if input_tokens > start:
                per_input, per_output = dearer
        fees = self._fees.request + self._fees.task
        if tool_calls:
            fees += sum([calls * self._fees.tools.get(name, 0) for name, calls in tool_calls.items()])
        return -(-(input_tokens * per_input + fees) // ATTO_PER_NANO), per_output

    def _itemised(self, usage: Usage, requests: int, tasks: int) -> Cost | None:
        """Price a call of any shape, part by part."""
        counts, flags = _counted(usage, self.rates)
        band = self._bands[0][1]
        for start, dearer in self._bands[1:]:
            if usage.input_tokens > start:
                band = dearer
        paid: list[int] = []
        for name, tokens, rate in zip(RATES, counts, band, strict=True):
            if tokens and rate is None:
                return None
            if tokens and name in self.notes:
                flags.append(self.notes[name])
            paid.append(tokens * (rate or 0))
        input_, output, read, write, write_1h, audio_in, audio_read, audio_out, reasoning = paid
        fees = requests * self._fees.request + tasks * self._fees.task
        tools, unpriced = self._fees.tools_cost(usage)
        all_input, all_output, all_read = input_ + audio_in, output + audio_out + reasoning, read + audio_read
        total, split = split_atto((all_input, all_output, all_read, write + write_1h, fees, tools))
        said = tuple(dict.fromkeys((*self.flags, *flags, *unpriced)))
        parts: dict[str, Any] = dict(zip(PARTS, (total, *split), strict=True))
        return Cost(**parts, price=self.price, service_tier=self.service_tier, flags=said)


_Band = tuple[int | None, ...]
"""Atto-USD per token for each of `RATES`, for prompts within one step; None where not even a substitute is known."""

_Plain = tuple[int, int, int, int, int, int, int, int]
"""For calls that need no thought: the longest prompt, the most cache reads and writes, and five rates in nano-USD."""

_Steps = tuple[tuple[int, int, int], ...]
"""From how many input tokens on, the dearest atto-USD of one of them, and the dearest nano-USD of one of the output."""

_NO_STEP = 2**63

# Cost is frozen, and its constructor takes twice as long as all the rest of a plain call: it is filled slot by slot.
_new_cost = Cost.__new__
_SLOTS = (Cost.__dict__[name].__set__ for name in Cost.__slots__)
(
    _set_total,
    _set_input,
    _set_output,
    _set_read,
    _set_write,
    _set_request,
    _set_tool,
    _set_price,
    _set_tier,
    _set_flags,
) = _SLOTS


@dataclass(frozen=True, slots=True)
class _Fees:
    """What is not billed by the token, in atto-USD."""

    request: int
    task: int
    tools: Mapping[str, int]

    def tools_cost(self, usage: Usage) -> tuple[int, list[str]]:
        """The provider's own tools: what they cost, and which of them have no price."""
        cost = sum(calls * self.tools.get(name, 0) for name, calls in usage.server_tools)
        return cost, [f"no price for {name}: not counted" for name, _ in usage.server_tools if name not in self.tools]


def _fees(card: PriceCard) -> _Fees:
    tools = {name: atto_rate(usd) for name, usd in card.tools.items()}
    return _Fees(atto_rate(card.request), atto_rate(card.task), tools)


def _completed(stated: Mapping[str, Rate], notes: Mapping[str, str]) -> tuple[dict[str, Rate], dict[str, str]]:
    """Fill the rates that the source does not state, and note where that was more than a formality."""
    rates, said = dict(stated), dict(notes)
    for name, others, telling in _SUBSTITUTES:
        substitute = next((other for other in others if other in stated), None)
        if name in stated or substitute is None:
            continue
        rates[name] = rates[substitute]
        if telling:
            said.setdefault(name, f"no {name} rate; the {substitute} rate is used")
    return rates, said


def _band(rates: Mapping[str, Rate], start: int) -> _Band:
    tokens = start + 1 if start else 0
    return tuple(atto_rate(rates[name].at(tokens), per=TOKENS_PER_RATE) if name in rates else None for name in RATES)


def _plain(card: PriceCard) -> _Plain | None:
    """The shortcut, where the card's base rates are whole nano-USD and nothing is priced in an unusual way."""
    bands, fees = card._bands, card._fees  # noqa: SLF001  # pieces of the card, kept below it to be read top-down
    atto = [rate for rate in (*bands[0][1][:4], fees.request) if rate is not None]
    unusual = "reasoning" in card.rates or {"input", "output"} & card.notes.keys()
    if len(atto) < 5 or any(rate % ATTO_PER_NANO for rate in atto) or unusual:
        return None
    longest = bands[1][0] if len(bands) > 1 else _NO_STEP
    most_read, most_written = (0 if name in card.notes else longest for name in ("cache_read", "cache_write"))
    per_input, per_output, per_read, per_write, fee = (rate // ATTO_PER_NANO for rate in atto)
    return (longest, most_read, most_written, per_input, per_output, per_read, per_write, fee)


_OUTPUT = ("output", "output_audio", "reasoning")
_HEARD = ("input_audio", "cache_audio_read", "output_audio")


def _worst(bands: tuple[tuple[int, _Band], ...]) -> tuple[_Steps, _Steps] | None:
    """The dearest rates from each step on, without audio and with it. A longer prompt is never cheaper here."""
    if bands[0][1][0] is None or bands[0][1][1] is None:
        return None
    made: list[_Steps] = []
    for names in ([name for name in RATES if name not in _HEARD], RATES):
        steps: list[tuple[int, int, int]] = []
        per_input = per_output = 0
        for start, band in bands:
            rates = dict(zip(RATES, band, strict=True))
            per_input = max(per_input, *(rates[name] or 0 for name in names if name not in _OUTPUT))
            per_output = max(per_output, *(rates[name] or 0 for name in names if name in _OUTPUT))
            steps.append((start, per_input, -(-per_output // ATTO_PER_NANO)))
        made.append(tuple(steps))
    return made[0], made[1]


def _counted(usage: Usage, own: Mapping[str, Rate]) -> tuple[tuple[int, ...], list[str]]:
    """Cut the inclusive totals of a usage into disjoint counts for `RATES`, and say what could not be cut cleanly."""
    flags = [flag for flag, said in ((ESTIMATED, usage.estimated), (ANOMALOUS, usage.anomalies)) if said]
    uncached, read = usage.uncached_tokens, usage.cache_read_tokens
    if read + usage.cache_write_tokens + usage.cache_write_1h_tokens > usage.input_tokens:
        flags.append(PARTS_EXCEED_INPUT)
    heard = usage.input_audio_tokens
    heard_fresh = min(heard, uncached)
    heard_cached = min(heard - heard_fresh, read)
    if heard and read and "input_audio" in own:
        flags.append(AUDIO_IN_CACHE_UNKNOWN)
    thought = usage.reasoning_tokens if "reasoning" in own else 0
    spoken = usage.output_audio_tokens
    if spoken + thought > usage.output_tokens:
        flags.append(PARTS_EXCEED_OUTPUT)
    counts = (
        uncached - heard_fresh,
        max(0, usage.output_tokens - spoken - thought),
        read - heard_cached,
        usage.cache_write_tokens,
        usage.cache_write_1h_tokens,
        heard_fresh,
        heard_cached,
        spoken,
        thought,
    )
    return counts, flags
