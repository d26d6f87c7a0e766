"""The engine's result tables, recomputed in polars from the events alone.

    python oracle.py --config config.json --out DIR events-0.ndjson events-1.ndjson.zst ...

Follows docs/semantics.md and shares no code with the engine. Each file is one source partition (`.gz` and `.zst` by
name). Writes `assignment_counts.parquet`, `metric_stats.parquet`, `late_events.parquet` and `counters.json` into DIR.
"""

from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path

import polars as pl

import declarations
import envelopes
import statistics_tables
import stream

INSTANTS = ("window_start", "window_end", "event_time", "watermark")


def main(arguments: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--config", type=Path, required=True, help="the job's configuration as JSON")
    parser.add_argument("--out", type=Path, required=True, help="folder for the tables")
    parser.add_argument("--bad", action="store_true", help="print each bad record with its reason")
    parser.add_argument("files", type=Path, nargs="+", help="NDJSON files, each of them one source partition")
    chosen = parser.parse_args(arguments)
    counters = run(chosen.config, chosen.out, chosen.files, chosen.bad)
    print(json.dumps(counters, indent=2))
    return 0


def run(config: Path, out: Path, files: list[Path], show_bad: bool = False) -> dict:
    """Recomputes all tables of one job, writes them to `out` and returns the counters."""
    declared = declarations.read(config)
    records = envelopes.read(files, declared.segments())
    if show_bad:
        for path, line, reason in records.bad_reasons:
            print(f"{path}:{line}: {reason}", file=sys.stderr)
    settled = stream.settle(records, declared)
    tables = statistics_tables.recompute(records, settled, declared)
    counters = {
        "decoded": settled.decoded,
        "bad": settled.bad,
        "duplicates": settled.duplicates,
        "too_late": settled.too_late,
        "outcomes_without_exposure": tables.outcomes_without_exposure,
        "rows": settled.kept_by_type,
    }
    out.mkdir(parents=True, exist_ok=True)
    written = {
        "assignment_counts": tables.assignment_counts,
        "metric_stats": tables.metric_stats,
        "late_events": settled.late_events,
    }
    for name, frame in written.items():
        _with_instants(frame).write_parquet(out / f"{name}.parquet")
    (out / "counters.json").write_text(json.dumps(counters, indent=2) + "\n", encoding="utf-8")
    return counters


def _with_instants(frame: pl.DataFrame) -> pl.DataFrame:
    present = [name for name in INSTANTS if name in frame.columns]
    return frame.with_columns(pl.col(present).cast(pl.Datetime("us", "UTC")))


if __name__ == "__main__":
    sys.exit(main())
