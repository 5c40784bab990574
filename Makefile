# Everything the project can do, in one word each. `make help` lists them.

.DEFAULT_GOAL := help
.PHONY: help run test explore lint format format-check types check bench docs lock clean

VENV := .venv
BIN := $(VENV)/bin

# The first interpreter that is new enough; `make PYTHON=...` names another.
PYTHON ?= $(shell for p in python3 python3.13 python3.12 python3.11; do \
	$$p -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null && echo $$p && break; done)

help: ## List what can be made
	@grep -hE '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | sed -E 's/^([a-z-]+):.*## (.*)/  make \1\t\2/' | expand -t 24

run: $(VENV)/local ## Run the whole platform here, until Ctrl-C
	@$(BIN)/workflows up --examples examples

test: $(VENV)/dev ## Run every test
	@$(BIN)/pytest -n 3 --dist loadgroup --ignore tests/chaos
	@$(BIN)/pytest -n 2 --dist loadgroup tests/chaos

explore: $(VENV)/dev ## Let the property tests draw examples that no run has had
	@HYPOTHESIS_PROFILE=explore $(BIN)/pytest -n 3 tests/unit

lint: $(VENV)/dev ## Look for mistakes
	@$(BIN)/ruff check .

format: $(VENV)/dev ## Lay out the code
	@$(BIN)/ruff format .

format-check: $(VENV)/dev ## Check the layout of the code
	@$(BIN)/ruff format --check .

types: $(VENV)/dev ## Check the types
	@$(BIN)/mypy

check: lint format-check types test ## Everything that must hold before a change lands

bench: $(VENV)/dev ## Measure throughput and latency here
	@$(BIN)/python -m tests.benchmarks

docs: $(VENV)/dev ## Write the documents that are made from code
	@$(BIN)/python -m tests.support.asyncapi
	@$(BIN)/python -m tests.support.reference
	@$(BIN)/python -m tests.support.states

lock: ## Resolve the dependencies anew (needs uv)
	uv pip compile -q pyproject.toml --universal --python-version 3.11 --no-header --no-annotate \
		-o requirements.lock
	uv pip compile -q pyproject.toml --universal --python-version 3.11 --no-header --no-annotate \
		--extra local -c requirements.lock -o requirements-local.lock
	uv pip compile -q pyproject.toml --universal --python-version 3.11 --no-header --no-annotate \
		--extra dev -c requirements-local.lock -o requirements-dev.lock

clean: ## Delete the virtual environment and all local data
	rm -rf $(VENV) .local build *.egg-info .mypy_cache .ruff_cache .pytest_cache .hypothesis

$(VENV)/bin/pip:
	@test -n "$(PYTHON)" || { echo "error: no Python 3.11 or newer was found. Install one, or name it: make PYTHON=/path/to/python3.11 $(MAKECMDGOALS)"; exit 1; }
	@$(PYTHON) -m venv $(VENV) || { echo "error: '$(PYTHON)' cannot make virtual environments. On Debian and Ubuntu: apt install python3-venv"; rm -rf $(VENV); exit 1; }

$(VENV)/local: requirements-local.lock pyproject.toml | $(VENV)/bin/pip
	@echo "Installing into $(VENV) ..."
	@$(BIN)/pip install -q --disable-pip-version-check -r requirements-local.lock
	@$(BIN)/pip install -q --disable-pip-version-check --no-deps -e .
	@touch $@

$(VENV)/dev: requirements-dev.lock $(VENV)/local
	@echo "Installing what tests need into $(VENV) ..."
	@$(BIN)/pip install -q --disable-pip-version-check -r requirements-dev.lock
	@touch $@
