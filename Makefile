# The ways in: `make demo` shows what Backplane does, `make test` proves it. Both do all their own set-up.

SHELL := /bin/bash
.SHELLFLAGS := -euo pipefail -c
.DEFAULT_GOAL := help

# Compiled dependencies are shared between clones.
BACKPLANE_CACHE ?= $(HOME)/.cache/backplane
export BACKPLANE_CACHE
export CARGO_TARGET_DIR ?= $(BACKPLANE_CACHE)/target
TOOLS := $(BACKPLANE_CACHE)/tools

# Cargo tells whether a source has changed by its time alone: a clone that finds another one's build must not take it for its own.
LAST_CLONE := $(CARGO_TARGET_DIR)/last-clone
_ := $(shell [ "$$(cat "$(LAST_CLONE)" 2> /dev/null)" = "$(CURDIR)" ] || { \
  find . -name target -prune -o -type f ! -path './.git/*' -exec touch -c {} +; \
  mkdir -p "$(CARGO_TARGET_DIR)"; echo "$(CURDIR)" > "$(LAST_CLONE)"; })

.PHONY: help demo test lint bench doc fmt python

help:
	@echo 'make demo   run the engine on a generated stream with known faults, and see what it finds'
	@echo 'make test   run every test (sets up a Python environment for the oracles outside the clone)'
	@echo 'make lint   formatting, clippy, documentation, unused dependencies'
	@echo 'make bench  measure: decode and the whole job, beside references in the same run'
	@echo 'make doc    the API documentation'

demo:
	cargo build --package backplane
	"$(CARGO_TARGET_DIR)/debug/backplane" demo

python:
	tests/setup_python.sh > /dev/null

test: python
	cargo build --workspace --all-targets
	BACKPLANE_PYTHON="$$(tests/setup_python.sh)" cargo test --workspace --no-fail-fast

lint: $(TOOLS)/bin/cargo-machete
	cargo fmt --all --check
	cargo clippy --workspace --all-targets -- -D warnings
	RUSTDOCFLAGS='-D warnings' cargo doc --workspace --no-deps --quiet
	"$(TOOLS)/bin/cargo-machete" --skip-target-dir engine connectors queries tests benches

$(TOOLS)/bin/cargo-machete:
	cargo install cargo-machete --locked --root "$(TOOLS)" --quiet

bench: python
	benches/run.sh

doc:
	cargo doc --workspace --no-deps
	@echo "open $(CARGO_TARGET_DIR)/doc/backplane/index.html"

fmt:
	cargo fmt --all
