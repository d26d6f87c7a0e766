-- The outcomes that count: each event once, without those that came too late. `event_time` in microseconds.
--
-- The lake holds every delivery but the dropped duplicates: of an id the one that counts, if there is one, and each
-- that came too late. If it holds more of an id and instant than `late_events` has rows of `cumulative`, then the
-- delivery that counts is among them, and it was the first.
with
too_late as (
  select event_id, event_time, deliveries from analysis.too_late where event_type = 'Outcome'
),
in_time as (
  select outcome.event_id, outcome.event_time, outcome.experiment, outcome.tenant_id, outcome.subject_id, outcome.metric, outcome.outcome_type, outcome.value
  from outcomes outcome
  left anti join too_late on too_late.event_id = outcome.event_id and too_late.event_time = outcome.event_time
),
delivered_again as (
  select outcome.event_id, outcome.event_time,
         first_value(outcome.experiment order by outcome.ingest_time) as experiment,
         first_value(outcome.tenant_id order by outcome.ingest_time) as tenant_id,
         first_value(outcome.subject_id order by outcome.ingest_time) as subject_id,
         first_value(outcome.metric order by outcome.ingest_time) as metric,
         first_value(outcome.outcome_type order by outcome.ingest_time) as outcome_type,
         first_value(outcome.value order by outcome.ingest_time) as value
  from outcomes outcome
  join too_late on too_late.event_id = outcome.event_id and too_late.event_time = outcome.event_time
  group by outcome.event_id, outcome.event_time
  having count(*) > max(too_late.deliveries)
)
select event_id, cast(event_time as bigint) as event_time,
       nullif(cast(experiment as varchar), '') as experiment, coalesce(tenant_id, '') as tenant, subject_id,
       cast(metric as varchar) as metric, cast(outcome_type as varchar) as outcome_type, value
from (select * from in_time union all select * from delivered_again)
