"""The work of the job as a batch in DuckDB: the reference of the whole-process benchmark.

    python duckdb_reference.py EVENTS.ndjson [--parquet FOLDER] [--threads 2]

Reads the envelopes into typed columns and computes assignment_counts and metric_stats, hourly and to date (first exposure of each
subject, crossovers excluded, outcomes attributed for 7 days and folded by sum). With --parquet it also writes the events as zstd Parquet.
Prints one JSON line: events, seconds, events per second.
"""

from __future__ import annotations

import argparse
import json
import time
from pathlib import Path

import duckdb

COLUMNS = (
    "{eventId: 'VARCHAR', timestamp: 'TIMESTAMPTZ', eventType: 'VARCHAR', schemaVersion: 'VARCHAR', correlationId: 'VARCHAR', "
    "payload: 'STRUCT(experimentName VARCHAR, variantKey VARCHAR, subjectId VARCHAR, subjectType VARCHAR, tenantId VARCHAR, "
    "\"timestamp\" TIMESTAMPTZ, selectionReason VARCHAR, rulePath VARCHAR, assignmentPolicy VARCHAR, isRepeatExposure BOOLEAN, "
    "attributes JSON, id VARCHAR, outcomeType VARCHAR, metricName VARCHAR, \"value\" DOUBLE, metadata JSON)', metadata: 'JSON'}"
)

READ = """
create table events as
select eventId, coalesce(payload.timestamp, timestamp) as event_time, timestamp as envelope_time, eventType, schemaVersion, correlationId,
       payload.experimentName as experiment, payload.variantKey as variant, payload.subjectId as subject, payload.subjectType as subject_type,
       payload.tenantId as tenant, payload.selectionReason as selection_reason, payload.rulePath as rule_path,
       payload.assignmentPolicy as assignment_policy, payload.isRepeatExposure as is_repeat, payload.attributes as attributes,
       payload.id as outcome_id, payload.outcomeType as outcome_type, payload.metricName as metric, payload.value as value,
       payload.metadata as payload_metadata, metadata
from read_json('{file}', format='newline_delimited', columns={columns}, ignore_errors=true)
"""

ANALYSE = """
create temp table exposed as
select experiment, tenant, subject, min(event_time) as first, arg_min(variant, (event_time, eventId)) as variant,
       count(distinct variant) > 1 as crossover
from events where eventType = 'Exposure' group by all;

create table assignment_counts as
select experiment, variant, date_trunc('hour', first) as window_start, count(*) filter (not crossover) as subjects,
       count(*) filter (crossover) as crossovers
from exposed group by grouping sets ((experiment, variant), (experiment, variant, date_trunc('hour', first)));

create temp table folded as
select e.experiment, e.variant, o.metric, date_trunc('hour', o.event_time) as window_start, e.tenant, e.subject, sum(o.value) as y, count(*) as outcomes
from events o join exposed e on o.experiment = e.experiment and o.tenant is not distinct from e.tenant and o.subject = e.subject
where o.eventType = 'Outcome' and not e.crossover and o.event_time >= e.first and o.event_time < e.first + interval 7 day
group by all;

create temp table folded_to_date as
select experiment, variant, metric, tenant, subject, sum(y) as y, sum(outcomes) as outcomes from folded group by all;

create table metric_stats as
select experiment, variant, metric, window_start, count(*) as n, sum(outcomes) as outcomes, sum(y) as sum, avg(y) as mean, var_pop(y) * count(*) as m2,
       min(y) as min, max(y) as max
from folded group by all
union all
select experiment, variant, metric, null, count(*), sum(outcomes), sum(y), avg(y), var_pop(y) * count(*), min(y), max(y)
from folded_to_date group by experiment, variant, metric;
"""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("events", type=Path)
    parser.add_argument("--parquet", type=Path, help="also write the events as zstd Parquet into this folder")
    parser.add_argument("--threads", type=int, default=2)
    chosen = parser.parse_args()
    database = duckdb.connect(":memory:", config={"threads": chosen.threads})
    database.execute("set preserve_insertion_order = false")
    started = time.perf_counter()
    database.execute(READ.format(file=chosen.events, columns=COLUMNS))
    if chosen.parquet:
        chosen.parquet.mkdir(parents=True, exist_ok=True)
        database.execute(f"copy events to '{chosen.parquet / 'events.parquet'}' (format parquet, compression zstd)")
    database.execute(ANALYSE)
    seconds = time.perf_counter() - started
    events = database.execute("select count(*) from events").fetchone()[0]
    rows = database.execute("select count(*) from metric_stats").fetchone()[0]
    print(json.dumps({"events": events, "rows": rows, "seconds": round(seconds, 3), "events_per_second": round(events / seconds)}))


if __name__ == "__main__":
    main()
