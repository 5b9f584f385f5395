# What a person types. `make` lists it.

SHELL := bash
# One target directory for all clones on a machine: the plugin compiler takes minutes to build.
export CARGO_TARGET_DIR ?= $(HOME)/.cache/stateflow/target
# Queries are checked against .sqlx; no database is needed to compile.
export SQLX_OFFLINE := true

.PHONY: help setup test fmt lint tidy deny unit demo dev

help: ## List the targets
	@grep -hE '^[a-z]+:.*##' $(MAKEFILE_LIST) | sed -E 's/^([a-z]+):.*## /  \1\t/'

setup: ## Install what is missing on this machine
	scripts/setup.sh

test: setup fmt lint tidy deny unit ## Everything that decides whether a change lands

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

unit: ## The tests
	cargo test --workspace --locked

demo: ## A tour of a running StateFlow
	scripts/demo.sh

dev: ## StateFlow on this machine, with a database of its own
	cargo build --locked --package stateflow --bin stateflow
	exec "$$CARGO_TARGET_DIR/debug/stateflow" dev
