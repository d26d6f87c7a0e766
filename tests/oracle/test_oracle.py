"""The oracle on cases small enough to be worked out by hand: `python -m unittest` in this folder."""

from __future__ import annotations

import gzip
import json
import tempfile
import unittest
from pathlib import Path

import polars as pl
import zstandard

import declarations
import envelopes
import oracle

MIDNIGHT = 1_767_571_200_000_000  # 2026-01-05T00:00:00Z
MINUTE = 60_000_000
WIDE_HORIZON = {"maxOutOfOrderness": "0s", "allowedLateness": "0s", "correctionHorizon": "30d"}


def at(minute: float) -> str:
    seconds = round(minute * 60)
    return f"2026-01-{5 + seconds // 86_400:02}T{seconds // 3_600 % 24:02}:{seconds // 60 % 60:02}:{seconds % 60:02}Z"


_ids = iter(range(10**9))


def envelope(event_type: str, minute: float, event_id: str | None = None, **payload) -> dict:
    return {
        "eventId": event_id or f"id-{next(_ids):06}",
        "timestamp": at(minute),
        "eventType": event_type,
        "schemaVersion": "1.0.0",
        "payload": payload,
    }


def exposure(minute: float, subject: str, variant: str = "a", experiment: str = "e", **more) -> dict:
    event_id = more.pop("event_id", None)
    members = {"experimentName": experiment, "variantKey": variant, "subjectId": subject, **more}
    return envelope("Exposure", minute, event_id, **members)


def outcome(minute: float, subject: str, value: float = 1, metric: str = "m", experiment: str | None = "e", **more) -> dict:
    event_id = more.pop("event_id", None)
    members = {"experimentName": experiment, "subjectId": subject, "metricName": metric, "value": value, **more}
    return envelope("Outcome", minute, event_id, **members)


class Job:
    """One run of the oracle over partitions of records."""

    def __init__(self, *partitions: list, metrics=(), experiments=(), windows=(), crossovers="exclude", time=None) -> None:
        config = {
            "experimentFramework": {
                "metrics": list(metrics),
                "experiments": list(experiments),
                "engine": {"time": time or WIDE_HORIZON, "windows": list(windows), "crossovers": crossovers},
            }
        }
        with tempfile.TemporaryDirectory() as folder:
            root = Path(folder)
            (root / "config.json").write_text(json.dumps(config))
            files = []
            for index, records in enumerate(partitions):
                lines = [record if isinstance(record, str) else json.dumps(record) for record in records]
                path = root / f"{index}.ndjson"
                path.write_text("".join(line + "\n" for line in lines))
                files.append(path)
            self.counters = oracle.run(root / "config.json", root / "out", files)
            tables = {}
            for name in ("assignment_counts", "metric_stats", "late_events"):
                tables[name] = pl.read_parquet(root / "out" / f"{name}.parquet")
        self._tables = tables

    def counts(self, window: str = "cumulative", segment: str | None = None) -> dict:
        """(variant[, segment value][, minute the window ends]) -> (subjects, crossovers)."""
        rows = self._rows("assignment_counts", window, segment)
        return {key: (row["subjects"], row["crossovers"]) for key, row in rows}

    def stats(self, *columns: str, window: str = "cumulative", metric: str = "m", segment: str | None = None) -> dict:
        """The same keys -> the named columns."""
        rows = self._rows("metric_stats", window, segment)
        return {key: tuple(row[name] for name in columns) for key, row in rows if row["metric"] == metric}

    def late(self) -> list:
        rows = self._tables["late_events"].with_columns(pl.col("window_end", "watermark").to_physical())
        return sorted(
            (row["event_id"], row["window_name"], _minute(row["window_end"]), _minute(row["watermark"]))
            for row in rows.to_dicts()
        )

    def _rows(self, table: str, window: str, segment: str | None):
        frame = self._tables[table].filter(pl.col("window_name") == window, pl.col("segment").eq_missing(segment))
        for row in frame.with_columns(pl.col("window_end").to_physical()).to_dicts():
            key = (row["variant"],)
            key += (row["segment_value"],) if segment else ()
            key += () if window == "cumulative" else (_minute(row["window_end"]),)
            yield (key[0] if len(key) == 1 else key), row


