from __future__ import annotations

import json
import random
import sys
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any
from zlib import crc32

import pytest
from langchain_core.embeddings import Embeddings

np = pytest.importorskip("numpy")
pyarrow = pytest.importorskip("pyarrow")
parquet = pytest.importorskip("pyarrow.parquet")
pytest.importorskip("sklearn")

import routing  # noqa: E402  # the benchmark; it imports numpy
import routing_data  # noqa: E402
import routing_measures as measures  # noqa: E402
import routing_peers  # noqa: E402
import routing_swe  # noqa: E402
from routing_baselines import crossed, untrained  # noqa: E402
from routing_data import Calls  # noqa: E402
from routing_measures import Interval, draws  # noqa: E402
from routing_ours import per_dollar  # noqa: E402

EASY, HARD = (
    ("greet the guest", "name the colour", "spell the word"),
    ("plot the orbit", "mend the proof", "tune it all"),
)


class Words(Embeddings):
    """A text's vector counts its words, so that what shares words is near."""

    def embed_query(self, text: str) -> list[float]:
        """Count the words."""
        vector = [0.01] * 32
        for word in text.split():
            vector[crc32(word.encode()) % 32] += 1
        return vector

    def embed_documents(self, texts: list[str]) -> list[list[float]]:
        """Count the words of each."""
        return [self.embed_query(text) for text in texts]


def asked(count: int, *, seed: int = 0) -> list[dict[str, Any]]:
    """Make calls of which the hard ones need the strong model, mostly."""
    dice = random.Random(seed)  # noqa: S311  # data, not a secret
    calls = []
    for number in range(count):
        hard = number % 2 == 1
        what = dice.choice(HARD if hard else EASY)
        calls.append(
            {
                "query": f"{what} no {number} of {dice.randrange(10**6)} in {seed}",
                "task": "hard" if hard else "easy",
                "cheap": dice.random() < (0.2 if hard else 0.9),
                "strong": dice.random() < 0.95,
            }
        )
    return calls


def write(path: Path, rows: Sequence[Mapping[str, Any]]) -> None:
    """Write rows as the data's files are."""
    parquet.write_table(pyarrow.Table.from_pylist(list(rows)), path)


def fill(folder: Path, *, seed: int = 0) -> Path:
    """Write small files of every kind."""
    folder.mkdir()
    found = asked(240, seed=seed)
    write(
        folder / "routellm.parquet",
        [
            {
                "dataset": name, "subset": call["task"] if name == "mmlu" else None, "query": call["query"],
                "cheap_correct": call["cheap"], "strong_correct": call["strong"],
                "cheap_cost": 1e-6, "strong_cost": 2e-5,
            }
            for name in ("mmlu", "gsm8k") for call in found
        ],
    )  # fmt: skip
    models = ("qwen2.5-7b-instruct", "mistral-7b-instruct-v0.3", routing_data.STRONG_51B)
    which = ("cheap", "strong", "cheap")  # so that the second pair's strong model is the worse one
    write(
        folder / "llmrouter9.parquet",
        [
            {"dataset": call["task"], "query": call["query"]}
            | {f"score__{model}": float(call[one]) for model, one in zip(models, which, strict=True)}
            for call in found
        ],
    )
    two = {"gemini20flash_score": 0.9, "gemini20flash_cost": 1e-5, "claude3haiku_score": 0.5, "claude3haiku_cost": 4e-5}
    write(folder / "routerarena2.parquet", [two | {"query": str(number)} for number in range(4)])
    return folder


def run(monkeypatch: pytest.MonkeyPatch, out: Path, *arguments: str) -> list[dict[str, Any]]:
    """Run the benchmark with embeddings that need no model, and read its rows."""
    monkeypatch.setattr(routing, "default_embeddings", Words)
    routing.main([*arguments, "--json", str(out), "--resamples", "2", "--sample", "80"])
    found: list[dict[str, Any]] = json.loads(out.read_text(encoding="utf-8"))["rows"]
    return found


def calls_of(cheap: Sequence[float], strong: Sequence[float]) -> Calls:
    """Make calls of outcomes, at 1 to 10 in price."""
    one = np.ones(len(cheap))
    texts = tuple(map(str, range(len(cheap))))
    return Calls(texts, texts, np.array(cheap, float), np.array(strong, float), one, 10 * one)


