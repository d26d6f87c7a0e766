"""Result tables of a job as polars frames of one shape, wherever they lie.

A source is a folder of files named by table (`.parquet`, `.csv`, `.ndjson`; what the oracle or `backplane sql` wrote), or
a lake (a folder of Delta tables, of which the row of the greatest revision of each key counts).
"""

from __future__ import annotations

from pathlib import Path

import polars as pl

from declarations import CUMULATIVE

COUNT_KEY = ("experiment", "variant", "segment", "segment_value", "window_name", "window_start", "window_end")
STATS_KEY = (*COUNT_KEY[:2], "metric", *COUNT_KEY[2:])
LATE_KEY = ("event_id", "event_type", "event_time", "window_name", "window_end", "watermark")

COUNTS = {"assignment_counts": ("subjects", "crossovers"), "late_events": ()}
COUNTS["metric_stats"] = ("subjects", "subjects_with_outcome", "outcomes", "matured_subjects")
REALS = {"metric_stats": ("sum", "mean", "m2", "min", "max", "mean_y", "m2_y", "c")}
KEYS = {"assignment_counts": COUNT_KEY, "metric_stats": STATS_KEY, "late_events": LATE_KEY}

_INSTANTS = ("window_start", "window_end", "event_time", "watermark")


class Unreadable(Exception):
    """A source that does not hold what it should."""


def tables_of(source: Path) -> dict[str, pl.DataFrame]:
    """The result tables that a source has."""
    if not source.is_dir():
        raise Unreadable(f"{source} is not a folder of tables")
    found = {}
    for name in KEYS:
        frame = _read(source, name)
        if frame is not None:
            found[name] = _in_one_shape(frame, name, source)
    if not found:
        raise Unreadable(f"{source} holds none of the tables {', '.join(KEYS)}")
    return found


def _read(source: Path, name: str) -> pl.DataFrame | None:
    if (source / name / "_delta_log").is_dir():
        return _latest(pl.read_delta(str(source / name)), name)
    readers = {".parquet": pl.read_parquet, ".ndjson": lambda path: pl.read_ndjson(path, infer_schema_length=None)}
    for suffix, reader in readers.items():
        path = source / f"{name}{suffix}"
        if path.exists():
            return reader(path)
    path = source / f"{name}.csv"
    return pl.read_csv(path, infer_schema_length=None) if path.exists() else None


def _latest(frame: pl.DataFrame, name: str) -> pl.DataFrame:
    """The row of the greatest revision of each key; of windows only final rows are results."""
    if "revision" not in frame.columns:
        return frame
    latest = frame.sort("revision").unique([key for key in KEYS[name] if key != "window_end"], keep="last")
    return latest.filter(pl.col("is_final") | (pl.col("window_name") == CUMULATIVE))


def _in_one_shape(frame: pl.DataFrame, name: str, source: Path) -> pl.DataFrame:
    integers, reals = COUNTS[name], REALS.get(name, ())
    missing = [column for column in (*KEYS[name], *integers, *reals) if column not in frame.columns]
    if missing:
        raise Unreadable(f"{name} of {source} lacks the column {missing[0]}")
    expressions = [_instant(frame, column) for column in KEYS[name] if column in _INSTANTS]
    expressions += [pl.col(column).cast(pl.String) for column in KEYS[name] if column not in _INSTANTS]
    expressions += [pl.col(column).cast(pl.Int64) for column in integers]
    expressions += [pl.col(column).cast(pl.Float64) for column in reals]
    return frame.select(expressions).select(*KEYS[name], *integers, *reals)


def _instant(frame: pl.DataFrame, column: str) -> pl.Expr:
    dtype = frame.schema[column]
    if dtype == pl.Null:
        return pl.col(column).cast(pl.Int64)
    if dtype == pl.String:
        return pl.col(column).str.to_datetime(time_unit="us", time_zone="UTC").dt.epoch("us").alias(column)
    if isinstance(dtype, pl.Datetime):
        return pl.col(column).dt.epoch("us").alias(column)
    return pl.col(column).cast(pl.Int64)
