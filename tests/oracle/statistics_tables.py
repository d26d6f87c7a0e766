"""`assignment_counts` and `metric_stats`, recomputed from the counted records. Sections 4 to 6 of the semantics."""

from __future__ import annotations

from dataclasses import dataclass

import polars as pl

from declarations import EXPERIMENT_TO_DATE, FOLDS, ZERO_FOLDS, Declarations, Experiment, Window
from envelopes import ABSENT, OUTCOME, Records
from stream import Stream, seen_from
from subjects import SUBJECT, by_segment, experiments_of, exposures, outcomes_without_exposure, states

GROUP = ["experiment", "variant", "segment", "segment_value", "window"]
UNIT = ["experiment", "subject", "metric", "window"]
REALS = ("sum", "mean", "m2", "min", "max", "mean_y", "m2_y", "c")


@dataclass
class Tables:
    """Both tables with readable keys, and the number of outcomes that no exposure explains."""

    assignment_counts: pl.DataFrame
    metric_stats: pl.DataFrame
    outcomes_without_exposure: int


def recompute(records: Records, stream: Stream, declared: Declarations) -> Tables:
    """The final row of each window and the experiment to date."""
    experiments = experiments_of(records, declared)
    exposed = exposures(stream, experiments)
    outcomes = stream.counted.filter(event_type=OUTCOME)
    plans = _plans(records, declared, experiments)
    counts, statistics = [], []
    for window in (*declared.windows, EXPERIMENT_TO_DATE):
        history = states(exposed, window, experiments)
        counts.append(_readable(_assignment_counts(history, window, records, experiments), window, records))
        rows = _metric_stats(history, outcomes, plans, window, records, declared, experiments)
        statistics.append(_readable(rows, window, records))
    return Tables(
        assignment_counts=pl.concat(counts),
        metric_stats=pl.concat(statistics),
        outcomes_without_exposure=outcomes_without_exposure(outcomes, exposed),
    )


def _plans(records: Records, declared: Declarations, experiments: dict[int, Experiment]) -> pl.DataFrame:
    """How each metric (declared, or met in the stream) folds in each experiment; no fold: not declared."""
    for name in declared.metrics:
        records.metrics.code(name)
    rows = []
    for experiment_code, experiment in experiments.items():
        listed = set(declared.listed(experiment))
        for metric_code, name in enumerate(records.metrics.values()):
            metric = declared.metrics.get(name)
            if metric is not None and metric.is_ratio:
                continue
            rows.append(
                {
                    "experiment": experiment_code,
                    "metric": metric_code,
                    "attribution": declared.attribution(experiment, name),
                    "fold": metric.aggregation if metric else None,
                    "lower": metric.lower if metric else None,
                    "upper": metric.upper if metric else None,
                    "listed": name in listed,
                }
            )
    schema = {
        "experiment": pl.Int32,
        "metric": pl.Int32,
        "attribution": pl.Int64,
        "fold": pl.String,
        "lower": pl.Float64,
        "upper": pl.Float64,
        "listed": pl.Boolean,
    }
    return pl.DataFrame(rows, schema=schema)


def _indices(frame: pl.DataFrame, lowest: pl.Expr, highest: pl.Expr, window: Window) -> pl.DataFrame:
    """`low` and `high`: the windows of the family whose end e has lowest <= e <= highest; rows without one are left out."""
    first_end = window.offset + window.size
    low = (lowest - 1 - first_end).floordiv(window.slide) + 1
    high = (highest - first_end).floordiv(window.slide)
    return frame.with_columns(low=low, high=high).filter(pl.col("low") <= pl.col("high"))


def _count_by_window(frame: pl.DataFrame, keys: list[str], name: str) -> pl.DataFrame:
    """How many rows cover each window (by `low` and `high`), per key; only where there are any."""
    steps = pl.concat(
        [
            frame.select(*keys, window="low", step=pl.lit(1, pl.Int64)),
            frame.select(*keys, window=pl.col("high") + 1, step=pl.lit(-1, pl.Int64)),
        ]
    )
    steps = steps.group_by(*keys, "window").agg(pl.col("step").sum()).sort(*keys, "window")
    runs = steps.with_columns(
        pl.col("step").cum_sum().over(keys).alias(name), until=pl.col("window").shift(-1).over(keys)
    ).filter(pl.col(name) > 0)
    return runs.with_columns(window=pl.int_ranges("window", "until")).explode("window", empty_as_null=True).select(*keys, "window", name)


