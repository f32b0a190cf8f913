# `make demo` and `make test` do all the set-up on a fresh machine first; a second run skips what is there.
# Needs: Python 3.11 or newer with its venv module, and about 6 GB of disk for torch and friends. No system packages.

VENV := .venv
PY := $(VENV)/bin/python
STAMP := $(VENV)/.installed
CANDIDATES := python3 python3.13 python3.12 python3.11 python3.14

.PHONY: help setup demo test lint model

help:
	@echo "make demo   set up if needed, then analyze a clip made on the spot and write its page"
	@echo "make test   set up if needed, then run all tests"
	@echo "make lint   set up if needed, then check the style"
	@echo "make model DATA=FOLDER  train the default model anew: curriculum, preference, GRPO (long on two cores)"
	@echo "make setup  set up only: .venv with the versions of constraints.txt"

demo: $(STAMP)
	$(VENV)/bin/cuewise demo

test: $(STAMP)
	$(PY) -m pytest

lint: $(STAMP)
	$(PY) -m ruff check .

model: $(STAMP)
	@[ -n "$(DATA)" ] || { echo "name the folder of the corpora: make model DATA=FOLDER" >&2; exit 1; }
	$(VENV)/bin/cuewise train nano data_root="$(DATA)"
	$(VENV)/bin/cuewise train nano-dpo init=runs/nano/model
	$(VENV)/bin/cuewise train nano-grpo init=runs/nano-dpo/model

setup: $(STAMP)

$(STAMP): pyproject.toml setup.py constraints.txt
	@if [ ! -x $(PY) ]; then \
	  for found in $(CANDIDATES) ""; do \
	    [ -n "$$found" ] || { echo "cuewise needs Python 3.11 or newer; none of '$(CANDIDATES)' is one" >&2; exit 1; }; \
	    "$$found" -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null && break; \
	  done; \
	  echo "making $(VENV) with $$found"; \
	  "$$found" -m venv $(VENV) || { rm -rf $(VENV); \
	    echo "$$found cannot make virtual environments; install its venv module" \
	         "(Debian, Ubuntu: apt-get install python3-venv) and run make again" >&2; exit 1; }; \
	fi
	$(PY) -m pip install --disable-pip-version-check -c constraints.txt -e '.[dev]'
	@touch $@
