"""Reads every table of a lake with DuckDB, polars and the deltalake package and checks that all see the same rows.

    python read_lake.py LAKE [--ignore-folder]

Five ways to read a table: DuckDB over the folder as Parquet with Hive partitions, DuckDB over the files that the Delta log
names, polars over the Delta log, polars over the folder, and the deltalake package's own query engine. Of each: the number of
rows and a checksum over all columns, whatever the order of the rows. A table without files has nothing to read but its log.
The two ways over the folder know nothing of the log, so that they also see files of an unfinished or crashed commit until
`vacuum` has run: `--ignore-folder` leaves them out. Exit status 1 where two readers differ, 2 where there is no lake.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable
from pathlib import Path

import deltalake
import duckdb
import polars as pl

Reader = Callable[[Path], pl.DataFrame]


def main(arguments: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("lake", type=Path)
    parser.add_argument("--ignore-folder", action="store_true", help="do not read folders past their Delta log")
    chosen = parser.parse_args(arguments)
    tables = sorted(log.parent for log in chosen.lake.glob("*/_delta_log"))
    if not tables:
        print(f"{chosen.lake} holds no Delta table", file=sys.stderr)
        return 2
    readers = {name: read for name, read in READERS.items() if not (chosen.ignore_folder and "folder" in name)}
    agreed = [compare(table, readers) for table in tables]
    return 0 if all(agreed) else 1


def compare(table: Path, readers: dict[str, Reader]) -> bool:
    """Whether all readers see the same rows of a table; says what they see."""
    seen = {}
    for name, read in readers.items():
        try:
            seen[name] = summary(read(table))
        except Exception as error:  # whatever a reader stumbles over is the finding
            seen[name] = f"{type(error).__name__}: {' '.join(str(error).split())[:300]}"
    if len(set(seen.values())) == 1 and not isinstance(next(iter(seen.values())), str):
        rows, columns, checksum = next(iter(seen.values()))
        print(f"{table.name}: {rows} rows, {len(columns)} columns, checksum {checksum:016x}, the same to {len(seen)} readers")
        return True
    print(f"{table.name}: the readers differ")
    for name, found in seen.items():
        if isinstance(found, str):
            print(f"  {name}: {found}")
            continue
        rows, columns, checksum = found
        print(f"  {name}: {rows} rows, checksum {checksum:016x}, columns {', '.join(columns)}")
    return False


def summary(frame: pl.DataFrame) -> tuple[int, tuple[str, ...], int]:
    """Rows, column names in byte order, and the sum of the rows' hashes: the same for the same rows in any order."""
    columns = tuple(sorted(frame.columns))
    frame = frame.select(_comparable(column, frame.schema[column]) for column in columns)
    if frame.is_empty():
        return 0, columns, 0
    hashes = frame.hash_rows(1, 2, 3, 4)
    # a wrapping sum in two halves, which cannot overflow
    low, high = (hashes & 0xFFFF_FFFF).sum(), (hashes // 2**32).sum()
    return len(frame), columns, (low + (high << 32)) % 2**64


def _comparable(column: str, dtype: pl.DataType) -> pl.Expr:
    """The values in a type that all readers share: readers differ in units, dictionaries and what a partition column is."""
    expression = pl.col(column)
    if isinstance(dtype, pl.Datetime):
        return expression.dt.epoch("us")
    if dtype == pl.Binary:
        return expression.bin.encode("hex")
    if dtype.is_integer():
        return expression.cast(pl.Int64)
    if dtype.is_float():
        # the bits: a reader that rounds is found out
        return expression.cast(pl.Float64).reinterpret(signed=True)
    if dtype == pl.Boolean:
        return expression.cast(pl.Int8)
    return expression.cast(pl.String)


def _files(table: Path) -> list[str]:
    uris = deltalake.DeltaTable(str(table)).file_uris()
    return [uri.removeprefix("file://") for uri in uris]


def _duckdb(files: list[str]) -> pl.DataFrame:
    with duckdb.connect() as connection:
        connection.execute("SET TimeZone = 'UTC'")
        relation = connection.sql("SELECT * FROM read_parquet($files, hive_partitioning = true)", params={"files": files})
        return pl.DataFrame(relation)


def _folder(table: Path) -> list[str]:
    """Every Parquet file under the table, whether the log knows it or not; the log's own checkpoints are none of its rows."""
    return [str(path) for path in sorted(table.rglob("*.parquet")) if "_delta_log" not in path.parts]


def duckdb_folder(table: Path) -> pl.DataFrame:
    files = _folder(table)
    return _duckdb(files) if files else polars_log(table)


def duckdb_log(table: Path) -> pl.DataFrame:
    files = _files(table)
    return _duckdb(files) if files else polars_log(table)


def polars_log(table: Path) -> pl.DataFrame:
    return pl.scan_delta(str(table)).collect()


def polars_folder(table: Path) -> pl.DataFrame:
    files = _folder(table)
    return pl.scan_parquet(files, hive_partitioning=True).collect() if files else polars_log(table)


def deltalake_log(table: Path) -> pl.DataFrame:
    engine = deltalake.QueryBuilder().register("rows", deltalake.DeltaTable(str(table)))
    return pl.DataFrame(engine.execute("SELECT * FROM rows"))


READERS: dict[str, Reader] = {
    "DuckDB over the folder": duckdb_folder,
    "DuckDB over the log's files": duckdb_log,
    "polars over the log": polars_log,
    "polars over the folder": polars_folder,
    "deltalake over the log": deltalake_log,
}


if __name__ == "__main__":
    sys.exit(main())
