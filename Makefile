# `make run` plays the demonstration, `make test` passes every test. Both work from a fresh clone: what they need
# goes into .venv, which is made once and again when setup.cfg changes. PYTHON chooses the interpreter.

PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
PIP := $(BIN)/python -m pip install --quiet --disable-pip-version-check

# Tests start hundreds of processes, each of which would compile every module for itself.
unexport PYTHONDONTWRITEBYTECODE

.PHONY: run test bench screenshots audit trials
.DELETE_ON_ERROR:

run: $(VENV)/ready-to-run
	@$(BIN)/upkeep demo

test: $(VENV)/ready-to-test
	$(BIN)/ruff check
	$(BIN)/ruff format --check
	$(BIN)/mypy
	$(BIN)/lint-imports
	$(BIN)/pytest -n auto

# Every goal of docs/performance.md beside its floor: a table here, figures and drawings in docs. About 12 minutes on two
# quiet cores; SIZE=full also takes the long curves. PARTS="intake push" measures only these.
bench: $(VENV)/ready-to-test
	$(BIN)/python -m tests.bench $(if $(SIZE),--size $(SIZE)) $(if $(PARTS),$(PARTS),--write)

# The promises of docs/reliability.md, each tried: SIZE=short, medium (some minutes) or full, TRIALS="names" for some of
# them, SEED=N to try the same again, WRITE=1 to write the table into the document.
trials: $(VENV)/ready-to-test
	$(BIN)/python -m tests.trials --size $(or $(SIZE),medium) $(if $(SEED),--seed $(SEED)) $(if $(ROUNDS),--rounds $(ROUNDS)) \
		$(if $(WRITE),--write) $(TRIALS)

# The pictures in docs/screenshots, taken anew from the running demonstration. Needs Chromium.
screenshots: $(VENV)/ready-to-test
	$(BIN)/python -m tests.browser.screenshots

# Known holes in what is installed; what could not be looked up is said, and does not fail.
audit: $(VENV)/ready-to-test
	@test -x $(VENV)/audit/bin/pip-audit || ($(BIN)/python -m venv $(VENV)/audit && \
		$(VENV)/audit/bin/python -m pip install --quiet --disable-pip-version-check 'pip-audit>=2.10,<3') || \
		echo "NOT AUDITED: pip-audit could not be installed"
	@$(BIN)/python -m tests.audit

$(VENV)/ready-to-run: setup.cfg pyproject.toml $(BIN)/pip
	@echo "Setting up $(VENV): a minute the first time ..."
	@$(PIP) --editable .
	@touch $@

$(VENV)/ready-to-test: setup.cfg pyproject.toml $(BIN)/pip
	@echo "Setting up $(VENV) for tests: a minute or two the first time ..."
	@$(PIP) --editable '.[test]'
	@touch $@ $(VENV)/ready-to-run

# pip is the last thing that making an environment puts there, so an interrupted one is made again.
$(BIN)/pip:
	@command -v git >/dev/null || { echo "Upkeep needs git: install it first." >&2; exit 1; }
	@command -v $(PYTHON) >/dev/null || \
		{ echo "There is no $(PYTHON): install Python 3.11 or newer, or name one: make PYTHON=/path/to/python3.11" >&2; exit 1; }
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || \
		{ echo "Upkeep needs Python 3.11 or newer, and $(PYTHON) is $$($(PYTHON) -V 2>&1). Name another: make PYTHON=/path/to/python3.11" >&2; exit 1; }
	@$(PYTHON) -c 'import ensurepip, venv' 2>/dev/null || \
		{ echo "$(PYTHON) cannot make virtual environments: install its venv package (on Debian and Ubuntu: apt install python3-venv)" >&2; exit 1; }
	@$(PYTHON) -m venv $(VENV)
