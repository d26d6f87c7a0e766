"""Compares the result tables of two runs: keys and counts exactly, real numbers within 1e-9 relative.

    python compare.py A B [--show 10] [--tables assignment_counts,metric_stats]

A and B are folders of tables (see result_tables.py) or lakes. Two reals a and b are equal where

    |a - b| <= max(1e-9 * max(|a|, |b|), 1e-12 * s)

and s is the magnitude of what was added up to get them. It matters only where a sum has nearly cancelled, so that no
digit of the result is significant. With n units and S = m2 + n * mean^2, the sum of squares of the folded values:
s = sqrt(n * S) for sum, sqrt(S / n) for mean, min and max, S for m2, and sqrt(S_x * S_y) for c.
Of a run the counters are compared too, where both folders have a `counters.json`. Exit status 1 on any difference.
"""

from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path

import polars as pl

from result_tables import COUNTS, KEYS, REALS, Unreadable, tables_of

RELATIVE = 1e-9
OF_MAGNITUDE = 1e-12


def main(arguments: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("a", type=Path)
    parser.add_argument("b", type=Path)
    parser.add_argument("--show", type=int, default=10, help="differences printed for each table (default 10)")
    parser.add_argument("--tables", help="compare only these, separated by commas; each must be on both sides")
    chosen = parser.parse_args(arguments)
    wanted = chosen.tables.split(",") if chosen.tables else None
    try:
        report = compare(chosen.a, chosen.b, wanted)
    except Unreadable as error:
        print(error, file=sys.stderr)
        return 2
    for name, (rows, differences) in report.items():
        if not differences:
            print(f"{name}: {rows} rows, equal")
            continue
        print(f"{name}: {len(differences)} differences in {rows} rows")
        for line in differences[: chosen.show]:
            print(f"  {line}")
        if len(differences) > chosen.show:
            print(f"  and {len(differences) - chosen.show} more")
    return 1 if any(differences for _, differences in report.values()) else 0


def compare(a: Path, b: Path, wanted: list[str] | None = None) -> dict[str, tuple[int, list[str]]]:
    """For each table its number of rows in A and the differences, each as a line of text."""
    left, right = tables_of(a), tables_of(b)
    report = {}
    for name in wanted or KEYS:
        if name not in left and name not in right and not wanted:
            continue
        if name not in left or name not in right:
            # a lake has a table from its first row on
            rows = len(left[name] if name in left else right[name]) if name in left or name in right else None
            missing = [f"{rows} rows, only in {a if name in left else b}"] if rows else []
            report[name] = (0, ["in neither"] if rows is None else missing)
        elif name == "late_events":
            report[name] = (len(left[name]), _differing_late_events(left[name], right[name], a, b))
        else:
            report[name] = (len(left[name]), differences(name, left[name], right[name], a, b))
    counters = [path / "counters.json" for path in (a, b)]
    if all(path.exists() for path in counters) and not wanted:
        report["counters"] = _differing_counters(*(json.loads(path.read_text()) for path in counters))
    return report


def differences(name: str, left: pl.DataFrame, right: pl.DataFrame, a: object = "A", b: object = "B") -> list[str]:
    """The differences of one table, in the order of its key."""
    key = list(KEYS[name])
    for frame, side in ((left, a), (right, b)):
        repeated = frame.filter(frame.select(key).is_duplicated())
        if len(repeated):
            return [f"{_key(name, row)}: more than one row in {side}" for row in repeated.unique(key).sort(key).to_dicts()]
    left, right = left.with_columns(in_a=True), right.with_columns(in_b=True)
    both = left.join(right, on=key, how="full", coalesce=True, nulls_equal=True, suffix="_b").sort(key, nulls_last=False)
    unequal = pl.any_horizontal(
        pl.col("in_a").is_null(),
        pl.col("in_b").is_null(),
        *(pl.col(column).ne_missing(pl.col(f"{column}_b")) for column in COUNTS[name]),
        *(~_close(column, name) for column in REALS.get(name, ())),
    )
    return [_describe(name, row, a, b) for row in both.filter(unequal).to_dicts()]


def _close(column: str, name: str) -> pl.Expr:
    x, y = pl.col(column), pl.col(f"{column}_b")
    tolerance = pl.max_horizontal(
        RELATIVE * pl.max_horizontal(x.abs(), y.abs()), OF_MAGNITUDE * _magnitude(column).fill_null(0.0)
    )
    # within any tolerance of infinity lies everything
    finite = x.is_finite() & y.is_finite()
    return x.eq_missing(y) | (finite & ((x - y).abs() <= tolerance)).fill_null(False)


def _magnitude(column: str) -> pl.Expr:
    n = pl.col("subjects")
    squares_x = pl.col("m2") + n * pl.col("mean") ** 2
    squares_y = pl.col("m2_y") + n * pl.col("mean_y") ** 2
    if column == "sum":
        return (n * squares_x).sqrt()
    if column == "mean_y":
        return (squares_y / n).sqrt()
    if column in ("m2", "m2_y"):
        return squares_x if column == "m2" else squares_y
    if column == "c":
        return (squares_x * squares_y).sqrt()
    return (squares_x / n).sqrt()


def _differing_late_events(left: pl.DataFrame, right: pl.DataFrame, a: Path, b: Path) -> list[str]:
    """Late events have no key of their own (a record may be delivered late twice): rows are counted."""
    key = list(KEYS["late_events"])
    joined = left.group_by(key).len("rows").join(
        right.group_by(key).len("rows_b"), on=key, how="full", coalesce=True, nulls_equal=True
    )
    joined = joined.with_columns(pl.col("rows", "rows_b").fill_null(0)).filter(pl.col("rows") != pl.col("rows_b"))
    return [
        f"{_key('late_events', row)}: {row['rows']} rows in {a}, {row['rows_b']} in {b}"
        for row in joined.sort(key).to_dicts()
    ]


def _differing_counters(left: dict, right: dict) -> tuple[int, list[str]]:
    shared = [name for name in left if name in right]
    lines = [f"{name}: {left[name]} against {right[name]}" for name in shared if left[name] != right[name]]
    return len(shared), lines


def _describe(name: str, row: dict, a: object, b: object) -> str:
    if row["in_a"] is None or row["in_b"] is None:
        side, suffix = (b, "_b") if row["in_a"] is None else (a, "")
        values = ", ".join(f"{column} {row[column + suffix]}" for column in COUNTS[name])
        return f"{_key(name, row)}: only in {side} ({values})"
    columns = (*COUNTS[name], *REALS.get(name, ()))
    changed = [column for column in columns if row[column] != row[f"{column}_b"]]
    return f"{_key(name, row)}: " + ", ".join(f"{column} {row[column]!r} against {row[column + '_b']!r}" for column in changed)


def _key(name: str, row: dict) -> str:
    parts = []
    for column in KEYS[name]:
        value = row[column]
        if value is None:
            continue
        if isinstance(value, int):
            seconds, micros = divmod(value, 1_000_000)
            text = pl.select(pl.from_epoch(pl.lit(seconds))).item().strftime("%Y-%m-%dT%H:%M:%S")
            value = f"{text}.{micros:06}Z" if micros else f"{text}Z"
        parts.append(f"{column}={value}")
    return " ".join(parts)


if __name__ == "__main__":
    sys.exit(main())
