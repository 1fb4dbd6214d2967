"""The complexity heuristics of other packages, run as they are in an interpreter that has them.

They are not in this project's environment: litellm 1.109.1 wants other versions of huggingface-hub and dateutil than it
has. Make one for them and name it with `--peers`:

    python -m venv PEERS && PEERS/bin/pip install litellm==1.109.1 cascadeflow==1.2.0
    python benchmarks/routing.py --data DIR --peers PEERS/bin/python

This file is also what runs there, so it imports nothing else at its top: it reads a JSON list of texts and writes the
scores of each heuristic, the higher the harder, and how long a text took it.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable, Sequence
from importlib.metadata import version
from pathlib import Path
from statistics import median
from time import perf_counter
from types import SimpleNamespace
from typing import Any, NamedTuple

Score = Callable[[str], float]


class Heuristic(NamedTuple):
    """What a peer made of the texts.

    Args:
        name: Which one, with its version.
        scores: A score a text; empty where it is not installed.
        ms: The median time a text.
    """

    name: str
    scores: tuple[float, ...]
    ms: float | None


def run(texts: Sequence[str], *, python: str | None = None) -> list[Heuristic]:
    """Score texts with every peer.

    Args:
        texts: The prompts.
        python: The interpreter that has the peers; None is this one.
    """
    environment = {**os.environ, "LITELLM_LOCAL_MODEL_COST_MAP": "True"}  # it fetches prices at import otherwise
    done = subprocess.run(  # noqa: S603  # an interpreter that the caller names
        [python or sys.executable, __file__],
        input=json.dumps(list(texts)),
        capture_output=True,
        text=True,
        check=True,
        env=environment,
        cwd=Path(__file__).parent,
    )
    found = json.loads(done.stdout.splitlines()[-1])
    return [Heuristic(name, tuple(scores), ms) for name, scores, ms in found]


def _litellm() -> Score:
    """The weighted score by which its router picks a tier."""
    router = _litellm_router({})
    return lambda text: float(router.classify(text)[1])


def _litellm_v2() -> Score:
    """How improbable its trained statistics call it that the smallest tier succeeds."""
    router = _litellm_router({"classifier_type": "heuristic_v2"})

    def score(text: str) -> float:
        forecast = router._classify_with_heuristic_v2(text).heuristic_v2_forecast  # noqa: SLF001  # it has no other
        return -float(forecast["probabilities"]["SIMPLE"])

    return score


def _litellm_router(settings: dict[str, str]) -> Any:
    from litellm.router_strategy.complexity_router.complexity_router import (  # type: ignore[import-not-found, unused-ignore]  # noqa: PLC0415  # optional
        ComplexityRouter,
    )

    return ComplexityRouter("peer", ctx=SimpleNamespace(), complexity_router_config=settings)


def _cascadeflow() -> Score:
    """Its five levels."""
    from cascadeflow.quality.complexity import (  # type: ignore[import-not-found, unused-ignore]  # noqa: PLC0415  # optional
        ComplexityDetector,
        QueryComplexity,
    )

    detector, levels = ComplexityDetector(), list(QueryComplexity)
    return lambda text: float(levels.index(detector.detect(text)[0]))


PEERS: tuple[tuple[str, str, Callable[[], Score]], ...] = (
    ("litellm", "litellm complexity router", _litellm),
    ("litellm", "litellm complexity router v2", _litellm_v2),
    ("cascadeflow", "cascadeflow complexity", _cascadeflow),
)
"""The package, what its heuristic is called here, and what makes it."""


def _scored(package: str, name: str, make: Callable[[], Score], texts: Sequence[str]) -> tuple[str, list[float], Any]:
    try:
        score = make()
    except ImportError:
        return name, [], None
    scores, times = [], []
    for text in texts:
        start = perf_counter()
        scores.append(score(text))
        times.append(perf_counter() - start)
    return f"{name} {version(package)}", scores, 1000 * median(times)


if __name__ == "__main__":
    asked = json.load(sys.stdin)
    print(json.dumps([_scored(*peer, asked) for peer in PEERS]))