def _minute(instant: int | None) -> float | None:
    return None if instant is None else (instant - MIDNIGHT) / MINUTE


class Exposures(unittest.TestCase):
    def test_the_first_exposure_is_the_earliest_and_ties_go_to_the_least_id(self) -> None:
        records = [
            exposure(5, "late first", "a"),
            exposure(1, "late first", "a"),
            exposure(2, "tie", "b", event_id="z"),
            exposure(2, "tie", "c", event_id="Z"),
            outcome(1, "late first"),
        ]
        job = Job(records, crossovers="firstVariant")
        self.assertEqual(job.counts(), {"a": (1, 0), "c": (1, 1)})
        self.assertEqual(job.stats("subjects", "outcomes", "sum")["a"], (1, 1, 1.0))

    def test_an_excluded_crossover_is_counted_under_its_first_variant_alone(self) -> None:
        records = [exposure(1, "x", "a"), exposure(2, "x", "b"), outcome(3, "x"), exposure(4, "y", "b"), outcome(5, "y", 2)]
        job = Job(records)
        self.assertEqual(job.counts(), {"a": (0, 1), "b": (1, 0)})
        self.assertEqual(job.stats("subjects", "sum"), {"b": (1, 2.0)})

    def test_the_last_variant_keeps_the_first_exposure_as_the_start_of_attribution(self) -> None:
        records = [exposure(1, "x", "a"), outcome(2, "x", 4), exposure(3, "x", "b")]
        job = Job(records, crossovers="lastVariant")
        self.assertEqual(job.counts(), {"a": (0, 1), "b": (1, 0)})
        self.assertEqual(job.stats("subjects", "sum"), {"b": (1, 4.0)})

    def test_a_variant_changed_with_the_allocation_is_no_crossover(self) -> None:
        epochs = [{"from": at(0), "shares": {"a": 1}}, {"from": at(10), "shares": {"b": 1}}]
        records = [
            exposure(0, "x", "a"),
            exposure(10, "x", "b"),
            exposure(9, "y", "a"),
            exposure(9.5, "y", "b"),
        ]
        job = Job(records, experiments=[{"name": "e", "allocation": epochs}])
        self.assertEqual(job.counts(), {"a": (1, 1)})

    def test_a_subject_of_another_tenant_is_another_subject(self) -> None:
        records = [exposure(1, "x", "a", tenantId="t"), exposure(2, "x", "b"), exposure(3, "x", "b", tenantId="")]
        self.assertEqual(Job(records).counts(), {"a": (1, 0), "b": (1, 0)})

    def test_segments_take_the_value_of_the_first_exposure(self) -> None:
        records = [
            json.dumps(exposure(1, "x", attributes={"platform": "web", "beta": True, "size": 0.5})).replace("0.5", "1.50"),
            exposure(2, "x", attributes={"platform": "ios"}),
            exposure(2, "y"),
            outcome(3, "x", 5),
        ]
        segments = ["attributes.platform", "attributes.beta", "attributes.size", "tenantId"]
        job = Job(records, experiments=[{"name": "e", "segments": segments}])
        self.assertEqual(job.counts(), {"a": (2, 0)})
        self.assertEqual(job.counts(segment="attributes.platform"), {("a", "web"): (1, 0), ("a", None): (1, 0)})
        self.assertEqual(job.counts(segment="attributes.beta"), {("a", "true"): (1, 0), ("a", None): (1, 0)})
        self.assertEqual(job.counts(segment="attributes.size"), {("a", "1.50"): (1, 0), ("a", None): (1, 0)})
        self.assertEqual(job.counts(segment="tenantId"), {("a", None): (2, 0)})
        by_platform = job.stats("subjects", "sum", segment="attributes.platform")
        self.assertEqual(by_platform, {("a", "web"): (1, 5.0), ("a", None): (1, 0.0)})


