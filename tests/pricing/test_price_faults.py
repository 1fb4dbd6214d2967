from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from langchain_agentcost.errors import PriceFileError
from langchain_agentcost.pricing import PriceBook, PriceOverrides

FAULTY = [
    ('[[models]]\nmodel = "m"\ninput = nan\n', 3, "models[0].input", "must be a number"),
    ('[[models]]\nmodel = "m"\ninput = inf\n', 3, "models[0].input", "must be a number"),
    ('[[models]]\nmodel = "m"\ninput = -1\n', 3, "models[0].input", "must be at least 0"),
    ('[[models]]\nmodel = "m"\ninput = true\n', 3, "models[0].input", "must be a number"),
    ('[[models]]\nmodel = "m"\ninput = "cheap"\n', 3, "models[0].input", "such as 0.28, got 'cheap'"),
    ('[[models]]\nmodel = "m"\ninput = [1]\n', 3, "models[0].input", "must be a number"),
    ('[[models]]\nmodel = "m"\ninput = 1e300\n', 3, "models[0].input", "is the unit right?"),
    (
        '[[models]]\nmodel = "a"\ninput = 1\n\n[[models]]\nmodel = "m"\ninptu = 1\n',
        7,
        "models[1].inptu",
        "did you mean 'input'?",
    ),
    ('[[models]]\nmodel = "m"\noutput = 1\n', 1, "models[0].input", "is missing"),
    ("[[models]]\ninput = 1\n", 1, "models[0].model", "is missing"),
    ('[[models]]\nmodel = ""\ninput = 1\n', 2, "models[0].model", "must be a text"),
    ("[[models]]\nmodel = 7\ninput = 1\n", 2, "models[0].model", "must be a text"),
    ('[[models]]\nmodel = "m"\n', 1, "models[0]", "states no price"),
    ('[[models]]\nmodel = "m"\ninput = 1\nfrom = "soon"\n', 4, "models[0].from", "must be a date such as 2026-07-01"),
    (
        '[[models]]\nmodel = "m"\ninput = 1\nfrom = 2026-02-01\nuntil = 2026-01-01\n',
        5,
        "models[0].until",
        "must be later",
    ),
    (
        '[[models]]\nmodel = "m"\ninput = 1\ntiers = [\n  { above_input_tokens = 5, input = 2 },\n'
        "  { above_input_tokens = 4, input = 3 },\n]\n",
        6,
        "models[0].tiers[1].above_input_tokens",
        "must grow",
    ),
    (
        '[[models]]\nmodel = "m"\ninput = 1\ntiers = [{ above_input_tokens = 1.5, input = 2 }]\n',
        4,
        "tiers[0]",
        "whole number",
    ),
    (
        '[[models]]\nmodel = "m"\ninput = 1\ntiers = [{ above_input_tokens = 5, output = 2 }]\n',
        4,
        "output",
        "no base rate",
    ),
    (
        '[[models]]\nmodel = "m"\ninput = 1\ntiers = [{ above_input_tokens = 0, input = 2 }]\n',
        4,
        "tiers[0].above_input_tokens",
        "must be above 0; rates for prompts of any length go into the model's line",
    ),
    (
        '[[models]]\nmodel = "m"\nvolume_tokens = 5\nvolume = [\n  { above_tokens = 9, output = 2 },\n]\n',
        5,
        "models[0].volume[0].input",
        "is missing; a line that states rates needs it",
    ),
    ('[[models]]\nmodel = "m"\ninput = 1\nvolume_tokens = 5\n', 4, "volume_tokens", "need each other"),
    (
        '[[models]]\nmodel = "m"\ninput = 1\nserver_tools = { web_search = -2 }\n',
        4,
        "server_tools.web_search",
        "at least 0",
    ),
    ("[[discounts]]\npercent = 101\n", 2, "discounts[0].percent", "must be at most 100"),
    ("[[discounts]]\nprovider = 'x'\n", 1, "discounts[0].percent", "is missing"),
    ("[tools]\nsearch = -1\n", 2, "tools.search", "must be at least 0"),
    ("[tools]\nsearch = {}\n", 2, "tools.search", "per_call"),
    ('[tools."web search"]\nper_call = 1\nper_minute = 1\n', 3, "tools.web search.per_minute", "not a key"),
    (
        '[hosted."m"]\ngpu_hour = 1\ninput_tokens_per_s = 0\noutput_tokens_per_s = 5\n',
        3,
        "input_tokens_per_s",
        "above 0",
    ),
    ('[hosted."m"]\ngpu_hour = 1\ninput_tokens_per_s = 5\n', 1, "hosted.m.output_tokens_per_s", "is missing"),
    (
        '[hosted."m"]\ngpu_hour = 1\ninput_tokens_per_s = 5\noutput_tokens_per_s = 5\nutilisation = 40\n',
        5,
        "utilisation",
        "at most 1",
    ),
    ('[currency]\ncode = "EURO"\nrates = [{ from = 2026-01-01, per_usd = 1 }]\n', 2, "currency.code", "three letters"),
    ('[currency]\ncode = "EUR"\n', 1, "currency.rates", "is missing"),
    ('[currency]\ncode = "EUR"\nrates = [{ from = 2026-01-01, per_usd = 0 }]\n', 3, "rates[0].per_usd", "above 0"),
    ('[[models]]\nmodel = "a"\noutput = 1\n[[models]]\nmodel = "b"\ninput = 1\n', 1, "models[0].input", "is missing"),
    ("[currency]\nrates = []\n[tools]\ncode = 1\n", 1, "currency.code", "is missing"),
    ("[hosted.a]\ngpu_hour = 1\n[hosted.m]\ngpu_hour = 2\n", 1, "hosted.a.input_tokens_per_s", "is missing"),
    ("models = 5\n", 1, "models", "must be a list of tables"),
    ("models = [5]\n", 1, "models[0]", "must be a table"),
    ("tools = []\n", 1, "tools", "must be a table"),
    ("[modells]\n", 1, "modells", "did you mean 'models'?"),
]