def _assignment_counts(
    history: pl.DataFrame, window: Window, records: Records, experiments: dict[int, Experiment]
) -> pl.DataFrame:
    # the first exposure lies in [e - size, e)
    latest_end = pl.min_horizontal("to_end", pl.col("first") + window.size)
    rows = by_segment(_indices(history, pl.col("from_end"), latest_end, window), records, experiments)
    keys = [key for key in GROUP if key != "window"]
    subjects = _count_by_window(rows.filter("analysed"), keys, "subjects")
    crossed = rows.filter("crossover").with_columns(variant="first_variant")
    crossovers = _count_by_window(crossed, keys, "crossovers")
    both = subjects.join(crossovers, on=GROUP, how="full", coalesce=True)
    return both.with_columns(pl.col("subjects", "crossovers").fill_null(0))


def _metric_stats(
    history: pl.DataFrame,
    outcomes: pl.DataFrame,
    plans: pl.DataFrame,
    window: Window,
    records: Records,
    declared: Declarations,
    experiments: dict[int, Experiment],
) -> pl.DataFrame:
    analysed = history.filter("analysed")
    units = _folded(_attributed(analysed, outcomes, plans, window), plans, window)
    units = by_segment(units, records, experiments)
    at_risk = _at_risk(analysed, plans, window, records, experiments)
    rows = [_plain_statistics(units, at_risk, plans)]
    for experiment_code, experiment in experiments.items():
        for name in declared.listed(experiment):
            if declared.metrics[name].is_ratio:
                rows.append(_ratio_statistics(name, experiment_code, units, at_risk, plans, records, declared))
    return pl.concat(rows, how="diagonal_relaxed")


def _attributed(history: pl.DataFrame, outcomes: pl.DataFrame, plans: pl.DataFrame, window: Window) -> pl.DataFrame:
    """Outcomes joined to the subjects that they are attributed to, once for each window that they fall into."""
    seen = seen_from(window)
    outcomes = outcomes.select(
        "experiment", "subject", "metric", "event_time", "event_id", "value", "binary", pl.col(seen).alias("seen")
    )
    named = outcomes.filter(pl.col("experiment") != ABSENT).join(history, on=SUBJECT)
    unnamed = outcomes.filter(experiment=ABSENT).drop("experiment").join(history, on="subject")
    joined = pl.concat([named, unnamed], how="diagonal")
    joined = joined.join(plans.select("experiment", "metric", "attribution"), on=["experiment", "metric"])
    since = pl.col("event_time") - pl.col("first")
    joined = joined.filter((since >= 0) & (since < pl.col("attribution")))
    earliest_end = pl.max_horizontal(pl.col("seen") + 1, "from_end")
    latest_end = pl.min_horizontal(pl.col("event_time") + window.size, "to_end")
    joined = _indices(joined, earliest_end, latest_end, window)
    return joined.with_columns(window=pl.int_ranges("low", pl.col("high") + 1)).explode("window", empty_as_null=True).drop("low", "high")


