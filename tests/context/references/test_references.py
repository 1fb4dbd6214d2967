import json
import logging
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from threading import get_ident
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from langchain_core.messages import AIMessage, ToolMessage
from langgraph.store.base import BaseStore, Item
from langgraph.store.memory import InMemoryStore
from langgraph.store.sqlite import SqliteStore

from langchain_agentcost.context.blocks import pin
from langchain_agentcost.context.compress.columnar import expanded
from langchain_agentcost.context.ranking import Bm25
from langchain_agentcost.context.references.marks import Mark, ReadBack
from langchain_agentcost.context.references.policy import ReferencePolicy
from langchain_agentcost.context.references.references import References
from langchain_agentcost.errors import AgentCostWarning

LOG = "\n".join(f"step {n}: worker_{n % 7} put parcel_{n} in bay {n % 13} and wrote it down" for n in range(600))
ROWS = json.dumps([{"id": n, "name": f"item {n}", "left": n % 9} for n in range(40)], indent=2)
IMAGE = {"type": "image", "url": "https://example.org/a.png"}


def result(content: Any, *, name: str = "read_log", number: int = 1, **more: Any) -> ToolMessage:
    """A result of a tool."""
    return ToolMessage(content, tool_call_id=str(number), name=name, **more)


def ref_of(message: ToolMessage) -> str:
    """The reference that a message names."""
    mark = Mark.of(message)
    assert mark is not None
    return mark.ref


def test_a_large_result_becomes_a_stub_and_can_be_read_back() -> None:
    """The stub names the reference, and all that was there is there."""
    references = References()
    short = references.offload(result(LOG))
    assert len(short.text) < len(LOG) / 10
    assert f'read_ref(ref="{ref_of(short)}")' in short.text
    assert references.read(ref_of(short), lines="600").startswith("step 599: ")
    assert "parcel_311 " in references.read(f"[ref:{ref_of(short)}]", query="parcel_311")


def test_all_but_the_text_stays() -> None:
    """Id, name, status and artifact are those of the result, which itself is not changed."""
    given = result(LOG, status="error", artifact={"rows": 600}, id="m1", additional_kwargs={"own": 1})
    short = References().offload(given)
    assert (short.tool_call_id, short.name, short.status, short.id) == ("1", "read_log", "error", "m1")
    assert short.artifact == {"rows": 600}
    assert short.additional_kwargs["own"] == 1
    assert given.content == LOG


def test_a_small_result_is_compressed_without_loss_only() -> None:
    """What compression alone made shorter is counted apart."""
    references = References()
    short = references.offload(result(ROWS))
    assert json.loads(expanded(short.text)) == json.loads(ROWS)
    assert len(short.text) < len(ROWS)
    counts = references.report().tools["read_log"]
    assert counts.compressed_tokens > 0
    assert counts.offloads == 0


@pytest.mark.parametrize("content", ["", " \n", "Bay 4.", [], [IMAGE], [{"type": "text", "text": ""}]])
def test_a_result_with_nothing_to_shorten_is_the_same_object(content: Any) -> None:
    """Empty, short, or without text."""
    message = result(content)
    assert References().offload(message) is message


def test_what_must_stay_to_the_letter_stays() -> None:
    """Excluded tools, pinned results, results of read_ref and those that were handled before, also without a name."""
    references = References(policy=ReferencePolicy(exclude_tools={"read_file"}))
    short = references.offload(result(LOG))
    read = result(LOG, name="other", artifact=ReadBack("a", "b", 1).as_artifact())
    for message in (result(LOG, name="read_file"), result(LOG, name="read_ref"), pin(result(LOG)), short, read):
        assert isinstance(message, ToolMessage)
        assert references.offload(message) is message
    assert references.offload(ToolMessage(LOG, tool_call_id=""), tool="read_file").content == LOG


def test_texts_in_blocks_become_one_stub_and_images_stay() -> None:
    """Many blocks of which none is large are together, as an MCP server gives them."""
    parts = [{"type": "text", "text": LOG[at : at + 2_000]} for at in range(0, 30_000, 2_000)]
    references = References()
    short = references.offload(result([parts[0], IMAGE, *parts[1:]]))
    assert [block["type"] for block in short.content if isinstance(block, dict)] == ["text", "image"]
    assert "ref:" in short.text
    assert references.read(ref_of(short), query="parcel_311").count("parcel_311") == 1


