# One command each. `make run` and `make test` install what they need.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
INSTALLED := $(VENV)/.installed
TEST_INSTALLED := $(VENV)/.installed-dev

.PHONY: help install install-dev run chat test check format bench prove ollama lock doctor clean

help:
	@echo "make run      install if needed, then open the copilot (prints a one-time login link)"
	@echo "make chat     the same conversation in the terminal"
	@echo "make test     install if needed, then run every test"
	@echo "make check    format, lint, types and import rules"
	@echo "make prove    the long proofs: kill loops, many schedules, random texts"
	@echo "make bench    the benchmarks"
	@echo "make doctor   what is in use, what is missing, and the command that adds it"
	@echo "make ollama   a real Ollama server with a tiny model, for the tests marked ollama"
	@echo "make lock     pin every dependency again, with hashes"

$(BIN)/python:
	@$(PYTHON) -c 'import sys; sys.exit(not ((3, 11) <= sys.version_info[:2] < (3, 14)))' \
		|| { echo "Python 3.11, 3.12 or 3.13 is needed; try: make PYTHON=python3.11 run"; exit 1; }
	$(PYTHON) -m venv $(VENV)

$(INSTALLED): requirements.lock pyproject.toml | $(BIN)/python
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --require-hashes -r requirements.lock
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --no-deps --no-build-isolation -e .
	@touch $@

$(TEST_INSTALLED): requirements-dev.lock $(INSTALLED)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --require-hashes -r requirements-dev.lock
	@touch $@

install: $(INSTALLED)

install-dev: $(TEST_INSTALLED)

run: install
	$(BIN)/trading-copilot run

chat: install
	$(BIN)/trading-copilot chat

doctor: install
	$(BIN)/trading-copilot doctor

test: install-dev
	$(BIN)/python -m pytest -n auto --dist loadfile --no-loadscope-reorder -m "not benchmark and not prove"

check: install-dev
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy
	$(BIN)/lint-imports

format: install-dev
	$(BIN)/ruff format .
	$(BIN)/ruff check --fix .

bench: install-dev
	$(BIN)/python -m pytest -m benchmark -s tests/benchmarks

prove: install-dev
	$(BIN)/python -m pytest -m prove -s

ollama: install-dev
	$(BIN)/python -m tests.ollama.install

lock: | $(BIN)/python
	$(BIN)/python -m pip install --quiet --disable-pip-version-check uv
	$(BIN)/uv pip compile --quiet --universal --python-version 3.11 --generate-hashes --no-emit-index-url \
		--no-header --extra build pyproject.toml -o requirements.lock
	$(BIN)/uv pip compile --quiet --universal --python-version 3.11 --generate-hashes --no-emit-index-url \
		--no-header --extra build --extra dev pyproject.toml -o requirements-dev.lock

clean:
	rm -rf $(VENV) build dist *.egg-info .mypy_cache .ruff_cache .pytest_cache
