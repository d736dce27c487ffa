# `make` alone lists the targets. Everything is installed into .venv; a machine needs Python 3.11,
# a C++20 compiler and make.
SHELL := /bin/bash
.SHELLFLAGS := -eu -o pipefail -c
.DEFAULT_GOAL := help
.NOTPARALLEL:

PYTHON ?= python3
JOBS ?= $(shell nproc)
MODEL_DIR ?= ./models
PORT ?=
SERVE_ARGS ?=
BENCH_ARGS ?=
PYTEST_ARGS ?=
export PYTHON JOBS
export PATH := $(CURDIR)/.venv/bin:$(PATH)

py := .venv/bin/python
cpp_sources = $(shell find csrc tests/cpp bench -name '*.cc' -o -name '*.h')
# Where torch is, if it is installed: the torch backend is compiled against it.
torch = $(shell $(py) -c 'import importlib.util as u; s = u.find_spec("torch"); print(s.submodule_search_locations[0] if s else "")')
# gcc's ThreadSanitizer cannot map its shadow where a kernel randomizes addresses very widely.
fixed_addresses := $(shell setarch -R true 2>/dev/null && echo setarch -R)

.PHONY: help
help: ## List the targets
	@echo 'slipstream: an inference server for people who count microseconds'
	@awk -F ':.*## ' '/^[a-z-]+:.*## / {printf "  make %-21s %s\n", $$1, $$2}' Makefile

.PHONY: install install-serve install-tensorflow install-transformers install-audio
install: ## Create .venv with all that the tests need, and slipstream itself
	@scripts/install.sh dev
install-serve: ## Create .venv with only what `make serve` needs (no torch)
	@scripts/install.sh serve
install-tensorflow: install ## Add TensorFlow to .venv
	@scripts/install.sh tensorflow
install-transformers: install ## Add transformers to .venv
	@scripts/install.sh transformers
install-audio: install ## Add speech synthesis and transcription to .venv
	@scripts/install.sh audio

.PHONY: serve
serve: install-serve ## Train three small real models into ./models and serve them
	$(py) -m slipstream.samples $(MODEL_DIR) --address \
		$(or $(INFERENCE_API_HOST),127.0.0.1):$(or $(PORT),$(INFERENCE_API_PORT),8000)
	exec .venv/bin/slipstream serve --model-dir $(MODEL_DIR) $(if $(PORT),--port $(PORT)) \
		--load $(MODEL_DIR)/breast_cancer.pkl=breast_cancer \
		--load $(MODEL_DIR)/diabetes.txt=diabetes \
		--load $(MODEL_DIR)/digits.onnx=digits $(SERVE_ARGS)

.PHONY: build-dev
build-dev: install-serve
	cmake --preset dev --log-level=WARNING -DSLIPSTREAM_TORCH_DIR="$(torch)"
	cmake --build --preset dev -j$(JOBS)

.PHONY: test
test: install build-dev ## Run every test: C++ (ctest), then Python (pytest)
	ctest --preset dev -j$(JOBS)
	$(py) -m pytest -n $(JOBS) --dist loadfile $(PYTEST_ARGS)

.PHONY: test-exhaustive
test-exhaustive: install ## Compare tree models with their libraries on 100,000 rows of every kind
	SLIPSTREAM_EXACTNESS_ROWS=100000 $(py) -m pytest -v tests/exactness $(PYTEST_ARGS)

.PHONY: lint lint-python lint-cpp
lint: lint-python lint-cpp ## Check style, types, warnings and structure; change nothing
	hadolint --config .hadolint.yaml Dockerfile.cuda
	$(py) -m pytest -q tests/test_tidy.py tests/test_tidy_cpp.py tests/test_tidy_python.py
lint-python: install
	ruff check
	ruff format --check
	mypy
lint-cpp: install build-dev
	clang-format --dry-run --Werror $(cpp_sources)
	cmake --preset tidy --log-level=WARNING -Dpybind11_DIR="$$($(py) -m pybind11 --cmakedir)" \
		-DPython_EXECUTABLE="$(CURDIR)/$(py)" -DSLIPSTREAM_TORCH_DIR="$(torch)"
	$(py) scripts/clang_tidy.py --build build/tidy --jobs $(JOBS)

.PHONY: sanitize
sanitize: install-serve ## Run the C++ tests under ASan+UBSan and under TSan
	cmake --preset asan --log-level=WARNING -DSLIPSTREAM_TORCH_DIR="$(torch)"
	cmake --build --preset asan -j$(JOBS)
	ctest --preset asan -j$(JOBS)
	cmake --preset tsan --log-level=WARNING -DSLIPSTREAM_TORCH_DIR="$(torch)"
	cmake --build --preset tsan -j$(JOBS)
	$(fixed_addresses) ctest --preset tsan -j$(JOBS)

.PHONY: sanitize-http
sanitize-http: install ## Load a server that is built with ASan+UBSan
	$(py) scripts/sanitize_http.py

.PHONY: bench bench-full
bench: install ## Measure in minutes: our figures beside the goals, a report (BENCH_ARGS)
	$(py) -m bench all --quick $(BENCH_ARGS)
bench-full: install ## The same with every rival, long enough to quote (BENCH_ARGS)
	$(py) -m bench all $(BENCH_ARGS)

.PHONY: format
format: install ## Rewrite sources in the project's style
	ruff check --fix-only --quiet
	ruff format
	clang-format -i $(cpp_sources)

.PHONY: bench-forest
bench-forest: install ## Measure tree models beside every rival, which it installs (BENCH_ARGS)
	$(py) -m bench forest $(BENCH_ARGS)

.PHONY: clean
clean: ## Remove what was built (rm -rf .venv removes what was installed)
	rm -rf build dist .pytest_cache .mypy_cache .ruff_cache .hypothesis .benchmarks
	rm -f .venv/.slipstream/native
