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
# Bytecode is kept, whatever the environment says: hundreds of processes start in a run of the tests.
export PYTHONDONTWRITEBYTECODE :=

.PHONY: help
help: ## Show this list
	@awk 'BEGIN {FS = ":.*## "} /^[a-z-]+:.*## / {printf "  make %-15s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

.PHONY: setup
setup: $(VENV)/.dev ## Build .venv from the hash locks: runtime, tests, lint

# The stamp is the last thing written, so an interrupted set-up is simply done again.
$(VENV)/.python:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null || { \
	    echo "error: keeper needs Python 3.11 or newer and '$(PYTHON)' is $$($(PYTHON) --version 2>&1 | head -n 1)." >&2; \
	    echo "       Name another one: make PYTHON=/path/to/python3.12 $(MAKECMDGOALS)" >&2; exit 1; }
	@$(PYTHON) -c 'import ensurepip' 2>/dev/null || { \
	    echo "error: $(PYTHON) cannot make a virtual environment; on Debian: apt-get install python3-venv" >&2; exit 1; }
	@echo "setup: making $(VENV) with $$($(PYTHON) --version)"
	@$(PYTHON) -m venv --clear $(VENV)
	@touch $@

$(VENV)/.runtime: $(VENV)/.python requirements.lock
	@echo "setup: installing what keeper runs on"
	@$(BIN)/python -m pip -qq --disable-pip-version-check install --require-hashes -r requirements.lock
	@$(BIN)/python -m pip -qq --disable-pip-version-check install --no-deps -e .
	@touch $@

$(VENV)/.dev: $(VENV)/.runtime requirements-dev.lock
	@echo "setup: installing what the checks need"
	@$(BIN)/python -m pip -qq --disable-pip-version-check install --require-hashes -r requirements-dev.lock
	@touch $@

.PHONY: system
system: ## Install what tests talk to (as root), or say what lacks
	@scripts/system.sh

.PHONY: demo
demo: $(VENV)/.runtime ## Watch the real daemon keep simulated streams on air
	@$(BIN)/keeper demo $(ARGS)

# More than there are cores: the tests of whole commands mostly wait, for a simulated host to boot and for
# the marketplace's spacing. One of them uses a third of a core.
WORKERS ?= $(shell expr $$(nproc) \* 2 + 2)

# In the order of tests/turns.py; pytest-xdist would take the groups with the most tests first.
.PHONY: test
test: setup system ## Run every test, on all cores; ARGS="-k name" to choose
	@$(BIN)/python -m pytest -n $(WORKERS) --dist loadgroup --no-loadscope-reorder $(ARGS)

.PHONY: lint
lint: setup ## Format, lint, types, import contract, shell, workflows
	@$(BIN)/ruff format --check .
	@$(BIN)/ruff check .
	@$(BIN)/mypy
	@$(BIN)/lint-imports --no-logo
	@scripts/lint-shell.sh
	@$(BIN)/python -m scripts.lint_workflows

.PHONY: format
format: setup ## Format the code and repair what the linter can
	@$(BIN)/ruff format .
	@$(BIN)/ruff check --fix .

# Once, beside the linters, instead of in every worker at once. What is wrong in them the run itself says.
.PHONY: tests-compiled
tests-compiled: setup ## Bytecode of the tests, once for all workers
	@$(BIN)/python -m pytest --collect-only -q >/dev/null 2>&1 || true

.PHONY: check
check: setup ## Everything that CI asks: lint, then test
	@$(MAKE) --no-print-directory -j 2 lint tests-compiled
	@$(MAKE) --no-print-directory test

.PHONY: cover
cover: setup ## Branch coverage of keeper, by line, into htmlcov/
	@$(BIN)/python -m pytest -n auto --dist loadgroup --cov --cov-report=term --cov-report=html $(ARGS)

.PHONY: sim
sim: $(VENV)/.runtime ## One simulated run in virtual time; SEED=7 chooses it
	@$(BIN)/keeper sim run --seed $(SEED) $(ARGS)

.PHONY: bench
bench: setup ## Measure against floors and peers; ONLY=name for one
	@$(BIN)/python -m bench $(if $(ONLY),--only $(ONLY)) $(ARGS)

# A soak takes hours and may be interrupted at any time: the same command goes on where it stopped.
# SOAK_SEEDS weeks with all faults, on SOAK_JOBS cores (0: all), for SOAK_S seconds (0: to the end).
SOAK_SEEDS ?= 10000
SOAK_S ?= 0
SOAK_JOBS ?= 0
.PHONY: soak
soak: soak-properties worlds soak-deaths soak-seeds ## All soaks: worlds, real deaths, simulated weeks (a day)

.PHONY: soak-properties
soak-properties: setup ## Explore generated worlds, longer than the tests do
	@HYPOTHESIS_PROFILE=explore $(BIN)/python -m pytest -n auto --dist loadgroup --timeout 3600 tests/property

# The real process of four lives, killed and frozen for a minute before and after every call of a port: four
# hours of eight jobs, which mostly wait.
.PHONY: soak-deaths
soak-deaths: setup ## Kill and freeze the real process at every call
	@$(BIN)/python -m keeper.sim.death --seconds $(SOAK_S) --jobs 8 --record docs/deaths.json

.PHONY: soak-seeds
soak-seeds: setup ## Run SOAK_SEEDS (10,000) simulated weeks with all faults
	@$(BIN)/python -m keeper.sim.soak --seeds $(SOAK_SEEDS) --limit-s $(SOAK_S) --jobs $(SOAK_JOBS) \
	    --record docs/soak.json $(ARGS)

# Ten million spoiled answers for every parser; a run that was stopped goes on. ARGS="--seed 2": others.
FUZZ_INPUTS ?= 10000000
.PHONY: fuzz
fuzz: setup ## Feed FUZZ_INPUTS spoiled answers to every parser
	@$(BIN)/python -m tests.fuzz.campaign --inputs $(FUZZ_INPUTS) $(ARGS)

# The worlds that are promised, to the last one, and every shade of those with up to HOSTS hosts: two hours
# of one core, with HOSTS=4 half a day. What was stopped goes on.
.PHONY: worlds
worlds: setup ## Every small world; HOSTS=4: in every shade, for hours
	@$(BIN)/python -m tests.property.small_campaign --hosts $(or $(HOSTS),3) --limit-s $(SOAK_S) \
	    --jobs $(SOAK_JOBS) $(ARGS)

.PHONY: mutate
mutate: setup ## Change dangerous code, watch the tests; ONLY="core.rent"
	@$(BIN)/python scripts/mutate.py $(ONLY) $(ARGS)

# A minute, as root: the unit and the installer under a systemd of their own, in namespaces.
.PHONY: systemd
systemd: setup ## Play the installer under a real systemd (root)
	@$(BIN)/python -m tests.integration.deploy.real_systemd $(ARGS)

.PHONY: lock
lock: ## Write the locks again; ARGS=--upgrade for newer versions
	@scripts/lock.sh $(ARGS)

.PHONY: clean
clean: ## Remove everything that make has built
	@rm -rf $(VENV) .tools build dist htmlcov .coverage .coverage.* .hypothesis .pytest_cache \
	    .mypy_cache .ruff_cache .import_linter_cache mutants
	@find . -name __pycache__ -type d -prune -exec rm -rf {} +