def test_the_same_large_result_again_names_the_call_above() -> None:
    """As long as its stub is in the prompt; else it is a stub again, of the same reference."""
    references = References()
    asked = AIMessage("", tool_calls=[{"name": "read_log", "args": {"day": 7}, "id": "1"}])
    first = references.offload(result(LOG))
    again = references.offload(result(LOG, number=2), messages=[asked, first])
    assert again.text == f'Word for word the result of read_log({{"day": 7}}) above. [ref:{ref_of(first)}]'
    assert references.offload(result(LOG, number=3), messages=[again]).text == first.text
    counts = references.report().tools["read_log"]
    assert (counts.offloads, counts.repeats) == (2, 1)


def test_the_same_small_result_again_names_the_call_above() -> None:
    """It can be read back too, in case the one above is gone one day."""
    references = References()
    first = references.offload(result(ROWS))
    again = references.offload(result(ROWS, number=2), messages=[first])
    assert again.text.startswith("Word for word the result of read_log above. [ref:")
    assert '"item 7"' in references.read(ref_of(again), query="item 7")


def test_a_result_that_is_not_the_same_in_all_is_no_repeat() -> None:
    """Another status, an image beside it, another text, or too short to be worth a note."""
    references = References()
    first = references.offload(result(ROWS))
    others = [
        (result(ROWS, status="error"), first),
        (result([ROWS, IMAGE]), first),
        (result(ROWS.replace("item 39", "item 93")), first),
        (result("Bay 4."), result("Bay 4.")),
        (result(ROWS), AIMessage(first.text)),
    ]
    for message, before in others:
        assert Mark.of(references.offload(message, messages=[before])) is None


def test_a_thread_does_not_read_another_threads_results() -> None:
    """Nor a tenant another tenant's."""
    references = References()
    ours: dict[str, Any] = {"configurable": {"thread_id": "t1"}, "metadata": {"tenant": "acme"}}
    short = references.offload(result(LOG), config=ours)  # type: ignore[arg-type]
    assert references.read(ref_of(short), lines="1", config=ours).startswith("step 0")  # type: ignore[arg-type]
    for other in ({"configurable": {"thread_id": "t2"}}, {"configurable": {"thread_id": "t1"}}, {}):
        assert "Nothing is kept" in references.read(ref_of(short), config=other)  # type: ignore[arg-type]


@pytest.mark.parametrize("ref", ["", "x", "ref:aaaaaaaa", "ref:1", "a" * 500, "'; DROP TABLE", "ref:AB12CD34"])
async def test_an_unknown_reference_is_told_in_words(ref: str) -> None:
    """What a model may make up raises nothing."""
    references = References()
    assert references.read(ref) == (await references.aread_back(ref))[0]
    assert "call its tool again" in references.read(ref)


def test_what_is_kept_no_longer_is_told_in_words() -> None:
    """When it is too old or had to go for others."""
    references = References(policy=ReferencePolicy(ttl_s=1e-9))
    assert "or no longer" in references.read(ref_of(references.offload(result(LOG))))
    references = References(policy=ReferencePolicy(max_bytes=len(LOG) + 10))
    first = references.offload(result(LOG))
    references.offload(result(LOG[:-50]))
    assert "or no longer" in references.read(ref_of(first))


def test_a_result_too_large_to_keep_goes_in_whole() -> None:
    """Nothing is cut that could not be read back."""
    message = result(LOG)
    assert References(policy=ReferencePolicy(max_bytes=100)).offload(message) is message


async def test_async_gives_the_same_and_does_long_work_in_a_thread() -> None:
    """The same stub and the same text."""
    references = References()
    text = LOG * 3
    short = await references.aoffload(result(text))
    assert short.text == references.offload(result(text)).text
    assert (await references.aread_back(ref_of(short), lines="2"))[0] == references.read(ref_of(short), lines="2")
    plain = result("Bay 4.")
    assert await references.aoffload(plain) is plain
    assert (await references.aoffload(result(ROWS))).text == references.offload(result(ROWS)).text


