from __future__ import annotations

from collections import Counter

from hypothesis import given, settings
from hypothesis import strategies as st
from langchain_core.messages import BaseMessage, HumanMessage, ToolMessage

from langchain_agentcost.replay.episode import Call, Episode, Piece
from langchain_agentcost.replay.sizes import Sizes, Toolset
from langchain_agentcost.replay.strategies import STRATEGIES
from langchain_agentcost.tokens import TokenCounter
from langchain_agentcost.usage import Usage
from tests.replay.made import counted, episode, played, says, schemas, strategy, uses

TOOLS = schemas("get_order", "cancel_order", "search")


def _prompt(sizes: Sizes, call: Call, of: Episode) -> int:
    return sizes.tokens(Toolset(of.tools), call.messages)


@settings(deadline=None)
@given(first=st.integers(200, 5000), grows=st.lists(st.integers(3, 3000), min_size=1, max_size=12), tools=st.booleans())
def test_the_recorded_prompt_comes_out_again_call_by_call(first: int, grows: list[int], tools: bool) -> None:
    """Where prompts only grow, the sizes of tools and messages sum to what the provider counted, for every call."""
    totals = [first]
    for more in grows:
        totals.append(totals[-1] + more)
    turns = [uses("search", f"{number} found", recorded=counted(total)) for number, total in enumerate(totals)]
    run = episode(*turns, tools=TOOLS if tools else ())
    sizes = Sizes(run, TokenCounter())
    assert [_prompt(sizes, call, run) for call in run.calls] == totals


def test_a_count_that_shrinks_gives_each_message_a_token() -> None:
    """A provider that counts less than before makes nothing negative, and later calls come out right again."""
    run = episode(*(uses("search", recorded=counted(total)) for total in (2000, 1500, 3000)))
    sizes = Sizes(run, TokenCounter())
    assert [_prompt(sizes, call, run) for call in run.calls] == [2000, 2002, 3000]


def test_calls_that_nobody_counted_are_counted_by_us_times_what_we_were_off() -> None:
    """What comes after the last counted call has the size that our count has, times the factor of the run."""
    run = episode(says("Hello.", then="Where is it?", recorded=counted(400)), says("There."), system="x " * 50)
    sizes, counter = Sizes(run, TokenCounter()), TokenCounter()
    ours = sum(counter.count_message(message) for message in run.calls[0].messages)
    assert sizes.factor == 400 / ours
    added = [round(counter.count_message(message) * sizes.factor) for message in run.calls[1].messages[2:]]
    assert _prompt(sizes, run.calls[1], run) == 400 + sum(added)


def test_without_any_count_ours_stands() -> None:
    """A run that nobody counted has our counts, and the factor says so."""
    run = episode(says("Hello."), tools=TOOLS)
    sizes, counter = Sizes(run, TokenCounter()), TokenCounter()
    assert sizes.factor == 1.0
    assert _prompt(sizes, run.calls[0], run) == counter.count_messages(run.calls[0].messages, tools=TOOLS)


def test_a_call_that_was_made_again_does_not_end_what_is_learned() -> None:
    """A retry, with the same prompt, is passed over: the calls after it still come out as recorded."""
    turns = [uses("search", recorded=counted(total)) for total in (1000, 1400, 1900)]
    run = episode(*turns)
    first, *rest = run.calls
    again = Episode(run.id, (first, first, *rest))
    sizes = Sizes(again, TokenCounter())
    assert [_prompt(sizes, call, again) for call in again.calls] == [1000, 1000, 1400, 1900]


def test_the_scale_of_a_call_makes_its_recorded_count_come_out() -> None:
    """Prompts that are no shares of one growing count are scaled to what was counted; the rest stays as it is."""
    main, sub = (
        episode(*(uses("a", recorded=counted(n)) for n in (1000, 1400))),
        episode(says("Hi.", recorded=counted(900))),
    )
    of = Episode("mixed", (main.calls[0], *sub.calls, main.calls[1], *episode(says("Ho.")).calls))
    sizes = Sizes(of, TokenCounter())
    scaled = [round(_prompt(sizes, call, of) * sizes.scale(call)) for call in of.calls[:3]]
    assert scaled == [1000, 900, 1400]
    assert [sizes.scale(call) for call in of.calls][0::2] == [1.0, 1.0]
    assert sizes.scale(of.calls[3]) == 1.0


def test_fewer_tools_are_sized_by_their_share_of_the_recorded_ones() -> None:
    """Leaving out nothing saves nothing, and a part has its share of what the provider counted for all."""
    run = episode(says("Hello.", recorded=counted(5000)), tools=TOOLS)
    sizes = Sizes(run, TokenCounter())
    whole = sizes.of_tools(Toolset(run.tools))
    assert sizes.of_tools(Toolset(schemas("get_order", "cancel_order", "search"))) == whole
    parts = [sizes.of_tools(Toolset((tool,))).tokens for tool in run.tools]
    assert abs(sum(parts) - whole.tokens) <= len(parts)


