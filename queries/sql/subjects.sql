-- The subjects of each experiment, with what their first exposure says (the least event time, then the least event id).
--
-- `contested`: seen in more than one variant, or with an exposure that some window had to leave out. All others, that is
-- nearly all, look the same to every window from their first exposure on.
with
late as (
  select distinct event_id, cast(event_time as bigint) as event_time
  from analysis.window_lateness
  where event_type = 'Exposure'
)
select exposure.experiment, exposure.tenant, exposure.subject_id,
       min(exposure.event_time) as first_time,
       first_value(exposure.variant order by exposure.event_time, exposure.event_id) as first_variant,
       first_value(exposure.subject_type order by exposure.event_time, exposure.event_id) as subject_type,
       first_value(exposure.attributes order by exposure.event_time, exposure.event_id) as attributes,
       min(exposure.variant) <> max(exposure.variant) or bool_or(late.event_id is not null) as contested
from analysis.counted_exposures exposure
left join late on late.event_id = exposure.event_id and late.event_time = exposure.event_time
group by exposure.experiment, exposure.tenant, exposure.subject_id
