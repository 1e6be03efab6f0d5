# What to run, and nothing to remember: `make` lists it.
.DEFAULT_GOAL := help
SHELL := bash
.SHELLFLAGS := -euo pipefail -c

LOCAL := target/debug/sluice-local

.PHONY: help
help: ## this list
	@awk -F ':.*## ' '/^[a-z-]+:.*## / {printf "  make %-16s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

# Always the whole workspace: with a part of it, Cargo chooses other features of shared packages and builds them anew.
.PHONY: build
build: ## everything that runs here: functions, command, local environment
	cargo build --workspace --bins

.PHONY: tools
tools: build ## what is built once and kept outside the checkout: Kubernetes, the local AWS, SAM
	$(LOCAL) tools

.PHONY: demo
demo: tools ## watch it: push, promote, approve, fail, roll back, audit
	$(LOCAL) run -- target/debug/demo

.PHONY: up
up: tools ## leave AWS, Kubernetes and Sluice running on this machine
	$(LOCAL) up

.PHONY: down
down: ## end what `make up` left running
	@if [ -x $(LOCAL) ]; then $(LOCAL) down; fi

.PHONY: test
test: check-code check-template check-build test-example test-local test-rust ## everything that .ci/run runs
	@echo "make test: all passed"

.PHONY: check-code
check-code: ## format and lints; warnings are errors
	cargo fmt --all --check
	cargo clippy --workspace --all-targets -- --deny warnings

.PHONY: check-template
check-template: tools ## the template, the state machines, SAM's configuration
	SLUICE_SAM_BIN="$$($(LOCAL) tools --sam-bin)" infra/checks/run

# Unoptimised and without link-time optimisation: it proves that the build for arm64 works, not how small it gets.
.PHONY: check-build
check-build: tools ## sam build for arm64
	rustup target add aarch64-unknown-linux-gnu
	PATH="$$($(LOCAL) tools --sam-bin):$$PATH" SAM_CLI_TELEMETRY=0 CARGO_PROFILE_RELEASE_LTO=off \
	  CARGO_PROFILE_RELEASE_OPT_LEVEL=0 CARGO_PROFILE_RELEASE_CODEGEN_UNITS=16 \
	  sam build --config-file samplconfig.toml --config-env default --build-dir target/sam-build

.PHONY: test-local
test-local: tools ## what the local AWS mends, and how functions are packaged for it
	cd infra/local/aws && PYTHONDONTWRITEBYTECODE=1 PYTHONPATH=. "$$(../../../$(LOCAL) tools --aws-python)" -m unittest discover -s tests -t .
	cd infra/local/aws && PYTHONDONTWRITEBYTECODE=1 PYTHONPATH=. "$$(../../../$(LOCAL) tools --sam-bin)/python" -m unittest discover -s sam_tests -t .

.PHONY: test-example
test-example: tools ## the example: its own tests, its chart with each environment's values, and the charts for tests
	cd examples/mc-api && test -z "$$(gofmt -l .)" && go vet ./... && go test ./...
	helm="$$($(LOCAL) tools --helm)"; image="image.repository=r,image.digest=sha256:$$(printf '0%.0s' {1..64})"; \
	for environment in dev staging production; do "$$helm" lint --strict examples/mc-api/charts/api --set "$$image" \
	  --values "examples/mc-api/charts/api/values.$$environment.yaml"; done; \
	"$$helm" lint tests/charts/* --set "$$image" --quiet

# More threads than cores: a scenario waits most of its time, for pods, hooks and people.
.PHONY: test-rust
test-rust: tools ## unit tests, and whole flows on the local AWS and Kubernetes
	cargo test --workspace --no-run
	RUST_TEST_THREADS=4 $(LOCAL) run -- cargo test --workspace

.PHONY: kills
kills: tools ## only this: kill every function at every write, before it and after it
	$(LOCAL) run -- cargo test --workspace --test kills -- --nocapture

.PHONY: model
model: ## only this: explore every order of decisions, writes and wake-ups of rollouts on tracks; prints the states
	cargo test --workspace --test model -- --nocapture --include-ignored

.PHONY: bench
bench: tools ## how fast, against a floor measured in the same run
	cargo build --workspace --bins --release
	KUBECTL="$$($(LOCAL) tools --kubectl)" $(LOCAL) run -- target/debug/bench
