.DEFAULT_GOAL := help
.PHONY: help install demo up test test-long bench bench-quick simulate-scale mutants chaos chaos-controls emails \
	asyncapi-parser kubernetes-schemas lint pins

PYTHONS = python3.13 python3.12 python3.11 python3
usable = import sys, venv, ensurepip; sys.exit(not (3, 11) <= sys.version_info < (3, 14))
stamp = .venv/.installed
parser = build/asyncapi-parser
schemas = build/kubernetes-schemas
# Compiled at once, since the environment may forbid Python to do so later; but for what no service needs.
unhurried = /(mypy|mypyc|hypothesis|pip|setuptools|pkg_resources|grimp|importlinter|docker|testcontainers|playwright|pygments)/
packages = contracts messaging services ops devstack benchmarks tests
images = booking credits notifier ops
long_chaos = --commands=90000 --faults=1000 --seconds=2200
pip = .venv/bin/python -m pip install --quiet --disable-pip-version-check --no-compile
compile = build/pins/bin/uv pip compile --quiet --no-config --universal --python-version 3.11 \
	--generate-hashes --annotation-style line --custom-compile-command "make pins"

help:  ## What can be made here
	@sed -nE 's/^([a-z-]+):.*  ## (.*)/\1\t\2/p' Makefile | expand -t 16

install: $(stamp)  ## .venv with everything; quick when nothing changed
	@:

demo: $(stamp)  ## The whole story on real parts: a cancellation, its refund, the emails
	@.venv/bin/python -m devstack demo

up: $(stamp)  ## The same stack left running, for playing; Ctrl-C stops it
	@.venv/bin/python -m devstack up

# Compiled first, for the same reason as above: the tests start hundreds of workers.
test: $(stamp)  ## Every test that this machine can run
	@.venv/bin/python -m compileall -q -j 0 $(packages)
	.venv/bin/python -m pytest

test-long: $(stamp)  ## Every property and model again, with 10,000 examples each (an hour or so)
	HYPOTHESIS_PROFILE=long .venv/bin/python -m pytest -m hypothesis --timeout=0 --durations=0

# ONLY="hop credits" for one of them; LONG=1 for growth up to ten million; BENCH="--rounds 5" for anything else.
bench: $(stamp)  ## What a cancellation costs, beside an idiomatic version and the limit (in containers; an hour or so)
	@.venv/bin/python -m benchmarks $(or $(ONLY),all) $(if $(LONG),--long) $(BENCH)

bench-quick: $(stamp)  ## The smaller half of it in under three minutes, to see where things stand
	@.venv/bin/python -m benchmarks $(or $(ONLY),all) --size quick $(BENCH)

simulate-scale: $(stamp)  ## What 8, 64, 1,000 workers would do, by what `make bench` has measured of 1, 2 and 4
	@.venv/bin/python -m benchmarks.simulation

mutants: $(stamp)  ## Each rule made wrong, one line at a time: the tests must notice
	@.venv/bin/python -m tests.mutants

emails: $(stamp)  ## Every email in one page: kinds, readers, languages, light, dark and as text
	@.venv/bin/python -m services.notifier preview

asyncapi-parser: $(parser)/.installed  ## AsyncAPI's own parser, for the test that holds our document against it (npm; 54 MB)
	@:

kubernetes-schemas: $(schemas)/.installed  ## Schemas of Kubernetes and KEDA, for the test of ops/kubernetes (160 MB)
	@:

chaos: $(stamp)  ## All of it under load while everything beneath it fails (10 minutes; LONG=1: 40; SEED=7; CONTROL=journal)
	@.venv/bin/python -m tests.chaos $(if $(CONTROL),--control=$(CONTROL),--seed=$(or $(SEED),1) $(if $(LONG),$(long_chaos)))

chaos-controls: $(stamp)  ## The same with a mechanism taken out, one after another: the damage must be found (10 minutes)
	@.venv/bin/python -m tests.chaos --control=all

lint: $(stamp)  ## Style, types, and who may import whom
	.venv/bin/ruff check
	.venv/bin/ruff format --check
	.venv/bin/mypy
	.venv/bin/lint-imports

# Pins that still fit pyproject.toml are kept; delete the files first to move to the newest versions.
pins: .venv/bin/python  ## requirements/*.txt from pyproject.toml
	@.venv/bin/python -m venv build/pins
	@build/pins/bin/pip install --quiet --disable-pip-version-check uv==0.13.9
	@$(compile) pyproject.toml --all-extras --output-file requirements/dev.txt
	@for image in $(images); do \
		$(compile) pyproject.toml --extra $$image --constraint requirements/dev.txt --output-file requirements/$$image.txt || exit 1; \
	done
	@$(compile) tests/kubernetes/schemas/requirements.in --output-file tests/kubernetes/schemas/requirements.txt

$(stamp): .venv/bin/python requirements/dev.txt pyproject.toml
	@echo "installing what requirements/dev.txt pins into .venv (about 30 s, longer where packages must be downloaded first)"
	@$(pip) --require-hashes -r requirements/dev.txt \
		|| { echo "the packages could not be installed, see above; then run: make install" >&2; exit 1; }
	@$(pip) --no-deps --no-build-isolation --config-settings editable_mode=compat --editable .
	@.venv/bin/python -m compileall -q -j 0 -x '$(unhurried)' .venv/lib >/dev/null || true # some packages carry files for other Pythons
	@touch $@

$(parser)/.installed: tests/contracts/asyncapi_parser/package-lock.json
	@mkdir -p $(parser)
	@cp tests/contracts/asyncapi_parser/package.json tests/contracts/asyncapi_parser/package-lock.json $(parser)
	@npm --prefix $(parser) ci --ignore-scripts --no-audit --no-fund --loglevel=error
	@touch $@

# Apart from .venv: 17,000 files, of which one test reads a few.
$(schemas)/.installed: .venv/bin/python tests/kubernetes/schemas/requirements.txt
	@.venv/bin/python -m venv --clear $(schemas)
	@$(schemas)/bin/python -m pip install --quiet --disable-pip-version-check --require-hashes \
		-r tests/kubernetes/schemas/requirements.txt
	@touch $@

# A version manager's shim may stand on the PATH for a Python that is not there: only running it tells.
.venv/bin/python:
	@for python in $(PYTHONS); do \
		if $$python -c '$(usable)' 2>/dev/null; then exec $$python -m venv --clear .venv; fi; \
	done; \
	echo "no Python 3.11, 3.12 or 3.13 with its venv module runs here: install one, then run: make install" >&2; exit 1
