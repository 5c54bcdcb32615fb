# Everything a developer or a new user runs. `make help` lists it.
# The first of these that verl 0.9.1 runs on.
PYTHON ?= $(shell for python in python3 python3.12 python3.11; do \
	$$python -c 'import sys; sys.exit(not (3, 11) <= sys.version_info < (3, 13))' 2>/dev/null && \
	echo $$python && break; done)
NO_PYTHON := Trainyard needs Python 3.11 or 3.12, and there is none here: verl 0.9.1 refuses 3.13. \
Install one, such as by "uv python install 3.12", and name it: make run PYTHON=PATH
VENV := .venv
PY := $(VENV)/bin/python
TRAIN := environments/verl-0.9/.venv
PLATFORM_READY := $(VENV)/.ready
TRAIN_READY := $(TRAIN)/.ready
DEV_READY := $(VENV)/.ready-dev
TRAIN_TEST_READY := $(TRAIN)/.ready-test
PEERS_READY := $(VENV)/bench-peers/.ready

.PHONY: help install ready run test lint format bench
help: ## list these targets
	@grep -hE '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | expand -t 14

install: $(PLATFORM_READY) $(TRAIN_READY) ## make .venv and the CPU training environment

run: install ## start the site on http://127.0.0.1:8000 (ARGS="--port 8001" for another)
	@$(PY) manage.py up $(ARGS)

ready: install $(DEV_READY) $(TRAIN_TEST_READY) ## install, and what the checks and tests need

test: ready ## lint and the whole suite: unit, PostgreSQL and Redis, real verl, chaos, real browser
	tests/run $(ARGS)

lint: $(DEV_READY) ## ruff, mypy, import contracts, templates, migrations, deployment check
	$(VENV)/bin/ruff check .
	$(VENV)/bin/ruff format --check .
	TRAINYARD_HOME=$(VENV)/lint-home $(VENV)/bin/mypy .
	$(VENV)/bin/lint-imports --no-logo
	$(VENV)/bin/djlint --lint --check templates
	TRAINYARD_HOME=$(VENV)/lint-home $(PY) manage.py makemigrations --check --dry-run
	TRAINYARD_HTTPS=1 TRAINYARD_ALLOWED_HOSTS=trainyard.example TRAINYARD_HOME=$(VENV)/lint-home $(PY) manage.py check --deploy --fail-level WARNING

format: $(DEV_READY) ## format Python and templates
	$(VENV)/bin/ruff check --fix .
	$(VENV)/bin/ruff format .
	-$(VENV)/bin/djlint --quiet --reformat templates

bench: install $(DEV_READY) $(PEERS_READY) ## measure: metric to page, submit to start, cost to a run
	$(PY) -m tests.bench $(ARGS)

# An install that fails half-way leaves no stamp, so the next call repairs it.
$(PLATFORM_READY): pyproject.toml environments/platform.lock
	@test -x $(PY) || test -n "$(PYTHON)" || { echo '$(NO_PYTHON)' >&2; exit 1; }
	@test -x $(PY) || $(PYTHON) -m venv $(VENV)
	@echo "Installing the platform into $(VENV)"
	@$(PY) -m pip install --quiet --disable-pip-version-check -c environments/platform.lock -e .
	@touch $@

$(DEV_READY): $(PLATFORM_READY)
	@echo "Installing the checks and test tools into $(VENV)"
	@$(PY) -m pip install --quiet --disable-pip-version-check -c environments/platform.lock -e '.[dev]'
	@touch $@

$(TRAIN_READY): environments/verl-0.9/lock.txt environments/verl-0.9/requirements.txt environments/install.sh environments/node/pyproject.toml
	@echo "Installing verl for the CPU into $(TRAIN) (a few minutes the first time)"
	@test -x $(TRAIN)/bin/python || test -n "$(PYTHON)" || { echo '$(NO_PYTHON)' >&2; exit 1; }
	@bash environments/install.sh 0.9 $(TRAIN) $(PYTHON)
	@touch $@

# What the benchmarks compare with, in an environment of its own.
$(PEERS_READY): tests/bench/peers.txt
	@echo "Installing what the benchmarks compare with into $(VENV)/bench-peers"
	@$(PYTHON) -m venv $(VENV)/bench-peers
	@$(VENV)/bench-peers/bin/python -m pip install --quiet --disable-pip-version-check -r tests/bench/peers.txt
	@touch $@

TRAIN_TESTS := $(addprefix environments/verl-0.9/requirements-,test.txt trl.txt eval.txt)

$(TRAIN_TEST_READY): $(TRAIN_READY) $(TRAIN_TESTS)
	@$(TRAIN)/bin/python -m pip install --quiet --disable-pip-version-check -c environments/verl-0.9/lock.txt -r environments/verl-0.9/requirements-test.txt
	@$(TRAIN)/bin/python -m pip install --quiet --disable-pip-version-check --no-deps --upgrade --target $(TRAIN)/trl -r environments/verl-0.9/requirements-trl.txt
	@$(TRAIN)/bin/python -m pip install --quiet --disable-pip-version-check --no-deps --upgrade --target $(TRAIN)/lm-eval -r environments/verl-0.9/requirements-eval.txt
	@touch $@
