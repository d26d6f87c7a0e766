-- The exposures that count: each event once, without those that came too late. `event_time` in microseconds.
--
-- The lake holds every delivery but the dropped duplicates: of an id the one that counts, if there is one, and
-- each that came too late. As many rows as `late_events` has of `cumulative` are of the latter kind; what is
-- more than those was delivered first, and counts.
with
too_late as (
  select event_id, event_time, count(*) as deliveries
  from late_events
  where window_name = 'cumulative' and event_type = 'Exposure'
  group by 1, 2
),
in_time as (
  select * from exposures left anti join too_late on exposures.event_id = too_late.event_id
),
of_doubtful_ids as (
  select exposures.*,
         row_number() over (partition by event_id, event_time order by ingest_time) as delivery,
         count(*) over (partition by event_id, event_time) as deliveries
  from exposures left semi join too_late on exposures.event_id = too_late.event_id
),
counted as (
  select event_id, event_time, experiment, variant, tenant_id, subject_id, subject_type, attributes
  from in_time
  union all
  select d.event_id, d.event_time, d.experiment, d.variant, d.tenant_id, d.subject_id, d.subject_type, d.attributes
  from of_doubtful_ids d
  left join too_late on d.event_id = too_late.event_id and d.event_time = too_late.event_time
  where d.delivery = 1 and d.deliveries > coalesce(too_late.deliveries, 0)
)
select event_id, cast(event_time as bigint) as event_time,
       cast(experiment as varchar) as experiment, cast(variant as varchar) as variant,
       coalesce(tenant_id, '') as tenant, subject_id, nullif(subject_type, '') as subject_type, attributes
from counted
