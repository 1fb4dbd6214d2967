"""Which part of a prompt cost what: one call's bill for its input, cut along the prompt."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from langchain_agentcost.ledger.entry import InputSplit
from langchain_agentcost.pricing.cost import Cost
from langchain_agentcost.usage import Usage


class Segment(NamedTuple):
    """A part of one prompt and what it was billed.

    Args:
        tokens: Its tokens.
        cache_read_tokens: Those of them that the provider's prompt cache served.
        cache_read_nano: What reading those cost, in nano-USD.
        cache_write_nano: What writing others to the cache cost.
        input_nano: What the uncached ones cost.
    """

    tokens: int
    cache_read_tokens: int
    cache_read_nano: int = 0
    cache_write_nano: int = 0
    input_nano: int = 0

    @property
    def nano(self) -> int:
        """All that it cost, in nano-USD."""
        return self.cache_read_nano + self.cache_write_nano + self.input_nano


class Prompt(NamedTuple):
    """The four parts of a prompt, in the order in which they stand in it; the last two are mixed."""

    tool_schemas: Segment
    resent: Segment
    new: Segment
    tool_results: Segment


def divide(cost: Cost, usage: Usage, split: InputSplit) -> Prompt:
    """Divide what a call paid for its input among the parts of its prompt, exactly.

    The model: a prompt starts with the tool schemas, goes on with what earlier calls had already sent, and ends with
    what is new, tool results and the rest mixed evenly. A prompt cache works from the front, so the tokens that were
    read from it are the first ones, those that were written to it follow, and the uncached ones are last. Each of
    these three amounts is shared out among the parts that its tokens fall into, in proportion to the tokens and by
    largest remainder: the parts sum to the amount. An amount without tokens is shared over the whole prompt.

    Args:
        cost: What the call cost; only its input, cache_read and cache_write are divided.
        usage: Its tokens.
        split: What its input was made of; its parts have to sum to `usage.input_tokens`, which must not be 0.

    Returns:
        The parts.

    Example:
        >>> bill = divide(
        ...     Cost(130, cache_read_nano=30, input_nano=100),
        ...     Usage(input_tokens=40, cache_read_tokens=30),
        ...     InputSplit(tool_schema_tokens=20, resent_tokens=10, new_tokens=10),
        ... )
        >>> bill.tool_schemas.nano, bill.resent.nano, bill.new.nano
        (20, 10, 100)
    """
    whole = (split.tool_schema_tokens, split.resent_tokens, split.new_tokens, split.tool_result_tokens)
    written = usage.cache_write_tokens + usage.cache_write_1h_tokens
    read_end = usage.cache_read_tokens
    ends = (read_end, read_end + written, max(usage.input_tokens, read_end + written))
    lanes = [_tokens(whole, start, end) for start, end in zip((0, *ends), ends, strict=False)]
    amounts = [
        share_out(amount, lane if any(lane) else whole)
        for amount, lane in zip((cost.cache_read_nano, cost.cache_write_nano, cost.input_nano), lanes, strict=True)
    ]
    return Prompt(*map(Segment, whole, lanes[0], *amounts))


def share_out(amount: int, weights: Sequence[int]) -> tuple[int, ...]:
    """Divide a whole amount in proportion to weights by largest remainder, the earlier one where two are equal.

    Args:
        amount: The amount; it may be negative.
        weights: At least 0 each, not all of them 0.

    Returns:
        Whole amounts that sum to `amount`.

    Example:
        >>> share_out(100, (1, 1, 1)), share_out(-3, (1, 1))
        ((34, 33, 33), (-1, -2))
    """
    if not amount:
        return (0,) * len(weights)
    total = sum(weights)
    cut = [divmod(amount * weight, total) for weight in weights]
    missing = amount - sum([whole for whole, _ in cut])
    order = sorted(range(len(cut)), key=lambda at: -cut[at][1])[:missing]
    return tuple(whole + (at in order) for at, (whole, _) in enumerate(cut))


def _tokens(whole: Sequence[int], start: int, end: int) -> tuple[int, int, int, int]:
    """Count each part's tokens between two places of the prompt."""
    if start >= end:
        return 0, 0, 0, 0
    schemas, resent, new, results = whole
    tail = schemas + resent
    first, last = min(max(start - tail, 0), new + results), min(max(end - tail, 0), new + results)
    of_new = (last - first) * new // (new + results or 1)
    return _overlap(start, end, 0, schemas), _overlap(start, end, schemas, tail), of_new, last - first - of_new


def _overlap(start: int, end: int, low: int, high: int) -> int:
    return max(0, min(end, high) - max(start, low))