def test_every_system_is_scored_on_every_pair_and_a_useless_strong_model_on_none(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Rows have the stated columns; peers that are not there say so; dominated tiers are named."""
    found = run(monkeypatch, tmp_path / "out.json", "--data", str(fill(tmp_path / "data")))
    assert {tuple(row) for row in found} == {routing.COLUMNS}
    by_pair = {pair: {row["system"]: row for row in found if row["pair"] == pair} for pair in routing_data.PAIRS}
    mmlu, gsm8k = by_pair["routellm mmlu"], by_pair["routellm gsm8k"]
    assert mmlu.keys() - gsm8k.keys() == {"ours, text and label", "label mean"}
    assert sum(row["note"] == "not installed" for row in mmlu.values()) == 3
    assert mmlu["ours, text"]["n"] + mmlu["ours, text"]["n_train"] == 240
    assert mmlu["ours, text"]["apgr_low"] > 0.5
    assert mmlu["ours, text"]["above_random_low"] > 0
    assert mmlu["oracle"]["apgr"] > mmlu["ours, text"]["apgr"] > mmlu["random"]["apgr_low"]
    assert mmlu["ours, text"]["best"] in mmlu.keys() - {"label mean"}
    assert 0 <= mmlu["ours, text"]["floor_miss_pct"] <= 100
    notes = [row["note"] for row in found if row["system"] == "any"]
    assert any("strong is dominated by cheap" in note for note in notes)
    assert any("claude3haiku is dominated by gemini20flash" in note for note in notes)


def test_other_files_are_scored_by_what_was_learnt_on_ours(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """With `--test` all calls of the one folder are learnt from and all of the other are scored."""
    data, test = fill(tmp_path / "data"), fill(tmp_path / "test", seed=1)
    found = run(monkeypatch, tmp_path / "out.json", "--data", str(data), "--test", str(test), "--per-dollar")
    assert "ours, text, per dollar" in {row["system"] for row in found}
    sizes = {(row["n_train"], row["n"]) for row in found if row["kind"] == "ours"}
    assert sizes == {(240, 240)}


def test_the_gap_recovered_is_the_mean_over_all_shares_of_strong_calls() -> None:
    """It is what adding up the curve by hand gives, also where calls are drawn more than once."""
    dice = np.random.default_rng(3)
    calls = calls_of(dice.integers(0, 2, 50), dice.integers(0, 2, 50))
    scores = dice.normal(size=50)
    counts = draws(50, number=3)
    for weights, found in zip(counts, measures.apgr(scores, calls, counts), strict=True):
        gains = np.repeat(calls.gain, weights.astype(int))[np.argsort(-np.repeat(scores, weights.astype(int)))]
        curve = np.concatenate([[0], gains.cumsum()]) / gains.sum()
        assert found == pytest.approx((curve[1:] + curve[:-1]).sum() / 2 / 50)


def test_scores_that_say_nothing_are_a_coin() -> None:
    """Equal scores recover half of the gap and are never above a coin."""
    calls = calls_of([0, 1, 0, 1] * 25, [1, 1, 0, 1] * 25)
    same, counts = np.zeros(100), draws(100, number=50)
    assert measures.apgr(same, calls, counts) == pytest.approx(0.5)
    lost, above = measures.at_small_share(same, calls, counts, small=0.6)
    assert max(map(abs, (above.value, above.low, above.high))) < 1e-4
    assert lost.value == pytest.approx(-100 * 0.6 * calls.gain.mean())
    assert measures.cost_at_small_share(same, calls, small=0.6) == pytest.approx(0.4 + 0.6 / 10)


def test_a_threshold_reaches_what_its_calls_say() -> None:
    """Cost, quality and share are counted; what is above a coin is the difference to its expectation."""
    calls = calls_of([1, 1, 0, 0], [1, 1, 1, 1])
    at = measures.reached(np.array([0.0, 0.1, 0.8, 0.2]), 0.5, calls, draws(4, number=20))
    assert (at.small, at.quality) == (0.75, 0.75)
    assert at.cost == pytest.approx((3 + 10) / 40)
    assert at.above_random.value == pytest.approx(100 * (0.75 - (0.25 * 1 + 0.75 * 0.5)))


def test_the_plain_threshold_is_the_cheapest_that_keeps_the_floor() -> None:
    """One lower would cost more, one higher would miss; where none keeps it, all calls are strong."""
    calls, scores = calls_of([1, 1, 0, 0], [1, 1, 1, 1]), np.array([0.1, 0.2, 0.3, 0.4])
    assert measures.plain_threshold(scores, calls, floor=0.75) == 0.3
    assert measures.plain_threshold(scores, calls, floor=1.0) == 0.2
    assert measures.plain_threshold(-scores, calls, floor=0.9) == -np.inf


def test_the_calibrated_threshold_is_more_careful_than_the_plain_one() -> None:
    """On few calls it stays with the strong model, on many it goes as far as they prove."""
    dice = np.random.default_rng(5)
    scores = dice.random(4000)
    calls = calls_of((dice.random(4000) > scores * 0.3).astype(float), np.ones(4000))
    few = calls.take(range(10))
    assert routing.calibrated(scores[:10], few, floor=0.95) == -np.inf
    sure, plain = (
        routing.calibrated(scores, calls, floor=0.95),
        measures.plain_threshold(scores, calls, floor=0.95),
    )
    assert 0 < sure < plain
    assert measures.relative_quality(scores, sure, calls) > 0.95


def test_no_call_is_scored_by_what_has_seen_it() -> None:
    """A learner that only remembers knows nothing of the calls it learns from, in the folds."""
    calls = calls_of([0, 1] * 20, [1] * 40)

    def remembering(known: Calls) -> Any:
        return lambda others: np.array([float(text in known.texts) for text in others.texts])

    learned = crossed(remembering)(calls)
    assert learned.known.tolist() == [0.0] * 40
    assert learned.score(calls).tolist() == [1.0] * 40


def test_of_two_calls_that_gain_the_same_the_cheaper_is_first_per_dollar() -> None:
    """What the strong model costs more is read off the length of the text."""
    texts = ("x" * 10, "x" * 20, "x" * 40)
    dear = np.array([1.0, 2.0, 4.0])
    calls = Calls(texts, texts, np.zeros(3), np.ones(3), np.zeros(3), dear)
    known = per_dollar(untrained("even", "ours", lambda _: 1.0)).learn(calls).known
    assert known == pytest.approx(1 / dear)


def test_an_interval_is_of_the_draws() -> None:
    """It holds 95 % of them around the figure."""
    interval = Interval.of(np.array([0.5]), np.linspace(0, 1, 1001))
    assert (interval.value, interval.low, interval.high) == pytest.approx((0.5, 0.025, 0.975))


def test_peers_that_are_not_installed_say_so() -> None:
    """The other interpreter answers with no scores, and with a name for the row."""
    missing = routing_peers.run(["a text"], python=sys.executable)
    assert [(one.name, one.ms) for one in missing if not one.scores] == [
        (name, None) for _, name, _ in routing_peers.PEERS
    ]


def swe(folder: Path, names: Sequence[str]) -> Path:
    """Write runs of four agents: a good cheap one, a good dear one, a weak one, and one to leave out."""
    folder.mkdir()
    agents: dict[str, tuple[Callable[[int], bool], float]] = {
        "gpt-5-mini-2025-08-07": (lambda n: n % 2 == 0, 0.01),
        "claude-opus-4-5-20251101": (lambda n: n % 4 != 3, 0.1),
        "devstral-2512": (lambda n: n % 4 == 0, 0.09),
        "claude-3-7-sonnet-20250219": (lambda n: True, 0.001),
    }
    write(
        folder / routing_swe.FILE,
        [
            {"model": model, "instance_id": name, "resolved": solves(number), "cost_usd": usd}
            for model, (solves, usd) in agents.items()
            for number, name in enumerate(names)
        ],
    )
    return folder


def test_cascades_of_agents_cost_and_solve_what_running_them_would(tmp_path: Path) -> None:
    """The good one is priced to the cent; the dominated and the one that loses money are refused by name."""
    data = swe(tmp_path / "data", [f"a{n}" for n in range(40)])
    test = swe(tmp_path / "test", [f"b{n}" for n in range(20)])
    out = tmp_path / "out.json"
    routing_swe.main(["--data", str(data), "--test", str(test), "--json", str(out)])
    rows = json.loads(out.read_text(encoding="utf-8"))["rows"]
    assert {tuple(row) for row in rows} == {routing_swe.COLUMNS}
    assert {row["instances"]: row["n"] for row in rows} == {"data": 40, "test": 20, "both": 60}
    first = {row["system"]: row for row in rows if row["instances"] == "data"}
    good = first["gpt-5-mini-2025-08-07 -> claude-opus-4-5-20251101"]
    assert (good["q_cheap"], good["q_strong"], good["perfect_q"], good["perfect_cost"]) == (0.5, 0.75, 0.75, 0.6)
    assert (good[".9/.2_q"], good[".9/.2_cost"]) == (0.7, 0.55)
    assert good["oracle_cost"] == pytest.approx((0.75 * 0.01 + 0.25 * 0.1) / 0.1)
    assert good["refused"] is None
    bad = first["devstral-2512 -> claude-opus-4-5-20251101"]["refused"]
    assert "devstral-2512 is dominated by gpt-5-mini-2025-08-07" in bad
    assert "loses money (perfect)" in bad
    assert first["devstral-2512"]["refused"] == "dominated by gpt-5-mini-2025-08-07"
    assert "claude-3-7-sonnet-20250219" not in first