@pytest.mark.parametrize(("text", "line", "key", "problem"), FAULTY)
def test_a_fault_is_named_by_line_and_key(tmp_path: Path, text: str, line: int, key: str, problem: str) -> None:
    """A price file with a fault is refused, with a sentence that names file, line, key and remedy."""
    path = tmp_path / "prices.toml"
    path.write_text(text, encoding="utf-8")
    with pytest.raises(PriceFileError) as caught:
        PriceBook(path)
    message = str(caught.value)
    assert message.startswith(f"{path}, line {line}, ")
    assert key in message
    assert problem in message


def test_a_fault_in_json_is_named_by_line_and_key(tmp_path: Path) -> None:
    """JSON faults have their line too, among lines that look alike."""
    path = tmp_path / "prices.json"
    models = [{"model": "a", "input": 1}, {"model": "b", "input": 1}, {"model": "c", "input": "NaN"}]
    path.write_text(json.dumps({"models": models}, indent=1), encoding="utf-8")
    with pytest.raises(PriceFileError, match=r"prices.json, line 13, models\[2\].input: must be a number"):
        PriceBook(path)


@pytest.mark.parametrize(
    ("name", "text", "problem"),
    [
        ("p.toml", "[[models]\n", "is not TOML: .*line 1"),
        ("p.toml", "a = 1\na = 2\n", "is not TOML: .*line 2"),
        ("p.json", '{"models": [}', "is not JSON: .*line 1"),
        ("p.json", '{"tools": {}, "tools": {"a": 1}}', "line 1, tools: is stated twice"),
        ("p.json", "[]", "must hold one table"),
        ("p.json", "[" * 100_000, "is not JSON"),
        ("p.yaml", "models:", "neither a .toml nor a .json"),
    ],
)
def test_a_file_that_cannot_be_parsed_says_so(tmp_path: Path, name: str, text: str, problem: str) -> None:
    """A file that is not what its name says is refused with the place of the fault."""
    path = tmp_path / name
    path.write_text(text, encoding="utf-8")
    with pytest.raises(PriceFileError, match=problem):
        PriceBook(path)


@pytest.mark.parametrize("given_", ["nowhere.toml", ".", 5, ["a"]])
def test_what_is_no_price_file_is_refused(given_: Any) -> None:
    """A missing path, a directory or another type is refused with a sentence that says what is wanted."""
    with pytest.raises(PriceFileError, match=r"TOML or JSON|a path, a mapping"):
        PriceBook(given_)


def test_binary_rubbish_is_refused(tmp_path: Path) -> None:
    """A file that is not text is refused."""
    path = tmp_path / "p.toml"
    path.write_bytes(b"\xff\xfe\x00\x01")
    with pytest.raises(PriceFileError, match="cannot be read"):
        PriceBook(path)


VALUE = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(
            st.sampled_from(
                [
                    "model",
                    "input",
                    "output",
                    "tiers",
                    "from",
                    "volume",
                    "percent",
                    "code",
                    "rates",
                    "per_call",
                    "gpu_hour",
                    "x",
                ]
            ),
            inner,
            max_size=4,
        )
    ),
    max_leaves=8,
)


@given(
    st.dictionaries(st.sampled_from(["models", "discounts", "tools", "hosted", "currency", "other"]), VALUE, max_size=3)
)
def test_rubbish_is_either_loaded_or_refused_in_one_way(given_: dict[str, Any]) -> None:
    """Whatever a mapping holds, it becomes prices or a `PriceFileError`, and nothing else is raised."""
    refused = ""
    try:
        PriceOverrides.load(given_)
    except PriceFileError as error:
        refused = str(error)
    assert not refused or re.search(r"[.?]$", refused)
