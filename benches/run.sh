#!/usr/bin/env bash
# Measures: decode beside sonic-rs and simd-json, the whole job beside DuckDB. Release build; every figure with its reference in the same run.
set -euo pipefail
cd "$(dirname "$0")/.."
python="$(tests/setup_python.sh)"
"$python" -m pip install --quiet --disable-pip-version-check -r benches/requirements.txt
target="${CARGO_TARGET_DIR:-target}"
# one selection of packages for both, so that nothing is compiled twice
cargo build --release --workspace --bins --benches --examples
cargo bench --workspace --bench decode
"$python" benches/whole_job.py "$target/release/backplane" --limit "$target/release/examples/tape_parse" "$@"
"$python" benches/whole_job.py "$target/release/backplane" --days 14 --rounds 1
cargo bench --workspace --bench evaluation
cargo bench --workspace --bench checkpoint
"$python" benches/checkpoint_cost.py "$target/release/backplane"
"$python" benches/spill.py "$target/release/backplane"
"$python" benches/latency.py "$target/release/backplane"
"$python" benches/memory.py "$target/release/backplane"
"$python" benches/growth.py "$target/release/backplane"
"$python" benches/instructions.py "$target/release/backplane"
cargo bench --workspace --bench calibration
