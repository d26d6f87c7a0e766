"""Compares what the oracle found in a generated stream with what the generator says it planted.

    python check_truth.py ORACLE_DIR events-0.ndjson.truth.json

The two share no code, so an error of either shows here. Subjects are compared where the policy leaves crossovers out.
Exit status 1 on any difference.
"""

from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path

import polars as pl

from declarations import CUMULATIVE


def main(arguments: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("found", type=Path, help="folder that oracle.py wrote")
    parser.add_argument("truth", type=Path, help="truth beside the stream")
    parser.add_argument("--policy", choices=("exclude", "other"), default="exclude", help="the job's crossover policy")
    chosen = parser.parse_args(arguments)
    truth = json.loads(chosen.truth.read_text(encoding="utf-8"))
    lines = [*_counters(chosen.found, truth), *_late(chosen.found, truth), *_subjects(chosen.found, truth, chosen.policy)]
    for line in lines:
        print(line)
    print(f"{len(lines)} differences between the oracle and the generator's truth")
    return 1 if lines else 0


def _counters(found: Path, truth: dict) -> list[str]:
    counters = json.loads((found / "counters.json").read_text(encoding="utf-8"))
    pairs = {name: (counters[name], truth[name]) for name in ("decoded", "bad", "duplicates")}
    pairs["too late"] = (counters["too_late"], truth["tooLate"])
    pairs |= {name: (count, truth["byType"][name]) for name, count in counters["rows"].items()}
    return _unequal(pairs)


def _late(found: Path, truth: dict) -> list[str]:
    late = pl.read_parquet(found / "late_events.parquet")
    # the truth counts late records that count; those of a delivery that is too late have a row of their own
    too_late = late.filter(window_name=CUMULATIVE).select("event_id", "watermark").unique()
    counted = late.join(too_late, on=["event_id", "watermark"], how="anti", nulls_equal=True)
    by_window = dict(counted.group_by("window_name").len().iter_rows())
    return _unequal({f"late for {name}": (by_window.get(name, 0), count) for name, count in truth["late"].items()})


def _subjects(found: Path, truth: dict, policy: str) -> list[str]:
    counts = pl.read_parquet(found / "assignment_counts.parquet")
    counts = counts.filter(pl.col("window_name") == CUMULATIVE, pl.col("segment").is_null())
    rows = {(row["experiment"], row["variant"]): row for row in counts.to_dicts()}
    pairs = {}
    for name, experiment in truth["experiments"].items():
        for variant in experiment["firstExposures"]:
            row = rows.pop((name, variant), {"subjects": 0, "crossovers": 0})
            key = f"of {name}/{variant}"
            pairs[f"crossovers {key}"] = (row["crossovers"], experiment["crossovers"].get(variant, 0))
            if policy == "exclude":
                pairs[f"subjects {key}"] = (row["subjects"], experiment["subjects"].get(variant, 0))
    if policy == "exclude":
        pairs |= {f"rows of {'/'.join(key)}": (1, 0) for key in rows}
    return _unequal(pairs)


def _unequal(pairs: dict) -> list[str]:
    return [f"{name}: {found} found, {planted} planted" for name, (found, planted) in pairs.items() if found != planted]


if __name__ == "__main__":
    sys.exit(main())