class Broken(InMemoryStore):
    """A store that is down."""

    def batch(self, ops: Any) -> Any:
        """Fail."""
        raise ConnectionError("no route to the store")

    async def abatch(self, ops: Any) -> Any:
        """Fail."""
        raise ConnectionError("no route to the store")


async def test_a_store_that_fails_leaves_the_result_whole_and_warns_once(caplog: pytest.LogCaptureFixture) -> None:
    """The run goes on, and the model is told in words what cannot be read."""
    references = References(Broken())
    message = result(LOG)
    with pytest.warns(AgentCostWarning, match="ConnectionError"):
        assert references.offload(message) is message
    assert await references.aoffload(message) is message
    assert "cannot be read now" in references.read("aaaaaaaa")
    assert "cannot be read now" in (await references.aread_back("aaaaaaaa"))[0]
    assert caplog.records == []  # a second warning would be logged here, where warnings are errors


def test_a_store_of_another_kind_that_gives_nonsense_is_survived() -> None:
    """What somebody else has put under the reference is not read as ours."""

    class Odd(InMemoryStore):
        def get(self, namespace: Any, key: Any, **_: Any) -> Item:
            return Item(value={"text": 7}, key=key, namespace=namespace, created_at=0, updated_at=0)  # type: ignore[arg-type]

    assert "Nothing is kept" in References(Odd()).read("aaaaaaaa")


def test_what_was_put_aside_outlives_the_process(tmp_path: Path) -> None:
    """Another object over the same file reads it."""
    with SqliteStore.from_conn_string(str(tmp_path / "s.db")) as store:
        store.setup()
        short = References(store).offload(result(LOG))
    with SqliteStore.from_conn_string(str(tmp_path / "s.db")) as store:
        assert References(store).read(ref_of(short), lines="600").startswith("step 599")


async def test_a_sync_store_serves_async_code(tmp_path: Path) -> None:
    """In a thread, where it has no async methods of its own."""
    with SqliteStore.from_conn_string(str(tmp_path / "s.db")) as store:
        store.setup()
        references = References(store)
        short = await references.aoffload(result(LOG))
        assert (await references.aread_back(ref_of(short), lines="1"))[0].startswith("step 0")


def test_no_text_is_sent_to_an_index() -> None:
    """A store with embeddings does not embed a log of a megabyte."""

    def embed(texts: list[str]) -> list[list[float]]:
        raise AssertionError(texts)

    index: Any = {"dims": 2, "embed": embed, "fields": ["text"]}
    store: BaseStore = InMemoryStore(index=index)
    assert Mark.of(References(store).offload(result(LOG))) is not None


def test_a_tool_that_is_read_back_too_often_is_left_alone(caplog: pytest.LogCaptureFixture) -> None:
    """It is logged once, and its results stay whole; others go on."""
    references = References(policy=ReferencePolicy(min_offloads=2))
    with caplog.at_level(logging.WARNING):
        for number in range(2):
            ref = ref_of(references.offload(result(f"{LOG}{number}")))
            for page in range(12):
                references.read(ref, lines=f"{page * 50 + 1}-")
    assert [record.message.split(":")[0] for record in caplog.records] == [
        "Results of 'read_log' are put aside no longer"
    ]
    assert references.report().off == ("read_log",)
    assert references.offload(result(f"{LOG}x")).text == f"{LOG}x"
    assert Mark.of(references.offload(result(LOG, name="other"))) is not None
    references.switch("read_log", on=True)
    assert Mark.of(references.offload(result(LOG))) is not None


def test_threads_share_references() -> None:
    """Counts are exact, and each result is read back as it was."""
    references = References(policy=ReferencePolicy(min_offloads=1_000))

    def work(number: int) -> bool:
        short = references.offload(result(f"{LOG}\nlast {number}"))
        return f"last {number}" in references.read(ref_of(short), lines="601")

    with ThreadPoolExecutor(8) as pool:
        assert all(pool.map(work, range(64)))
    counts = references.report().tools["read_log"]
    assert (counts.offloads, counts.refetches) == (64, 64)


