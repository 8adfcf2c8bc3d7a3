# make train   a 2-bit LeNet from nothing: system packages, build, data, training, test accuracy
# make test    lint, C++ and Python tests
# Both do only what is not done yet. `make help` lists the rest.

SHELL := /bin/bash
.SHELLFLAGS := -euo pipefail -c
.DELETE_ON_ERROR:
.PHONY: help train test check-docs lint architecture build build-tests bench bench-environment bench-architectures bench-inference bench-inference-environment bench-layers bench-nets bench-transform nets sanitize \
  cuda test-gpu test-runtimes test-distributed export-matrix test-emulated check-cuda check-nvcc check-emulated check-pristine caffe-edit caffe-patches system clean

PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
# Options of the user's own, and ours: our C++ has no warnings.
CMAKE_ARGS ?=
CMAKE := CMAKE_ARGS='$(CMAKE_ARGS) -DUL2Q_WERROR=ON'

# What the build and `make train` need of Debian; python3-dev for a system Python, dataset-… for `make train`,
# libboost-context-dev for `make test-emulated`.
DEBIAN_PACKAGES := \
  g++ cmake ninja-build patch python3 python3-dev python3-venv \
  libboost-dev libboost-thread-dev libboost-filesystem-dev libboost-context-dev libprotobuf-dev protobuf-compiler \
  libgoogle-glog-dev libgflags-dev libhdf5-dev liblmdb-dev libleveldb-dev libopenblas-openmp-dev libjpeg-dev libpng-dev \
  zlib1g-dev libhwy-dev libdnnl-dev libgtest-dev dataset-fashion-mnist

# What `make train` works on.
DATA := data/fashion-mnist
RUN := runs/lenet-2bit
SOLVER := prototxt/lenet/solver_2bit.prototxt

help: ## list the targets
	@sed -nE 's/^([a-z-]+):.*## /make \1\t/p' $(MAKEFILE_LIST) | expand -t 20

system: ## install the Debian packages that are missing
	@command -v dpkg-query >/dev/null || { echo "Not Debian: see README.md for what the build needs"; exit 0; }; \
	installed=$$(dpkg-query -W -f='$${Package} $${Status}\n' $(DEBIAN_PACKAGES) 2>/dev/null | sed -n 's/ install ok installed//p' || true); \
	missing=$$(comm -13 <(sort -u <<<"$$installed") <(tr ' ' '\n' <<<"$(DEBIAN_PACKAGES)" | sort) | xargs); \
	if [ -z "$$missing" ]; then exit 0; fi; \
	install="apt-get install -y --no-install-recommends $$missing"; \
	if [ $$(id -u) = 0 ]; then sudo=; \
	elif command -v sudo >/dev/null && sudo -n true 2>/dev/null; then sudo="sudo"; \
	else echo "Debian packages are missing. As root, run:"; echo "  apt-get update && $$install"; exit 1; fi; \
	echo "Installing Debian packages: $$missing"; \
	$$sudo apt-get update -qq; \
	$$sudo env DEBIAN_FRONTEND=noninteractive $$install

$(VENV)/created: pyproject.toml | system
	@echo "Making the Python environment $(VENV)"
	@$(PYTHON) -m venv $(VENV)
	@$(BIN)/python -m pip install --quiet --upgrade pip 'setuptools>=77' 'pybind11>=2.13,<4'
	@touch $@

build: $(VENV)/created ## build what changed and install it into .venv (editable)
	@echo "Building libcaffe, the layers and the Python modules (about 4 minutes the first time)"
	@$(CMAKE) $(BIN)/python setup.py --quiet build_ext --inplace
	@if [ $(VENV)/created -nt $(VENV)/installed ]; then \
	  echo "Installing Python packages into $(VENV)"; \
	  $(CMAKE) $(BIN)/python -m pip install --quiet --no-build-isolation -e '.[dev]'; touch $(VENV)/installed; fi

