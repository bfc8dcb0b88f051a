# Each target sets up what it needs; nothing is written outside this folder.
SHELL := /bin/sh
PY := .venv/bin/python
# How many processes is said in tests/conftest.py; a test that is long goes to whoever is idle.
PARALLEL := -n auto --dist worksteal
# Where it is set, each of a dozen processes would compile everything again.
unexport PYTHONDONTWRITEBYTECODE
.DEFAULT_GOAL := help
.PHONY: help demo test test-long quick test-browser check format bench chaos drill hostile lock clean

help: ## show this list
	@awk -F ':.*## ' '/^[a-z-]+:.*## /{printf "  make %-14s %s\n", $$1, $$2}' Makefile

.venv/.ready: requirements.lock pyproject.toml scripts/setup
	@sh scripts/setup

demo: .venv/.ready ## run everything on this machine: bot, billing, simulated WeChat (PORT, SANDBOX_PORT, DEMO_SECONDS=N, RESET=1)
	@$(PY) -m app.cli demo

test: .venv/.ready ## run the tests (browser tests where Chromium is found); house rules are part of `make check`
	@$(PY) -m pytest -q $(PARALLEL) -m "not browser and not long" --ignore=tests/test_house.py --ignore=tests/test_docs.py
	@$(PY) -m pytest -q -m "browser and not long"

quick: .venv/.ready ## run the tests that take seconds
	@$(PY) -m pytest -q $(PARALLEL) -m "not slow and not long and not browser"

test-long: .venv/.ready ## run what takes minutes: kills, crash points, 20,000 steps of the state machine, a month in the browser
	@CAMPUSNET_STEPS=20000 $(PY) -m pytest -q $(PARALLEL) -m long

test-browser: .venv/.ready ## run the browser tests only (Debian: apt-get install chromium fonts-noto-cjk)
	@$(PY) -m pytest -q -m "browser and not long"

check: .venv/.ready ## formatting, lint, types, house rules
	@$(PY) -m ruff format --check .
	@$(PY) -m ruff check .
	@$(PY) -m mypy
	@$(PY) -m pytest -q tests/test_house.py tests/test_docs.py

format: .venv/.ready ## format the code
	@$(PY) -m ruff format .
	@$(PY) -m ruff check --fix .

bench: .venv/.ready ## measure: messages against WeRoBot and a smallest view
	@$(PY) -m bench

chaos: .venv/.ready ## kill, freeze and cut off everything again and again during 10,000 payments, then compare the books (PAYMENTS, KILLS)
	@$(PY) -m bench.chaos --payments $(or $(PAYMENTS),10000) --kills $(or $(KILLS),100)

drill: .venv/.ready ## back up, use, destroy, restore and recover a database, then compare the books (PAYMENTS)
	@$(PY) -m bench.drill --payments $(or $(PAYMENTS),500)

hostile: .venv/.ready ## send 100,000 hostile bodies to every machine entrance (BODIES)
	@CAMPUSNET_BODIES=$(or $(BODIES),100000) $(PY) -m pytest -q -m long tests/hostile

lock: ## renew requirements.lock from requirements.in (needs uv)
	uv pip compile --universal -p 3.11 --generate-hashes --no-header --no-emit-index-url -q requirements.in -o requirements.lock

clean: ## remove the environment and everything the demo made
	rm -rf .venv var .mypy_cache .ruff_cache .hypothesis *.egg-info