def test_a_stamp_on_the_tools_is_another_text_and_adds_its_length() -> None:
    """What stands before the tools makes them other tools to a cache, and is paid."""
    run = episode(says("Hello."), tools=TOOLS)
    sizes = Sizes(run, TokenCounter())
    plain, stamped = sizes.of_tools(Toolset(run.tools)), sizes.of_tools(Toolset(run.tools, "It is noon."))
    assert stamped.key != plain.key
    assert stamped.tokens == plain.tokens + TokenCounter().count_text("It is noon.")


def test_no_tools_have_no_tokens() -> None:
    """A run without tools pays for none, also where a provider counted its prompts."""
    for turn in (says("Hello."), says("Hello.", recorded=counted(500))):
        run = episode(turn)
        assert Sizes(run, TokenCounter()).of_tools(Toolset(run.tools)).tokens == 0


def test_an_answers_length_is_the_providers_count() -> None:
    """The recorded output counts; where it is missing, the answer is counted."""
    run = episode(says("Hello.", then="And?", recorded=counted(100, 77)), says("Good bye.", recorded=counted(150, 0)))
    sizes = Sizes(run, TokenCounter())
    assert sizes.answer_tokens(run.calls[0]) == 77
    assert sizes.answer_tokens(run.calls[1]) == round(TokenCounter().count_message(run.calls[1].answer) * sizes.factor)


def test_a_rewritten_message_has_its_share_of_the_recorded_size() -> None:
    """Half of a text has about half of the tokens that the provider counted, not half of ours."""
    run = episode(uses("search", "word " * 1000), says("Done.", recorded=counted(9000)))
    sizes = Sizes(run, TokenCounter())
    result = run.calls[1].messages[-1]
    assert isinstance(result, ToolMessage)
    half = sizes.rewritten(result, result.model_copy(update={"content": "word " * 500}))
    assert abs(sizes.of(half).tokens / sizes.of(result).tokens - 0.5) < 0.01


def test_messages_that_say_the_same_are_one_to_a_cache() -> None:
    """Keys are about content, whatever the ids."""
    sizes = Sizes(episode(says("Hello.")), TokenCounter())
    assert sizes.of(HumanMessage("Hi", id="1")).key == sizes.of(HumanMessage("Hi", id="2")).key
    assert sizes.of(HumanMessage("Hi")).key != sizes.of(HumanMessage("Ho")).key


def test_runs_of_which_only_hashes_are_known_have_the_sizes_that_were_written_down() -> None:
    """A mark says how large a message is: nothing is counted, since there is no text."""
    run = episode(says("", recorded=counted(1000)), system=None, user="")
    question = run.calls[0].messages[0]
    marked = Episode(run.id, run.calls, marks={id(question): Piece(b"key", 321)})
    assert Sizes(marked, TokenCounter()).of(question) == Piece(b"key", 321)


class _Counting(TokenCounter):
    """Says how often each message was counted."""

    def __init__(self) -> None:
        super().__init__()
        self.times: Counter[int] = Counter()
        self.held: list[BaseMessage] = []

    def count_message(self, message: BaseMessage, *, model: str | None = None) -> int:
        self.times[id(message)] += 1
        self.held.append(message)
        return super().count_message(message, model=model)


def _long_run(calls: int) -> Episode:
    return episode(*(uses("get_order", f"Order {n} is on its way.", order=f"A{n}") for n in range(calls)), tools=TOOLS)


def test_a_run_is_counted_once_however_many_calls_send_it_again() -> None:
    """The work is linear in the calls: no message of the conversation is counted for a second time."""
    run, counter = _long_run(60), _Counting()
    assert played(run, counter=counter).calls == 60
    assert set(counter.times.values()) == {1}
    assert len(counter.times) == len(run.calls[-1].history) - 1  # nothing reads the last result


def test_strategies_count_what_they_write_and_nothing_twice() -> None:
    """Whatever a strategy does, the tokens that are counted grow with the run, not with its square."""
    for name in STRATEGIES:
        counters = [_Counting(), _Counting()]
        for calls, counter in zip((40, 80), counters, strict=True):
            outcome = played(_long_run(calls), name, counter=counter)
            assert outcome.stopped or outcome.calls == calls
        short, long = (sum(counter.times.values()) for counter in counters)
        assert long <= 2.2 * short, name


def test_recorded_usage_of_nothing_is_not_a_count() -> None:
    """A provider that reports zero tokens of input has not counted the prompt."""
    turn = says("Hello.")._replace(recorded=counted(0))
    sizes = Sizes(episode(turn), TokenCounter())
    assert turn.recorded.usage == Usage(0, 10)
    assert sizes.factor == 1.0


def test_a_message_may_be_assumed_to_have_a_size() -> None:
    """A summary that nobody wrote has the length that it is taken to have."""
    sizes = Sizes(episode(says("Hello.")), TokenCounter())
    assert sizes.of(sizes.assume(HumanMessage("[summary]"), 1000)).tokens == 1000


def test_the_strategies_that_are_known_can_be_named() -> None:
    """Every name in the registry is a strategy with its usual numbers."""
    assert [strategy(name).name for name in STRATEGIES] == list(STRATEGIES)
