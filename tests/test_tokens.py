"""Tokens: the estimate is close for every kind of text, cheap for any length, and never reaches for the network."""

from __future__ import annotations

import base64
import gzip
import json
import random
import subprocess
import sys
import uuid
from concurrent.futures import ThreadPoolExecutor
from importlib import resources
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from langchain_core.messages import AIMessage, AIMessageChunk, HumanMessage, SystemMessage, ToolMessage
from langchain_core.tools import tool

from langchain_agentcost.tokens import (
    TokenCounter,
    count_messages,
    count_text,
    estimate_message,
    estimate_schemas,
    estimate_text,
)
from langchain_agentcost.tokens import encodings as encodings_module
from langchain_agentcost.tokens.counter import EXACT_UP_TO_CHARS, FACTOR_BOUNDS, OPENAI_SCHEMA_SHARE
from langchain_agentcost.tokens.encodings import encoder, encoding_name, openai_encoding
from langchain_agentcost.tokens.estimate import CALL_TOKENS, IMAGE_TOKENS, MESSAGE_TOKENS, SAMPLED_ABOVE_CHARS

RANDOM = random.Random(7)  # noqa: S311  # texts, not secrets
ORDERS = [
    {
        "order_id": f"ORD-{RANDOM.randint(10000, 99999)}",
        "customer": {"id": str(uuid.UUID(int=RANDOM.getrandbits(128))), "email": f"user{i}@example.com"},
        "items": [{"sku": f"SKU{RANDOM.randint(100, 999)}", "qty": i, "price": RANDOM.randint(1, 9999) / 100}],
        "created_at": f"2026-11-{RANDOM.randint(10, 28)}T08:15:00Z",
        "shipped": i % 2 == 0,
        "tracking": None,
    }
    for i in range(8)
]
TEXTS = {
    "english": "The parcel left our warehouse on Monday and should reach the customer before the weekend, unless the "
    "carrier reroutes it again. Please check whether the order can still be cancelled; if it has already been shipped, "
    "offer a return label and explain how long the refund will take.",
    "json": json.dumps(ORDERS),
    "json compact": json.dumps(ORDERS, separators=(",", ":")),
    "json indented": json.dumps(ORDERS, indent=2),
    "hexadecimal": " ".join(uuid.UUID(int=RANDOM.getrandbits(128)).hex for _ in range(20)),
    "base64": base64.b64encode(RANDOM.randbytes(1500)).decode(),
    "numbers": ", ".join(str(RANDOM.randint(1, 10**6)) for _ in range(150)),
    "code": Path(encodings_module.__file__).read_text(),
    "log": "\n".join(
        f"2026-11-23T17:{m}:11.{m * 7}Z INFO worker-{m % 9} request {RANDOM.getrandbits(64):016x} took {m * 9}ms"
        for m in range(10, 40)
    ),
    "russian": "Заказ был отправлен в понедельник и должен прийти до конца недели, если доставка не изменит маршрут.",
    "chinese": "订单已于周一发出,如果快递没有改变路线,预计周末之前可以送达客户手中。请检查该订单是否仍然可以取消。",
    "japanese": "ご注文の商品は月曜日に発送されましたので、週末までにお届けできる見込みです。",
    "korean": "주문하신 상품은 월요일에 발송되었으며 주말 전에 도착할 예정입니다.",
    "german": "Die Bestellung wurde am Montag verschickt und sollte vor dem Wochenende ankommen.",
    "french": "La commande a été expédiée lundi et devrait arriver avant le week-end, désolé pour le désagrément.",
    "arabic": "تم شحن الطلب يوم الاثنين ومن المتوقع أن يصل قبل نهاية الأسبوع.",
    "hindi": "आपका ऑर्डर सोमवार को भेज दिया गया है और सप्ताहांत से पहले पहुँच जाना चाहिए।",
}