def _folded(attributed: pl.DataFrame, plans: pl.DataFrame, window: Window) -> pl.DataFrame:
    """One row for each unit with an outcome: its folded and capped value `x`, and its number of outcomes."""
    binary = attributed.group_by("experiment", "metric", "window").agg(all_binary=pl.col("binary").all())
    units = attributed.sort("event_time", "event_id").group_by(UNIT, maintain_order=True).agg(
        pl.col("value").sum().alias("sum"),
        pl.col("value").len().cast(pl.Float64).alias("count"),
        pl.col("value").mean().alias("mean"),
        pl.col("value").max().alias("max"),
        pl.col("value").min().alias("min"),
        pl.col("value").last().alias("last"),
        (pl.col("value") != 0).any().cast(pl.Float64).alias("any"),
        pl.col("first", "variant", "^segment_.*$").first(),
        outcomes=pl.len().cast(pl.Int64),
    )
    units = units.join(binary, on=["experiment", "metric", "window"])
    units = units.join(plans.drop("listed"), on=["experiment", "metric"])
    undeclared = pl.when("all_binary").then(pl.lit("any")).otherwise(pl.lit("sum"))
    units = units.with_columns(fold=pl.col("fold").fill_null(undeclared))
    x = pl.coalesce(pl.when(pl.col("fold") == fold).then(pl.col(fold)) for fold in FOLDS)
    closing = pl.col("first") + pl.col("attribution")
    end = pl.col("window") * window.slide + window.offset + window.size
    return units.with_columns(x=_capped(x), matured=closing <= end).drop(FOLDS)


def _capped(value: pl.Expr) -> pl.Expr:
    """The winsorised value; null bounds cap nothing."""
    return pl.min_horizontal(pl.max_horizontal(value, "lower"), "upper")


def _at_risk(
    history: pl.DataFrame,
    plans: pl.DataFrame,
    window: Window,
    records: Records,
    experiments: dict[int, Experiment],
) -> pl.DataFrame:
    """Subjects at risk in each window by attribution window, and how many of these have one that is closed at its end."""
    spans = plans.select("experiment", "attribution").unique()
    rows = by_segment(history, records, experiments).join(spans, on="experiment")
    closing = pl.col("first") + pl.col("attribution")
    # first < e holds in every state; first + attribution > e - size
    latest_end = pl.min_horizontal("to_end", closing + window.size - 1)
    keys = ["experiment", "attribution", "variant", "segment", "segment_value"]
    subjects = _count_by_window(_indices(rows, pl.col("from_end"), latest_end, window), keys, "subjects")
    from_closing = pl.max_horizontal("from_end", closing)
    matured = _count_by_window(_indices(rows, from_closing, latest_end, window), keys, "matured_subjects")
    joined = subjects.join(matured, on=[*keys, "window"], how="left")
    return joined.with_columns(pl.col("matured_subjects").fill_null(0))


def _frames_of_zero_folds(units: pl.DataFrame, at_risk: pl.DataFrame, plans: pl.DataFrame) -> pl.DataFrame:
    """The rows of metrics whose units are all the subjects at risk: listed ones always, others where they have an outcome."""
    rows = at_risk.join(plans, on=["experiment", "attribution"])
    listed = rows.filter("listed")
    with_outcome = units.select("experiment", "metric", "window", met_fold="fold").unique()
    others = rows.filter(~pl.col("listed")).join(with_outcome, on=["experiment", "metric", "window"])
    others = others.with_columns(pl.coalesce("fold", "met_fold").alias("fold")).drop("met_fold")
    return pl.concat([listed, others]).filter(pl.col("fold").is_in(ZERO_FOLDS))


