from decimal import Decimal

import pytest
from langchain_core.messages import AIMessage, BaseMessage, HumanMessage, ToolMessage

from langchain_agentcost.context.references.marks import Mark, ReadBack
from langchain_agentcost.context.references.tally import Tally, ToolTally
from langchain_agentcost.pricing import PriceCard, PriceSource, Rate
from langchain_agentcost.tokens import TokenCounter

CARD = PriceCard(
    "m",
    rates={
        "input": Rate(Decimal(3)),
        "output": Rate(Decimal(15)),
        "cache_read": Rate(Decimal("0.3")),
        "cache_write": Rate(Decimal("3.75")),
    },
    price=PriceSource("test", "1"),
)


def asked(name: str, number: int, *, sent: int = 0, wrote: int = 0) -> AIMessage:
    """An answer that calls a tool, with its usage where that is known."""
    usage = {"input_tokens": sent, "output_tokens": wrote, "total_tokens": sent + wrote} if sent else None
    call = {"name": name, "args": {}, "id": str(number)}
    return AIMessage("", tool_calls=[call], usage_metadata=usage)


def stubbed(number: int, tool: str = "search") -> ToolMessage:
    """A result that was put aside: 1,000 tokens less."""
    return Mark(tool, 1_000, "abcdefgh").on(ToolMessage("stub", tool_call_id=str(number)))


def read_back(number: int, tool: str | None = "search", tokens: int = 300) -> ToolMessage:
    """What was read of it: 300 tokens."""
    artifact = ReadBack("abcdefgh", tool, tokens).as_artifact()
    return ToolMessage("text", tool_call_id=str(number), artifact=artifact)


HISTORY: list[BaseMessage] = [
    HumanMessage("Find it."),
    asked("search", 1),
    stubbed(1),
    asked("read_ref", 2, sent=5_000, wrote=40),
    read_back(2),
    asked("search", 3),
    stubbed(3),
]


def counted(*prompts: list[BaseMessage], card: PriceCard | None = None) -> Tally:
    """A tally that was told of some prompts."""
    tally = Tally(counter=TokenCounter(), card=card, min_offloads=2)
    for prompt in prompts:
        tally.count_prompt(prompt)
    return tally


def test_what_is_new_in_a_prompt_was_counted_when_it_came() -> None:
    """The first prompt with a stub spares nothing more."""
    assert counted(HISTORY[:3]).report().tools == {}


def test_a_stub_spares_again_in_each_later_prompt() -> None:
    """And a text that was read back costs again."""
    tally = counted(HISTORY[:5], HISTORY)
    counts = tally.report().tools["search"]
    assert counts.spared_again_tokens == 2_000
    assert counts.reread_tokens == 300


def test_a_call_that_only_reads_back_is_one_too_many() -> None:
    """Its prompt and its answer are what the reference cost, as the provider counted them."""
    counts = counted(HISTORY[:5]).report().tools["search"]
    assert (counts.extra_calls, counts.extra_tokens, counts.extra_output_tokens) == (1, 5_000, 40)
    assert counted(HISTORY[:4]).report().tools["search"].extra_calls == 0


def test_a_call_whose_usage_is_not_known_is_counted_here() -> None:
    """By the texts of its prompt."""
    prompt = [HumanMessage("word " * 1_000), asked("read_ref", 2), read_back(2)]
    assert 900 < counted(prompt).report().tools["search"].extra_tokens < 1_500


def test_a_call_that_does_other_work_too_is_not_one_too_many() -> None:
    """It would have been made anyway."""
    both = AIMessage("", tool_calls=[{"name": name, "args": {}, "id": name} for name in ("read_ref", "search")])
    tally = counted([HumanMessage("Find it."), both, read_back(2), stubbed(3)])
    assert tally.report().tools == {}


def test_reading_nothing_costs_nobody() -> None:
    """A reference that was not found has no tool to book it to."""
    prompt = [HumanMessage("Find it."), asked("read_ref", 2, sent=100, wrote=9), read_back(2, tool=None, tokens=0)]
    assert counted(prompt, [*prompt, AIMessage("No.")]).report().tools == {}


