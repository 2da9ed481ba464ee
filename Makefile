# The menu. Every target makes the environment it needs; all that must be there is Python 3.11 or newer.
SHELL := /bin/sh
.DEFAULT_GOAL := help
VENV := .venv
BIN := $(VENV)/bin
READY := $(VENV)/.ready
# The first of these that is Python 3.11+; override with `make PYTHON=/path/to/python3.12 test`.
PYTHON ?= $(shell for p in python3 python3.14 python3.13 python3.12 python3.11; do \
	command -v $$p >/dev/null 2>&1 && $$p -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null && echo $$p && break; done)
ARGS ?=
# Whole files side by side, each side with servers of its own, in their order: the slow ones come first.
# `make AT_ONCE= test` for one by one.
AT_ONCE ?= -n 2 --dist loadfile --no-loadscope-reorder
# Thrice as slow when it is traced, and not needed for any branch.
SLOW_WIRE_TESTS := tests/unit/wire/test_hpack_against_hpack.py
# What queries mean, held against a reference by random rows and clauses.
QUERY_LAWS := $(wildcard tests/integration/test_compile*.py tests/integration/test_*quer*.py \
	tests/integration/test_empty_lists.py tests/integration/test_places.py)

# What each gateway is sent: the rules, the golden files, and others' builders where there is Node.
SHAPING_TESTS := tests/unit/shaping tests/unit/preview tests/unit/cli/test_shape.py \
	$(wildcard tests/integration/builders) tests/integration/delivery/test_golden_requests.py

# What is promised of a push on its way, each promise by itself; `make chaos` has all of them at once.
DELIVERY_TESTS := tests/unit/delivery tests/unit/simulators tests/unit/chaos \
	tests/integration/delivery tests/integration/simulators \
	$(wildcard $(addsuffix .py,$(addprefix tests/integration/test_,pipeline leases plans \
	plans_at_once takeover token_hygiene replaced_credentials fair_queue lanes backlog retention \
	migrating_live))) $(filter-out %_sdks.py tests/acceptance/test_parse_server%, \
	$(wildcard tests/acceptance/test_*.py))

# When pushes are sent: clocks, zones, halts, campaigns and their reports.
WHEN_TESTS := tests/unit/campaigns tests/unit/planning tests/unit/stats \
	$(wildcard $(addprefix tests/unit/,test_clock.py cli/test_campaign*.py api/test_report*.py \
	storage/test_firing.py delivery/test_halts.py)) \
	$(wildcard $(addsuffix .py,$(addprefix tests/integration/test_,campaign_delivered campaign_runs caps database_time \
	firing halts runs times_by_setting waves))) \
	$(wildcard $(addsuffix .py,$(addprefix tests/integration/api/test_v1_,campaigns reports steps waves))) \
	$(wildcard $(addsuffix .py,$(addprefix tests/integration/cli/test_,campaigns halting reports))) \
	$(wildcard $(addsuffix .py,$(addprefix tests/acceptance/test_,campaigns cancelled schedules)))

# What a Parse Server sends through: the service's side, the package alone, and a real Parse Server.
ADAPTER_TESTS := $(wildcard tests/acceptance/test_parse_server*.py tests/unit/test_held_tokens.py \
	tests/integration/test_*deliveries*.py tests/integration/api/test_v1_deliveries*.py)

.PHONY: help demo test test-unit test-parse test-adapter test-shaping test-delivery test-when test-wire chaos chaos-long wire-servers node-packages wire-coverage fuzz fuzz-api check fmt bench bench-peers bench-wire lock clean

help: ## Show this menu
	@grep -hE '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | awk -F ':.*## ' '{printf "  make %-13s %s\n", $$1, $$2}'

demo: $(READY) ## One push to 10,000 devices against strict simulators (ARGS="--json", ARGS="--keep")
	@$(BIN)/pushsvc demo $(ARGS)

test: $(READY) ## All tests: unit, integration, acceptance, house (ARGS="-k badge")
	@$(BIN)/python -m pytest $(AT_ONCE) $(ARGS)

test-unit: $(READY) ## Only the tests that need no sockets
	@$(BIN)/python -m pytest tests/unit tests/house $(ARGS)

test-parse: $(READY) ## Published Parse SDKs in Node against the service, and the laws of queries
	@node --version >/dev/null 2>&1 && npm --version >/dev/null 2>&1 || { echo "make test-parse needs Node 20.19 or newer, and npm." >&2; exit 1; }
	@$(BIN)/python -m pytest tests/acceptance/test_parse_sdks.py $(QUERY_LAWS) $(ARGS)

