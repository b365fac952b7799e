# Two commands: `make run` and `make test`. Both set up a virtual environment in .venv first.

PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
# What `make run` passes to twistd, for instance: make run ARGS="--backend workshop:players=500 --http tcp:9000:interface=127.0.0.1"
ARGS ?= --backend workshop

.PHONY: run test lint clean

run: $(VENV)/installed
	$(BIN)/twistd --nodaemon --pidfile= craftnet $(ARGS)

test: $(VENV)/installed-test
	$(BIN)/trial craftnet

lint: $(VENV)/installed-dev
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy craftnet

clean:
	rm -rf $(VENV) build *.egg-info _trial_temp*

# Debian keeps the module that makes virtual environments in a package of its own.
$(BIN)/python:
	@$(PYTHON) -c 'import ensurepip, venv' 2>/dev/null || { test "$$(id -u)" = 0 && apt-get install -y python3-venv; } || \
		{ echo "Python cannot make a virtual environment here; on Debian: apt-get install python3-venv" >&2; exit 1; }
	$(PYTHON) -m venv $(VENV)

$(VENV)/installed: $(BIN)/python setup.cfg pyproject.toml
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --editable .
	touch $@

$(VENV)/installed-test: $(VENV)/installed
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --editable '.[test]'
	touch $@

$(VENV)/installed-dev: $(VENV)/installed-test
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --editable '.[test,dev]'
	touch $@
