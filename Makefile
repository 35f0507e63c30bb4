# `make run` and `make test` do all set-up on a fresh machine with Python 3.11+, make and npm.
PYTHON   ?= python3
# The CPU build comes first and alone: sentence-transformers would bring the CUDA one. On Linux with
# the open internet add PIP_ARGS="--index-url https://download.pytorch.org/whl/cpu".
TORCH    ?= torch==2.13.0
PIP_ARGS ?=
BIN      := .venv/bin

.PHONY: setup run test check bench soak screenshots docs clean

setup: .venv/installed static/manifest.json

.venv/installed: pyproject.toml constraints.txt
	test -x $(BIN)/python || $(PYTHON) -m venv .venv
	$(BIN)/python -m pip install --quiet --upgrade pip
	$(BIN)/python -m pip install --quiet $(PIP_ARGS) "$(TORCH)"
	$(BIN)/python -m pip install --quiet -c constraints.txt -e ".[embed,dev]"
	touch $@

static/manifest.json: package.json package-lock.json assets.json .venv/installed $(wildcard static/*.css static/js/*.js)
	command -v npm >/dev/null || $(BIN)/python -m pip install --quiet -c constraints.txt -e ".[node]"
	$(BIN)/cerebro assets

run: setup
	$(BIN)/cerebro serve

# A browser on a busy machine may be late: what fails three times is wrong.
test: setup
	$(BIN)/python -m pytest -q -n 2 --dist worksteal --ignore=tests/browser
	$(BIN)/python -m pytest -q -n 2 --dist worksteal --ignore=tests/browser --database postgresql
	$(BIN)/python -m pytest -q -n 2 --dist worksteal --reruns 2 tests/browser

check: setup
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy
	$(BIN)/lint-imports

soak: setup
	$(BIN)/python -m pytest -q -s -m soak
	$(BIN)/python -m pytest -q -s -m soak --database postgresql

bench: setup
	$(BIN)/python -m bench

screenshots: setup
	$(BIN)/python -m bench.screenshots

docs: setup
	$(BIN)/python docs/reference.py

clean:
	rm -rf .venv node_modules static/vendor static/manifest.json build *.egg-info
