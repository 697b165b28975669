# Everything happens in .venv. Nothing else on this machine is touched, except that `make test` installs what
# .ci/system-packages lists when it is missing and may be installed, and unpacks MySQL into the user's cache folder.

PYTHON ?= python3.11
VENV := .venv
BIN := $(VENV)/bin
WORKERS ?= 2

.DEFAULT_GOAL := help
.PHONY: help run test check format lock coverage bench clean

help: ## show this
	@echo "MCP Core. What can be made:"
	@grep -E '^[a-z]+:.*## ' $(MAKEFILE_LIST) | sed -E 's/^([a-z]+):.*## (.*)/  make \1|\2/' | awk -F'|' '{printf "%-16s%s\n", $$1, $$2}'

run: $(VENV)/.runtime ## make the environment and start the server: mcp-core serve $(ARGS)
	@$(BIN)/mcp-core serve $(ARGS)

test: $(VENV)/.development ## install what tests need, then run the checks and all tests
	@.ci/system-packages
	@.ci/mysql-server
	@$(MAKE) --no-print-directory check coverage

check: $(VENV)/.development ## lint, format, types, layers; no tests
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports --no-cache

# Bytecode is kept, whatever the environment says: hundreds of servers and commands would compile every module again.
coverage: $(VENV)/.development # all tests with branch coverage, on two processes
	PYTHONDONTWRITEBYTECODE= $(BIN)/pytest -q -n $(WORKERS) --dist worksteal --cov --cov-report=term $(ARGS)

bench: $(VENV)/.development ## measure what an answer costs, beside other servers: bench/README.md says what $(ARGS) may be
	@$(BIN)/python bench/run.py $(ARGS)

format: $(VENV)/.development ## let ruff format and fix what it can
	$(BIN)/ruff format .
	$(BIN)/ruff check --fix .

lock: $(VENV)/.development ## resolve the dependencies of pyproject.toml anew, with hashes
	@.ci/lock $(BIN)/pip-compile $(ARGS)

clean: ## remove the environment and every cache; data in instance/ stays
	rm -rf $(VENV) .mypy_cache .pytest_cache .ruff_cache .hypothesis .import_linter_cache .coverage .coverage.* *.egg-info verifier/*.egg-info
	find . -name __pycache__ -prune -exec rm -rf {} +

# The marks carry the hash of the lock file, so that a changed one is installed and an unchanged one costs nothing.
$(VENV)/bin/python:
	@PYTHON="$(PYTHON)" .ci/environment $(VENV)

$(VENV)/.runtime: $(VENV)/bin/python requirements.txt pyproject.toml verifier/pyproject.toml
	@.ci/install $(VENV) requirements.txt
	@touch $@

$(VENV)/.development: $(VENV)/bin/python requirements-dev.txt pyproject.toml verifier/pyproject.toml
	@.ci/install $(VENV) requirements-dev.txt
	@touch $@ $(VENV)/.runtime
