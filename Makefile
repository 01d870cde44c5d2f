# make run     set up, play a built-in workload and print the leaderboard
# make test    set up and run the tests
# make help    everything else

PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
MANAGE := $(BIN)/python manage.py
PORT ?= 8000
PROCESSES ?= 1
# A process more than there are cores, since many tests wait (`tests/conftest.py`). Each begins with neighbouring tests and
# takes over from another when it has none left.
PARALLEL ?= -n auto --dist worksteal
# Browsers, each with a site of its own; the tests of a file follow each other.
PARALLEL_BROWSERS ?= -n auto --dist loadfile
INSTANT_TESTS := $(addprefix tests/engine/,test_instant.py test_instant_carbon.py test_instant_elsewhere.py)
export PIP_DISABLE_PIP_VERSION_CHECK = 1
# Whatever the shell says, Python keeps what it has compiled: the tests start hundreds of processes, each of which would
# compile the project anew, and those that collect the tests would rewrite every file's assertions.
export PYTHONDONTWRITEBYTECODE :=

.DEFAULT_GOAL := help
.PHONY: help install install-dev run lesson test test-code test-browser test-browser-said test-quick attack proof-instants coverage test-again hooks lint lint-types lint-style format docs serve services services-stop browser tex migrate clean

help: ## Show what can be made
	@grep -hE '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | sed 's/:.*## /\t/' | expand -t 16

$(BIN)/python:
	$(PYTHON) -m venv $(VENV)

$(VENV)/installed: requirements-lock.txt | $(BIN)/python
	@echo "Installing what the application needs into $(VENV) (about a minute) ..."
	@$(BIN)/pip install --quiet --require-hashes -r requirements-lock.txt
	@scripts/openmp.sh $(BIN)/python
	@touch $@

$(VENV)/installed-dev: requirements-dev-lock.txt $(VENV)/installed
	@echo "Installing what the tests need ..."
	@$(BIN)/pip install --quiet --require-hashes -r requirements-dev-lock.txt
	@touch $@

# Into the folder of kernels that the first run reads; what it plays goes with its folder.
$(VENV)/compiled: | $(VENV)/installed
	@echo "Compiling the kernels that a first run plays (some ten seconds) ..."
	@folder=$$(mktemp -d) && VAR_DIR=$$folder DATABASE_URL= REDIS_URL= CELERY_BROKER_URL= $(MANAGE) quickstart \
		>$$folder/said 2>&1 || { cat $$folder/said; rm -rf $$folder; exit 1; }; rm -rf $$folder
	@touch $@

node_modules/installed: package.json package-lock.json | $(VENV)/installed
	@scripts/npm.sh ci --omit=dev --ignore-scripts --no-audit --no-fund --loglevel=error
	@touch $@

# npm empties the folder first, the mark of the other rule included. Where the machine has none, pip installs it: after the
# other pip, as two must not write to one environment at a time.
node_modules/installed-dev: package.json package-lock.json | $(VENV)/installed-dev
	@echo "Installing what checks the scripts ..."
	@scripts/npm.sh ci --ignore-scripts --no-audit --no-fund --loglevel=error
	@touch node_modules/installed $@

install: $(VENV)/installed node_modules/installed $(VENV)/compiled ## Set up the virtual environment and the charts

install-dev: $(VENV)/installed-dev node_modules/installed-dev ## Set up what the tests and the checks need as well

migrate: install ## Bring the database up to date
	@$(MANAGE) migrate --verbosity 0

run: install ## Play a built-in workload through eight policies and print the leaderboard
	@$(MANAGE) quickstart

lesson: migrate ## Install the lessons, which are at /learn/
	@$(MANAGE) installlessons

serve: migrate ## Serve the pages, the API and the admin on http://localhost:8000/ (several processes: PROCESSES=2)
	@$(BIN)/python -m scheduler_sim.web.serve --port $(PORT) --processes $(PROCESSES) --verbosity 1

