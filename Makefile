# `make demo` and `make test` each set up everything they need on a fresh machine with only Python and make.
PYTHON ?= python3
VENV ?= .venv
BIN := $(VENV)/bin
MEASURES = $(filter-out benchmarks/photographs.py,$(shell grep -l '^if __name__' benchmarks/*.py))
READY := $(VENV)/.ready
WORKERS ?= 2

.PHONY: demo test check unit slow bench lock clean browser

demo: $(READY)
	$(BIN)/lensmith demo

test: check unit

check: $(READY)
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

unit: $(READY) browser
	$(BIN)/pytest -m "not slow" --numprocesses $(WORKERS) --dist loadfile --durations=10

slow: $(READY)
	$(BIN)/pytest -m slow

# Hours, not minutes: every MEASURE of the project, written to benchmarks/results/.
bench: $(READY)
	for script in $(MEASURES); do $(BIN)/python $$script || exit 1; done

# A virtual environment with exactly the locked versions, every file checked against its hash.
$(READY): requirements.lock pyproject.toml
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || \
		{ echo "lensmith needs Python 3.11 or newer; this is $$($(PYTHON) --version). Try: make PYTHON=python3.12 $(MAKECMDGOALS)"; exit 1; }
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --require-hashes --requirement requirements.lock
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --no-deps --no-build-isolation --editable .
	@touch $@

# The browser test opens the report in Chromium; where that cannot be had the test is skipped by name.
browser:
	@command -v chromium >/dev/null || command -v chromium-browser >/dev/null || command -v google-chrome >/dev/null || \
	if [ "$$(id -u)" = 0 ] && command -v apt-get >/dev/null; then \
		apt-get update -qq && DEBIAN_FRONTEND=noninteractive apt-get install -y -qq chromium >/dev/null || \
			echo "chromium could not be installed: the browser test will be skipped"; \
	else \
		echo "no chromium, and no root to install it: the browser test will be skipped"; \
	fi

lock:
	uv pip compile --universal --generate-hashes --python-version 3.11 --all-extras --no-header --quiet \
		pyproject.toml --output-file requirements.lock

clean:
	rm -rf $(VENV) build dist .mypy_cache .ruff_cache .pytest_cache
