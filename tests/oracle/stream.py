"""From decodable records to those that count: lateness, duplicates, and what each window is allowed to see.

Sections 2, 3 and 6 of the semantics. `maximum` is the running maximum of event time of the record's own partition before
the record, over all decodable records; `watermark` is that minus maxOutOfOrderness. Both are null for a first record.
"""

from __future__ import annotations

from dataclasses import dataclass

import polars as pl

from declarations import CUMULATIVE, Declarations, Window
from envelopes import EVENT_TYPES, Records


@dataclass
class Stream:
    """The counted records with, for each window name, `seen_<name>`: a window sees the record if it ends after that."""

    counted: pl.DataFrame
    late_events: pl.DataFrame
    decoded: int
    bad: int
    duplicates: int
    too_late: int
    kept_by_type: dict[str, int]


def settle(records: Records, declared: Declarations) -> Stream:
    """Decides for each record whether it counts, and for which windows it is late."""
    frame = _with_lateness(records.frame, declared)
    too_late = frame.filter("too_late")
    in_time = frame.filter(~pl.col("too_late"))
    counted = in_time.unique("event_id", keep="first", maintain_order=True)
    kept = pl.concat([too_late, counted]).group_by("event_type").len()
    kept_by_type = {EVENT_TYPES[code]: count for code, count in kept.iter_rows()}
    return Stream(
        counted=counted,
        late_events=_late_events(too_late, counted, declared),
        decoded=len(frame),
        bad=records.bad,
        duplicates=len(in_time) - len(counted),
        too_late=len(too_late),
        kept_by_type={name: kept_by_type.get(name, 0) for name in EVENT_TYPES},
    )


def last_late_end(window: Window) -> str:
    """The column with the end of the last window of this name that a record is late for, null where it is not late."""
    return f"late_{window.name}"


def seen_from(window: Window) -> str:
    """The column with the instant after which a window of this name must end in order to see the record."""
    return f"seen_{window.name}"


def _with_lateness(frame: pl.DataFrame, declared: Declarations) -> pl.DataFrame:
    maximum = pl.col("event_time").cum_max().shift(1).over("partition")
    frame = frame.with_columns(maximum=maximum)
    behind = pl.col("maximum") - pl.col("event_time")
    frame = frame.with_columns(
        too_late=(behind > declared.correction_horizon).fill_null(False),
        watermark=pl.col("maximum") - declared.max_out_of_orderness,
    )
    for window in declared.windows:
        first_end = window.offset + window.size
        passed = (pl.col("watermark") - declared.allowed_lateness - first_end).floordiv(window.slide)
        end = first_end + passed * window.slide
        frame = frame.with_columns(pl.when(end > pl.col("event_time")).then(end).alias(last_late_end(window)))
        frame = frame.with_columns(pl.coalesce(last_late_end(window), "event_time").alias(seen_from(window)))
    # nothing that is not too late is late for the experiment to date
    return frame.with_columns(pl.col("event_time").alias(f"seen_{CUMULATIVE}"))


def _late_events(too_late: pl.DataFrame, counted: pl.DataFrame, declared: Declarations) -> pl.DataFrame:
    head = ["event_id", "event_type", "event_time", "watermark"]
    rows = [too_late.select(*head, window_name=pl.lit(CUMULATIVE), window_end=pl.lit(None, pl.Int64))]
    for window in declared.windows:
        end = last_late_end(window)
        for part in (too_late, counted):
            late = part.filter(pl.col(end).is_not_null())
            rows.append(late.select(*head, window_name=pl.lit(window.name), window_end=pl.col(end)))
    names = dict(enumerate(EVENT_TYPES))
    return pl.concat(rows).with_columns(
        pl.col("event_type").replace_strict(names, return_dtype=pl.String)
    ).sort("event_id", "watermark", "window_name", nulls_last=True)
