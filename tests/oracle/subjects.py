"""The subject of an experiment as each window sees it: first exposure, variant, crossover, segment values.

A window that ends at e judges by the exposures that it sees, those with `seen < e`. What is known of a subject changes
only where a further exposure comes into sight, so its history is a list of states, each valid for `from_end <= e <= to_end`.
"""

from __future__ import annotations

import polars as pl

from declarations import Declarations, Experiment, Window
from envelopes import ABSENT, EXPOSURE, Records
from stream import Stream, seen_from

FOREVER = 2**62
UNSEGMENTED = -1
SUBJECT = ["experiment", "subject"]


def experiments_of(records: Records, declared: Declarations) -> dict[int, Experiment]:
    """Every experiment of the stream by its code."""
    return {code: declared.experiment(name) for code, name in enumerate(records.experiments.values())}


def exposures(stream: Stream, experiments: dict[int, Experiment]) -> pl.DataFrame:
    """The counted exposures, numbered by `order`: event time, then event id in byte order, within each subject."""
    frame = stream.counted.filter(event_type=EXPOSURE).sort(*SUBJECT, "event_time", "event_id").with_row_index("order")
    epoch = pl.lit(0, pl.Int32)
    for code, experiment in experiments.items():
        # an exposure before the first date belongs to the first epoch
        begun = sum(((pl.col("event_time") >= start).cast(pl.Int32) for start in experiment.epochs[1:]), pl.lit(0, pl.Int32))
        if len(experiment.epochs) > 1:
            epoch = pl.when(pl.col("experiment") == code).then(begun).otherwise(epoch)
    return frame.with_columns(pl.col("order").cast(pl.Int64), epoch=epoch)


def states(exposed: pl.DataFrame, window: Window, experiments: dict[int, Experiment]) -> pl.DataFrame:
    """The states of all subjects under the windows of one name.

    Columns: experiment, subject, from_end, to_end, first (event time), first_variant, variant (by the policy), crossover,
    analysed (takes part in subjects and metrics), segment_* of the first exposure.
    """
    seen = seen_from(window)
    in_sight = exposed.sort(*SUBJECT, seen, "order")
    first, last = pl.col("order").cum_min().over(SUBJECT), pl.col("order").cum_max().over(SUBJECT)
    history = in_sight.select(*SUBJECT, seen=pl.col(seen), first_order=first, last_order=last)
    history = history.unique([*SUBJECT, "seen"], keep="last", maintain_order=True)
    history = history.join(_crossover_instants(exposed, seen), on=SUBJECT, how="left")
    history = history.with_columns(crossover=(pl.col("seen") >= pl.col("crossed")).fill_null(False))
    history = _policy(history, experiments)
    history = history.with_columns(
        from_end=pl.col("seen") + 1, to_end=pl.col("seen").shift(-1).over(SUBJECT).fill_null(FOREVER)
    )
    segments = [name for name in exposed.columns if name.startswith("segment_")]
    of_first = exposed.select(first_order="order", first="event_time", first_variant="variant", *map(pl.col, segments))
    of_last = exposed.select(last_order="order", last_variant="variant")
    history = history.join(of_first, on="first_order").join(of_last, on="last_order")
    variant = pl.when(pl.col("policy") == "lastVariant").then("last_variant").otherwise("first_variant")
    return history.select(
        *SUBJECT,
        "from_end",
        "to_end",
        "first",
        "first_variant",
        "crossover",
        *segments,
        variant=variant,
        analysed=~(pl.col("crossover") & (pl.col("policy") == "exclude")),
    )


def _crossover_instants(exposed: pl.DataFrame, seen: str) -> pl.DataFrame:
    """When the second variant of one allocation epoch came into sight, for the subjects where one did."""
    by_variant = exposed.group_by(*SUBJECT, "epoch", "variant").agg(pl.col(seen).min())
    by_epoch = by_variant.group_by(*SUBJECT, "epoch").agg(
        crossed=pl.col(seen).sort().get(1, null_on_oob=True)
    )
    return by_epoch.group_by(SUBJECT).agg(pl.col("crossed").min())


def _policy(frame: pl.DataFrame, experiments: dict[int, Experiment]) -> pl.DataFrame:
    policies = {code: experiment.crossovers for code, experiment in experiments.items()}
    return frame.with_columns(policy=pl.col("experiment").replace_strict(policies, return_dtype=pl.String).cast(pl.String))


def by_segment(frame: pl.DataFrame, records: Records, experiments: dict[int, Experiment]) -> pl.DataFrame:
    """Each row once unsegmented and once for each segment of its experiment, as `segment` and `segment_value` codes."""
    columns = [f"segment_{index}" for index in range(len(records.segments))]
    plain = frame.drop(columns)
    rows = [plain.with_columns(segment=pl.lit(UNSEGMENTED, pl.Int32), segment_value=pl.lit(ABSENT, pl.Int32))]
    for index, (name, column) in enumerate(zip(records.segments, columns)):
        codes = [code for code, experiment in experiments.items() if name in experiment.segments]
        chosen = frame.filter(pl.col("experiment").is_in(codes))
        rows.append(
            chosen.drop(columns).with_columns(
                segment=pl.lit(index, pl.Int32), segment_value=chosen.get_column(column)
            )
        )
    return pl.concat(rows)


def outcomes_without_exposure(outcomes: pl.DataFrame, exposed: pl.DataFrame) -> int:
    """Outcomes whose subject has no exposure at or before them, in their experiment or, where they name none, in any."""
    first_here = exposed.group_by(SUBJECT).agg(first=pl.col("event_time").min())
    first_anywhere = exposed.group_by("subject").agg(first=pl.col("event_time").min())
    named = outcomes.filter(pl.col("experiment") != ABSENT).join(first_here, on=SUBJECT, how="left")
    unnamed = outcomes.filter(experiment=ABSENT).join(first_anywhere, on="subject", how="left")
    alone = pl.col("first").is_null() | (pl.col("first") > pl.col("event_time"))
    return named.filter(alone).height + unnamed.filter(alone).height

