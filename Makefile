# Each verb is a few lines over the real tools; CONTRIBUTING.md explains the loop around them.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
NODE_MODULES := tests/clients/node_modules/.package-lock.json
AGENTS := tests/clients/agents/node_modules/.package-lock.json
export PYO3_PYTHON := $(abspath $(BIN)/python)
ARGS ?=

.PHONY: run test check bench dev test-clients test-agents test-long test-rust test-python clean

# Builds at release speed and starts the gateway: make run ARGS="-c gateway.yaml"
run: $(VENV)/.dev
	$(BIN)/maturin develop --release --quiet
	$(BIN)/fastroute serve $(ARGS)

test: check test-rust test-python test-clients

test-rust: $(VENV)/.dev
	cargo test --workspace --quiet

test-python: dev
	$(BIN)/python -m pytest tests --ignore tests/clients -q
	$(BIN)/python -m pytest benches/test_rig.py benches/test_guards_cpu.py -q --benchmark-disable

# Official SDKs and frameworks through both doors, before llama.cpp and servers that are scripted.
test-clients: dev $(VENV)/.clients $(NODE_MODULES)
	$(BIN)/python -m pytest tests/clients -q

# Coding agents likewise: Claude Code, Codex, gemini-cli and opencode.
test-agents: dev $(VENV)/.clients $(NODE_MODULES) $(AGENTS)
	$(BIN)/python -m pytest tests/clients -q -m long

check: $(VENV)/.dev
	cargo fmt --all --check
	cargo clippy --workspace --all-targets --quiet -- -D warnings
	$(BIN)/ruff check python tests benches scripts
	$(BIN)/ruff format --check python tests benches scripts
	$(BIN)/pyright --pythonpath $(BIN)/python
	PYTHONPATH=python $(BIN)/lint-imports

# The edit loop: an unoptimised extension in the virtual environment, the Python sources as they are.
dev: $(VENV)/.dev
	$(BIN)/maturin develop --quiet

# Beside nginx, on two cores, in a quarter of an hour: make bench ARGS="--plans W1-c16,W4"
bench: $(VENV)/.bench
	@command -v nginx >/dev/null || { echo "the yardstick is nginx; install it (Debian: nginx-light)"; exit 1; }
	$(BIN)/maturin develop --release --quiet
	cargo build --release --quiet -p fastroute-engine --examples
	$(BIN)/python -m benches.rig $(ARGS)

# Three hours, most of it fuzzing; CPU_SECONDS=60 makes that part a tenth. Each part has a target folder of its own.
test-long: dev $(VENV)/.clients $(NODE_MODULES) $(AGENTS)
	$(BIN)/python -m pytest tests -q -m "long or not long"
	FASTROUTE_SEEDS=10000 cargo test --quiet -p fastroute-engine --lib simulation
	cargo run --quiet --manifest-path rust/models/Cargo.toml
	fuzz/run.sh

$(VENV)/.dev: requirements-dev.txt
	@command -v cargo >/dev/null || { echo "fastroute needs Rust (cargo) to build; see README.md"; exit 1; }
	@command -v cc >/dev/null || { echo "fastroute needs a C compiler to build; see README.md"; exit 1; }
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -r requirements-dev.txt
	touch $@

$(VENV)/.bench: requirements-bench.txt $(VENV)/.dev
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -r requirements-bench.txt
	touch $@

$(VENV)/.clients: requirements-clients.txt $(VENV)/.dev
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --no-deps -r requirements-clients.txt
	touch $@

# npm writes this file last; Node and npm themselves come from requirements-clients.txt. The agents are a gigabyte.
$(NODE_MODULES) $(AGENTS): %/node_modules/.package-lock.json: %/package-lock.json $(VENV)/.clients
	cd $* && PATH="$(abspath $(BIN)):$$PATH" npm ci --silent --no-audit --no-fund
	touch $@

clean:
	rm -rf target $(VENV) python/fastroute/_core*.so tests/clients/node_modules tests/clients/agents/node_modules
