# The two commands are `make demo` and `make test`; each does its own set-up, and the second time there is none to do.
#
#   TORCH_PIP_ARGS   further arguments for installing PyTorch, e.g. the index of another build of it
#   PYTHON           the Python to build the virtual environment with (3.11 or newer; default: the best one found)
#   OUT              the folder that `make demo` writes (default: runs/demo-<time>)

SHELL := /bin/bash
VENV := .venv
OUT ?= runs/demo-$(shell date +%Y%m%d-%H%M%S)
export TORCH_PIP_ARGS PYTHON

.PHONY: help demo test check setup wheel clean

help:
	@echo "make demo    imagine a robot video in a scene that the model never saw (first run: installs, about 5 minutes)"
	@echo "make test    check the style and the types, run the tests"
	@echo "make setup   only install, with everything that the tests need"
	@echo "make wheel   build the package, with its weights, into dist/"
	@echo "make clean   remove what was built (not runs/, not data/)"

demo:
	@tools/setup.sh sim
	$(VENV)/bin/wow demo --out $(OUT)

setup:
	@tools/setup.sh sim,metrics,dev
	@tools/setup.sh foundation,sim-robosuite || echo "setup: the tests of what is not installed are skipped" >&2

check: setup
	$(VENV)/bin/ruff check .
	$(VENV)/bin/ruff format --check .
	$(VENV)/bin/mypy

test: check
	$(VENV)/bin/pytest --numprocesses auto --maxprocesses 8 --dist loadfile

wheel: setup
	$(VENV)/bin/pip wheel --quiet --no-deps --wheel-dir dist .

clean:
	rm -rf $(VENV) build dist .mypy_cache .pytest_cache .ruff_cache .hypothesis
	find . -name __pycache__ -type d -prune -exec rm -rf {} +