@pytest.mark.parametrize(
    "text", ["x" * 1_000_000, "\x00\ud800" * 3_000, "[" * 50_000, "{" + LOG, "🙂" * 9_000, "a b " * 9_000]
)
def test_odd_texts_raise_nothing(text: str) -> None:
    """Huge, broken, without words or no Unicode at all: a message comes back, and it is never longer."""
    references = References()
    short = references.offload(result(text))
    assert len(short.text) <= len(text)
    mark = Mark.of(short)
    if mark is not None:
        assert references.read(mark.ref, lines="1")


_BLOCKS = st.text() | st.just(IMAGE) | st.builds(lambda text: {"type": "text", "text": text}, st.text())


@given(st.text() | st.lists(_BLOCKS), st.integers(1, 60), st.sampled_from(["success", "error"]))
def test_any_result_comes_back_shorter_or_as_it_was(content: Any, times: int, status: Any) -> None:
    """The pair is never broken: same id, name and status, images in order, and a text that was cut can be read."""
    content = content * times
    references = References(policy=ReferencePolicy(above_tokens=50))
    short = references.offload(result(content, status=status))
    assert (short.tool_call_id, short.name, short.status) == ("1", "read_log", status)
    assert len(short.text) <= len(result(content).text)
    if isinstance(content, list):
        assert [one for one in short.content if one == IMAGE] == [one for one in content if one == IMAGE]
    mark = Mark.of(short)
    assert mark is None or "Nothing is kept" not in references.read(mark.ref)


def test_policies_that_make_no_sense_are_refused() -> None:
    """The message names the number."""
    with pytest.raises(ValueError, match="above_tokens"):
        ReferencePolicy(above_tokens=0)
    with pytest.raises(ValueError, match="ttl_s"):
        ReferencePolicy(ttl_s=0)
    with pytest.raises(ValueError, match="set of names"):
        ReferencePolicy(exclude_tools="read_file")


def test_without_lossless_a_small_result_stays() -> None:
    """Where the policy says so."""
    message = result(ROWS[:2_000])
    assert References(policy=ReferencePolicy(lossless=False)).offload(message) is message


async def test_a_small_result_can_be_put_aside_where_that_is_asked_for() -> None:
    """For who has found later that it pays: any length, but only where the stub is much shorter."""
    references = References()
    small = result(LOG[:2_800])
    assert Mark.of(references.offload(small)) is None
    assert Mark.of(references.offload(small, above_tokens=0)) is not None
    assert Mark.of(await references.aoffload(small, above_tokens=0)) is not None
    assert references.offload(result("Bay 4."), above_tokens=0).text == "Bay 4."


def test_what_compression_would_lose_is_not_lost_from_a_small_result() -> None:
    """A page keeps its markup where nothing holds the whole of it; a large one has its text in the stub."""
    page = "<html><body>" + "".join(f"<p class='k{n}'>Bay {n} is free.</p>" for n in range(20)) + "</body></html>"
    references = References()
    assert references.offload(result(page)).text == page
    beside = references.offload(result([page, ROWS]))
    assert beside.content[0] == page
    assert len(beside.content[1]) < len(ROWS)
    short = references.offload(result(page * 40))
    assert "class=" not in short.text
    assert "class='k7'" in references.read(ref_of(short), lines="1")


async def test_a_long_result_is_read_back_in_a_thread() -> None:
    """A short one is not worth it."""
    threads: list[int] = []

    class Notes(Bm25):
        def scores(self, query: str, texts: Sequence[str]) -> list[float]:
            threads.append(get_ident())
            return super().scores(query, texts)

    references = References(ranker=Notes())
    for lines in (200, 4_000):
        log = "\n".join(f"line {at}: worker_{at} took job_{at}" for at in range(lines))
        mark = Mark.of(await references.aoffload(ToolMessage(log, tool_call_id=str(lines), name="t"), above_tokens=0))
        assert mark is not None
        said, _ = await references.aread_back(mark.ref, query="worker_7")
        assert "worker_7" in said
    assert threads[0] == get_ident()
    assert threads[-1] != get_ident()
