"""Are our costs right? Golden cases from two price sources, recorded runs, and rounding below a nano-dollar.

Golden cases (`--data`): where both sources of a case agree, our cost must equal theirs to 1e-9 USD; where they disagree
it must equal one of them, and the case is listed. Recorded runs (`--traces`): each model call re-priced at the rates
that its provider charged then must equal the recorded cost to 1e-8 USD. Peers are run on the same cases.

    python benchmarks/prices.py --data ../shared/data/prices --traces ../shared/data/traces --json prices.json
"""

from __future__ import annotations

import gzip
import json
import time
from collections.abc import Callable, Iterator, Mapping
from datetime import UTC, datetime
from decimal import Decimal
from fractions import Fraction
from pathlib import Path
from statistics import median
from typing import Any

from rows import parser, publish

from langchain_agentcost.money import to_nano
from langchain_agentcost.pricing import PriceBook
from langchain_agentcost.usage import Usage

GOLDEN_TOLERANCE = Decimal("1e-9")
TRACE_TOLERANCE = Decimal("1e-8")

DEEPSEEK = {"model": "deepseek*", "input": "0.28", "cache_read": "0.028", "output": "0.42"}
"""What DeepSeek charged for the recorded runs, USD per million tokens."""

Case = Mapping[str, Any]
Pricer = Callable[[Case, Usage], Decimal | None]


def ours(case: Case, usage: Usage, *, book: PriceBook) -> Decimal | None:
    """The cost by this package."""
    at = datetime.fromisoformat(case["request_time"])
    cost = book.cost(usage, case["model"], provider=case["provider"], at=at)
    return cost.usd if cost else None


def by_genai_prices(case: Case, usage: Usage) -> Decimal | None:
    """The cost by calling genai-prices directly, with all that it can be told."""
    from genai_prices import Usage as Counts  # noqa: PLC0415  # a peer
    from genai_prices import calc_price  # noqa: PLC0415  # a peer

    written = usage.cache_write_tokens + usage.cache_write_1h_tokens
    counts = {
        "input_tokens": usage.input_tokens,
        "output_tokens": usage.output_tokens,
        "cache_read_tokens": usage.cache_read_tokens,
        "cache_write_tokens": written,
        "cache_write_1h_tokens": usage.cache_write_1h_tokens,
        "input_audio_tokens": usage.input_audio_tokens,
        "output_audio_tokens": usage.output_audio_tokens,
    }
    tier = usage.service_tier
    context = {"processing": "batch"} if tier == "batch" else {"service_tier": tier} if tier else None
    try:
        return calc_price(
            Counts(**{name: tokens for name, tokens in counts.items() if tokens}),
            case["model"],
            provider_id=case["provider"],
            genai_request_timestamp=datetime.fromisoformat(case["request_time"]),
            price_context=context,
        ).total_price
    except (LookupError, ValueError):
        return None


def peers() -> dict[str, Pricer]:
    """The peers that can be run here."""
    found: dict[str, Pricer] = {"genai-prices": by_genai_prices}
    try:
        from litellm import cost_per_token  # type: ignore[import-not-found]  # noqa: PLC0415  # run if installed
    except ImportError:
        return found

    def by_litellm(case: Case, usage: Usage) -> Decimal | None:
        try:
            parts = cost_per_token(
                model=case["model"],
                custom_llm_provider={"x-ai": "xai", "google": "gemini"}.get(case["provider"], case["provider"]),
                prompt_tokens=usage.input_tokens,
                completion_tokens=usage.output_tokens,
                cache_read_input_tokens=usage.cache_read_tokens,
                cache_creation_input_tokens=usage.cache_write_tokens + usage.cache_write_1h_tokens,
                service_tier=usage.service_tier,
            )
        except Exception:  # noqa: BLE001  # whatever a peer raises, it has no answer
            return None
        return sum((Decimal(repr(part)) for part in parts), Decimal(0))

    return found | {"litellm": by_litellm}


