# make demo | make test | make check | make clean.  VENV=... puts the environment elsewhere, PYTHON=... chooses Python.
PYTHON ?= python3
VENV   ?= .venv
RUN    := $(VENV)/bin
STAMP  := $(VENV)/.installed-$(shell cat pyproject.toml constraints.txt | sha256sum | cut -c1-16)
PARTS  ?= auto

# the code of this folder, also in an environment that another clone has set up
export PYTHONPATH := $(CURDIR)

.PHONY: setup demo test check lint types wheel clean

setup: $(STAMP)

# the stamp has a hash of the dependency files in its name: a change builds anew, and an interrupted set-up leaves none
$(STAMP):
	@$(PYTHON) -c 'import sys; sys.exit(not (3, 11) <= sys.version_info[:2] <= (3, 13))' \
	  || { echo "zansa needs Python 3.11 to 3.13; name one with PYTHON=..."; exit 2; }
	rm -rf $(VENV)
	$(PYTHON) -m venv $(VENV)
	$(RUN)/pip install --quiet --disable-pip-version-check --constraint constraints.txt --editable '.[dev]'
	touch $@

demo: $(STAMP)
	$(RUN)/python -m zansa demo

# whole files to each process, the slowest files first (tests/conftest.py); types and wheel, which use one core each for
# some seconds, are looked at meanwhile and told of at the end
test: $(STAMP) lint
	@told=$$(mktemp); \
	$(MAKE) --no-print-directory --keep-going types wheel > $$told 2>&1 & beside=$$!; \
	OMP_NUM_THREADS=1 $(RUN)/python -m pytest -n $(PARTS) --dist loadfile --no-loadscope-reorder; tests=$$?; \
	wait $$beside; others=$$?; cat $$told; rm $$told; [ $$tests -eq 0 ] && [ $$others -eq 0 ]

check: lint types

lint: $(STAMP)
	$(RUN)/ruff check .
	$(RUN)/ruff format --check .

# what mypy has learned of torch and the others stays beside them, for the next clone too
types: $(STAMP)
	$(RUN)/mypy --cache-dir $(VENV)/.mypy_cache

# the built wheel, not the source tree, answers from an environment of its own
wheel: $(STAMP)
	PYTHON=$(RUN)/python sh tests/wheel.sh

clean:
	rm -rf $(VENV) build dist *.egg-info .mypy_cache .ruff_cache .pytest_cache
