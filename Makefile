# make train   a 2-bit LeNet from nothing: system packages, build, data, training, test accuracy
# make test    lint, C++ and Python tests
# Both do only what is not done yet. `make help` lists the rest.

SHELL := /bin/bash
.SHELLFLAGS := -euo pipefail -c
.DELETE_ON_ERROR:
.PHONY: help train test lint build build-tests system clean

PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin

# What the build and `make train` need of Debian; python3-dev for a system Python, dataset-… for `make train`.
DEBIAN_PACKAGES := \
  g++ cmake ninja-build python3 python3-dev python3-venv \
  libboost-dev libboost-thread-dev libboost-filesystem-dev libprotobuf-dev protobuf-compiler \
  libgoogle-glog-dev libgflags-dev libhdf5-dev liblmdb-dev libleveldb-dev libopenblas-openmp-dev \
  libgtest-dev dataset-fashion-mnist

# The data, net and run folder of `make train`.
DATA := data/fashion-mnist
RUN := runs/lenet-2bit
SOLVER := prototxt/lenet/solver_2bit.prototxt
NET := prototxt/lenet/train_test_2bit.prototxt

help: ## list the targets
	@grep -E '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | sed -E 's/^([a-z-]+):.*## /make \1\t/' | expand -t 20

system: ## install the Debian packages that are missing
	@missing=$$(for p in $(DEBIAN_PACKAGES); do \
	    dpkg-query -W -f='$${Status}' $$p 2>/dev/null | grep -q 'ok installed' || echo $$p; done | xargs); \
	if [ -z "$$missing" ]; then exit 0; fi; \
	install="apt-get install -y --no-install-recommends $$missing"; \
	if [ $$(id -u) = 0 ]; then sudo=; \
	elif command -v sudo >/dev/null && sudo -n true 2>/dev/null; then sudo=sudo; \
	else echo "Debian packages are missing. As root, run:"; echo "  apt-get update && $$install"; exit 1; fi; \
	echo "Installing Debian packages: $$missing"; \
	$$sudo apt-get update -q && DEBIAN_FRONTEND=noninteractive $$sudo $$install

# The environment, the editable install (which builds) and the tools of `make test`.
$(VENV)/installed: pyproject.toml setup.py | system
	@echo "Python environment in $(VENV)"
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --upgrade pip 'setuptools>=77' 'pybind11>=2.13,<4'
	CMAKE_ARGS="$(CMAKE_ARGS) -DUL2Q_WERROR=ON" $(BIN)/python -m pip install --quiet --no-build-isolation -e '.[dev]'
	@touch $@

build: $(VENV)/installed ## build what changed: libcaffe, the layers, the Python modules
	@echo "Building (the first time takes some minutes)"
	@CMAKE_ARGS="$(CMAKE_ARGS) -DUL2Q_WERROR=ON" $(BIN)/python setup.py --quiet build_ext --inplace

build-tests:
	@$(MAKE) --no-print-directory build CMAKE_ARGS="$(CMAKE_ARGS) -DUL2Q_TESTS=ON"

train: build ## train a 2-bit LeNet on Fashion-MNIST (or DATA=..., RUN=..., SOLVER=...)
	@$(BIN)/ul2q data fashion-mnist -o $(DATA)

lint: $(VENV)/installed ## ruff, mypy, clang-format
	$(BIN)/ruff check
	$(BIN)/ruff format --check
	$(BIN)/mypy
	git ls-files 'cpp/*.hpp' 'cpp/*.cpp' 'cpp/*.h' | xargs $(BIN)/clang-format --dry-run --Werror

test: lint build-tests ## lint, C++ tests, Python tests
	cd build/cmake && ctest --output-on-failure
	$(BIN)/pytest

clean: ## remove what was built (not data, runs and the environment)
	rm -rf build python/caffe python/ul2q/{bin,lib,prototxt} python/ul2q/*.so *.egg-info python/*.egg-info
