# Nothing is needed but Python 3.11 or newer, make and a package registry.
#   make demo      everything on this machine; prints one link
#   make test      all tests on the embedded PostgreSQL 18, and what asks most of it on Debian's 15 where installed
#   make soak      the same faults for much longer
#   make check     style, types, layers, translations, migrations
#   make bench     what is measured, beside its physical limit
#   make lighthouse  grades of the main pages; needs node, npm and Chromium
#   make messages  bring the .po files up to date with the source
#   make lock      fix the versions of every dependency again

SHELL := /bin/sh
# Processes that are started again and again are compiled once.
unexport PYTHONDONTWRITEBYTECODE
BIN := .venv/bin
READY := .venv/ready
BROWSER := .venv/browser
PG15 := /usr/lib/postgresql/15/bin
# One more than a small machine has processors: browsers and killed processes mostly wait.
JOBS ?= 3
# Whoever is done early takes over from the others; the longest tests come first.
PYTEST := $(BIN)/python -m pytest -n $(JOBS) --dist worksteal
PO := $(wildcard src/xuka/locale/*/LC_MESSAGES/*.po)
MO := $(PO:.po=.mo)

.PHONY: setup demo test test-15 soak bench lighthouse messages lock clean
.PHONY: check check-style check-types check-layers check-translations check-migrations
.DEFAULT_GOAL := setup

setup: $(READY) $(MO)

demo: setup
	@$(BIN)/xuka demo

# On 15 runs what could differ between versions of the database: walls, money, faults, periods, counting, and a seed of the
# simulation that also sells new eSIMs. Pages, wires, processes and pure rules are the same on both.
ON_15 := tests/simulation tests/rules/test_walls.py $(addprefix tests/journeys/test_, \
	counting.py renewal_faults.py vouchers.py)
test: setup $(BROWSER)
	$(PYTEST) -m "not soak" $(ARGS) tests/simulation tests/processes tests
	@if [ -x $(PG15)/postgres ]; then $(MAKE) --no-print-directory test-15; \
	else echo "PostgreSQL 15 is not installed here: the suite ran on the embedded 18 only."; fi

test-15: setup
	@echo "What asks most of the database again, on PostgreSQL 15, with a simulated seed:"
	env -u DATABASE_URL PGBIN=$(PG15) XUKA_SEED=3 $(PYTEST) -m "not soak" \
		-k "not planted_mistake and not sees_every_ending and not same_seed" $(ARGS) $(ON_15)

soak: setup
	XUKA_SEEDS=200 XUKA_RENEWALS=50 $(PYTEST) tests/simulation $(ARGS)
	XUKA_SEEDS=200 $(PYTEST) -m hypothesis $(ARGS) tests
	$(PYTEST) -m soak $(ARGS) || [ $$? = 5 ]

# make -k check goes on after the first that fails.
check: check-style check-types check-layers check-translations check-migrations

check-style: setup
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .

check-types: setup
	$(BIN)/pyright

check-layers: setup
	$(BIN)/lint-imports

check-translations: setup
	$(BIN)/python -m xuka.interfaces.cli.translations check

# A cluster of its own: the demo's may be older than the models.
check-migrations: setup
	XUKA_VAR=$(CURDIR)/var/check $(BIN)/xuka makemigrations --check --dry-run

bench: setup
	@$(BIN)/python -m benchmarks
	@$(BIN)/python -m benchmarks.usage
	@$(BIN)/python -m benchmarks.reminders

lighthouse: setup
	@$(BIN)/python -m benchmarks.lighthouse

messages: $(READY)
	$(BIN)/python -m xuka.interfaces.cli.translations update
	$(BIN)/python -m xuka.interfaces.cli.translations check

# Hashes and no address: every registry that has these files will do.
lock: $(READY)
	$(BIN)/uv pip compile -q --no-header --no-annotate --generate-hashes --universal --python-version 3.11 \
		--group dev $(LOCK) pyproject.toml -o requirements.lock

clean:
	rm -rf .venv

# The lock names uv too: pip checks its hash, and uv installs the rest.
$(BIN)/uv: requirements.lock
	@command -v python3 >/dev/null || { echo "Xuka needs Python 3.11 or newer, and there is no python3 here."; exit 1; }
	@python3 -c 'import sys; sys.exit(sys.version_info < (3, 11))' || \
		{ echo "Xuka needs Python 3.11 or newer; python3 here is $$(python3 -V)."; exit 1; }
	@python3 -c 'import ensurepip, venv' 2>/dev/null || { \
		if [ "$$(id -u)" = 0 ] && command -v apt-get >/dev/null; then \
			echo "Installing python3-venv …"; apt-get update -qq && apt-get install -qqy python3-venv >/dev/null; \
		else echo "Python's venv is missing. As an administrator: apt-get install python3-venv"; exit 1; fi; }
	@echo "Making .venv …"
	@python3 -m venv .venv
	@awk '/^[^ #]/ { uv = /^uv==/ } uv' requirements.lock > .venv/uv.txt
	@$(BIN)/python -m pip install -q --disable-pip-version-check --require-hashes -r .venv/uv.txt
	@touch $@

$(READY): $(BIN)/uv requirements.lock pyproject.toml
	@echo "Installing what requirements.lock names …"
	@$(BIN)/uv pip sync -q --python $(BIN)/python --require-hashes requirements.lock
	@$(BIN)/uv pip install -q --python $(BIN)/python --no-deps --no-build-isolation --offline -e .
	@touch $@

%.mo: %.po $(READY)
	@$(BIN)/python -m xuka.interfaces.cli.translations compile
	@touch $@

# Browser tests want Chromium and a font with Chinese and Japanese; without them they are skipped.
$(BROWSER):
	@if command -v chromium >/dev/null && ls /usr/share/fonts/opentype/noto/NotoSansCJK* >/dev/null 2>&1; then touch $@; \
	elif [ "$$(id -u)" = 0 ] && command -v apt-get >/dev/null; then \
		echo "Installing Chromium and fonts for the browser tests …"; \
		if apt-get update -qq && DEBIAN_FRONTEND=noninteractive apt-get install -qqy --no-install-recommends \
			chromium fonts-noto-cjk >/dev/null; then touch $@; \
		else echo "Chromium could not be installed: the browser tests will be skipped."; fi; \
	else echo "The browser tests need Chromium and Chinese fonts and will be skipped." \
		"As an administrator: apt-get install chromium fonts-noto-cjk"; fi
