# make run [ARGS=--no-demo]   starts everything; Ctrl-C stops it
# make test [ARGS=…]          all checks and tests; ARGS go to pytest
# make lint                   the checks alone
# make load                   the proofs under load in their long form (minutes)
# make fuzz                   hostile requests and orders of steps in their long form (minutes)
# make lock                   requirements.lock from requirements.txt, with hashes, for the image
# make audit                  known weaknesses of what is installed; asks a service on the network
# make bench [ARGS=…]         ingest measured beside a peer; ARGS=--help tells more

VENV := .venv
BIN := $(VENV)/bin
SOURCES := callcenter calls dashboard tests manage.py
PIP := $(BIN)/python -m pip install --quiet --disable-pip-version-check
# Checks need neither a database nor what is kept in DATA_DIR.
CHECK := SECRET_KEY=unused $(BIN)/python -W ignore manage.py

.PHONY: run test lint load fuzz bench lock audit

run: $(VENV)/installed
	@exec $(BIN)/python manage.py up --with-parent $(ARGS)

# Three at a time, most of which wait, unless they would have to share a Redis.
test: lint
	$(BIN)/python -m pytest $(if $(REDIS_URL),,--numprocesses=3 --dist=loadgroup) $(ARGS)

lint: $(VENV)/installed-dev
	$(BIN)/ruff check
	$(BIN)/ruff format --check
	$(BIN)/mypy $(SOURCES)
	$(CHECK) check
	$(CHECK) makemigrations --check --dry-run

load: $(VENV)/installed-dev $(VENV)/installed-load
	LOAD=long $(BIN)/python -m pytest tests/concurrency $(ARGS)

fuzz: $(VENV)/installed-dev
	LOAD=long $(BIN)/python -m pytest tests/fuzz -rP $(ARGS)

bench: $(VENV)/installed-dev $(VENV)/installed-load
	$(BIN)/python -m tests.load.bench $(ARGS)

lock: $(VENV)/installed-tools
	$(BIN)/uv pip compile --quiet --no-config --universal --python-version 3.11 --no-deps \
		--no-annotate --generate-hashes --custom-compile-command "make lock" \
		--output-file requirements.lock requirements.txt

audit: $(VENV)/installed-tools
	$(BIN)/pip-audit --strict --disable-pip --require-hashes --progress-spinner off \
		--requirement requirements.lock

$(VENV)/installed: requirements.txt | $(BIN)/python
	@echo "installing what the system needs; this takes a while the first time"
	@$(PIP) -r requirements.txt
	@touch $@

$(VENV)/installed-dev: requirements-dev.txt $(VENV)/installed
	@echo "installing what the tests need"
	@$(PIP) -r requirements-dev.txt
	@touch $@

$(VENV)/installed-tools: requirements-tools.txt $(VENV)/installed
	@$(PIP) -r requirements-tools.txt
	@touch $@

$(VENV)/installed-load: tests/load/requirements.txt $(VENV)/installed
	@$(PIP) -r tests/load/requirements.txt
	@touch $@

$(BIN)/python:
	@for python in $(PYTHON) python3.11 python3.12 python3.13 python3; do \
		$$python -c 'import sys; sys.exit(not (3, 11) <= sys.version_info < (3, 14))' \
			2>/dev/null || continue; \
		echo "making $(VENV) with $$($$python --version)"; \
		$$python -m venv $(VENV) && exit || { rm -rf $(VENV); exit 1; }; \
	done; \
	echo "Python 3.11, 3.12 or 3.13 is needed and was not found: install one of them," \
		"or say where it is: make PYTHON=/path/to/python3.11" >&2; \
	exit 1
