from __future__ import annotations

from hypothesis import given, settings
from hypothesis import strategies as st
from langchain_core.messages import AIMessage, BaseMessage, HumanMessage, ToolMessage

from langchain_agentcost.context.summary import Artifact, Summary
from langchain_agentcost.context.summary_extract import checked, extractive_summary, ledger_of, text_of

NAMES = st.sampled_from(["A-1742", "src/bay.py", "R-55", "mia@shop.example", "B7", "4711", "rack_9", "注文", "bay"])
SENTENCES = st.lists(NAMES | st.sampled_from(["ship", "see", "to", "then"]), min_size=1, max_size=5).map(" ".join)


def call(tool: str, **args: object) -> AIMessage:
    """An answer that calls a tool."""
    return AIMessage("", tool_calls=[{"name": tool, "args": args, "id": tool}])


MESSAGES = st.lists(
    SENTENCES.map(HumanMessage)
    | SENTENCES.map(AIMessage)
    | SENTENCES.map(lambda text: ToolMessage(text, tool_call_id="1"))
    | NAMES.map(lambda name: call("look", at=name)),
    max_size=6,
)


def test_artifacts_are_what_tools_were_called_with() -> None:
    """An id that is an argument alone is an artifact, with the tools that took it; a text that holds one is not."""
    history = [
        call("read_file", path="src/bay.py", id="ORD-77", lines=3),
        call("write_file", path="src/bay.py", text="import rack_9  # and A-1742"),
    ]
    assert ledger_of(history).artifacts == (
        Artifact("ORD-77", "read_file"),
        Artifact("src/bay.py", "read_file, write_file"),
    )


def test_what_the_user_said_stays_longest() -> None:
    """Literals of results come before those of answers, and these before the user's: the first go first."""
    history = [HumanMessage("For A-1742."), AIMessage("So B-2000."), ToolMessage("C-3000 D-4000", tool_call_id="1")]
    assert ledger_of(history).literals == ("C-3000", "D-4000", "B-2000", "A-1742")


def test_one_long_result_takes_not_all_the_room() -> None:
    """Of each message only the first literals are taken, also of one of a megabyte."""
    listing = " ".join(f"row-{number}" for number in range(120_000))
    found = ledger_of([ToolMessage(listing, tool_call_id="1"), HumanMessage("Mind A-1742.")]).literals
    assert 2 < len(found) < 100
    assert found[-1] == "A-1742"


def test_images_and_signatures_are_no_text() -> None:
    """Of list content only what a model reads as text counts."""
    content: list[str | dict[str, object]] = [
        {"type": "text", "text": "See A-1742.", "id": "msg_01XYZ99"},
        {"type": "image", "base64": "iVBORw0KGgo99"},
        "and B-2000",
    ]
    assert text_of(HumanMessage(content)) == "See A-1742.\nand B-2000"


@settings(deadline=None)
@given(MESSAGES, MESSAGES, st.lists(NAMES, max_size=4), SENTENCES)
def test_no_artifact_is_invented(
    covered: list[BaseMessage], before: list[BaseMessage], names: list[str], sentence: str
) -> None:
    """Whatever a model writes, each artifact that stays stands in the messages or in the earlier summary."""
    earlier = extractive_summary(before)
    notes = Summary(artifacts=tuple(Artifact(name, sentence) for name in names), literals=("made-up-1",))
    found = checked(notes, covered, earlier=earlier)
    known = "\n".join(map(text_of, [*covered, *before]))
    assert all(one.name in known for one in found.summary.artifacts)
    assert {one.name for one in found.summary.artifacts} | set(found.dropped) == set(names)
    assert not found.summary.literals
    assert all(one not in known for one in found.doubted if one.isascii())


def test_a_part_of_a_name_is_no_name() -> None:
    """An id that only stands inside a longer one is not known."""
    found = checked(Summary(artifacts=(Artifact("A-17"),)), [HumanMessage("Return A-1742.")])
    assert found.dropped == ("A-17",)


def test_a_sentence_is_doubted_once() -> None:
    """A mark that is there already is not put before it again."""
    first = checked(Summary(decisions=("Pay R-5521 back.",)), [HumanMessage("Pay it back.")])
    again = checked(first.summary, [HumanMessage("Pay it back.")])
    assert first.summary.decisions == ("(unverified: R-5521) Pay R-5521 back.",)
    assert again.summary == first.summary


def test_the_first_wish_stays_the_intent() -> None:
    """Without a model, the intent is the first wish; later wishes are told as such, and no earlier one is lost."""
    first = extractive_summary([HumanMessage("Return A-1742."), AIMessage("Done. Anything else?")])
    second = extractive_summary([HumanMessage("Now B-2000.")], earlier=first)
    assert second.intent == "Return A-1742."
    assert second.decisions == ("The assistant said: Done.", "The user said: Now B-2000.")
    assert second.literals == ("A-1742", "B-2000")


def test_sentences_end_in_any_script() -> None:
    """A full stop of Chinese or Japanese ends a sentence without a blank."""
    assert extractive_summary([HumanMessage("返品したい。小さい。急いで。")]).intent == "返品したい。 小さい。"