class Outcomes(unittest.TestCase):
    def test_attribution_begins_with_the_first_exposure_and_ends_before_the_window_does(self) -> None:
        records = [exposure(10, "x")] + [outcome(minute, "x") for minute in (9.99, 10, 69.9, 70)]
        job = Job(records, experiments=[{"name": "e", "attributionWindow": "1h"}])
        self.assertEqual(job.stats("outcomes", "sum"), {"a": (2, 2.0)})
        self.assertEqual(job.counters["outcomes_without_exposure"], 1)

    def test_a_metrics_own_attribution_window_wins(self) -> None:
        records = [exposure(0, "x"), outcome(30, "x"), outcome(30, "x", metric="other")]
        metrics = [{"name": "m", "attributionWindow": "10m"}, {"name": "other"}]
        job = Job(records, metrics=metrics, experiments=[{"name": "e", "attributionWindow": "1h"}])
        self.assertEqual(job.stats("outcomes"), {"a": (0,)})
        self.assertEqual(job.stats("outcomes", metric="other"), {"a": (1,)})

    def test_every_aggregation_folds_as_declared(self) -> None:
        records = [exposure(0, "x"), exposure(0, "none"), exposure(0, "zero")]
        values = [(5, 3.0, "k1"), (4, -1.0, "k2"), (5, 7.0, "k0")]
        folds = {
            # subjects, with outcome, sum, mean, m2, min, max; x folds to the sum 9, zero to 0, none has no outcome
            "sum": (3, 2, 9.0, 3.0, 54.0, 0.0, 9.0),
            "count": (3, 2, 4.0, 4 / 3, 14 / 3, 0.0, 3.0),
            "any": (3, 2, 1.0, 1 / 3, 2 / 3, 0.0, 1.0),
            "mean": (2, 2, 3.0, 1.5, 4.5, 0.0, 3.0),
            "max": (2, 2, 7.0, 3.5, 24.5, 0.0, 7.0),
            "min": (2, 2, -1.0, -0.5, 0.5, -1.0, 0.0),
            "last": (2, 2, 3.0, 1.5, 4.5, 0.0, 3.0),
        }
        for metric in folds:
            records += [outcome(minute, "x", value, metric, event_id=f"{key}{metric}") for minute, value, key in values]
            records.append(outcome(1, "zero", 0.0, metric))
        job = Job(records, metrics=[{"name": name, "aggregation": name} for name in folds])
        for name, expected in folds.items():
            columns = ("subjects", "subjects_with_outcome", "sum", "mean", "m2", "min", "max")
            for found, wanted in zip(job.stats(*columns, metric=name)["a"], expected, strict=True):
                self.assertAlmostEqual(found, wanted, places=12, msg=name)

    def test_winsorising_caps_the_folded_value_and_lifts_the_zero_of_those_without_outcome(self) -> None:
        records = [exposure(0, "x"), exposure(0, "y"), outcome(1, "x", 60), outcome(2, "x", 60)]
        job = Job(records, metrics=[{"name": "m", "winsorize": {"upper": 100, "lower": 10}}])
        self.assertEqual(job.stats("sum", "mean", "m2", "min", "max")["a"], (110.0, 55.0, 4050.0, 10.0, 100.0))

    def test_a_declared_metric_has_rows_without_outcomes_and_an_undeclared_one_only_with(self) -> None:
        records = [exposure(0, "x", "a"), exposure(0, "y", "b"), outcome(1, "y", metric="met"), exposure(0, "z", "c", "f")]
        job = Job(records, metrics=[{"name": "m"}])
        self.assertEqual(job.stats("subjects", "sum"), {"a": (1, 0.0), "b": (1, 0.0), "c": (1, 0.0)})
        self.assertEqual(job.stats("subjects", "sum", metric="met"), {"a": (1, 0.0), "b": (1, 1.0)})

    def test_an_undeclared_metric_of_binary_outcomes_alone_folds_by_any(self) -> None:
        records = [exposure(0, "x")] + [outcome(1, "x", 1, "clicks", outcomeType="binary") for _ in range(3)]
        self.assertEqual(Job(records).stats("outcomes", "sum", metric="clicks"), {"a": (3, 1.0)})
        mixed = records + [outcome(1, "x", 1, "clicks", outcomeType=1)]
        self.assertEqual(Job(mixed).stats("outcomes", "sum", metric="clicks"), {"a": (4, 4.0)})

    def test_a_metric_that_the_experiment_does_not_list_has_rows_only_with_an_outcome(self) -> None:
        records = [exposure(0, "x"), exposure(0, "y"), outcome(1, "x", 3, "other"), outcome(1, "x", 4, "other")]
        metrics = [{"name": "m"}, {"name": "other", "aggregation": "max"}, {"name": "silent"}]
        job = Job(records, metrics=metrics, experiments=[{"name": "e", "metrics": ["m"]}])
        self.assertEqual(job.stats("subjects", "sum"), {"a": (2, 0.0)})
        self.assertEqual(job.stats("subjects", "sum", metric="other"), {"a": (1, 4.0)})
        self.assertEqual(job.stats("subjects", metric="silent"), {})

    def test_an_outcome_without_experiment_belongs_to_all_of_its_subjects(self) -> None:
        records = [
            exposure(0, "x", "a", "e"),
            exposure(0, "x", "b", "f"),
            outcome(1, "x", 2, experiment=None),
            outcome(1, "x", 2, experiment=""),
            outcome(1, "nobody", experiment=None),
        ]
        job = Job(records)
        self.assertEqual(job.stats("sum"), {"a": (4.0,), "b": (4.0,)})
        self.assertEqual(job.counters["outcomes_without_exposure"], 1)

    def test_a_ratio_has_the_moments_of_both_and_their_co_moment(self) -> None:
        records = [exposure(0, subject) for subject in ("x", "y", "z")]
        records += [outcome(1, "x", 6, "spent"), outcome(1, "x", 1, "clicks"), outcome(2, "x", 1, "clicks")]
        records += [outcome(1, "y", 1, "clicks")]
        ratio = {"name": "m", "ratio": {"numerator": "spent", "denominator": "clicks"}}
        job = Job(records, metrics=[{"name": "spent"}, {"name": "clicks"}, ratio])
        columns = ("subjects", "subjects_with_outcome", "outcomes", "sum", "mean", "mean_y", "m2", "m2_y", "c")
        self.assertEqual(job.stats(*columns)["a"], (3, 2, 4, 6.0, 2.0, 1.0, 24.0, 2.0, 6.0))
        averaged = Job(records, metrics=[{"name": "spent"}, {"name": "clicks", "aggregation": "mean"}, ratio])
        self.assertEqual(averaged.stats(*columns)["a"], (2, 2, 4, 6.0, 3.0, 1.0, 18.0, 0.0, 0.0))