# At once, as browsers wait for pages most of the time; what they say is kept until they have ended.
test: install-dev $(VENV)/compiled ## Run the tests (on DATABASE_URL and REDIS_URL where they are set)
	@$(MAKE) --no-print-directory $(if $(PARALLEL),--jobs 2) test-code test-browser-said

test-browser-said: install-dev
	@said=$$(mktemp); $(MAKE) --no-print-directory test-browser >$$said 2>&1; ended=$$?; cat $$said; rm $$said; exit $$ended

test-code: install-dev ## Run the tests without those that drive a browser
	@scripts/npm.sh test --silent
	@$(BIN)/pytest -q $(PARALLEL)

test-browser: install-dev ## Run the tests that drive a browser
	@$(BIN)/pytest -q $(PARALLEL_BROWSERS) -m e2e tests/e2e

test-quick: install-dev ## Run the quick half of the tests, without the slow ones and the browser
	@$(BIN)/pytest -q $(PARALLEL) -m "not e2e and not slow"

attack: install-dev ## Attack sites of its own for half an hour, also on DATABASE_URL where it is set, and print what held
	@$(BIN)/python -m benchmarks.attack $(ATTACK)

proof-instants: install-dev ## Compare the time machine with the engine at 1,000 instants under every policy (some forty minutes)
	@mkdir -p var && rm -f var/instants.jsonl
	@INSTANT_CASES=1000 REFERENCE_CASES=1 INSTANT_LOG=var/instants.jsonl $(BIN)/pytest -q $(INSTANT_TESTS) \
		-k "on_a_ or on_nodes or cleaner or dear or of_the_engine"
	@$(BIN)/python -m tests.engine.instants_seen var/instants.jsonl

coverage: install-dev ## Run the tests and show what they run through, child processes included
	@$(BIN)/pytest -q $(PARALLEL) --cov --cov-report=term:skip-covered --cov-report=html:var/coverage

test-again: install-dev ## Run only the tests that may differ on other services than before
	@$(BIN)/pytest -q $(PARALLEL) -m "not e2e and not own_data"

hooks: install-dev ## Have git run the quick checks before each commit
	@$(BIN)/pre-commit install

lint: install-dev ## Check style, types, settings and migrations
	@case "$$MAKEFLAGS" in *jobserver*) jobs= ;; *) jobs="-j 2" ;; esac; $(MAKE) --no-print-directory $$jobs lint-types lint-style

lint-types: install-dev
	@$(BIN)/mypy

lint-style: install-dev
	@$(BIN)/ruff check .
	@$(BIN)/ruff format --check .
	@$(BIN)/djlint --lint --quiet templates
	@scripts/npm.sh run --silent lint
	@scripts/npm.sh run --silent types
	@$(BIN)/bandit -q -r apps scheduler_sim manage.py -ll -ii -s B308,B703
	@$(MANAGE) check
	@$(MANAGE) makemigrations --check --dry-run

format: install-dev ## Bring the code into the common form, and the types of the live messages up to date
	@$(BIN)/ruff check --fix .
	@$(BIN)/ruff format .
	@$(BIN)/python scripts/message_types.py
	@scripts/npm.sh run --silent format

docs: install-dev ## Build the documentation into var/docs; a warning is an error
	@NO_MKDOCS_2_WARNING=1 $(BIN)/mkdocs build --strict
	@echo "Read it with: $(BIN)/python -m http.server --directory var/docs --bind 127.0.0.1 8001"

services: ## Install (apt) and start PostgreSQL and Redis on private ports, and print their addresses
	@scripts/services.sh start

services-stop: ## Stop them
	@scripts/services.sh stop

browser: ## Install (apt) the browser that the end-to-end tests drive
	@scripts/browser.sh

tex: ## Install (apt) a small TeX, which compiles the bundles for papers in the tests
	@scripts/tex.sh

clean: ## Remove the virtual environment and the installed charts; the database stays
	rm -rf $(VENV) node_modules