def golden_rows(cases: list[Case], systems: Mapping[str, Pricer]) -> Iterator[dict[str, Any]]:
    """Each case by each system."""
    for case in cases:
        tier = "batch" if case.get("batch") else case.get("service_tier")
        usage = Usage.from_usage_metadata(case["usage_metadata"], service_tier=tier)
        right = _right_answers(case)
        for system, price in systems.items():
            usd = price(case, usage)
            yield {
                "system": system,
                "case": case["id"],
                "expected_usd": case["expected_usd"],
                "actual_usd": usd,
                "ok": usd is not None and any(abs(usd - answer) <= GOLDEN_TOLERANCE for answer in right),
                "disagreement": " | ".join(map(str, right)) if len(right) > 1 else "",
            }


def _right_answers(case: Case) -> list[Decimal]:
    """The stated cost where the sources agree; where they do not, every cost that one of them gives."""
    expected = Decimal(case["expected_usd"])
    if all(case.get("agrees", {}).values()):
        return [expected]
    answers = [expected]
    for said in case.get("cross_check", {}).values():
        try:
            usd = Decimal(said)
        except ArithmeticError:  # "ERR ...": this source has no answer
            continue
        if all(abs(usd - answer) > GOLDEN_TOLERANCE for answer in answers):
            answers.append(usd)
    return answers


def trace_rows(folder: Path) -> Iterator[dict[str, Any]]:
    """Recorded DeepSeek calls, re-priced; one row for each source of runs."""
    book = PriceBook({"models": [DEEPSEEK]})
    sums: dict[tuple[str, str], list[Decimal]] = {}
    wrong: dict[tuple[str, str], int] = {}
    for step in _recorded_steps(folder):
        key = (step["source"], step["model"])
        usage = Usage(
            input_tokens=step["prompt_tokens"],
            output_tokens=step["completion_tokens"],
            cache_read_tokens=step["cached_tokens"] or 0,
        )
        cost = book.cost(usage, step["model"].rpartition("/")[2])
        recorded = Decimal(step["cost_usd"])
        priced = cost.usd if cost else Decimal("NaN")
        sums.setdefault(key, [Decimal(0), Decimal(0), Decimal(0)])
        sums[key] = [a + b for a, b in zip(sums[key], (recorded, priced, Decimal(1)), strict=True)]
        wrong[key] = wrong.get(key, 0) + (not abs(priced - recorded) <= TRACE_TOLERANCE)
    for (source, model), (recorded, priced, calls) in sums.items():
        missed = wrong[source, model]
        yield {
            "system": "langchain-agentcost",
            "case": f"trace:{source}:{model}",
            "expected_usd": recorded,
            "actual_usd": priced,
            "ok": not missed,
            "disagreement": f"{missed} of {calls} calls" if missed else "",
            "n": int(calls),
        }


def _recorded_steps(folder: Path) -> Iterator[dict[str, Any]]:
    for path in sorted(folder.glob("*.jsonl.gz")):
        with gzip.open(path, "rt", encoding="utf-8") as lines:
            for line in lines:
                episode = json.loads(line, parse_float=str)
                for message in episode["messages"]:
                    step = message.get("step") or {}
                    model = step.get("model") or episode["model"]
                    if step.get("cost_usd") and "deepseek" in model:
                        yield {**step, "model": model, "source": episode["source"][-40:]}


ROUNDING = (
    # rates in USD per million tokens (input, output, cache read), then tokens (input, output, cache read)
    ("half a nano, down to even", ("0.0005", "0", "0"), (1, 0, 0)),
    ("one and a half, up to even", ("0.0005", "0", "0"), (3, 0, 0)),
    ("two and a half, down to even", ("0.0005", "0", "0"), (5, 0, 0)),
    ("three parts of a third", ("0.000333333", "0.000333333", "0.000333334"), (2, 1, 1)),
    ("half of a small model's cached token", ("0.05", "0.4", "0.0025"), (3, 0, 3)),
    ("parts that round to nothing, a sum that does not", ("0.0004", "0.0004", "0.0004"), (2, 1, 1)),
    ("an odd batch rate", ("1.25", "7.5", "0.13"), (10_000, 1_001, 4_097)),
    ("a billion tokens", ("0.0001", "0.0003", "0.00005"), (1_000_000_007, 999_999_937, 500_000_003)),
    ("one atto below the half", ("0.000499999999", "0", "0"), (1, 0, 0)),
    ("one atto above the half", ("0.000500000001", "0", "0"), (1, 0, 0)),
)
"""Own cases below a nano-dollar; the expected cost is worked out in fractions."""


