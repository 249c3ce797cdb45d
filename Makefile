# Two commands set everything up on a fresh machine: `make demo` and `make test`.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
READY := $(VENV)/.ready

# The lowest torch that pyproject.toml allows, and where its builds for a CPU are.
LOWEST := $(shell sed -n 's/^ *"torch>=\([0-9.]*\)".*/\1/p' pyproject.toml)
LOWEST_INDEX ?= https://download.pytorch.org/whl/cpu

.PHONY: demo test test-lowest lint docs check clean

demo: $(READY)  ## the whole way once, on virtual tissue; ends in demo/report.html
	$(BIN)/restain demo --out demo

test: $(READY)  ## the tests
	OMP_NUM_THREADS=1 $(BIN)/python -m pytest -n auto

test-lowest:  ## gradients, methods and networks with the lowest torch that is allowed
	$(PYTHON) -m venv .venv-lowest
	.venv-lowest/bin/python -m pip install --quiet "torch==$(LOWEST).*" --index-url $(LOWEST_INDEX)
	.venv-lowest/bin/python -m pip install --quiet --editable ".[dev]"
	OMP_NUM_THREADS=1 .venv-lowest/bin/python -m pytest -n auto tests/methods tests/networks tests/losses tests/terms

lint: $(READY)  ## style, types and import contracts
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports

docs: $(READY)  ## the documentation as a site, in site/; fails on a broken link
	NO_MKDOCS_2_WARNING=1 $(BIN)/mkdocs build --strict

check: lint test docs

$(READY): pyproject.toml constraints.txt
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --constraint constraints.txt --editable ".[dev]"
	touch $(READY)

clean:
	rm -rf $(VENV) .venv-lowest demo site