class Windows(unittest.TestCase):
    HOURLY = {"name": "hourly", "type": "tumble", "size": "1h"}

    def test_a_window_counts_the_subjects_that_begin_in_it_and_the_statistics_of_those_at_risk(self) -> None:
        records = [exposure(10, "x"), exposure(70, "y"), outcome(75, "x", 2), outcome(130, "y", 3)]
        experiment = {"name": "e", "attributionWindow": "90m"}
        job = Job(records, windows=[self.HOURLY], experiments=[experiment], metrics=[{"name": "m"}])
        self.assertEqual(job.counts("hourly"), {("a", 60): (1, 0), ("a", 120): (1, 0)})
        found = job.stats("subjects", "subjects_with_outcome", "sum", "matured_subjects", window="hourly")
        # x is at risk until 100, y from 70 until 160
        expected = {("a", 60): (1, 0, 0.0, 0), ("a", 120): (2, 1, 2.0, 1), ("a", 180): (1, 1, 3.0, 1)}
        self.assertEqual(found, expected)
        self.assertEqual(job.stats("subjects", "sum", "matured_subjects"), {"a": (2, 5.0, 2)})

    def test_hopping_windows_overlap_and_an_offset_moves_them(self) -> None:
        hop = {"name": "hop", "type": "hop", "size": "20m", "slide": "10m", "offset": "5m"}
        records = [exposure(12, "x"), outcome(26, "x")]
        job = Job(records, windows=[hop], experiments=[{"name": "e", "attributionWindow": "15m"}])
        self.assertEqual(job.counts("hop"), {("a", 15): (1, 0), ("a", 25): (1, 0)})
        self.assertEqual(job.stats("sum", window="hop"), {("a", 35): (1.0,), ("a", 45): (1.0,)})

    def test_a_window_judges_crossover_and_first_exposure_as_of_its_end(self) -> None:
        records = [exposure(10, "x", "a"), outcome(11, "x"), exposure(70, "x", "b"), outcome(71, "x"), outcome(130, "x")]
        excluded = Job(records, windows=[self.HOURLY])
        self.assertEqual(excluded.counts("hourly"), {("a", 60): (1, 0)})
        self.assertEqual(excluded.stats("sum", window="hourly"), {("a", 60): (1.0,)})
        last = Job(records, windows=[self.HOURLY], crossovers="lastVariant")
        self.assertEqual(last.stats("sum", window="hourly"), {("a", 60): (1.0,), ("b", 120): (1.0,), ("b", 180): (1.0,)})

    def test_a_late_record_is_left_out_of_closed_windows_and_counts_in_cumulative(self) -> None:
        time = {"maxOutOfOrderness": "1m", "allowedLateness": "4m", "correctionHorizon": "3h"}
        records = [
            exposure(10, "x"),
            exposure(64.9, "y"),
            outcome(20, "x", 1, event_id="just in time"),
            exposure(65, "z"),
            outcome(20, "x", 2, event_id="late"),
            exposure(30, "w", event_id="late exposure"),
            outcome(70, "w", 4),
        ]
        job = Job(records, windows=[self.HOURLY], time=time)
        self.assertEqual(job.late(), [("late", "hourly", 60, 64), ("late exposure", "hourly", 60, 64)])
        self.assertEqual(job.stats("outcomes", "sum"), {"a": (3, 7.0)})
        # w's first exposure is seen from the second hour on, and lies in the first
        self.assertEqual(job.counts("hourly"), {("a", 60): (1, 0), ("a", 120): (2, 0)})
        self.assertEqual(job.stats("outcomes", "sum", window="hourly")[("a", 60)], (1, 1.0))
        self.assertEqual(job.stats("subjects", "sum", window="hourly")[("a", 120)], (4, 4.0))

    def test_a_late_hop_record_still_counts_in_the_hops_that_are_open(self) -> None:
        hop = {"name": "hop", "type": "hop", "size": "20m", "slide": "10m"}
        records = [exposure(0, "x"), exposure(32, "y"), outcome(15, "x")]
        late_for_two = Job(records, windows=[hop])
        self.assertEqual([row[1:3] for row in late_for_two.late()], [("hop", 30)])
        self.assertEqual(sum(row[0] for row in late_for_two.stats("outcomes", window="hop").values()), 0)
        late_for_one = Job([exposure(0, "x"), exposure(22, "y"), outcome(15, "x")], windows=[hop])
        outcomes = {key[1]: row[0] for key, row in late_for_one.stats("outcomes", window="hop").items() if row[0]}
        self.assertEqual(outcomes, {30: 1})