def _plain_statistics(units: pl.DataFrame, at_risk: pl.DataFrame, plans: pl.DataFrame) -> pl.DataFrame:
    keys = [*GROUP, "metric"]
    frames = _frames_of_zero_folds(units, at_risk, plans).select(
        *keys, "subjects", "matured_subjects", zero=_capped(pl.lit(0.0))
    )
    sums = units.group_by(keys).agg(
        subjects_with_outcome=pl.len().cast(pl.Int64),
        outcomes=pl.col("outcomes").sum(),
        sum_x=pl.col("x").sum(),
        min_x=pl.col("x").min(),
        max_x=pl.col("x").max(),
        matured_x=pl.col("matured").sum().cast(pl.Int64),
        absent_fold=(~pl.col("fold").is_in(ZERO_FOLDS)).any(),
    )
    with_zeros = frames.join(sums, on=keys, how="left")
    without_zeros = sums.filter("absent_fold").with_columns(
        subjects="subjects_with_outcome", matured_subjects="matured_x", zero=pl.lit(0.0)
    )
    rows = pl.concat([with_zeros, without_zeros], how="diagonal").with_columns(
        pl.col("subjects_with_outcome", "outcomes").fill_null(0), pl.col("sum_x").fill_null(0.0)
    )
    zeros = pl.col("subjects") - pl.col("subjects_with_outcome")
    rows = rows.with_columns(zeros=zeros, zero_or_null=pl.when(zeros > 0).then("zero"))
    rows = rows.with_columns(
        sum=pl.col("sum_x") + pl.col("zeros") * pl.col("zero"),
        min=pl.min_horizontal("min_x", "zero_or_null"),
        max=pl.max_horizontal("max_x", "zero_or_null"),
    ).with_columns(mean=pl.col("sum") / pl.col("subjects"))
    centred = units.join(rows.select(*keys, "mean"), on=keys)
    squares = centred.group_by(keys).agg(squares=((pl.col("x") - pl.col("mean")) ** 2).sum())
    rows = rows.join(squares, on=keys, how="left")
    of_zeros = pl.col("zeros") * (pl.col("zero") - pl.col("mean")) ** 2
    rows = rows.with_columns(m2=pl.col("squares").fill_null(0.0) + of_zeros)
    return rows.select(
        *keys,
        "subjects",
        "subjects_with_outcome",
        "outcomes",
        "sum",
        "mean",
        "m2",
        "min",
        "max",
        "matured_subjects",
        mean_y=pl.lit(None, pl.Float64),
        m2_y=pl.lit(None, pl.Float64),
        c=pl.lit(None, pl.Float64),
    )


def _ratio_statistics(
    name: str,
    experiment: int,
    units: pl.DataFrame,
    at_risk: pl.DataFrame,
    plans: pl.DataFrame,
    records: Records,
    declared: Declarations,
) -> pl.DataFrame:
    """Moments of the pairs (x, y) of numerator and denominator, over the units that have both."""
    ratio = declared.metrics[name]
    sides = []
    for side, component in (("x", ratio.numerator), ("y", ratio.denominator)):
        code = records.metrics.find(component)
        plan = plans.row(by_predicate=(pl.col("experiment") == experiment) & (pl.col("metric") == code), named=True)
        folded = units.filter((pl.col("experiment") == experiment) & (pl.col("metric") == code))
        folded = folded.select(
            *GROUP, "subject", "matured", pl.col("x").alias(side), pl.col("outcomes").alias(f"outcomes_{side}")
        )
        sides.append((side, plan, folded))
    (_, plan_x, folded_x), (_, plan_y, folded_y) = sides
    pairs = folded_x.join(folded_y, on=[*GROUP, "subject", "matured"], how="full", coalesce=True, nulls_equal=True)
    zero = {}
    for side, plan, _ in sides:
        if plan["fold"] in ZERO_FOLDS:
            zero[side] = _capped_number(0.0, plan)
            pairs = pairs.with_columns(pl.col(side).fill_null(zero[side]))
        else:
            pairs = pairs.filter(pl.col(side).is_not_null())
    pairs = pairs.with_columns(pl.col("outcomes_x", "outcomes_y").fill_null(0))
    pairs = pairs.with_columns(outcomes=pl.col("outcomes_x") + pl.col("outcomes_y"))
    if plan_x["attribution"] != plan_y["attribution"]:
        raise ValueError(f"numerator and denominator of {name} have different attribution windows")
    if len(zero) == 2:
        frame = at_risk.filter(
            (pl.col("experiment") == experiment) & (pl.col("attribution") == plan_x["attribution"])
        ).select(*GROUP, "subjects", "matured_subjects")
    else:
        frame = pairs.group_by(GROUP).agg(
            subjects=pl.len().cast(pl.Int64), matured_subjects=pl.col("matured").sum().cast(pl.Int64)
        )
    rows = _pair_moments(frame, pairs, zero.get("x", 0.0), zero.get("y", 0.0))
    return rows.with_columns(metric=pl.lit(records.metrics.code(name), pl.Int32))


