"""A process that crosses thresholds at the same moment as others; apart from the tests, so that it starts fast."""

from __future__ import annotations

from multiprocessing.synchronize import Barrier
from pathlib import Path

from langchain_agentcost.limits.alerts import Alert
from langchain_agentcost.limits.dispatch import Alerts
from langchain_agentcost.limits.store import open_store

KEY = "session=ann|2026-11-23|0.85"


def cross_in_a_process(url: str, barrier: Barrier, out: Path) -> None:
    """Cross twenty thresholds at the same moment as other processes, and write down what was told."""
    store = open_store(url)
    told: list[str] = []
    alerts = Alerts([lambda a: told.append(a.message)], store)
    barrier.wait(30)
    for number in range(20):
        alerts.fire(Alert("threshold", str(number)), once=f"{KEY}{number}")
    out.write_text("".join(f"{message}\n" for message in told), encoding="utf-8")
    store.close()