def rounding_rows() -> Iterator[dict[str, Any]]:
    """Rounding once, half to even; the parts sum to the total."""
    for name, rates, tokens in ROUNDING:
        rate = dict(zip(("input", "output", "cache_read"), rates, strict=True))
        usage = Usage(input_tokens=tokens[0], output_tokens=tokens[1], cache_read_tokens=tokens[2])
        cost = PriceBook({"models": [{"model": "m", **rate}]}).cost(usage, "m")
        assert cost is not None
        counts = (usage.uncached_tokens, usage.output_tokens, usage.cache_read_tokens)
        exact = sum((Fraction(r) * n for r, n in zip(rates, counts, strict=True)), Fraction(0)) / 10**6
        expected = Decimal(round(exact * 10**9)).scaleb(-9)
        parts = cost.input_nano + cost.output_nano + cost.cache_read_nano
        yield {
            "system": "langchain-agentcost",
            "case": f"rounding: {name}",
            "expected_usd": expected,
            "actual_usd": cost.usd,
            "ok": cost.usd == expected and parts == cost.total_nano == to_nano(cost.usd),
            "disagreement": "",
        }


def speed_rows(systems: Mapping[str, Pricer]) -> Iterator[dict[str, Any]]:
    """CPU microseconds for one cost, looked up and priced, the median of 7 rounds that take turns."""
    usage = Usage(input_tokens=10_000, output_tokens=500, cache_read_tokens=8_192)
    now = datetime.now(UTC)
    case = {"model": "gpt-4o-mini", "provider": "openai", "request_time": now.isoformat()}
    book = PriceBook()
    card = book.card("gpt-4o-mini", provider="openai")
    assert card is not None
    timed: dict[str, tuple[Callable[[], object], int]] = {
        "langchain-agentcost card.cost": (lambda: card.cost(usage), 5_000),
        "langchain-agentcost book.cost": (lambda: book.cost(usage, "gpt-4o-mini", provider="openai", at=now), 5_000),
    }
    for name, price in systems.items():
        if name != "langchain-agentcost":
            timed[f"{name} direct"] = (lambda price=price: price(case, usage), 100)  # type: ignore[misc]
    spent: dict[str, list[float]] = {name: [] for name in timed}
    for _ in range(7):
        for name, (run, times) in timed.items():
            start = time.process_time()
            for _ in range(times):
                run()
            spent[name].append((time.process_time() - start) / times * 1e6)
    for name, rounds in spent.items():
        yield {"system": name, "case": "speed", "cpu_us": median(rounds), "n": timed[name][1] * 7}


def main() -> None:
    """Run what there is data for."""
    arguments = parser(__doc__, data=True)
    arguments.add_argument("--traces", type=Path, metavar="PATH", help="the folder with the recorded runs")
    given = arguments.parse_args()
    book = PriceBook()
    systems: dict[str, Pricer] = {"langchain-agentcost": lambda case, usage: ours(case, usage, book=book)}
    systems |= peers()
    cases = [
        case
        for path in sorted(given.data.glob("*.json"))
        for case in json.loads(path.read_text(encoding="utf-8"), parse_float=Decimal)["cases"]
    ]
    rows = [*golden_rows(cases, systems), *rounding_rows(), *speed_rows(systems)]
    if given.traces:
        rows += trace_rows(given.traces)
    publish("prices", rows, given.json)
    for system in systems:
        judged = [row["ok"] for row in rows if row["system"] == system and "ok" in row]
        print(f"{system}: {sum(judged)} of {len(judged)} right")


if __name__ == "__main__":
    main()
