# Everything here works in a fresh clone with Python >= 3.11 and make alone: .venv is made when it is not there.
PYTHON ?= python3
BIN := .venv/bin

.PHONY: demo gallery page-pictures openapi man test check lint types slow browser soak bench system install-service uninstall-service rollback-service clean

.venv/.installed: pyproject.toml
	test -x $(BIN)/python || $(PYTHON) -m venv .venv
	$(BIN)/python -m pip install --quiet --editable ".[dev]"
	touch $@

demo: .venv/.installed
	$(BIN)/dreamd demo --out demo

# docs/gallery.md: dreams what has changed; some minutes for all of it.
gallery: .venv/.installed
	$(BIN)/python tests/gallery.py

# docs/images/page, and how each view of the page is laid out: to be looked at before it is committed.
page-pictures: .venv/.installed
	DREAMD_KEEP_LAYOUTS=1 $(BIN)/python -m pytest tests/integration/browser/test_layout.py -m browser

# docs/openapi.json, from the operations of the API.
openapi: .venv/.installed
	$(BIN)/python tests/openapi_document.py

# docs/dreamd.1, from the help of the commands.
man: .venv/.installed
	$(BIN)/python -m tests.man_page

test: .venv/.installed
	$(BIN)/python -m pytest -m "not slow and not system and not browser"

check: lint types slow

lint: .venv/.installed
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .

types: .venv/.installed
	$(BIN)/mypy

slow: .venv/.installed
	$(BIN)/python -m pytest -m "slow and not browser"

browser: .venv/.installed
	$(BIN)/python -m pytest -m browser

soak: .venv/.installed
	$(BIN)/python tests/soak.py

bench: .venv/.installed
	$(BIN)/python -m benchmarks

# As root: boots a Debian of its own, with this dreamd in it, by systemd-nspawn.
system: .venv/.installed
	$(BIN)/python -m pytest -m system

# As root: docs/operations.md. NAME=garden adds the tree of dreamd@garden; DESTDIR puts the files elsewhere.
install-service:
	PYTHON=$(PYTHON) DESTDIR=$(DESTDIR) systemd/install.sh install $(NAME)

uninstall-service:
	DESTDIR=$(DESTDIR) systemd/install.sh uninstall

# As root: the release before, or again the one after it.
rollback-service:
	systemd/install.sh rollback

clean:
	rm -rf .venv demo build dist
