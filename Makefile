# `make` lists what there is. Needs make and a Python >= 3.11 with venv; everything else goes into
# .venv, and once it is there nothing here uses the network.

PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
INSTALLED := $(VENV)/.installed
# Tests run in so many processes, each on one thread; those of a folder stay together, with what they
# share. `make test PROCESSES=` runs them in one.
PROCESSES ?= 2
# Bytecode is kept whatever the environment says: tests start hundreds of processes.
PYTEST = $(if $(PROCESSES),OMP_NUM_THREADS=1) PYTHONDONTWRITEBYTECODE= $(BIN)/python -m pytest \
  $(if $(PROCESSES),--numprocesses $(PROCESSES) --dist loadscope)

# Slow tests in groups that can be afforded one by one.
SLOW_kill := tests/end_to_end/test_resume.py tests/latency/test_killed_profile.py \
  tests/training/test_resume.py
SLOW_readme := tests/end_to_end/test_readme.py
SLOW_tables := tests/end_to_end/test_tables_end_to_end.py
SLOW_search := tests/end_to_end/test_search_end_to_end.py tests/search tests/benchmarks
SLOW_images := tests/end_to_end/test_own_images.py tests/images
SLOW_training := tests/training --ignore tests/training/test_resume.py
SLOW_device := tests/device
SLOW_results := tests/bundle tests/comparing tests/export tests/report tests/trials
SLOW_GROUPS := kill readme tables search images training device results

.DEFAULT_GOAL := help
.PHONY: help setup demo test test-slow-kill test-slow-readme test-slow-tables test-slow-search \
  test-slow-images test-slow-training test-slow-device test-slow-results test-all check schemas \
  gpu-check

help:
	@echo "make setup      install into $(VENV) (skipped when done)"
	@echo "make demo       the whole pipeline on Fashion-MNIST, on this machine's CPU"
	@echo "make test       the tests, without the slow ones"
	@echo "make test-slow-kill      slow tests: kill -9 at any moment, then the same command"
	@echo "make test-slow-readme    slow tests: every command of the README"
	@echo "make test-slow-tables    slow tests: the spaces of the supplement's tables"
	@echo "make test-slow-search    slow tests: searches for several targets and sizes, studies"
	@echo "make test-slow-images    slow tests: a folder of images through the whole pipeline"
	@echo "make test-slow-training  slow tests: training by several processes, every optimizer"
	@echo "make test-slow-device    slow tests: runtimes on whole networks, compiled engines"
	@echo "make test-slow-results   slow tests: exports, trials, reports, comparisons, bundles"
	@echo "make test-all   every test"
	@echo "make check      ruff, mypy, import contracts"
	@echo "make schemas    write docs/schemas/ from the records they describe"
	@echo "make gpu-check  what works on an NVIDIA GPU, in one report; says why where it cannot run"

setup: $(INSTALLED)

$(INSTALLED): pyproject.toml
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || { \
	  echo "Python 3.11 or newer is needed; $(PYTHON) is $$($(PYTHON) --version 2>&1)." >&2; \
	  echo "Name another one: make setup PYTHON=python3.12" >&2; exit 1; }
	@$(PYTHON) -c 'import ensurepip, venv' || { \
	  echo "$(PYTHON) has no venv. On Debian and Ubuntu: apt install python3-venv" >&2; exit 1; }
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --disable-pip-version-check --editable '.[dev]'
	@touch $@

demo: setup
	$(BIN)/python run_pipeline.py run --recipe demo

test: setup
	$(PYTEST) -m "not slow"

$(SLOW_GROUPS:%=test-slow-%): test-slow-%: setup
	$(PYTEST) -m slow $(SLOW_$*)

test-all: setup
	$(PYTEST)

check: setup
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports

schemas: setup
	$(BIN)/python -m pipeline.report.schema docs/schemas/report.schema.json
	$(BIN)/python -m pipeline.bundle.schema docs/schemas/bundle.schema.json

gpu-check: setup
	$(BIN)/python -m benchmarks.gpu_check $(OPTIONS)