build-tests:
	@$(MAKE) --no-print-directory build CMAKE_ARGS="$(CMAKE_ARGS) -DUL2Q_TESTS=ON"

train: build ## train a 2-bit LeNet on Fashion-MNIST, about a minute once it is built
	@$(BIN)/ul2q data fashion-mnist -o $(DATA)
	@$(BIN)/ul2q train $(SOLVER) --data $(DATA) --run $(RUN) --resume

lint: build ## formats, style and types; also the hook before a commit (warnings of the C++ compiler are errors in every build here)
	dev/lint

nets: build ## write the nets of prototxt/ that follow from the float ones
	@$(BIN)/python dev/write_nets.py

architecture: ## draw docs/architecture.svg from the tree
	$(PYTHON) -m dev.architecture

# Each test computes on as many threads as there are processors; two at a time fill the gaps.
TEST_PROCESSES := 2

test: build-tests lint ## lint, C++ tests, Python tests
	cd build/cmake && ctest --output-on-failure --parallel $(TEST_PROCESSES)
	$(BIN)/pytest --numprocesses $(TEST_PROCESSES) --dist loadfile

check-docs: build ## do README.md and every page of docs/ in order, as a reader does, in a fresh clone
	@$(BIN)/python -m dev.walk_docs

bench: bench-transform bench-nets ## all benchmarks of what is installed -> benchmarks/results/ (about 5 minutes)

BENCH := build/bench
bench-environment: $(BENCH)/installed ## PyTorch, Brevitas, OpenCV and onnxruntime, to be measured against, in an environment of their own

$(BENCH)/installed: benchmarks/requirements.txt
	@$(PYTHON) -m venv $(BENCH)
	@$(BENCH)/bin/python -m pip install --quiet -r $<
	@touch $@

bench-nets: build ## training and testing against BVLC's layers and, where installed, PyTorch -> benchmarks/results/nets.md
	@$(BIN)/python -m pip install --quiet --no-build-isolation -e '.[bench]'
	@env -u OPENBLAS_CORETYPE -u OPENBLAS_L2_SIZE $(BIN)/python benchmarks/nets.py

bench-layers: build ## layers of 300 random shapes against BVLC's -> benchmarks/results/layers.md (about 20 minutes; a second run goes on)
	@env -u OPENBLAS_CORETYPE -u OPENBLAS_L2_SIZE OMP_NUM_THREADS=1 GLOG_minloglevel=2 $(BIN)/python benchmarks/layers.py

bench-architectures: build bench-environment ## eleven published nets on one thread against BVLC, OpenCV, onnxruntime, PyTorch -> benchmarks/results/architectures.md (an hour; a second run goes on)
	@env -u OPENBLAS_CORETYPE -u OPENBLAS_L2_SIZE $(BIN)/python benchmarks/architectures.py

INFERENCE := $(BENCH)-inference
bench-inference-environment: $(INFERENCE)/installed ## onnxruntime and OpenVINO, to be measured against, in an environment of their own

$(INFERENCE)/installed:
	@$(PYTHON) -m venv $(INFERENCE)
	@$(INFERENCE)/bin/python -m pip install --quiet onnx==1.23.2 onnxruntime==1.32.0 openvino==2026.4.1
	@touch $@

bench-inference: build bench-inference-environment ## nets in integers against float, onnxruntime and OpenVINO int8 -> benchmarks/results/inference.md
	@env -u OPENBLAS_CORETYPE -u OPENBLAS_L2_SIZE $(BIN)/python benchmarks/inference.py

# Threads wait as they do below Python (python/ul2q/util/openmp.py).
bench-transform: ## measure the weight transform against a copy -> benchmarks/results/transform.md
	@$(MAKE) --no-print-directory build CMAKE_ARGS="$(CMAKE_ARGS) -DUL2Q_BENCHMARKS=ON"
	@mkdir -p benchmarks/results
	GOMP_SPINCOUNT=10000 build/cmake/benchmarks/transform_benchmark prototxt/{lenet,cifarnet,vgg7_64,resnet18}/deploy_2bit.prototxt | tee build/transform.md
	@mv build/transform.md benchmarks/results/transform.md