@pytest.fixture(scope="module")
def tiktoken_files(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A cache folder as tiktoken would have filled it, from the data of the `offline` extra."""
    folder = tmp_path_factory.mktemp("tiktoken")
    for name in ("o200k_base", "cl100k_base"):
        packed = resources.files("bpe_openai.data").joinpath(f"{name}.tiktoken.gz").read_bytes()
        (folder / encodings_module._FILES[name][0]).write_bytes(gzip.decompress(packed))
    return folder


@pytest.fixture
def no_tokenizer(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """A machine without the extra and without tiktoken's files."""
    monkeypatch.setenv("TIKTOKEN_CACHE_DIR", str(tmp_path))
    monkeypatch.setitem(sys.modules, "bpe_openai", None)
    encoder.cache_clear()


@pytest.fixture(autouse=True)
def fresh_encoders() -> Any:
    """Each test finds out for itself which files are there."""
    yield
    encoder.cache_clear()


@pytest.mark.parametrize("name", TEXTS)
def test_the_estimate_is_within_a_quarter_of_the_tokenizer(name: str) -> None:
    """Prose of any script, JSON, code, ids and numbers all come out within 25 % of o200k_base."""
    exact = encoder("o200k_base")
    assert exact is not None
    tokens = len(exact.encode_ordinary(TEXTS[name]))
    assert estimate_text(TEXTS[name]) == pytest.approx(tokens, rel=0.25)


def test_json_is_not_counted_as_prose() -> None:
    """Four characters a token would promise far too little for what tools return."""
    assert estimate_text(TEXTS["json"]) > 1.5 * len(TEXTS["json"]) / 4


def test_an_empty_text_has_no_tokens_and_any_other_has_one() -> None:
    """Nothing is 0, a space is not."""
    assert (estimate_text(""), estimate_text(" "), estimate_text("a")) == (0, 1, 1)


@given(st.text())
def test_any_text_can_be_estimated(text: str) -> None:
    """No text raises, lone surrogates included, and none has more tokens than three for each UTF-8 byte."""
    assert 0 <= estimate_text(text) <= 3 * len(text.encode("utf-8", "surrogatepass")) + 1


def test_a_long_text_is_estimated_from_pieces() -> None:
    """Ten megabytes come out as a thousand times ten kilobytes, though only sixteen kilobytes are looked at."""
    part = (TEXTS["english"] + TEXTS["json"])[:SAMPLED_ABOVE_CHARS]
    times = 10_000_000 // len(part)
    assert estimate_text(part * times) == pytest.approx(estimate_text(part) * times, rel=0.15)


def test_a_changed_message_is_counted_anew() -> None:
    """Messages are mutable: what is remembered belongs to the text, not to the object."""
    message = HumanMessage("short")
    before = estimate_message(message)
    message.content = "a much longer text that has more than a handful of tokens in it"
    assert estimate_message(message) > before


def test_tool_calls_count_once() -> None:
    """Anthropic repeats a call as a content block; the call counts with its name and arguments, the block does not."""
    call = {"name": "get_order", "args": {"order_id": "ORD-1"}, "id": "c1", "type": "tool_call"}
    plain = AIMessage("", tool_calls=[call])
    repeated = AIMessage([{"type": "tool_use", "id": "c1", "name": "get_order", "input": {}}], tool_calls=[call])
    expected = MESSAGE_TOKENS + CALL_TOKENS + estimate_text("get_order") + estimate_text("{'order_id': 'ORD-1'}")
    assert estimate_message(plain) == estimate_message(repeated) == expected


def test_a_streamed_answer_counts_like_any_other() -> None:
    """Chunks put together are answers."""
    assert estimate_message(AIMessageChunk(content="Hello there")) == estimate_message(AIMessage("Hello there"))


@pytest.mark.parametrize(
    ("block", "tokens"),
    [
        ({"type": "text", "text": "Hello there"}, estimate_text("Hello there")),
        ({"type": "thinking", "thinking": "Hello there", "signature": "x" * 500}, estimate_text("Hello there")),
        ({"type": "image_url", "image_url": {"url": "data:image/png;base64," + "A" * 100_000}}, IMAGE_TOKENS),
        ({"type": "image", "base64": "A" * 100_000}, IMAGE_TOKENS),
        ("Hello there", estimate_text("Hello there")),
        ({"type": "odd", "value": 1}, estimate_text("{'type': 'odd', 'value': 1}")),
    ],
)
def test_content_blocks_count_as_what_they_are(block: Any, tokens: int) -> None:
    """Text counts as text, an image as the stated constant whatever its bytes, the unknown as what it looks like."""
    assert estimate_message(HumanMessage([block])) == MESSAGE_TOKENS + tokens


def schema(name: str, parameters: int = 1) -> dict[str, Any]:
    """A tool in OpenAI's wording."""
    properties = {f"p{i}": {"type": "string", "description": "Something that is needed."} for i in range(parameters)}
    inner = {"name": name, "description": "Do a thing.", "parameters": {"type": "object", "properties": properties}}
    return {"type": "function", "function": inner}


def test_tools_are_summed_and_a_changed_list_is_counted_anew() -> None:
    """The same list object is remembered, yet a tool that is added or exchanged counts."""
    tools = [schema("a"), schema("b")]
    two = estimate_schemas(tools)
    assert estimate_schemas(tools) == two
    tools.insert(0, schema("c", 3))
    three = estimate_schemas(tools)
    assert three == two + estimate_schemas([schema("c", 3)])
    tools[-1] = schema("d", 9)
    assert estimate_schemas(tools) > three


def test_lists_that_come_and_go_are_not_mistaken_for_each_other() -> None:
    """Ids are used again after a list is gone; no list may get another one's count."""
    for size in range(1, 300):
        parameters = size % 7 + 1
        assert estimate_schemas([schema("t", parameters)]) == estimate_schemas((schema("t", parameters),))


def test_tools_of_any_kind_can_be_estimated() -> None:
    """LangChain tools, Anthropic's wording, odd mappings and objects all count; none is 0."""

    @tool
    def track(order_id: str) -> str:
        """Tell where an order is."""
        return order_id

    odd: dict[Any, Any] = {"type": "web_search", ("a", "b"): 1}
    for one in (track, {"name": "a", "input_schema": {"properties": {}}}, odd, object(), {"function": None}):
        assert estimate_schemas([one]) > 0
    assert estimate_schemas(None) == estimate_schemas([]) == 0


def test_tiktokens_own_files_are_used_where_they_are(tiktoken_files: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """With a filled cache the real tiktoken counts, without the network and without the extra."""
    monkeypatch.setenv("TIKTOKEN_CACHE_DIR", str(tiktoken_files))
    monkeypatch.setitem(sys.modules, "bpe_openai", None)
    found = encoder("o200k_base")
    assert type(found).__module__ == "tiktoken.core"
    assert count_text("Where is my parcel?", model="gpt-5-mini") == 5


def test_the_extra_counts_as_tiktoken_does(tiktoken_files: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Both tokenizers agree on every text, for both vocabularies."""
    names = ("o200k_base", "cl100k_base")
    extra = [encoder(name) for name in names]
    encoder.cache_clear()
    monkeypatch.setenv("TIKTOKEN_CACHE_DIR", str(tiktoken_files))
    for one, name in zip(extra, names, strict=True):
        other = encoder(name)
        assert one is not None
        assert other is not None
        assert type(one) is not type(other)
        for text in TEXTS.values():
            assert one.encode_ordinary(text) == other.encode_ordinary(text)


def test_a_damaged_file_is_left_alone(no_tokenizer: None, tmp_path: Path) -> None:
    """The damaged file, which tiktoken would delete to fetch it again, is neither trusted nor touched."""
    file = tmp_path / encodings_module._FILES["o200k_base"][0]
    file.write_bytes(b"damaged")
    assert encoder("o200k_base") is None
    assert file.read_bytes() == b"damaged"


@pytest.mark.usefixtures("no_tokenizer")
def test_without_files_the_estimate_counts_and_nothing_is_fetched() -> None:
    """Sockets beyond loopback raise in these tests: counting does not try, and says that it is no tokenizer."""
    counter = TokenCounter()
    assert counter.count_text("Where is my parcel?", model="gpt-5-mini") == estimate_text("Where is my parcel?")
    assert not counter.is_exact("gpt-5-mini")


@pytest.mark.usefixtures("no_tokenizer")
def test_a_download_that_fails_leaves_the_estimate(monkeypatch: pytest.MonkeyPatch) -> None:
    """Where the network is allowed but not there, counting goes on."""
    asked: list[str] = []

    def unreachable(blobpath: str) -> bytes:
        asked.append(blobpath)
        raise ConnectionError("no network")

    monkeypatch.setattr("tiktoken.load.read_file", unreachable)
    assert TokenCounter(allow_download=True).count_text("Hi", model="text-davinci-003") == estimate_text("Hi")
    assert len(asked) == 1
    assert TokenCounter().count_text("Hi", model="text-davinci-003") == estimate_text("Hi")
    assert len(asked) == 1


def test_tiktokens_folders_are_looked_into_as_tiktoken_does(
    tiktoken_files: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """Unset, the folder is data-gym-cache among the temporary files; set to nothing, there is no cache."""
    (tmp_path / "data-gym-cache").symlink_to(tiktoken_files)
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    monkeypatch.setitem(sys.modules, "bpe_openai", None)
    monkeypatch.delenv("TIKTOKEN_CACHE_DIR", raising=False)
    monkeypatch.delenv("DATA_GYM_CACHE_DIR", raising=False)
    assert encoder("o200k_base") is not None
    encoder.cache_clear()
    monkeypatch.setenv("TIKTOKEN_CACHE_DIR", "")
    assert encoder("o200k_base") is None


@pytest.mark.parametrize(
    ("model", "name"),
    [
        ("gpt-5-mini-2025-08-07", "o200k_base"),
        ("openai/gpt-4o", "o200k_base"),
        ("ft:gpt-3.5-turbo:acme::1", "cl100k_base"),
        ("gpt-4", "cl100k_base"),
        ("claude-haiku-4-5", "o200k_base"),
        ("", "o200k_base"),
    ],
)
def test_each_model_has_an_encoding(model: str, name: str) -> None:
    """OpenAI's models have their own, all others the nearest."""
    assert encoding_name(model) == name


def test_special_tokens_in_a_text_are_text() -> None:
    """A user who writes <|endoftext|> neither breaks the count nor gets it for one token."""
    assert count_text("<|endoftext|>", model="gpt-5-mini") > 1


def test_a_very_long_text_is_tokenized_in_pieces() -> None:
    """Above the limit the count is scaled up from pieces, and stays close."""
    text = TEXTS["english"] * (3 * EXACT_UP_TO_CHARS // len(TEXTS["english"]))
    one = count_text(TEXTS["english"], model="gpt-5-mini") * len(text) / len(TEXTS["english"])
    assert count_text(text, model="gpt-5-mini") == pytest.approx(one, rel=0.05)


def test_a_call_counts_its_messages_and_tools() -> None:
    """The whole is the sum of its messages and of the share of the schemas that OpenAI bills."""
    counter = TokenCounter()
    messages = [
        SystemMessage("Be brief."),
        HumanMessage("Hi"),
        AIMessage("Hello!"),
        ToolMessage("42", tool_call_id="c"),
    ]
    tools = [schema("a"), schema("b")]
    each = sum(counter.count_message(message, model="gpt-5") for message in messages)
    schemas = counter.count_schemas(tools, model="gpt-5")
    assert counter.count_messages(messages, model="gpt-5", tools=tools) == each + schemas
    assert schemas == pytest.approx(counter.count_schemas(tools, model="claude-haiku-4-5") * OPENAI_SCHEMA_SHARE, abs=1)
    assert count_messages(messages, model="gpt-5", tools=tools) == each + schemas
    assert openai_encoding("claude-haiku-4-5") is None


def test_the_factor_is_learned_for_one_model_and_applied_to_it() -> None:
    """After three answers that were a fifth longer, counts for that model are; other models keep theirs."""
    counter = TokenCounter()
    plain = counter.count_text(TEXTS["english"], model="claude-haiku-4-5")
    for _ in range(3):
        counter.observe("claude-haiku-4-5", estimated=100, actual=120)
    assert counter.count_text(TEXTS["english"], model="claude-haiku-4-5") == round(plain * 1.2)
    assert counter.count_text(TEXTS["english"], model="other") == plain


def test_learning_converges_on_counts_that_already_carry_the_factor() -> None:
    """A caller passes what the counter said; the factor settles at the truth and does not run away."""
    counter = TokenCounter()
    for _ in range(200):
        counter.observe("m", estimated=round(1000 * counter.factor("m")), actual=1300)
    assert counter.factor("m") == pytest.approx(1.3, rel=0.01)


def test_one_odd_answer_moves_nothing() -> None:
    """The median ignores a call with an image or a wrong count."""
    counter = TokenCounter()
    for actual in (100, 100, 100, 1_000_000, 100):
        counter.observe("m", estimated=100, actual=actual)
    assert counter.factor("m") == 1.0


@pytest.mark.parametrize(("actual", "bound"), [(10**12, FACTOR_BOUNDS[1]), (1, FACTOR_BOUNDS[0])])
def test_the_factor_has_bounds(actual: int, bound: float) -> None:
    """However wrong the answers, a count changes four-fold at most."""
    counter = TokenCounter()
    for _ in range(5):
        counter.observe("m", estimated=100_000, actual=actual)
    assert counter.factor("m") == bound


@pytest.mark.parametrize(("estimated", "actual"), [(0, 10), (10, 0), (-1, 10)])
def test_nothing_is_learned_from_nothing(estimated: int, actual: int) -> None:
    """Zero and negative counts teach no factor and divide nothing."""
    counter = TokenCounter()
    for _ in range(5):
        counter.observe("m", estimated=estimated, actual=actual)
    assert counter.factor("m") == 1.0


def test_many_model_names_do_not_fill_the_memory() -> None:
    """The models that were seen last are remembered, 256 of them."""
    counter = TokenCounter()
    for number in range(1000):
        for _ in range(3):
            counter.observe(f"m{number}", estimated=10, actual=20)
    assert len(counter._ratios) == len(counter._factors) == 256
    assert (counter.factor("m999"), counter.factor("m0")) == (2.0, 1.0)


def test_threads_can_share_a_counter() -> None:
    """Eight threads that learn and count at once end with the right factor and equal counts."""
    counter = TokenCounter()

    def work(number: int) -> int:
        for _ in range(50):
            counter.observe(f"m{number % 2}", estimated=100, actual=100)
        return counter.count_text(TEXTS["english"], model="gpt-5")

    with ThreadPoolExecutor(8) as pool:
        counts = set(pool.map(work, range(8)))
    assert len(counts) == 1
    assert counter.factor("m0") == counter.factor("m1") == 1.0


def test_importing_the_package_imports_no_tokenizer() -> None:
    """Neither tiktoken nor the extra is imported before something is counted."""
    code = "import sys, langchain_agentcost.tokens; print([m for m in ('tiktoken', 'bpe_openai') if m in sys.modules])"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
