"""Makes summaries: the cheaper writer writes, code checks and merges, and nothing is lost where a model fails."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from langchain_core.messages import AnyMessage, BaseMessage, HumanMessage
from langchain_core.runnables import Runnable, RunnableConfig, RunnableLambda
from langchain_core.runnables.config import ensure_config
from langgraph.constants import TAG_NOSTREAM
from langgraph.errors import GraphBubbleUp

from langchain_agentcost.context.summary import MAX_SUMMARY_TOKENS, Summary, parse
from langchain_agentcost.context.summary_extract import checked, extractive_summary, ledger_of
from langchain_agentcost.context.summary_writers import Passage, SummaryEstimate, SummaryWriter
from langchain_agentcost.errors import AgentCostWarning, give_warning
from langchain_agentcost.pricing import Cost
from langchain_agentcost.usage import Usage

PURPOSE = "summarization"
"""What the meter books a summary's calls under, as overhead: `agentcost_purpose` of their metadata."""


@dataclass(frozen=True, slots=True)
class Summarized:
    """A summary that was made.

    Args:
        summary: The earlier summary and what is new, merged.
        way: Who wrote what is new: "ride", "fresh" or "code".
        estimate: What it was expected to cost.
        dropped: Artifacts that the model named and no message knows; they are not in the summary.
        doubted: Ids and values that the model wrote and no message knows; the summary says that they are unverified.
    """

    summary: Summary
    way: str
    estimate: SummaryEstimate
    dropped: tuple[str, ...] = ()
    doubted: tuple[str, ...] = ()


class Summarizer:
    r"""Makes anchored summaries.

    The writers are asked in the order of what they will cost, and the next one only where one gives no usable answer:
    it fails, refuses, is cut off, or says nothing. Where none does, code makes the summary, or there is none and the
    caller keeps the messages. Artifacts and ids are always copied by code.

    Calls carry `agentcost_purpose` "summarization", so a meter books them as overhead, and LangGraph does not stream
    them to the user. What stops a graph, such as a budget that is used up, stops it here too.

    Args:
        *writers: Who may write: a `RidingWriter`, a `FreshWriter`, both, or any `SummaryWriter`. None: code alone.
        max_tokens: How long a summary may get; see `Summary.capped` for what goes first.
        on_failure: Where no writer gives an answer: "code" summarises without a model, "keep" gives None.

    Example:
        >>> from langchain_agentcost.context.summary_writers import FreshWriter
        >>> from langchain_agentcost.testing import FakeMeteredChatModel
        >>> model = FakeMeteredChatModel(answers=["Decisions\n- Bay 7 is full.\nArtifacts\n- B-9: made up"])
        >>> made = Summarizer(FreshWriter(model)).summarize(Passage(covered=[HumanMessage("Is bay 7 full?")]))
        >>> made.summary.decisions, made.dropped
        (('Bay 7 is full.',), ('B-9',))
    """

    def __init__(
        self,
        *writers: SummaryWriter,
        max_tokens: int = MAX_SUMMARY_TOKENS,
        on_failure: Literal["code", "keep"] = "code",
    ) -> None:
        self.writers = writers
        self.max_tokens = max_tokens
        self.on_failure = on_failure

    def cheaper(self, passage: Passage) -> list[tuple[SummaryWriter, SummaryEstimate]]:
        """Give the writers that can write a passage, the cheapest first.

        A writer whose price is not known comes last. Where prices are equal, the order of the arguments counts.
        """
        able = [(writer, found) for writer in self.writers if (found := writer.estimate(passage)) is not None]
        return sorted(able, key=lambda one: (one[1].cost is None, one[1].cost.total_nano if one[1].cost else 0))

    def estimate(self, passage: Passage) -> SummaryEstimate:
        """Say what a summary will cost: that of the cheapest writer; nothing where code makes it."""
        return next((found for _, found in self.cheaper(passage)), _BY_CODE)

    def summarize(self, passage: Passage, config: RunnableConfig | None = None) -> Summarized | None:
        """Summarise a passage.

        Args:
            passage: What is to be summarised, and the summary of what came before.
            config: The config of the run; None takes that of the run that this code is in.

        Returns:
            The summary; None where none could be made and `on_failure` is "keep".
        """
        asked = _overhead(config)
        for writer, estimate in self.cheaper(passage):
            try:
                notes = writer.write(passage, asked)
            except GraphBubbleUp:
                raise
            except Exception as error:  # noqa: BLE001  # a provider's class raises anything, and the user's run goes on
                _warn(f"the {writer.way} writer failed with {type(error).__name__}")
                continue
            if notes is not None:
                return self._merged(passage, notes, estimate)
            _warn(f"the {writer.way} writer gave no usable answer")
        return self._without(passage)

    async def asummarize(self, passage: Passage, config: RunnableConfig | None = None) -> Summarized | None:
        """Summarise a passage from async code; see `summarize`."""
        asked = _overhead(config)
        for writer, estimate in self.cheaper(passage):
            try:
                notes = await writer.awrite(passage, asked)
            except GraphBubbleUp:
                raise
            except Exception as error:  # noqa: BLE001  # a provider's class raises anything, and the user's run goes on
                _warn(f"the {writer.way} writer failed with {type(error).__name__}")
                continue
            if notes is not None:
                return self._merged(passage, notes, estimate)
            _warn(f"the {writer.way} writer gave no usable answer")
        return self._without(passage)

    def _merged(self, passage: Passage, notes: Summary, estimate: SummaryEstimate) -> Summarized:
        """What is new in the earlier summary: first what code copies, so that a model's note on an artifact counts."""
        found = checked(notes, [*passage.covered, *passage.prefix], earlier=passage.earlier)
        copied = passage.earlier.merge(ledger_of(passage.covered), max_tokens=self.max_tokens)
        merged = copied.merge(found.summary, max_tokens=self.max_tokens)
        return Summarized(merged, estimate.way, estimate, found.dropped, found.doubted)

    def _without(self, passage: Passage) -> Summarized | None:
        if self.writers and self.on_failure == "keep":
            return None
        made = extractive_summary(passage.covered, earlier=passage.earlier, max_tokens=self.max_tokens)
        return Summarized(made, _BY_CODE.way, _BY_CODE)


