"""What a job over the Open Bandit logs must find, computed from the CSV files by counting.

    python obd_expected.py OUT_DIR [--source OBD_DIR]

Writes `assignment_counts.parquet` and `metric_stats.parquet` as `tests/oracle/compare.py` reads them, and prints the click
rates. Each impression is a subject with one exposure, so that no join is needed: with c clicks among n impressions the mean is
c / n and the sum of squared deviations c * (n - c) / n.
"""

from __future__ import annotations

import argparse
import sys
from datetime import datetime, time, timedelta, timezone
from pathlib import Path

import polars as pl

import obd

DAY = timedelta(days=1)
ATTRIBUTION = timedelta(hours=1)
KEY = ["experiment", "variant", "segment", "segment_value"]


def main(arguments: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("out", type=Path, help="folder for the tables")
    parser.add_argument("--source", type=Path, help="folder with random/ and bts/ (default: that of the package obp)")
    chosen = parser.parse_args(arguments)
    counts, stats = tables(chosen.source or obd.folder())
    chosen.out.mkdir(parents=True, exist_ok=True)
    counts.write_parquet(chosen.out / "assignment_counts.parquet")
    stats.write_parquet(chosen.out / "metric_stats.parquet")
    overall = stats.filter(pl.col("segment").is_null(), pl.col("window_name") == "cumulative")
    for row in overall.sort("experiment", "variant").to_dicts():
        print(f"{row['experiment']} {row['variant']}: {row['outcomes']} clicks, {row['subjects']} impressions, {row['mean']:.4%}")
    return 0


def tables(source: Path) -> tuple[pl.DataFrame, pl.DataFrame]:
    """assignment_counts and metric_stats, of each day and of the whole week."""
    log = pl.concat(
        obd.impressions(source, campaign, policy).select(
            pl.lit(obd.experiment(campaign)).alias("experiment"),
            pl.lit(policy).alias("variant"),
            pl.col("timestamp").str.to_datetime(time_unit="us", time_zone="UTC").alias("shown"),
            pl.col("position").cast(pl.String),
            pl.col("click").cast(pl.Int64),
        )
        for campaign in obd.CAMPAIGNS
        for policy in obd.POLICIES
    )
    nothing = pl.lit(None, pl.String)
    unsegmented = log.with_columns(segment=nothing, segment_value=nothing)
    segmented = log.with_columns(segment=pl.lit("attributes.position"), segment_value="position")
    log = pl.concat([unsegmented, segmented])
    counts, stats = [_assigned(log, None)], [_clicked(log, None)]
    first_day, last_day = log.get_column("shown").min().date(), log.get_column("shown").max().date()
    # impressions of the last hour of the week are still at risk on the day after it
    for day in range((last_day - first_day).days + 2):
        start = datetime.combine(first_day + DAY * day, time(), timezone.utc)
        counts.append(_assigned(log, start))
        stats.append(_clicked(log, start))
    return pl.concat(counts), pl.concat(stats)


def _assigned(log: pl.DataFrame, start: datetime | None) -> pl.DataFrame:
    if start is not None:
        log = log.filter(pl.col("shown") >= start, pl.col("shown") < start + DAY)
    rows = log.group_by(KEY).agg(subjects=pl.len().cast(pl.Int64), crossovers=pl.lit(0, pl.Int64))
    return _in_window(rows, start)


def _clicked(log: pl.DataFrame, start: datetime | None) -> pl.DataFrame:
    inside = matured = pl.col("shown").is_not_null()
    if start is not None:
        end = start + DAY
        log = log.filter(pl.col("shown") < end, pl.col("shown") + ATTRIBUTION > start)
        inside = pl.col("shown") >= start
        matured = pl.col("shown") + ATTRIBUTION <= end
    rows = log.group_by(KEY).agg(
        subjects=pl.len().cast(pl.Int64),
        outcomes=pl.col("click").filter(inside).sum(),
        matured_subjects=matured.cast(pl.Int64).sum(),
    )
    n, clicks = pl.col("subjects"), pl.col("outcomes")
    none = pl.lit(None, pl.Float64)
    rows = rows.with_columns(
        metric=pl.lit("click"),
        subjects_with_outcome=clicks,
        sum=clicks.cast(pl.Float64),
        mean=clicks / n,
        m2=clicks * (n - clicks) / n,
        min=(clicks == n).cast(pl.Float64),
        max=(clicks > 0).cast(pl.Float64),
        mean_y=none,
        m2_y=none,
        c=none,
    )
    return _in_window(rows, start)


def _in_window(rows: pl.DataFrame, start: datetime | None) -> pl.DataFrame:
    end = None if start is None else start + DAY
    instant = pl.Datetime("us", "UTC")
    return rows.with_columns(
        window_name=pl.lit("cumulative" if start is None else "daily"),
        window_start=pl.lit(start, instant),
        window_end=pl.lit(end, instant),
    )


if __name__ == "__main__":
    sys.exit(main())