class Counting(unittest.TestCase):
    HOUR = {"maxOutOfOrderness": "0s", "allowedLateness": "0s", "correctionHorizon": "1h"}

    def test_too_late_is_strictly_behind_the_horizon_and_changes_nothing(self) -> None:
        records = [
            exposure(5, "x"),
            exposure(60, "y"),
            outcome(0, "y", event_id="on the horizon"),
            exposure(61, "z"),
            outcome(0.9, "x", event_id="beyond"),
            outcome(0.9, "x", event_id="beyond"),
        ]
        job = Job(records, time=self.HOUR, windows=[{"name": "day", "type": "tumble", "size": "1d"}])
        self.assertEqual(job.late(), [("beyond", "cumulative", None, 61)] * 2)
        self.assertEqual(job.counters["too_late"], 2)
        self.assertEqual(job.counters["duplicates"], 0)
        self.assertEqual(job.counters["rows"]["Outcome"], 3)

    def test_a_too_late_record_is_also_late_for_its_closed_windows(self) -> None:
        records = [exposure(121, "x"), outcome(30, "x", event_id="beyond")]
        job = Job(records, time=self.HOUR, windows=[Windows.HOURLY])
        self.assertEqual(job.late(), [("beyond", "cumulative", None, 121), ("beyond", "hourly", 120, 121)])

    def test_the_first_delivery_of_an_id_counts(self) -> None:
        records = [exposure(0, "x"), outcome(1, "x", 2, event_id="twice"), outcome(1, "x", 5, event_id="twice")]
        job = Job(records)
        self.assertEqual(job.stats("outcomes", "sum"), {"a": (1, 2.0)})
        self.assertEqual(job.counters["duplicates"], 1)
        self.assertEqual(job.counters["rows"]["Outcome"], 1)

    def test_lateness_is_against_the_records_own_partition(self) -> None:
        ahead, behind = [exposure(300, "x")], [exposure(0, "y"), outcome(1, "y")]
        self.assertEqual(Job(ahead, behind, time=self.HOUR).counters["too_late"], 0)
        self.assertEqual(Job(ahead + behind, time=self.HOUR).counters["too_late"], 2)

    def test_bad_records_are_counted_and_move_no_time(self) -> None:
        good = exposure(0, "x")
        bad = [
            "{",
            "[]",
            '{"eventId": NaN}',
            json.dumps({**good, "eventId": ""}),
            json.dumps({**good, "eventId": "i" * 101}),
            json.dumps({**good, "schemaVersion": "2.0.0"}),
            json.dumps({**good, "timestamp": "2026-01-05T00:00:00"}),
            json.dumps({**good, "timestamp": "2026-02-30T00:00:00Z"}),
            json.dumps({**good, "eventType": "Click"}),
            json.dumps({**good, "eventType": 5}),
            json.dumps({**good, "payload": None}),
            json.dumps(exposure(999, "", "a")),
            json.dumps(outcome(999, "x", "1")),
            json.dumps(outcome(999, "x", 1)).replace('"value": 1', '"value": 1e999'),
        ]
        job = Job([*bad, good], time=self.HOUR)
        self.assertEqual(job.counters["bad"], len(bad))
        self.assertEqual(job.counters["decoded"], 1)
        self.assertEqual(job.counters["too_late"], 0)