def anchored_summarizer(summarizer: Summarizer) -> Runnable[list[AnyMessage], str]:
    """Use a summarizer in LangChain's `SummarizationMiddleware(summarizer=…)`, sync and async.

    Anchors hold across calls without a hidden state: the earlier summary is read out of the message that the middleware
    has put into the history. Pass `trim_tokens_to_summarize=None` to the middleware, or it cuts that message off. It
    hands over neither the system message nor the tools, so a `RidingWriter` has nothing to ride here.

    Args:
        summarizer: What makes the summaries.

    Example:
        >>> write = anchored_summarizer(Summarizer())
        >>> print(write.invoke([HumanMessage("Return order A-1742.")]))
        <conversation_summary>
        What was said before, in short; the messages that follow are newer.
        Intent
        - Return order A-1742.
        Ids and values
        - A-1742
        </conversation_summary>
    """

    def write(messages: list[AnyMessage], config: RunnableConfig) -> str:
        passage = _passage(messages, summarizer.max_tokens)
        return _text(summarizer.summarize(passage, config), passage, summarizer.max_tokens)

    async def awrite(messages: list[AnyMessage], config: RunnableConfig) -> str:
        passage = _passage(messages, summarizer.max_tokens)
        return _text(await summarizer.asummarize(passage, config), passage, summarizer.max_tokens)

    return RunnableLambda(write, awrite, name="anchored_summarizer")


def summary_message(summary: Summary) -> HumanMessage:
    """Give a summary as it goes into a prompt: behind the system message, and never as a second one of its kind.

    Providers take a system message in the first place only, and a changed one ends their cache from the beginning on.

    Example:
        >>> summary_message(Summary(intent="Return it.")).additional_kwargs
        {'lc_source': 'summarization'}
    """
    return HumanMessage(summary.render(), additional_kwargs={"lc_source": PURPOSE})


_BY_CODE = SummaryEstimate("code", Usage(), Cost())


def _overhead(config: RunnableConfig | None) -> RunnableConfig:
    """The run's config, with what tells a summary's calls from the agent's own."""
    here = ensure_config(config)
    metadata = {**here.get("metadata", {}), "agentcost_purpose": PURPOSE}
    return {**here, "metadata": metadata, "tags": [*here.get("tags", ()), TAG_NOSTREAM]}


def _passage(messages: Sequence[BaseMessage], max_tokens: int) -> Passage:
    """Divide a history into the summaries that the middleware has put in, and the rest."""
    earlier, covered = Summary(), []
    for message in messages:
        known = parse(str(message.text)) if message.additional_kwargs.get("lc_source") == PURPOSE else None
        if known is None:
            covered.append(message)
        else:
            earlier = earlier.merge(known, max_tokens=max_tokens)
    return Passage(covered=covered, earlier=earlier)


def _text(made: Summarized | None, passage: Passage, max_tokens: int) -> str:
    """The middleware removes what it hands over, so there has to be a summary."""
    by_code = extractive_summary(passage.covered, earlier=passage.earlier, max_tokens=max_tokens) if not made else None
    return (by_code or (made.summary if made else Summary())).render() or "Nothing was said."


def _warn(what: str) -> None:
    give_warning(AgentCostWarning(f"A summary: {what}. Nothing is lost: another way is taken."))
