-- The exposures that can change what is known of their subject, numbered (`place`) in the order of event time, then
-- event id. Left out are those that repeat the one before them: same variant, same allocation epoch, and that one was
-- not late, so every window that sees the repetition has seen it too. Most subjects keep one.
--
-- `epoch` is the allocation epoch; only an allocation of several dates has more than one, and what lies before the
-- first date belongs to the first. `subject_was_late`: some window judges the subject without one of its exposures.
with
dates as (
  select distinct experiment, cast(from_time as bigint) as from_time
  from allocations
  where from_time is not null
),
epochs as (
  select experiment,
         row_number() over by_time as epoch,
         case row_number() over by_time when 1 then -9223372036854775808 else from_time end as starts_at,
         lead(from_time, 1, 9223372036854775807) over by_time as ends_at
  from dates
  window by_time as (partition by experiment order by from_time)
),
late as (
  select distinct event_id, cast(event_time as bigint) as event_time
  from analysis.window_lateness
  where event_type = 'Exposure'
),
marked as (
  select exposure.*,
         coalesce(epochs.epoch, 1) as epoch,
         late.event_id is not null as was_late
  from analysis.counted_exposures exposure
  left join epochs on epochs.experiment = exposure.experiment
    and exposure.event_time >= epochs.starts_at and exposure.event_time < epochs.ends_at
  left join late on late.event_id = exposure.event_id and late.event_time = exposure.event_time
),
placed as (
  select *,
         row_number() over in_order as place,
         lag(variant) over in_order as variant_before,
         lag(epoch) over in_order as epoch_before,
         lag(was_late) over in_order as was_late_before,
         max(was_late) over (partition by experiment, tenant, subject_id) as subject_was_late
  from marked
  window in_order as (partition by experiment, tenant, subject_id order by event_time, event_id)
)
select experiment, tenant, subject_id, place, event_id, event_time, variant, epoch, subject_type, attributes,
       subject_was_late
from placed
where place = 1 or variant <> variant_before or epoch <> epoch_before or was_late_before
