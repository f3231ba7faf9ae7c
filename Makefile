# Thin: every target is a line or two that you could type yourself. Nothing here is downloaded
# but from the package index that your pip knows.

PYTHON ?= python3
VENV ?= .venv
BIN := $(VENV)/bin
# Everything a test makes is under one folder, removed at the end; -n 2 as on the smallest CI.
RUN_TESTS = t=$$(mktemp -d) && trap 'rm -rf "$$t"' EXIT && \
	TMPDIR="$$t" $(BIN)/python -m pytest -n 2 --basetemp="$$t/pytest"

.PHONY: help demo test test-rings soak chaos fuzz test-all lint check bench fleet layer layer-pins \
	deploy-tools functions diagram pages docs coverage clean

help: ## this list
	@grep -E '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed -E 's/^([a-z-]+):.*## /\1|/' | column -t -s '|'

demo: $(VENV)/ready ## five invocations with five fates, one span each
	$(BIN)/spanpipe run examples.demo.handler --event @examples/demo.jsonl --timeout 1

test: $(VENV)/ready ## the fast ring: no other toolchain, under five minutes
	@$(RUN_TESTS) -m "not emulator and not receiver and not registry"

test-rings: $(VENV)/ready $(VENV)/deploy ## the rings that need AWS's emulator, foreign receivers and registries
	@$(RUN_TESTS) -m "emulator or receiver or registry"

soak: $(VENV)/ready ## random lives of at least 2,000 invocations; PLAN_SEED=… repeats one
	@PLAN_INVOCATIONS=2000 PLAN_EXAMPLES=2000 && export PLAN_INVOCATIONS PLAN_EXAMPLES && \
		$(RUN_TESTS) tests/whole/test_plan.py tests/core/test_plan.py

chaos: $(VENV)/ready ## every fault, one by one and combined, and its figures; QUICK=1: three minutes
	$(BIN)/python -m chaos $(if $(QUICK),--quick)

FUZZ_SECONDS ?= 600
FUZZ_TARGETS ?= frames lines files configuration events responses spool requests callers

fuzz: $(VENV)/ready ## each target for FUZZ_SECONDS (600); new inputs and crashes in .cache/fuzz
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check "atheris>=3" \
		|| echo "no atheris for this Python: the mutator of our own, blind to coverage"
	@found=0; for target in $(FUZZ_TARGETS); do \
		$(BIN)/python -m fuzz.run $$target --seconds $(FUZZ_SECONDS) || found=1; \
	done; exit $$found

test-all: ## the fast ring on every Python from 3.10 to 3.14 that is found
	@for v in 3.10 3.11 3.12 3.13 3.14; do \
		p=$$(ls -d "$$HOME"/.pyenv/versions/$$v.*/bin/python 2>/dev/null | tail -1); \
		p=$${p:-$$(command -v python$$v || true)}; \
		if [ -z "$$p" ]; then echo "python $$v: not found, skipped"; continue; fi; \
		echo "python $$v: $$p"; \
		$(MAKE) --no-print-directory test PYTHON="$$p" VENV=".venv-$$v" || exit 1; \
	done

lint: $(VENV)/ready ## ruff and strict types
	$(BIN)/ruff check . && $(BIN)/ruff format --check . && $(BIN)/mypy

check: lint test ## lint, types, tests

PARTS ?=

bench: $(VENV)/ready ## all that is measured, into docs/benchmarks.md; QUICK=1: two minutes, kept nowhere; PARTS="startup cost"
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check "matplotlib>=3.10,<4" \
		|| echo "no matplotlib here: nothing is drawn"
	$(BIN)/python -m bench $(PARTS) $(if $(QUICK),--quick)

COLLECTOR ?= .cache/otelcol

fleet: $(VENV)/ready $(COLLECTOR) ## a simulated fleet before a measured Collector; writes docs/fleet.md
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check "matplotlib>=3.10,<4"
	$(BIN)/python -m bench.fleet --collector $(COLLECTOR) --write \
		--results bench/results

$(COLLECTOR): deploy/gateway/builder.yaml | $(VENV)/ready
	$(BIN)/python -m deploy.gateway $@

layer: $(VENV)/ready ## the layer as zips and folders in dist/, for Python and for other runtimes; GRPC=1: with gRPC; PINNED=1: the same bytes on every machine
	$(BIN)/python -m deploy.layer $(if $(GRPC),--grpc) $(if $(PINNED),--pinned)

layer-pins: $(VENV)/ready ## pin anew the Debian packages of which the layers have their interpreter
	$(BIN)/python -m deploy.layer.debian_index

deploy-tools: $(VENV)/deploy ## CDK, cfn-lint and the like into .venv: large, for deploy/ and its tests alone

functions: $(VENV)/ready ## the example functions as zips in dist/, which CDK, SAM and Terraform deploy
	$(BIN)/python -m deploy.functions

diagram: $(VENV)/ready ## draw the lifecycle's table into ARCHITECTURE.md
	$(BIN)/python -m docs.lifecycle_diagram

pages: $(VENV)/ready ## write the reference pages in docs/ from the code
	$(BIN)/python -m docs.configuration_page && $(BIN)/python -m docs.attributes_page && \
		$(BIN)/python -m docs.troubleshooting_page

docs: $(VENV)/ready ## the documentation as a site, in build/docs
	$(BIN)/sphinx-build --quiet --fail-on-warning --keep-going --jobs auto \
		--conf-dir docs/site --doctree-dir build/doctrees . build/docs
	@echo build/docs/index.html

coverage: $(VENV)/ready ## which lines nobody ran
	$(BIN)/coverage erase && $(BIN)/coverage run -m pytest -m "not emulator and not receiver and not registry" \
		&& $(BIN)/coverage combine --quiet && $(BIN)/coverage report --skip-covered

clean: ## everything that was made here
	rm -rf .venv .venv-* .cache build dist *.egg-info .mypy_cache .ruff_cache .pytest_cache

$(VENV)/ready: constraints.txt pyproject.toml
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --require-hashes -r constraints.txt
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --no-deps --no-build-isolation --editable .
	@touch $@

$(VENV)/deploy: deploy/constraints.txt $(VENV)/ready
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --require-hashes -r deploy/constraints.txt
	@touch $@
