"""The readers agree on a good lake and tell a bad one: `python -m unittest` in this folder."""

from __future__ import annotations

import contextlib
import io
import tempfile
import unittest
from datetime import datetime, timezone
from pathlib import Path

import deltalake
import polars as pl

import read_lake


def rows(first: int, count: int) -> pl.DataFrame:
    """Rows of every type that the tables have, in two days' partitions, nulls among them."""
    numbers = range(first, first + count)
    return pl.DataFrame(
        {
            "event_id": [f"id-{number}" for number in numbers],
            "event_time": [datetime(2026, 1, 5, 1, 2, 3, number, timezone.utc) for number in numbers],
            "value": [None if number % 3 == 0 else number / 7 for number in numbers],
            "subjects": [number * 10**12 for number in numbers],
            "is_final": [number % 2 == 0 for number in numbers],
            "segment": [None if number % 2 else "été" for number in numbers],
            "raw": [bytes([number, 0, 255]) for number in numbers],
            "event_date": [f"2026-01-0{5 + number % 2}" for number in numbers],
        },
        schema_overrides={"event_time": pl.Datetime("us", "UTC")},
    )


class Readers(unittest.TestCase):
    def setUp(self) -> None:
        folder = tempfile.TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        self.lake = Path(folder.name)
        table = str(self.lake / "outcomes")
        for first in (1, 20):
            rows(first, 10).write_delta(table, mode="append", delta_write_options={"partition_by": ["event_date"]})

    def read(self, *options: str) -> tuple[int, str]:
        out = io.StringIO()
        with contextlib.redirect_stdout(out), contextlib.redirect_stderr(out):
            status = read_lake.main([str(self.lake), *options])
        return status, out.getvalue()

    def test_all_readers_see_the_same_rows(self) -> None:
        status, printed = self.read()
        self.assertEqual(status, 0, printed)
        self.assertIn("outcomes: 20 rows, 8 columns", printed)
        self.assertIn("the same to 5 readers", printed)

    def test_a_file_that_the_log_does_not_know_is_told(self) -> None:
        stray = self.lake / "outcomes" / "event_date=2026-01-05" / "stray.parquet"
        rows(40, 3).drop("event_date").write_parquet(stray)
        status, printed = self.read()
        self.assertEqual(status, 1)
        self.assertIn("DuckDB over the folder: 23 rows", printed)
        self.assertIn("polars over the log: 20 rows", printed)
        self.assertEqual(self.read("--ignore-folder")[0], 0)

    def test_a_lost_file_is_told_and_not_raised(self) -> None:
        next(self.lake.glob("outcomes/*/*.parquet")).unlink()
        status, printed = self.read()
        self.assertEqual(status, 1)
        self.assertIn("the readers differ", printed)

    def test_the_checksum_does_not_depend_on_the_order_but_on_every_value(self) -> None:
        frame = rows(1, 10)
        self.assertEqual(read_lake.summary(frame), read_lake.summary(frame.reverse()))
        for column, value in {"value": 0.1, "segment": "x", "is_final": None, "raw": b"", "subjects": 1}.items():
            changed = frame.with_columns(
                pl.when(pl.col("event_id") == "id-4").then(pl.lit(value)).otherwise(column).alias(column)
            )
            self.assertNotEqual(read_lake.summary(frame), read_lake.summary(changed), column)

    def test_an_empty_table_is_empty_to_all(self) -> None:
        rows(1, 10).clear().write_delta(str(self.lake / "signals"), delta_write_options={"partition_by": ["event_date"]})
        status, printed = self.read()
        self.assertEqual(status, 0, printed)
        self.assertIn("signals: 0 rows", printed)

    def test_the_logs_checkpoints_are_no_rows(self) -> None:
        deltalake.DeltaTable(str(self.lake / "outcomes")).create_checkpoint()
        status, printed = self.read()
        self.assertEqual(status, 0, printed)

    def test_a_folder_without_tables_is_no_lake(self) -> None:
        with tempfile.TemporaryDirectory() as folder, contextlib.redirect_stderr(io.StringIO()):
            self.assertEqual(read_lake.main([folder]), 2)


if __name__ == "__main__":
    unittest.main()