def _pair_moments(frame: pl.DataFrame, pairs: pl.DataFrame, zero_x: float, zero_y: float) -> pl.DataFrame:
    """Statistics of each group of `frame`: its pairs, and (zero_x, zero_y) for the units that have none."""
    sums = pairs.group_by(GROUP).agg(
        subjects_with_outcome=pl.len().cast(pl.Int64),
        outcomes=pl.col("outcomes").sum(),
        sum_x=pl.col("x").sum(),
        sum_y=pl.col("y").sum(),
        min_x=pl.col("x").min(),
        max_x=pl.col("x").max(),
    )
    rows = frame.join(sums, on=GROUP, how="left")
    rows = rows.with_columns(pl.col("subjects_with_outcome", "outcomes", "sum_x", "sum_y").fill_null(0))
    rows = rows.with_columns(zeros=pl.col("subjects") - pl.col("subjects_with_outcome"))
    zero_or_null = pl.when(pl.col("zeros") > 0).then(pl.lit(zero_x))
    rows = rows.with_columns(
        sum=pl.col("sum_x") + pl.col("zeros") * zero_x,
        mean_y=(pl.col("sum_y") + pl.col("zeros") * zero_y) / pl.col("subjects"),
        min=pl.min_horizontal("min_x", zero_or_null),
        max=pl.max_horizontal("max_x", zero_or_null),
    ).with_columns(mean=pl.col("sum") / pl.col("subjects"))
    centred = pairs.join(rows.select(*GROUP, "mean", "mean_y"), on=GROUP)
    dx, dy = pl.col("x") - pl.col("mean"), pl.col("y") - pl.col("mean_y")
    squares = centred.group_by(GROUP).agg(xx=(dx * dx).sum(), yy=(dy * dy).sum(), xy=(dx * dy).sum())
    rows = rows.join(squares, on=GROUP, how="left").with_columns(pl.col("xx", "yy", "xy").fill_null(0.0))
    zx, zy = zero_x - pl.col("mean"), zero_y - pl.col("mean_y")
    rows = rows.with_columns(
        m2=pl.col("xx") + pl.col("zeros") * zx * zx,
        m2_y=pl.col("yy") + pl.col("zeros") * zy * zy,
        c=pl.col("xy") + pl.col("zeros") * zx * zy,
    )
    counts = ("subjects", "subjects_with_outcome", "outcomes", "matured_subjects")
    return rows.select(*GROUP, *counts, *REALS)


def _capped_number(value: float, plan: dict) -> float:
    if plan["lower"] is not None:
        value = max(value, plan["lower"])
    return value if plan["upper"] is None else min(value, plan["upper"])


def _readable(rows: pl.DataFrame, window: Window, records: Records) -> pl.DataFrame:
    """The rows with names for codes and instants for window indices, in the order of their key."""
    end = pl.col("window") * window.slide + window.offset + window.size
    nothing = pl.lit(None, pl.Int64)
    names = {"experiment": records.experiments, "variant": records.variants, "metric": records.metrics}
    decoded = [_decoded(column, vocabulary.values()) for column, vocabulary in names.items() if column in rows.columns]
    rows = rows.with_columns(
        *decoded,
        _decoded("segment", list(records.segments)),
        _decoded("segment_value", records.segment_values.values()),
        window_name=pl.lit(window.name),
        window_start=nothing if window.is_cumulative else end - window.size,
        window_end=nothing if window.is_cumulative else end,
    )
    key = [name for name in (*_KEY, "metric") if name in rows.columns]
    values = [name for name in _VALUES if name in rows.columns]
    return rows.select(*key, "window_end", *values).sort(key)


_KEY = ("experiment", "variant", "segment", "segment_value", "window_name", "window_start")
_VALUES = ("subjects", "crossovers", "subjects_with_outcome", "outcomes", *REALS, "matured_subjects")


def _decoded(column: str, texts: list[str]) -> pl.Expr:
    """The text of each code; a code below 0 is null."""
    codes = list(range(len(texts)))
    return pl.col(column).replace_strict(codes, texts, default=None, return_dtype=pl.String)