test-adapter: $(READY) ## The push adapter for Parse Server: its own tests, and a real Parse Server
	@node --version >/dev/null 2>&1 && npm --version >/dev/null 2>&1 || { echo "make test-adapter needs Node 20.19 or newer, and npm." >&2; exit 1; }
	@$(BIN)/python -m pytest $(AT_ONCE) $(ADAPTER_TESTS) $(ARGS)

test-shaping: $(READY) ## What every gateway is sent: golden files, strict simulators, Parse's own builders
	@$(BIN)/python -m pytest $(SHAPING_TESTS) $(ARGS)

test-delivery: $(READY) ## Journal, retries, pacing, lanes, tokens, and ten scenarios in full size
	@F5_FULL=1 $(BIN)/python -m pytest $(DELIVERY_TESTS) $(ARGS)

test-when: $(READY) ## Schedules, local time, halts, campaigns, reports; then 100,000 devices' campaigns
	@$(BIN)/python -m pytest $(AT_ONCE) $(WHEN_TESTS) $(ARGS)
	@$(BIN)/python -m tests.campaigns

chaos: $(READY) ## Kill everything while 200,000 devices are sent to (ARGS="--seed 7 --json")
	@$(BIN)/python -m tests.chaos $(ARGS)

chaos-long: $(READY) ## The same for half an hour
	@$(BIN)/python -m tests.chaos --seconds 1800 --devices 1200000 $(ARGS)

test-wire: $(READY) wire-servers wire-coverage ## All proofs of the HTTP/2 wire, real servers among them
	@$(BIN)/python -m pytest $(SLOW_WIRE_TESTS) tests/fuzz tests/integration/wire \
		tests/integration/delivery/test_aioapns_pool.py tests/integration/delivery/test_stock_*.py $(ARGS)

wire-servers: ## Install the HTTP/2 servers that the wire is held against, where that may be done
	@sh tests/integration/wire/oracles/install.sh

node-packages: ## Install what tests in Node are held against, where there is Node; they do it, too
	@$(PYTHON) -m tests.node_packages

wire-coverage: $(READY) ## Unit tests alone go through every branch of the wire's core
	@$(BIN)/coverage run --branch -m pytest -q --hypothesis-seed=0 tests/unit/wire --ignore=$(SLOW_WIRE_TESTS)
	@$(BIN)/coverage report --fail-under=100 --include="$$($(BIN)/python -m tests.house.wire_core)"

fuzz: $(READY) ## Inputs that nobody would send, at the wire (ARGS="--seconds 600")
	@$(BIN)/python -m tests.fuzz $(ARGS)

check: $(READY) ## Format, lint, import contracts, types
	@$(BIN)/ruff format --check .
	@$(BIN)/ruff check .
	@$(BIN)/lint-imports
	@$(BIN)/mypy

fmt: $(READY) ## Format and fix what can be fixed
	@$(BIN)/ruff format .
	@$(BIN)/ruff check --fix .

fuzz-api: $(READY) ## Requests that nobody would send, at the Parse API (ARGS="--cases 200000")
	@$(BIN)/python -m tests.integration.api.parse_fuzz $(ARGS)

bench: $(READY) ## Figures of the service (ARGS="--case broadcast --devices 1000000 --badge --json", "--case singles --rate 200", "--case mixed", "--help")
	@$(BIN)/python -m bench $(ARGS)

bench-peers: $(READY) ## The broadcast beside that of a real Parse Server, in turns (ARGS=--json; needs Node)
	@$(BIN)/python -m bench.peers_push $(ARGS)

bench-wire: $(READY) wire-servers ## The wire beside other HTTP/2 clients (ARGS=--json)
	@$(BIN)/python -m bench.wire $(ARGS)

lock: $(READY) ## Lock the dependencies anew (needs uv)
	uv pip compile --universal --python-version 3.11 --generate-hashes --all-extras \
		--no-emit-index-url --no-header --upgrade -q pyproject.toml -o requirements.lock

clean: ## Remove the environment and caches
	rm -rf $(VENV) .mypy_cache .pytest_cache .ruff_cache .hypothesis .import_linter_cache .coverage

$(READY): requirements.lock pyproject.toml
	@test -n "$(PYTHON)" || { echo "pushsvc needs Python 3.11 or newer. Install it, or name it: make PYTHON=/path/to/python3 demo" >&2; exit 1; }
	@echo "Preparing $(VENV) (once) ..." >&2
	@$(PYTHON) -m venv --clear $(VENV)
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --require-hashes -r requirements.lock >&2
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --no-deps --no-build-isolation -e . >&2
	@touch $@
