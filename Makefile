# `make help` lists the targets. Everything is run from .venv, which follows pyproject.toml and requirements.lock.
SHELL := /bin/bash
.SHELLFLAGS := -euo pipefail -c
.DEFAULT_GOAL := help
.DELETE_ON_ERROR:
export PIP_DISABLE_PIP_VERSION_CHECK := 1
# Bytecode is kept whatever the shell says: else each process that a test starts compiles the package again.
export PYTHONDONTWRITEBYTECODE :=

PYTHON ?= $(shell for p in python3.11 python3; do $$p -c '' 2>/dev/null && echo $$p && break; done)
TORCH := 2.13.0
BIN := .venv/bin
PIP := $(BIN)/python -m pip -qq
STAMP := .venv/.stamp
# Not locked: which build of torch (and of the CUDA packages it brings) pip takes differs by machine.
README_ROWS := bias_logistic,mf-naive,mf-ips,bert-naive,bert-ips,bert-dr_jl-no_popularity
README_COLUMNS := auc@randomised,ndcg@5@randomised,mse@all_pairs,bias@all_pairs,snips_mean@logged
BENCHMARKS := startup compose packed tables ledger row_sparse full_ranking step_overhead vmap_stacking coat_study \
  ihdp_packed converged_fits ingest large_log memory embedding finetuning uplift_metrics policy_value \
  batch_recommend export prompt_prefix
UNLOCKED := torch|triton|nvidia-.*|cuda-.*|causalrec

.PHONY: help setup run run-text test validate check lock readme bench

help: ## list the targets
	@grep -E '^[a-z-]+:.*## ' Makefile | sed -E 's/^([a-z-]+):.*## /\1\t/' | expand -t 10

setup: $(STAMP) ## create or refresh .venv from the hash-locked versions

# The lock comes before torch, so that torch's own requirements are met by locked versions and pip adds only the
# libraries of the build it took (CUDA's, on PyPI's Linux build; none for a CPU build).
$(STAMP): pyproject.toml requirements.lock
	test -x $(BIN)/python || $(PYTHON) -m venv .venv
	$(PIP) install --no-deps --require-hashes -r requirements.lock
	$(PIP) install torch==$(TORCH)
	$(PIP) install --no-deps --no-build-isolation -e .
	$(BIN)/python -m pip check
	touch $@

run: $(STAMP) ## the quick start: train every row of the study, print its table and draw its figure (one thread: these models are small)
	OMP_NUM_THREADS=1 $(BIN)/causalrec reproduce quickstart/ml100k

run-text: $(STAMP) ## the quick start's rows that read text, by a pretrained BERT and a pretrained GPT (two threads: embedding is most of it)
	$(BIN)/causalrec reproduce quickstart/text

test: $(STAMP) ## all tests and docstring examples
	OMP_NUM_THREADS=1 HF_HUB_OFFLINE=1 $(BIN)/python -m pytest -q -n 2 --dist=worksteal

validate: $(STAMP) ## the long simulations, the kills of a sweep and the fuzz, counted in VALIDATION.md (not part of `make test`)
	rm -rf build/fuzz build/coverage build/refuters build/ranking build/text_kernels
	OMP_NUM_THREADS=1 HF_HUB_OFFLINE=1 $(BIN)/python -m pytest -q -n 2 -m long
	$(BIN)/python tests/fuzz/summary.py
	$(BIN)/python tests/statistical/coverage_counts.py
	$(BIN)/python tests/statistical/refuter_counts.py
	$(BIN)/python tests/statistical/ranking_table.py
	$(BIN)/python tests/statistical/text_designs.py
	$(BIN)/python tests/statistical/test_row_sparse_auc.py

check: $(STAMP) ## lint, format and types, as the pre-commit hooks and CI run them
	$(BIN)/ruff check
	$(BIN)/ruff format --check
	$(BIN)/mypy --strict causalrec

# From PyPI alone, whatever this machine's pip settings say. Pins stay where they are unless UPGRADE=--upgrade
# (or UPGRADE='--upgrade-package polars').
lock: ## re-make requirements.lock after a change of pyproject.toml (needs .venv; some minutes)
	test -x $(BIN)/pip-compile || $(PYTHON) -m venv .venv
	test -x $(BIN)/pip-compile || $(PIP) install 'pip-tools>=7.4'
	echo 'torch==$(TORCH)' > .venv/torch.txt
	cp requirements.lock .venv/pins.txt 2>/dev/null || touch .venv/pins.txt
	PIP_CONFIG_FILE=/dev/null PIP_FIND_LINKS= PIP_EXTRA_INDEX_URL= $(BIN)/pip-compile --quiet --no-config $(UPGRADE) \
	  --extra dev --generate-hashes --strip-extras --unsafe-package torch --unsafe-package pip \
	  --constraint .venv/torch.txt --no-emit-index-url --no-emit-find-links --no-header \
	  --output-file .venv/pins.txt pyproject.toml
	{ echo '# Made by `make lock` (pip-compile, Python 3.11): do not edit. Every file is named by its PyPI hashes.'; \
	  echo '# torch is installed beside it (`make setup`), for its build differs by machine.'; \
	  awk -v drop='^($(UNLOCKED))( @|==)' '/^[^ ]/ { keep = !/^#/ && $$0 !~ drop } keep && NF' .venv/pins.txt; } > requirements.lock

readme: $(STAMP) ## paste the quick start's tables into README.md and docs/quickstart.md
	$(BIN)/causalrec table runs/quickstart --paste docs/quickstart.md > /dev/null
	$(BIN)/causalrec table runs/quickstart --rows $(README_ROWS) --columns $(README_COLUMNS) --paste README.md

bench: $(STAMP) ## measure what is claimed of speed and memory, side by side, and paste it into docs/benchmarks.md
	for name in $(BENCHMARKS); do $(BIN)/python benchmarks/$$name.py --paste docs/benchmarks.md; done