# $(call build-tree,FOLDER,OPTIONS): another build, with tests, in FOLDER/cmake, and in FOLDER/python its modules beside the
# project's Python files.
define build-tree
@cmake -S . -B $(1)/cmake $$(command -v ninja >/dev/null && echo -G Ninja) --log-level=NOTICE -DCMAKE_INSTALL_MESSAGE=NEVER \
  -DUL2Q_PYTHON=ON -DUL2Q_TESTS=ON -DPython_EXECUTABLE=$(CURDIR)/$(BIN)/python $(2) $(CMAKE_ARGS)
@cmake --build $(1)/cmake --parallel $$(nproc)
@cmake --install $(1)/cmake --prefix $(CURDIR)/$(1)/python >/dev/null
@find $(1)/python/ul2q -maxdepth 1 -type l -delete
@for file in python/ul2q/*.py $$(dirname python/ul2q/*/__init__.py); do ln -sfn $(CURDIR)/$$file $(1)/python/ul2q/; done
endef
# $(call tree-pytest,FOLDER): pytest with its modules.
tree-pytest = PYTHONPATH=$(CURDIR)/$(1)/python $(BIN)/python -m pytest -p no:cacheprovider
GPU_TESTS := tests/caffe/gpu
# The tests of the bindings, $(GPU_TESTS) included: of tests/caffe all but what needs other programs or packages, or
# trains for long in other processes.
BINDING_TESTS := tests/layers tests/caffe $(addprefix --ignore=tests/caffe/test_,bvlc.py caffe_edit.py caffe_patches.py caffe_tool.py \
  determinism.py pycaffe_docs.py pycaffe_files.py pycaffe_types.py)
CACHE := $(or $(UL2Q_CACHE_DIR),$(or $(XDG_CACHE_HOME),$(HOME)/.cache)/ul2q)

MPICH := build/mpich
test-distributed: build ## ranks of Open MPI and MPICH: all equal, killed and gone on with (about 5 minutes)
	@[ -x $(MPICH)/bin/mpiexec ] || { $(PYTHON) -m venv $(MPICH) && $(MPICH)/bin/python -m pip install --quiet 'mpich>=5,<6'; }
	UL2Q_TEST_DISTRIBUTED=all $(BIN)/pytest tests/distributed

RUNTIMES := build/runtimes
RUNTIME_PATH = PYTHONPATH=$(CURDIR)/$(RUNTIMES)/extras
test-runtimes: build ## what onnxruntime, OpenVINO, OpenCV, qonnx, MNN, gcc and clang make of what is exported (15 minutes, and longer for C; wants clang)
	@$(BIN)/python -m tests.deploy.runtimes.packages
	$(RUNTIME_PATH) $(BIN)/pytest tests/deploy/runtimes

export-matrix: build ## four nets, all widths and options, in all of these runtimes -> docs/export.md (hours; a second run goes on)
	@$(BIN)/python -m tests.deploy.runtimes.packages
	@$(RUNTIME_PATH) $(BIN)/python -m tests.deploy.runtimes.matrix

SANITIZE := build/sanitize
SANITIZED_TESTS := $(BINDING_TESTS) tests/test_statistics.py tests/training/test_snapshots.py
SANITIZERS := UBSAN_OPTIONS=halt_on_error=1:print_stacktrace=1:suppressions=$(CURDIR)/cpp/tests/sanitize/ubsan.supp \
  LSAN_OPTIONS=suppressions=$(CURDIR)/cpp/tests/sanitize/lsan.supp:print_suppressions=0

