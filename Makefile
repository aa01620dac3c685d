# Run `make help`. Everything works from a fresh clone; nothing here needs to be run in an order.
.DEFAULT_GOAL := help
SHELL := bash
.SHELLFLAGS := -euo pipefail -c
.DELETE_ON_ERROR:
MAKEFLAGS += --no-builtin-rules

PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
SEED ?= 7

.PHONY: help
help: ## Show this list
	@awk 'BEGIN {FS = ":.*## "} /^[a-z-]+:.*## / {printf "  make %-9s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

.PHONY: setup
setup: $(VENV)/.dev ## Build .venv with everything (runtime, tests, lint) from the hash lock

# The stamp is the last thing written, so an interrupted set-up is simply done again.
$(VENV)/.python:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null || { \
	    echo "error: keeper needs Python 3.11 or newer and '$(PYTHON)' is $$($(PYTHON) --version 2>&1 || true)." >&2; \
	    echo "       Name another one: make PYTHON=/path/to/python3.12 $(MAKECMDGOALS)" >&2; exit 1; }
	@$(PYTHON) -c 'import ensurepip' 2>/dev/null || { \
	    echo "error: $(PYTHON) cannot make a virtual environment; on Debian: apt-get install python3-venv" >&2; exit 1; }
	@echo "setup: making $(VENV) with $$($(PYTHON) --version)"
	@$(PYTHON) -m venv --clear $(VENV)
	@touch $@

$(VENV)/.runtime: $(VENV)/.python requirements.lock pyproject.toml
	@echo "setup: installing what keeper runs on"
	@$(BIN)/python -m pip --quiet --disable-pip-version-check install --require-hashes -r requirements.lock
	@$(BIN)/python -m pip --quiet --disable-pip-version-check install --no-deps -e .
	@touch $@

$(VENV)/.dev: $(VENV)/.runtime requirements-dev.lock
	@echo "setup: installing what the checks need"
	@$(BIN)/python -m pip --quiet --disable-pip-version-check install --require-hashes -r requirements-dev.lock
	@touch $@
