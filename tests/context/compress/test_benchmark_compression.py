"""The benchmark runs on a few cases of our own and writes the rows that it promises."""

from __future__ import annotations

import gzip
import json
from pathlib import Path
from typing import Any

import pytest
from compression import main, wilson
from compression_pages import pages
from compression_peers import head, head_and_tail

from langchain_agentcost.tokens import count_text

TIDES = [
    {
        "title": f"{place} tides",
        "text": f"The tide at {place} turns at {n + 3} o'clock. {place} has {n + 2} gauges. " * 3,
    }
    for n, place in enumerate(("Emden", "Norden", "Leer"))
]
COLUMNS = {"system", "set", "ratio", "answer_kept", "answer_low", "answer_high", "ids_kept", "rate_error_pct",
           "cpu_ms_per_1k", "n"}  # fmt: skip


def _write(path: Path, row: dict[str, Any]) -> None:
    with gzip.open(path, "wt", encoding="utf-8") as out:
        out.write(json.dumps(row) + "\n")


def test_every_system_has_a_row_for_each_set_and_ratio(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Ours and the peers at each ratio, ours lossless once; a set that is not there is left out and named."""
    _write(
        tmp_path / "nq_multidoc.jsonl.gz",
        {"question": "When does the tide at Norden turn?", "answers": ["4 O'Clock"], "docs": TIDES, "gold": 1},
    )
    ships = [{"ship_id": f"SH-{n}", "home_port": "Leer", "length_in_metres": n} for n in range(30)]
    _write(
        tmp_path / "tool_json_tau.jsonl.gz",
        {"question": "Where is SH-7?", "kind": "json", "text": json.dumps(ships), "needed": ["SH-7", "SH-29"]},
    )
    out = tmp_path / "out.json"
    main(["--data", str(tmp_path), "--json", str(out), "--limit", "1", "--ratios", "0.9", "0.4"])
    rows = json.loads(out.read_text())["rows"]
    assert "tool_shell_sweagent is left out" in capsys.readouterr().out
    assert all(set(row) >= COLUMNS for row in rows)
    assert {row["set"] for row in rows} == {"nq", "tool_json_tau", "html"}
    ours = {(row["set"], row["ratio"]): row for row in rows if row["system"] == "ours, BM25"}
    assert len(ours) == 6
    assert ours["nq", 0.4]["answer_kept"] == ours["nq", 0.9]["answer_kept"] == 1.0
    assert ours["nq", 0.4]["rate_error_pct"] <= 2.0
    assert ours["tool_json_tau", 0.9]["ids_kept"] == 1.0
    (lossless,) = (row for row in rows if row["system"] == "ours, lossless" and row["set"] == "tool_json_tau")
    assert lossless["ids_kept"] == 1.0
    assert lossless["ratio"] < 0.6
    assert {"ours, MiniLM hybrid", "head", "head and tail"} <= {row["system"] for row in rows}


def test_a_cut_keeps_to_its_target() -> None:
    """The peers are given as much as they can take."""
    text = TIDES[0]["text"] + TIDES[1]["text"]
    start, both = head(text, "", 20), head_and_tail(text, "", 20)
    assert text.startswith(start)
    assert 15 <= count_text(start) <= 20
    assert 12 <= count_text(both) <= 20
    assert text.endswith(both.rpartition("\n")[2])
    assert head(text, "", 0) == head(text, "", -1) == ""


def test_every_page_has_its_answer_in_its_text() -> None:
    """Pages differ, and what they are asked is in them."""
    made = list(pages())
    assert len({page["text"] for page in made}) == len(made) == 18
    for page in made:
        assert all(answer in page["text"] for answer in page["answers"] + page["needed"])


def test_the_interval_is_wilsons() -> None:
    """By the example of his formula: 8 of 10 is from 49 % to 94 %."""
    low, high = wilson(8, 10)
    assert (round(low, 2), round(high, 2)) == (0.49, 0.94)
