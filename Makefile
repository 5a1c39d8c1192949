# Each target is one command of the environment in .venv, which is made first if it is missing or out of date.
PYTHON ?= python3
PROFILE ?= paper
CHROMIUM ?= $(firstword $(shell command -v chromium chromium-browser google-chrome))
BIN := .venv/bin
PIP := $(BIN)/python -m pip --disable-pip-version-check

# Chapters run in folders of their own, so a path has to be absolute; what is no path ("embedded") stays as it is.
ifdef AEDA_DATA
override AEDA_DATA := $(or $(realpath $(AEDA_DATA)),$(AEDA_DATA))
export AEDA_DATA
endif

.PHONY: help env book html pdf test links audit reproduce chapters scorecard bench lock clean

help: ## what there is to make
	@sed -n 's/^\([a-z]*\):.*## /\1	/p' Makefile | expand -t 12

env: .venv/.ready ## the environment in .venv, by python3 or PYTHON=…, exactly as locked

book: .venv/.ready ## train and execute the chapters live at profile laptop, render them to _build/html
	$(BIN)/aeda book

html: .venv/.ready ## render the chapters as they are committed, without executing them
	$(BIN)/jupyter-book build . -W -n --keep-going
	@echo "Open $(CURDIR)/_build/html/index.html"

pdf: .venv/.ready ## the chapters as they are committed as one PDF, _build/book.pdf (needs Chromium)
	@test -n "$(CHROMIUM)" || { echo "There is no chromium here; name one: make pdf CHROMIUM=/path/to/chrome" >&2; exit 2; }
	$(BIN)/jupyter-book build . --builder custom --custom-builder singlehtml
	cp _build/singlehtml/book/intro.html _build/singlehtml/book.html # where its style sheets and pictures are found
	"$(CHROMIUM)" --headless --no-sandbox --no-pdf-header-footer --print-to-pdf=_build/book.pdf \
		"file://$(CURDIR)/_build/singlehtml/book.html"

test: export OMP_NUM_THREADS = 1 # they run side by side, and threads that share a core wait for each other
test: .venv/.ready ## all tests; every chapter against its outputs and afresh at profile smoke; a strict build
	$(BIN)/python -m pytest -n auto --dist worksteal
	$(BIN)/python -m pytest -n auto --dist loadfile --nbval --nbval-current-env book

links: .venv/.ready ## ask every address that the pages name whether it still answers (needs the network)
	$(BIN)/jupyter-book build . --builder linkcheck

audit: ## look up known vulnerabilities of what is locked (needs pipx and the network)
	pipx run pip-audit --require-hashes --disable-pip --requirement requirements.lock

reproduce: .venv/.ready ## train every run that is not recorded yet into data/runs, at PROFILE=paper
	$(BIN)/aeda sweep --profile $(PROFILE)

chapters: .venv/.ready ## execute the committed chapters anew, on the recorded runs
	$(BIN)/aeda chapters

scorecard: .venv/.ready ## judge the recorded runs against the paper: data/scorecard.json and the tables on the pages
	$(BIN)/aeda scorecard

bench: .venv-peers/.ready ## time the attack beside four libraries, epochs of all methods, and both commands: data/benchmarks.json
	.venv-peers/bin/python -m benchmarks.epochs
	.venv-peers/bin/python -m benchmarks.attack
	$(BIN)/python -m benchmarks.commands
	$(BIN)/aeda scorecard

lock: ## pin what pyproject.toml asks for anew, where it changed (with uv); one version for all Pythons
	uv pip compile --quiet --universal --fork-strategy fewest --python-version 3.11 --extra test --generate-hashes \
		--custom-compile-command "make lock" --output-file requirements.lock pyproject.toml

clean: ## remove what builds and tests left; .venv, .venv-peers and data stay
	rm -rf _build .pytest_cache .hypothesis .ruff_cache

# The stamp comes last: an install that was cut off is taken up again. Nothing is built in isolation, because that
# would fetch a build backend that no lock pins.
.venv/.ready: requirements.lock tests/requirements-oracle.txt pyproject.toml
	@$(PYTHON) -c 'import sys; sys.version_info >= (3, 11) or sys.exit( \
		"Python 3.11 or newer is needed and $(PYTHON) is %d.%d; name another: make env PYTHON=python3.12" \
		% sys.version_info[:2])'
	$(PYTHON) -m venv .venv
	$(PIP) install --require-hashes -r requirements.lock
	$(PIP) install --require-hashes --no-deps -r tests/requirements-oracle.txt
	$(PIP) install --no-build-isolation --no-deps -e .
	@touch $@

# The libraries that the attack is timed beside, out of the way of everything else; a .pth file lends them .venv's
# packages, so that torch is there once.
.venv-peers/.ready: .venv/.ready benchmarks/requirements-peers.txt
	$(BIN)/python -m venv .venv-peers
	.venv-peers/bin/python -m pip --disable-pip-version-check install --require-hashes --no-deps \
		-r benchmarks/requirements-peers.txt
	@.venv-peers/bin/python -c 'import pathlib, subprocess, sysconfig; \
		ask = ["$(BIN)/python", "-c", "import sysconfig; print(sysconfig.get_path(\"purelib\"))"]; \
		lent = subprocess.run(ask, capture_output=True, text=True, check=True).stdout.strip(); \
		pathlib.Path(sysconfig.get_path("purelib"), "lent.pth").write_text(f"import site; site.addsitedir({lent!r})\n")'
	@touch $@