sanitize: build ## the binding tests under AddressSanitizer and UndefinedBehaviorSanitizer (about 15 minutes)
	$(call build-tree,$(SANITIZE),-DUL2Q_SANITIZE=ON)
	cd $(SANITIZE)/cmake && $(SANITIZERS) ctest --output-on-failure --parallel $$(nproc)
	# Python keeps much till the end of the process: leaks are looked for in the C++ tests. libstdc++ must be there before
	# libasan looks for __cxa_throw.
	$(SANITIZERS) ASAN_OPTIONS=detect_leaks=0 LD_PRELOAD="$$(gcc -print-file-name=libasan.so) $$(gcc -print-file-name=libstdc++.so)" \
	  PYTHONPATH=$(CURDIR)/$(SANITIZE)/python PYTHONMALLOC=malloc \
	  $(BIN)/python -m pytest -p no:cacheprovider --capture=sys $(SANITIZED_TESTS)

CUDA := build/cuda
CUDA_ARCHITECTURES ?= 75-real;80-real;90
NVCC_MAJOR = $(shell nvcc --version | sed -n 's/.*release \([0-9]*\).*/\1/p')
CUDA_PACKAGES = $(if $(filter 12,$(NVCC_MAJOR)),nvidia-cublas-cu12 nvidia-curand-cu12 nvidia-nccl-cu12,\
  nvidia-cublas==$(NVCC_MAJOR).* nvidia-curand nvidia-nccl-cu$(NVCC_MAJOR))
CUDA_CACHE = $(CACHE)/cuda/$(NVCC_MAJOR)

cuda: $(VENV)/created ## compile for GPUs too, and run the C++ tests, on the CPU where there is no GPU (10 to 20 minutes the first time)
	@command -v nvcc >/dev/null || { echo "There is no nvcc: install CUDA 12 or 13, or see make test-emulated"; exit 1; }
	@if ! nvcc -E -x cu -include cublas_v2.h /dev/null >/dev/null 2>&1 && [ "$$(cat $(CUDA_CACHE)/fetched 2>/dev/null)" != '$(CUDA_PACKAGES)' ]; then \
	  echo "Fetching cuBLAS, cuRAND and NCCL (700 MB) into $(CUDA_CACHE)"; \
	  $(BIN)/python -m pip install --quiet --no-deps --upgrade --target $(CUDA_CACHE) $(CUDA_PACKAGES); echo '$(CUDA_PACKAGES)' > $(CUDA_CACHE)/fetched; fi
	$(call build-tree,$(CUDA),-DUL2Q_CUDA=ON -DUL2Q_WERROR=ON -DCMAKE_CUDA_ARCHITECTURES='$(CUDA_ARCHITECTURES)' -DUL2Q_CUDA_PACKAGES=$(CUDA_CACHE))
	cd $(CUDA)/cmake && ctest --output-on-failure --parallel $$(nproc)

test-gpu: cuda build ## the tests that need a GPU, in C++ under compute-sanitizer where it is installed; they are skipped without one
	cd $(CUDA)/cmake && sanitizer=$$(command -v compute-sanitizer || true) && $${sanitizer:+$$sanitizer --error-exitcode 1} cpp/tests/ul2q_tests --gtest_filter='Gpu*:*/GPU'
	$(call tree-pytest,$(CUDA)) $(GPU_TESTS)

# Optimisation is half of the compiler's time. LeNet's whole training would take an hour on the emulated device.
EMULATED := build/emulated
test-emulated: build ## the same tests on two GPUs that are emulated on the CPU: no GPU and no nvcc are needed (about 10 minutes the first time)
	$(call build-tree,$(EMULATED),-DUL2Q_CUDA=ON -DUL2Q_CUDA_EMULATED=ON -DUL2Q_WERROR=ON '-DCMAKE_CXX_FLAGS_RELEASE=-O1 -DNDEBUG')
	cd $(EMULATED)/cmake && EMULATED_CUDA_DEVICES=2 OMP_WAIT_POLICY=passive ctest --output-on-failure --parallel $$(nproc)
	EMULATED_CUDA_DEVICES=2 $(call tree-pytest,$(EMULATED)) $(GPU_TESTS) -k 'not learns_as_much'

