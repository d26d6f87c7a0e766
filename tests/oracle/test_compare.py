"""The comparison finds what differs and forgives what rounding does: `python -m unittest` in this folder."""

from __future__ import annotations

import unittest
from pathlib import Path
from tempfile import TemporaryDirectory

import polars as pl

import compare
from result_tables import COUNTS, KEYS, REALS, Unreadable, tables_of


def stats(**changed) -> pl.DataFrame:
    row = dict.fromkeys((*KEYS["metric_stats"], *REALS["metric_stats"]))
    row |= {"experiment": "e", "variant": "a", "metric": "m", "window_name": "cumulative"}
    row |= dict.fromkeys(COUNTS["metric_stats"], 10) | {"sum": 20.0, "mean": 2.0, "m2": 5.0, "min": 0.0, "max": 4.0}
    schema = {column: pl.String for column in KEYS["metric_stats"]} | {"window_start": pl.Int64, "window_end": pl.Int64}
    schema |= dict.fromkeys(COUNTS["metric_stats"], pl.Int64) | dict.fromkeys(REALS["metric_stats"], pl.Float64)
    return pl.DataFrame([row | changed], schema=schema)


def found(left: pl.DataFrame, right: pl.DataFrame) -> list[str]:
    return compare.differences("metric_stats", left, right)


class Comparison(unittest.TestCase):
    def test_equal_tables_have_no_differences(self) -> None:
        self.assertEqual(found(stats(), stats()), [])

    def test_a_count_that_is_off_by_one_is_a_difference(self) -> None:
        (line,) = found(stats(), stats(outcomes=11))
        self.assertIn("experiment=e variant=a metric=m", line)
        self.assertIn("outcomes 10 against 11", line)

    def test_a_row_on_one_side_alone_is_a_difference(self) -> None:
        both = pl.concat([stats(), stats(variant="b")])
        self.assertIn("variant=b", found(both, stats())[0])
        self.assertIn("only in B", found(stats(), both)[0])

    def test_reals_may_differ_by_a_billionth_and_no_more(self) -> None:
        self.assertEqual(found(stats(), stats(m2=5.0 * (1 + 9e-10))), [])
        self.assertEqual(len(found(stats(), stats(m2=5.0 * (1 + 2e-9)))), 1)

    def test_a_cancelled_sum_is_measured_by_its_summands(self) -> None:
        cancelled = {"sum": 1e-13, "mean": 1e-14, "m2": 5.0}
        self.assertEqual(found(stats(**cancelled), stats(**cancelled | {"sum": -3e-13})), [])
        self.assertEqual(len(found(stats(**cancelled), stats(**cancelled | {"sum": 1e-10}))), 1)

    def test_null_and_a_number_are_different(self) -> None:
        self.assertEqual(len(found(stats(), stats(c=0.0))), 1)
        self.assertEqual(len(found(stats(), stats(mean=None))), 1)

    def test_a_key_that_comes_twice_is_a_difference(self) -> None:
        self.assertEqual(len(found(stats(), pl.concat([stats(), stats()]))), 1)

    def test_tables_are_read_from_every_format_alike(self) -> None:
        instant = pl.Series([1_767_571_200_000_001]).cast(pl.Datetime("us", "UTC"))
        frame = stats().with_columns(window_start=instant, window_end=instant)
        with TemporaryDirectory() as folder:
            roots = {suffix: Path(folder, suffix) for suffix in ("parquet", "csv", "ndjson")}
            for root in roots.values():
                root.mkdir()
            frame.write_parquet(roots["parquet"] / "metric_stats.parquet")
            frame.write_csv(roots["csv"] / "metric_stats.csv")
            frame.write_ndjson(roots["ndjson"] / "metric_stats.ndjson")
            for root in roots.values():
                self.assertEqual(compare.main([str(roots["parquet"]), str(root)]), 0)
            frame.with_columns(subjects=pl.lit(9)).write_parquet(roots["parquet"] / "metric_stats.parquet")
            self.assertEqual(compare.main([str(roots["parquet"]), str(roots["csv"])]), 1)

    def test_a_folder_without_tables_is_no_result(self) -> None:
        with TemporaryDirectory() as folder:
            self.assertRaises(Unreadable, tables_of, Path(folder))
            self.assertEqual(compare.main([folder, folder]), 2)

    def test_of_a_lake_the_latest_revision_counts_and_updates_of_windows_do_not(self) -> None:
        instant = pl.Series([1_767_571_200_000_000]).cast(pl.Datetime("us", "UTC"))
        hourly = stats(window_name="hourly").with_columns(window_start=instant, window_end=instant)
        hourly = hourly.with_columns(is_final=pl.lit(True), revision=pl.lit(1, pl.Int64))
        other = hourly.with_columns(variant=pl.lit("b"), is_final=pl.lit(False))
        older = hourly.with_columns(is_final=pl.lit(False), revision=pl.lit(0, pl.Int64), subjects=pl.lit(3, pl.Int64))
        with TemporaryDirectory() as folder:
            table = str(Path(folder, "metric_stats"))
            for frame in (hourly, pl.concat([older, other])):
                frame.write_delta(table, mode="append")
            read = tables_of(Path(folder))["metric_stats"]
        self.assertEqual(read.get_column("subjects").to_list(), [10])


if __name__ == "__main__":
    unittest.main()
