# Two commands: `make study` and `make test`. Each makes the environment first, once.
PYTHON ?= python3.11
ENV := .venv
READY := $(ENV)/.ready

.PHONY: study test test-workflow test-study lint clean

study: $(READY)
	$(ENV)/bin/snakemake

test: $(READY)
	$(ENV)/bin/pytest

# The slower suites: Snakemake itself, then the whole study and what it must show.
test-workflow: $(READY)
	$(ENV)/bin/pytest -m workflow

test-study: $(READY)
	$(ENV)/bin/pytest -m study -rP

lint: $(READY)
	$(ENV)/bin/ruff check scripts tests
	$(ENV)/bin/ruff format --check scripts tests
	$(ENV)/bin/snakefmt --check Snakefile workflow
	$(ENV)/bin/snakemake --lint

$(READY): envs/requirements.lock
	$(PYTHON) -m venv $(ENV)
	$(ENV)/bin/pip install --quiet --disable-pip-version-check --requirement envs/requirements.lock
	touch $@

clean:
	rm -rf $(ENV) results .snakemake