# $(call unless-passed,TARGET,WHAT IT DEPENDS ON BESIDE THE SOURCES,COMMANDS): `make`, not its variable, which would run all
# of this in a dry run, too.
define unless-passed
@sources=$$( ($(2); find CMakeLists.txt Makefile cmake cpp dev $(GPU_TESTS) -name __pycache__ -prune -o -type f -print0 | LC_ALL=C sort -z | xargs -0 sha256sum) | sha256sum | head -c 16); \
if [ -e $(CACHE)/passed/$(1)-$$sources ]; then echo "make $(1) has passed with these sources"; exit 0; fi; \
$(3); \
mkdir -p $(CACHE)/passed; touch $(CACHE)/passed/$(1)-$$sources
endef

check-cuda: build ## what CI does where there is nvcc: `make cuda` and Python tests of it, unless the same sources have passed on this machine
	@command -v nvcc >/dev/null || { echo "No nvcc, so the CUDA build is not tried"; exit 0; }; \
	make --no-print-directory check-nvcc

check-nvcc:
	$(call unless-passed,cuda,nvcc --version; echo '$(CUDA_ARCHITECTURES) $(CMAKE_ARGS)',make --no-print-directory cuda; \
	$(call tree-pytest,$(CUDA)) $(BINDING_TESTS))

check-emulated: build ## what CI does everywhere: `make test-emulated`, unless the same sources have passed on this machine
	$(call unless-passed,test-emulated,$(CXX) --version; echo '$(CMAKE_ARGS)',make --no-print-directory test-emulated)

# BVLC's own tree as a user's checkout has it, and libcaffe, the plugin and the tool from it: that they compile, link and run a
# net is the question, so nothing is optimised.
PRISTINE := build/pristine
check-pristine: $(VENV)/created ## what CI does with BVLC's own tree: build from it by CAFFE_SOURCE_DIR, unless the same sources have passed on this machine
	$(call unless-passed,pristine,$(CXX) --version; echo '$(CMAKE_ARGS)',\
	$(BIN)/python -m dev.caffe_source pristine $(PRISTINE)/caffe; \
	cmake -S . -B $(PRISTINE)/cmake $$(command -v ninja >/dev/null && echo -G Ninja) --log-level=NOTICE -DUL2Q_PYTHON=OFF -DUL2Q_WERROR=ON \
	  -DCAFFE_SOURCE_DIR=$(CURDIR)/$(PRISTINE)/caffe -DPython_EXECUTABLE=$(CURDIR)/$(BIN)/python '-DCMAKE_CXX_FLAGS_RELEASE=-O0 -DNDEBUG' $(CMAKE_ARGS); \
	cmake --build $(PRISTINE)/cmake --parallel $$(nproc); \
	GLOG_minloglevel=1 $(PRISTINE)/cmake/cpp/caffe/caffe time -model prototxt/lenet/deploy_2bit.prototxt -iterations 1)

EDIT := build/caffe-edit
caffe-edit: $(VENV)/created ## BVLC's source as a git checkout in build/caffe-edit, each patch a commit
	@$(BIN)/python -m dev.caffe_source edit $(EDIT)
	@echo "$(EDIT): change, add and reorder commits there, then make caffe-patches"

caffe-patches: $(VENV)/created ## write the commits of build/caffe-edit as cpp/caffe/patches
	@$(BIN)/python -m dev.caffe_source patches $(EDIT)

clean: ## remove what was built (not data, runs and the environment)
	rm -rf build python/caffe python/ul2q/{bin,lib,prototxt} python/ul2q/*.so *.egg-info python/*.egg-info
