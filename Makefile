# Each target makes the virtual environment it needs from nothing but python3. `make help` lists them.
.DEFAULT_GOAL := help
SHELL := /bin/bash
.SHELLFLAGS := -eu -o pipefail -c
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
READY := $(VENV)/.ready
PIP = $(BIN)/pip install --quiet --disable-pip-version-check
# It takes 4 seconds of work where pip takes 65. What it cannot reach (it knows no settings of pip's) pip fetches.
UV = $(BIN)/uv pip install --quiet --python $(BIN)/python --system-certs
PYTEST = $(BIN)/python -m pytest -n auto --dist worksteal

# A variable of some containers: with it every process that a test starts would compile what it imports.
unexport PYTHONDONTWRITEBYTECODE

.PHONY: help demo test test-stories test-nightly lint bench dist gto lock clean

help: ## Say what each target does
	@awk -F':.*## ' '/^[a-z-]+:.*## /{printf "  make %-12s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

$(READY): requirements/dev.txt pyproject.toml
	@test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	@echo "installing mlbot and its tools into $(VENV) (once)"
	@$(PIP) --require-hashes -r requirements/uv.txt
	@$(UV) --require-hashes --no-deps -r requirements/dev.txt || $(PIP) --require-hashes -r requirements/dev.txt
	@$(PIP) --no-deps --no-build-isolation --editable .
	@touch $@

demo: $(READY) ## Judge five pull requests on real data; release, deploy, roll back
	@PATH="$(abspath $(BIN)):$$PATH" $(BIN)/mlbot demo

test: $(READY) ## Run what CI runs on every change (minutes)
	@$(PYTEST) -m "not story and not nightly" $(ARGS)

test-stories: $(READY) ## Run the stories: the real workflows under act, killed deployments
	@$(PYTEST) -m "story and not nightly" $(ARGS)

test-nightly: $(READY) ## Run all but the stories, with ten times the examples: frameworks, servers, the whole demo
	@MLBOT_TESTS=nightly $(PYTEST) -m "not story or nightly" $(ARGS)

lint: $(READY) ## Check style and types
	@$(BIN)/ruff check .
	@$(BIN)/ruff format --check .
	@$(BIN)/mypy

bench: $(READY) ## Measure speed, memory and error rates side by side with peers
	@$(BIN)/python -m benchmarks

DIST = .venvs/dist/bin
ALONE = .venvs/alone/bin

dist: ## Build wheel and sdist of the last commit, check both, and run the wheel alone
	@test -x $(DIST)/python || $(PYTHON) -m venv .venvs/dist
	@$(DIST)/pip install --quiet --disable-pip-version-check --require-hashes -r requirements/dist.txt
	@rm -rf dist .venvs/source && mkdir -p .venvs/source
	@git archive HEAD | tar -x -C .venvs/source
	@git rev-parse HEAD > .venvs/source/src/mlbot/commit
	@SOURCE_DATE_EPOCH=$$(git log -1 --format=%ct) $(DIST)/python -m build --no-isolation --outdir dist .venvs/source > .venvs/dist/log
	@$(DIST)/twine check --strict dist/*
	@$(PYTHON) -I tools/dist_check.py dist
	@$(PYTHON) -m venv --clear .venvs/alone
	@$(ALONE)/pip install --quiet --disable-pip-version-check --require-hashes -r requirements/ml.txt
	@$(ALONE)/pip install --quiet --disable-pip-version-check --no-deps dist/*.whl
	@cd / && env -i PATH="$(abspath $(ALONE)):$$PATH" HOME="$$(mktemp -d)" bash -euc 'mlbot --version; mlbot demo'

LOCK = .venvs/lock/bin/uv pip compile --universal --generate-hashes --no-emit-index-url --no-emit-find-links --no-header \
  --no-emit-package mlbot-ci --no-annotate --quiet

# The sets of actions/setup beside the bot's own; `train` has less than that.
CORE = judge charts metrics deploy
DRIVERS = http s3 gcs azure hf

gto: $(READY) ## Install the peer that the registry is compared with, into .venvs/gto
	@$(BIN)/python -m tests.support.gto_peer

lock: ## Resolve the dependencies anew (hashes, no addresses)
	@$(PYTHON) -m venv .venvs/lock && .venvs/lock/bin/pip install --quiet --disable-pip-version-check uv
	@$(LOCK) pyproject.toml --extra dev --output-file requirements/dev.txt
	@$(LOCK) requirements/train.in --constraint requirements/dev.txt --output-file requirements/train.txt
	@$(LOCK) pyproject.toml --constraint requirements/dev.txt --output-file requirements/bot.txt
	@$(LOCK) pyproject.toml --extra ml --constraint requirements/dev.txt --output-file requirements/ml.txt
	@$(LOCK) requirements/dist.in --constraint requirements/dev.txt --output-file requirements/dist.txt
	@# Sets may be installed together, so one resolution says the version of what several of them need. It is held to the
	@# developers' versions but for what only tests need: a driver may want an older one.
	@$(LOCK) pyproject.toml $(CORE:%=--extra %) --constraint requirements/dev.txt --output-file .venvs/core.txt
	@$(LOCK) pyproject.toml $(CORE:%=--extra %) $(DRIVERS:%=--extra %) --constraint .venvs/core.txt --output-file .venvs/sets.txt
	@for each in $(CORE) $(DRIVERS); do \
	  $(LOCK) pyproject.toml --extra $$each --constraint .venvs/sets.txt --output-file requirements/$$each.txt; done
	@awk '/^uv==/,!/\\$$/' requirements/dev.txt > requirements/uv.txt
	@$(LOCK) requirements/gto.in --python-version 3.11 --output-file requirements/gto.txt
	@$(LOCK) requirements/frameworks.in --python-version 3.11 --output-file requirements/frameworks.txt
	@$(LOCK) requirements/mlserver.in --python-version 3.11 --output-file requirements/mlserver.txt

clean: ## Remove what the other targets made
	@rm -rf $(VENV) .venvs dist .mypy_cache .pytest_cache .ruff_cache .hypothesis