class Decoding(unittest.TestCase):
    def test_every_spelling_of_a_record_is_the_same_record(self) -> None:
        pascal = {
            "EventId": "i",
            "Timestamp": "2026-01-04T22:30:00.1234567891-01:30",
            "EventType": 2,
            "SchemaVersion": "1.9.0",
            "Payload": {"SubjectId": "s", "MetricName": "m", "Value": 1e0, "OutcomeType": "BINARY", "Unknown": [1]},
            "CorrelationId": None,
        }
        camel = {
            "payload": {"value": 1, "metricName": "m", "outcomeType": 0, "subjectId": "s", "tenantId": ""},
            "schemaVersion": "1.0.0",
            "eventType": "outcome",
            "timestamp": "2026-01-05T00:00:00.123456Z",
            "eventId": "i",
        }
        first, second = (envelopes.decode(json.dumps(document).encode()) for document in (pascal, camel))
        self.assertEqual(first, second)
        self.assertEqual(first.event_time, MIDNIGHT + 123_456)

    def test_the_payloads_own_timestamp_is_the_event_time(self) -> None:
        record = exposure(7, "x", timestamp="2026-01-05T00:00:01+00:00")
        self.assertEqual(envelopes.decode(json.dumps(record).encode()).event_time, MIDNIGHT + 1_000_000)

    def test_instants_before_1970_and_with_offsets_are_read(self) -> None:
        self.assertEqual(envelopes.timestamp("1969-12-31T23:59:59.9999999Z"), -1)
        self.assertEqual(envelopes.timestamp("1970-01-01T05:30:00+05:30"), 0)

    def test_packed_files_are_read_by_their_names(self) -> None:
        line = json.dumps(exposure(0, "x")).encode() + b"\n"
        with tempfile.TemporaryDirectory() as folder:
            packed = [(".ndjson", line), (".gz", gzip.compress(line)), (".zst", zstandard.ZstdCompressor().compress(line))]
            for suffix, content in packed:
                path = Path(folder) / f"events{suffix}"
                path.write_bytes(content)
                self.assertEqual(list(envelopes.lines(path)), [line])

    def test_durations_are_added_up(self) -> None:
        self.assertEqual(declarations.duration("1h30m"), 90 * MINUTE)
        self.assertRaises(ValueError, declarations.duration, "1 hour")


if __name__ == "__main__":
    unittest.main()
