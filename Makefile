# portway: `make demo` shows it, `make test` tests it; both set up what they need first.
SHELL := /bin/bash
ENGINE ?= docker
SEEDS ?= 10000
HISTORIES ?= 100000
FUZZ_TIMES ?= 100
FUZZ_SECONDS ?= 60
BIN := .venv/bin
WITHOUT_SERVICES := -m "not docker and not haproxy and not postgres"
# What is decided from values alone, and what is asked of it; 200 seeds of the simulation.
QUICK := tests/core tests/manifests tests/api tests/simulation/test_rollout.py tests/simulation/test_controller.py tests/test_tidy.py tests/test_docs.py
# Debian keeps haproxy where not every user looks.
export PATH := $(PATH):/usr/sbin:/sbin
# Where it is set, every command and every test would compile what it imports anew.
unexport PYTHONDONTWRITEBYTECODE

.PHONY: help setup setup-test setup-python demo clean-demo test unit quick check static format sim fuzz fuzz-guided chaos bench bench-quick lock
.DEFAULT_GOAL := help

help:  ## Show this
	@grep -hE '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | expand -t 12

setup:  ## Python environment, Debian packages and a Docker daemon, as far as they are missing
	@scripts/setup.sh $(ENGINE)

setup-test:
	@scripts/setup.sh test

setup-python:
	@scripts/setup.sh python

demo: setup  ## Deploy examples/httpd, show the port map, redeploy it under load (ENGINE=process: without Docker)
	@$(BIN)/python scripts/demo.py --engine $(ENGINE)

clean-demo: setup-python  ## Remove what the demo left running
	@$(BIN)/python scripts/demo.py --remove

test: setup-test  ## The whole test suite, with real Docker, HAProxy and PostgreSQL
	@$(BIN)/pytest -q --everything -n 3 --dist loadgroup

unit: setup-python  ## The tests that need no Docker, HAProxy or PostgreSQL
	@$(BIN)/pytest -q -n 2 --dist loadgroup $(WITHOUT_SERVICES) --hypothesis-profile fast

quick: setup-python
	@$(BIN)/pytest -q -n 2 --dist loadgroup $(WITHOUT_SERVICES) --hypothesis-profile fast $(QUICK)

static: setup-python  ## Format, lint, imports and types
	@$(BIN)/ruff format --check --quiet . || { echo "Not formatted as ruff does it: make format"; exit 1; }
	@$(BIN)/ruff check --quiet .
	@said=$$($(BIN)/lint-imports --no-cache) || { echo "$$said"; exit 1; }
	@$(BIN)/basedpyright --level error

check: setup-python  ## Format, lint, imports, types, and the tests of core, manifests, API and seeds: about a minute
	@$(MAKE) --no-print-directory --output-sync=target -j2 static quick

format: setup-python  ## Format and mend what a tool can mend
	@$(BIN)/ruff format .
	@$(BIN)/ruff check --fix .

sim: setup-python  ## Seeded histories of planner and controller, and of ports (SEEDS=N, HISTORIES=N); SEED=7: that one again
ifdef SEED
	@SEED=$(SEED) $(BIN)/pytest -q tests/simulation/test_rollout.py tests/simulation/test_controller.py
else
	@SEEDS=$(SEEDS) PORTWAY_PORT_HISTORIES=$(HISTORIES) $(BIN)/pytest -q -n 2 --timeout 1800 tests/simulation tests/core/test_ports_properties_histories.py
endif

bench: setup  ## Every benchmark, into docs/benchmarks.md (a quarter of an hour)
	@$(BIN)/python benchmarks --write docs/benchmarks.md

bench-quick: setup  ## A minute's worth of benchmarks; fails where an aim is missed
	@$(BIN)/python benchmarks --quick

chaos: setup-test  ## Real faults at full length: most of an hour; `make test` has a few seconds of each
	@PORTWAY_CHAOS=full $(BIN)/pytest -q -s --everything tests/e2e/chaos

fuzz: setup-python  ## Random manifests and requests, for half an hour or so (FUZZ_TIMES=N)
	@FUZZ_TIMES=$(FUZZ_TIMES) SCHEMA_EXAMPLES=300 $(BIN)/pytest -q -n 2 --timeout 3600 tests/security/test_openapi_fuzz.py \
		tests/api/test_fuzz.py tests/api/aws/test_garbage.py tests/manifests/test_compose_fuzz.py

fuzz-guided: setup-python  ## Every parser and API under libFuzzer, which keeps what reaches new code (FUZZ_SECONDS=N each; needs atheris)
	@$(BIN)/python -m tests.fuzz --seconds $(FUZZ_SECONDS)

lock: setup-python  ## Choose the newest versions and write their hashes
	@scripts/lock.sh
