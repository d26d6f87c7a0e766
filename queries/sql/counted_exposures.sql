-- The exposures that count: each event once, without those that came too late. `event_time` in microseconds.
--
-- The lake holds every delivery but the dropped duplicates: of an id the one that counts, if there is one, and each
-- that came too late. If it holds more of an id and instant than `late_events` has rows of `cumulative`, then the
-- delivery that counts is among them, and it was the first.
with
too_late as (
  select event_id, event_time, deliveries from analysis.too_late where event_type = 'Exposure'
),
in_time as (
  select exposure.event_id, exposure.event_time, exposure.experiment, exposure.variant, exposure.tenant_id, exposure.subject_id, exposure.subject_type, exposure.attributes
  from exposures exposure
  left anti join too_late on too_late.event_id = exposure.event_id and too_late.event_time = exposure.event_time
),
delivered_again as (
  select exposure.event_id, exposure.event_time,
         first_value(exposure.experiment order by exposure.ingest_time) as experiment,
         first_value(exposure.variant order by exposure.ingest_time) as variant,
         first_value(exposure.tenant_id order by exposure.ingest_time) as tenant_id,
         first_value(exposure.subject_id order by exposure.ingest_time) as subject_id,
         first_value(exposure.subject_type order by exposure.ingest_time) as subject_type,
         first_value(exposure.attributes order by exposure.ingest_time) as attributes
  from exposures exposure
  join too_late on too_late.event_id = exposure.event_id and too_late.event_time = exposure.event_time
  group by exposure.event_id, exposure.event_time
  having count(*) > max(too_late.deliveries)
)
select event_id, cast(event_time as bigint) as event_time,
       cast(experiment as varchar) as experiment, cast(variant as varchar) as variant,
       coalesce(tenant_id, '') as tenant, subject_id, nullif(subject_type, '') as subject_type, attributes
from (select * from in_time union all select * from delivered_again)