def test_a_call_that_reads_of_two_tools_is_shared() -> None:
    """The parts sum to what it cost."""
    calls = [{"name": "read_ref", "args": {}, "id": str(n)} for n in (1, 2)]
    usage = {"input_tokens": 101, "output_tokens": 9, "total_tokens": 110}
    prompt = [AIMessage("", tool_calls=calls, usage_metadata=usage), read_back(1, "a"), read_back(2, "b")]
    report = counted(prompt).report()
    assert (report.total.extra_calls, report.total.extra_tokens, report.total.extra_output_tokens) == (1, 101, 9)
    assert {name: one.extra_tokens for name, one in report.tools.items()} == {"a": 50, "b": 51}


def test_net_is_what_was_not_sent_less_what_was() -> None:
    """In tokens, and in money with writes, reads and output at their own prices."""
    counts = ToolTally(
        saved_tokens=10_000,
        spared_again_tokens=50_000,
        refetched_tokens=2_000,
        reread_tokens=8_000,
        extra_tokens=20_000,
        extra_output_tokens=100,
    )
    assert counts.net_tokens == 29_900
    assert counts.net_usd(CARD) == (Decimal("3.75") * 8_000 + Decimal("0.3") * 22_000 - 15 * 100) / 1_000_000


def test_a_card_without_cache_prices_all_as_input() -> None:
    """And one without a price gives None, never 0."""
    plain = PriceCard("m", rates={"input": Rate(Decimal(1)), "output": Rate(Decimal(1))}, price=CARD.price)
    counts = ToolTally(saved_tokens=10, spared_again_tokens=20, extra_output_tokens=5)
    assert counts.net_usd(plain) == Decimal(counts.net_tokens) / 1_000_000
    assert counts.net_usd(PriceCard("m", rates={}, price=CARD.price)) is None


@pytest.mark.parametrize("card", [None, CARD])
def test_a_tool_that_does_not_pay_is_switched_off_once_it_can_be_judged(card: PriceCard | None) -> None:
    """It is named once; one that pays stays on."""
    tally = counted(card=card)
    tally.add("log", offloads=1, saved_tokens=1_000, refetched_tokens=9_000)
    tally.add("search", offloads=9, saved_tokens=9_000)
    assert tally.newly_off() == []
    tally.add("log", offloads=1)
    assert tally.newly_off() == ["log"]
    assert tally.newly_off() == []
    assert tally.is_off("log")
    assert not tally.is_off("search")
    assert tally.report().off == ("log",)


def test_money_decides_where_it_is_known() -> None:
    """Tokens that are read from the cache cost a tenth: what loses tokens may save money."""
    losing = {"offloads": 5, "saved_tokens": 10_000, "extra_tokens": 50_000}
    for card, off in ((None, ["log"]), (CARD, [])):
        tally = counted(card=card)
        tally.add("log", **losing)
        assert tally.newly_off() == off


def test_a_tool_can_be_switched_by_hand() -> None:
    """On begins from 0, so that it is not off again at once."""
    tally = counted()
    tally.add("log", offloads=9, refetched_tokens=9)
    tally.newly_off()
    tally.switch("log", on=True)
    assert tally.newly_off() == []
    tally.switch("log", on=False)
    assert tally.is_off("log")


def test_a_report_is_plain_data_too() -> None:
    """With the net of each tool and of all."""
    tally = counted(card=CARD)
    tally.add("log", offloads=1, saved_tokens=1_000)
    told = tally.report().as_dict()
    assert told["net_tokens"] == 1_000
    assert told["net_usd"] == "0.00375"
    assert told["tools"]["log"]["net_tokens"] == 1_000


def test_odd_notes_are_none() -> None:
    """Whatever stands where a note would: a message of somebody else's is not counted."""
    for noted in (None, 7, {"reference": 7}, {"reference": {"tool": 1}}, {"reference": {"tool": "a", "ref": "b"}}):
        assert Mark.of(ToolMessage("x", tool_call_id="1", additional_kwargs={"agentcost": noted})) is None
    for artifact in (None, 7, {}, {"agentcost_read": 7}, {"agentcost_read": {"tokens": "many"}}):
        assert ReadBack.of(ToolMessage("x", tool_call_id="1", artifact=artifact)) is None
    kept = Mark("a", 1, "b").on(ToolMessage("x", tool_call_id="1", additional_kwargs={"agentcost": {"pin": True}}))
    assert kept.additional_kwargs["agentcost"]["pin"] is True
