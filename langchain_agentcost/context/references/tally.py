"""Whether references have paid: what prompts are shorter by, less what it took to read texts back."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from decimal import Decimal
from threading import Lock
from typing import Any

from langchain_core.messages import AIMessage, BaseMessage

from langchain_agentcost.context.references.marks import Mark, ReadBack, is_read
from langchain_agentcost.pricing import PriceCard
from langchain_agentcost.tokens import TokenCounter


@dataclass(frozen=True, slots=True)
class ToolTally:
    """What references did to one tool's results, in tokens that models were sent or wrote.

    Args:
        offloads: How many results were put aside.
        repeats: How many were told by a note, because they stand in the prompt already.
        compressed_tokens: What lossless compression alone made them shorter by, which needs no reference.
        saved_tokens: What putting them aside made them shorter by, once each.
        spared_again_tokens: The same, once more for each later prompt that they are in.
        refetches: How often one was read back.
        refetched_tokens: How long what was read back is.
        reread_tokens: The same, once more for each later prompt that it is in.
        extra_calls: Model calls that would not have been made: they only asked to read back.
        extra_tokens: Their prompts.
        extra_output_tokens: What they wrote.
    """

    offloads: int = 0
    repeats: int = 0
    compressed_tokens: int = 0
    saved_tokens: int = 0
    spared_again_tokens: int = 0
    refetches: int = 0
    refetched_tokens: int = 0
    reread_tokens: int = 0
    extra_calls: int = 0
    extra_tokens: int = 0
    extra_output_tokens: int = 0

    @property
    def net_tokens(self) -> int:
        """Tokens that were not sent, less those that were sent and written to read texts back.

        It is what is saved where nothing is cached and output costs what input costs; `net_usd` has the prices.
        """
        spared = self.saved_tokens + self.spared_again_tokens
        spent = self.refetched_tokens + self.reread_tokens + self.extra_tokens + self.extra_output_tokens
        return spared - spent

    def net_usd(self, card: PriceCard) -> Decimal | None:
        """Give what was saved, at a model's prices.

        What is new in a prompt is written to the prompt cache, and what was there before is read from it, where the
        card has rates for that; `pricing.prompt_caching.with_cache_rates` adds those of the model's family.

        Args:
            card: The prices of the model that reads the prompts.

        Returns:
            USD; None where the card has no price for input or output.

        Example:
            >>> from langchain_agentcost.pricing import PriceBook
            >>> card = PriceBook().card("claude-sonnet-4-5")
            >>> ToolTally(saved_tokens=10_000, spared_again_tokens=90_000).net_usd(card)  # 3.75 and 0.30 a million
            Decimal('0.0645')
        """
        fresh, output = card.usd("input"), card.usd("output")
        if fresh is None or output is None:
            return None
        written, read = (card.usd(rate) for rate in ("cache_write", "cache_read"))
        new = self.saved_tokens - self.refetched_tokens
        again = self.spared_again_tokens - self.reread_tokens - self.extra_tokens
        parts = (
            (new, fresh if written is None else written),
            (again, fresh if read is None else read),
            (-self.extra_output_tokens, output),
        )
        return sum((tokens * usd for tokens, usd in parts), Decimal(0)) / 1_000_000

    def plus(self, **more: int) -> ToolTally:
        """Give it with more of some counts."""
        known = asdict(self)
        return ToolTally(**{**known, **{name: known[name] + n for name, n in more.items()}})


@dataclass(frozen=True, slots=True)
class ReferenceReport:
    """What references did so far.

    Args:
        tools: By the tool's name.
        off: The tools whose results stay in the prompt, because putting them aside did not pay.
        net_usd: What was saved, in USD; None where no price is known.
    """

    tools: Mapping[str, ToolTally]
    off: tuple[str, ...]
    net_usd: Decimal | None

    @property
    def total(self) -> ToolTally:
        """All tools together."""
        total = ToolTally()
        for one in self.tools.values():
            total = total.plus(**asdict(one))
        return total

    def as_dict(self) -> dict[str, Any]:
        """Give it as plain data."""
        tools = {name: {**asdict(one), "net_tokens": one.net_tokens} for name, one in self.tools.items()}
        usd = None if self.net_usd is None else str(self.net_usd)
        return {"tools": tools, "off": list(self.off), "net_tokens": self.total.net_tokens, "net_usd": usd}


class Tally:
    """Counts what references do, tool by tool, and switches those off that do not pay. Safe to share between threads.

    Args:
        counter: Counts the prompts of calls whose usage is not known.
        card: The prices of the model that reads the prompts; None judges by tokens.
        min_offloads: So many results of a tool are put aside before it is judged.
    """

    def __init__(self, *, counter: TokenCounter, card: PriceCard | None = None, min_offloads: int = 5) -> None:
        self._counter, self._card, self._min_offloads = counter, card, min_offloads
        self._tools: dict[str, ToolTally] = {}
        self._off: set[str] = set()
        self._lock = Lock()

    def is_off(self, tool: str) -> bool:
        """Tell whether a tool's results stay in the prompt."""
        return tool in self._off

    def switch(self, tool: str, *, on: bool) -> None:
        """Put a tool's results aside again, from 0, or no longer."""
        with self._lock:
            if on:
                self._off.discard(tool)
                self._tools.pop(tool, None)
            else:
                self._off.add(tool)

    def add(self, tool: str, **counts: int) -> None:
        """Count for a tool; the names are those of `ToolTally`."""
        with self._lock:
            self._tools[tool] = self._tools.get(tool, ToolTally()).plus(**counts)

    def count_prompt(self, messages: Sequence[BaseMessage]) -> None:
        """Count what a model is sent: each call of a model must be told once, or only what is new is counted.

        What follows the last answer is new in this prompt and was counted when it came; what stands before it is sent
        again. Where that answer only asked to read texts back, this call is the one too many: without references the
        answer that comes now would have come then.

        Args:
            messages: The prompt.
        """
        last = max((at for at, one in enumerate(messages) if isinstance(one, AIMessage)), default=-1)
        for message in messages[: max(last, 0)]:
            if (mark := Mark.of(message)) is not None:
                self.add(mark.tool, spared_again_tokens=mark.saved_tokens)
            elif (back := ReadBack.of(message)) is not None and back.tool is not None:
                self.add(back.tool, reread_tokens=back.tokens)
        if last >= 0:
            self._count_extra(messages, last)

    def newly_off(self) -> list[str]:
        """Switch the tools off that have not paid, and give those that were on before."""
        with self._lock:
            losing = [tool for tool, counts in self._tools.items() if tool not in self._off and self._loses(counts)]
            self._off.update(losing)
        return losing

    def report(self) -> ReferenceReport:
        """Give what was counted so far."""
        with self._lock:
            tools, off = dict(sorted(self._tools.items())), tuple(sorted(self._off))
        report = ReferenceReport(tools, off, None)
        usd = None if self._card is None else report.total.net_usd(self._card)
        return ReferenceReport(tools, off, usd)

    def _loses(self, counts: ToolTally) -> bool:
        if counts.offloads < self._min_offloads:
            return False
        usd = None if self._card is None else counts.net_usd(self._card)
        return (counts.net_tokens if usd is None else usd) < 0

    def _count_extra(self, messages: Sequence[BaseMessage], last: int) -> None:
        asking = messages[last]
        if not isinstance(asking, AIMessage) or not asking.tool_calls:
            return
        tools = [
            back.tool for one in messages[last:] if (back := ReadBack.of(one)) is not None and back.tool is not None
        ]
        if not tools or not all(is_read(call["name"]) for call in asking.tool_calls):
            return
        usage = asking.usage_metadata
        sent = usage["input_tokens"] if usage else self._counter.count_messages(messages[:last])
        wrote = usage["output_tokens"] if usage else self._counter.count_message(asking)
        self.add(tools[0], extra_calls=1)
        for tool, (prompt, output) in zip(tools, _shared(sent, wrote, len(tools)), strict=True):
            self.add(tool, extra_tokens=prompt, extra_output_tokens=output)


def _shared(sent: int, wrote: int, among: int) -> Iterable[tuple[int, int]]:
    """Two counts in shares that sum to them."""
    for at in range(among):
        yield ((at + 1) * sent // among - at * sent // among, (at + 1) * wrote // among - at * wrote // among)
