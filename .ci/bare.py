"""Run by `make wheel` in an environment that holds the wheel and its core dependencies, and no extra."""

import subprocess
import sys
import time

import langchain_core.callbacks
import langchain_core.language_models
import langchain_core.tracers.langchain  # noqa: F401
import langgraph.callbacks
import langgraph.graph  # noqa: F401
import langsmith  # noqa: F401

started = time.perf_counter()
import langchain_agentcost  # noqa: E402

print(f"import langchain_agentcost: {time.perf_counter() - started:.3f} s over langchain_core, langgraph and langsmith")

with langchain_agentcost.meter_costs() as meter:
    print(meter.report(by="model"))

asked = subprocess.run([sys.executable, "-m", "langchain_agentcost.cli"], capture_output=True, text=True, check=False)
assert asked.returncode != 0, asked
assert "pip install 'langchain-agentcost[cli]'" in asked.stderr, asked
print(asked.stderr.strip())
