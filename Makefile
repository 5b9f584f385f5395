# What a person types. `make` lists it.

SHELL := bash
# One target directory for all clones on a machine: the plugin compiler takes minutes to build.
export CARGO_TARGET_DIR ?= $(HOME)/.cache/stateflow/target
# Queries are checked against .sqlx; no database is needed to compile.
export SQLX_OFFLINE := true

.PHONY: help setup test fmt lint tidy deny deploy-check unit docs api-check demo dev bench smoke

help: ## List the targets
	@grep -hE '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed -E 's/^([a-z-]+):.*## /  \1\t/'

setup: ## Install what is missing on this machine
	scripts/setup.sh

test: setup fmt lint tidy deny deploy-check unit docs ## Everything that decides whether a change lands

fmt: ## Formatting
	cargo fmt --all -- --check

lint: ## Compiler and clippy, warnings are errors
	cargo clippy --workspace --all-targets --locked -- -D warnings

tidy: ## The house rules
	cargo run --quiet --locked --package xtask -- tidy

deny: ## Licences, advisories and sources, where cargo-deny is installed
	@if cargo deny --version >/dev/null 2>&1; then \
		cargo deny --locked check; \
	else \
		echo 'deny: skipped, because cargo-deny is not installed (cargo install --locked cargo-deny)'; \
	fi

deploy-check: setup ## Manifests, units, alerts, dashboards and scripts, against schemas and linters
	scripts/check-deploy.sh

unit: ## The tests
	cargo test --workspace --locked

docs: ## The documentation as a site, with no link that leads nowhere
	cargo run --quiet --locked --package stateflow-book -- "$$CARGO_TARGET_DIR/book"

api-check: setup ## The API from outside: a fuzzer, generated clients, the CloudEvents SDK
	cargo build --locked --package stateflow
	scripts/check-api.sh "$$CARGO_TARGET_DIR/debug/stateflow"

demo: ## A tour of a running StateFlow
	scripts/demo.sh

bench: setup ## The numbers, measured: BENCH="--only single,drain --reps 3" for some of them
	cargo build --release --locked --package stateflow --package stateflow-bench
	scripts/build-guest.sh examples/plugins/slugify "$$CARGO_TARGET_DIR/slugify.wasm"
	"$$CARGO_TARGET_DIR/release/stateflow-bench" run --binary "$$CARGO_TARGET_DIR/release/stateflow" \
		--plugin "$$CARGO_TARGET_DIR/slugify.wasm" --json "$$CARGO_TARGET_DIR/bench.json" $(BENCH)

smoke: setup ## Every workload of the benchmark, small: counts what is stored, times nothing
	cargo build --locked --package stateflow --package stateflow-bench
	scripts/build-guest.sh examples/plugins/slugify "$$CARGO_TARGET_DIR/slugify.wasm"
	"$$CARGO_TARGET_DIR/debug/stateflow-bench" run --binary "$$CARGO_TARGET_DIR/debug/stateflow" --reps 1 --scale 0.01 \
		--plugin "$$CARGO_TARGET_DIR/slugify.wasm" --only single,batch,drain,chain,map,latency,wasm,http,workers-2,payload,backlog-10k,events

dev: ## StateFlow on this machine, with a database of its own
	cargo build --locked --package stateflow --bin stateflow
	exec "$$CARGO_TARGET_DIR/debug/stateflow" dev
