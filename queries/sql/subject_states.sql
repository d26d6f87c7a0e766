-- What the windows of each name know of each (experiment, subject), as states: windows whose end e has
-- `known_after < e <= known_until` see the same exposures and so judge alike. All times in microseconds.
--
-- A window sees an exposure if it ends after the exposure's event time and after the last window that the exposure was
-- late for. `first_time`, `first_variant`, `subject_type` and `attributes` are of the first exposure seen; `variant` is
-- the one that results count under; `analysed` is false for a crossover where the policy excludes it.
with
exposures_of_contested as (
  select exposure.*
  from analysis.counted_exposures exposure
  left semi join (select * from analysis.subjects where contested) subject
    on  subject.experiment = exposure.experiment
    and subject.tenant = exposure.tenant
    and subject.subject_id = exposure.subject_id
),
-- An exposure may be late for the windows of one name and not for those of another: each judges for itself.
seen as (
  select windows.window_name, exposure.*,
         coalesce(epochs.epoch, 1) as epoch,
         greatest(exposure.event_time, late.late_until) as seen_after
  from exposures_of_contested exposure
  cross join analysis.all_windows windows
  left join analysis.allocation_epochs epochs
    on  epochs.experiment = exposure.experiment
    and exposure.event_time >= epochs.starts_at
    and exposure.event_time < epochs.ends_at
  left join (select * from analysis.window_lateness where event_type = 'Exposure') late
    on  late.event_id = exposure.event_id
    and cast(late.event_time as bigint) = exposure.event_time
    and late.window_name = windows.window_name
),
-- A second variant within one allocation epoch makes a crossover; another one across epochs is a reassignment.
compared as (
  select *,
         variant <> first_value(variant) over (
           partition by window_name, experiment, tenant, subject_id, epoch order by seen_after) as crosses
  from seen
),
-- What is known once all exposures up to `known_after` are seen; those seen at the same instant give the same row.
known as (
  select distinct window_name, experiment, tenant, subject_id,
         seen_after as known_after,
         min(named_struct('time', event_time, 'event_id', event_id, 'variant', variant,
                          'subject_type', subject_type, 'attributes', attributes)) over so_far as first,
         max(named_struct('time', event_time, 'event_id', event_id, 'variant', variant)) over so_far as last,
         max(crosses) over so_far as crossover
  from compared
  window so_far as (partition by window_name, experiment, tenant, subject_id order by seen_after)
),
by_policy as (
  select known.*,
         case rules.crossovers when 'lastVariant' then last['variant'] else first['variant'] end as variant,
         not crossover or rules.crossovers <> 'exclude' as analysed
  from known join analysis.experiment_rules rules on rules.experiment = known.experiment
),
-- A state is one of its own where it differs from the one before; it holds until the next.
with_previous as (
  select *,
         lag(first['event_id']) over in_order as previous_first,
         lag(variant) over in_order as previous_variant,
         lag(crossover) over in_order as previous_crossover
  from by_policy
  window in_order as (partition by window_name, experiment, tenant, subject_id order by known_after)
),
states_of_contested as (
  select *,
         lead(known_after, 1, 9223372036854775807) over (
           partition by window_name, experiment, tenant, subject_id order by known_after) as known_until
  from with_previous
  where previous_first is null or previous_first <> first['event_id'] or previous_variant <> variant
     or previous_crossover <> crossover
)
select windows.window_name, subjects.experiment, subjects.tenant, subjects.subject_id,
       subjects.first_time as known_after, 9223372036854775807 as known_until, subjects.first_time,
       subjects.first_variant, subjects.first_variant as variant, false as crossover, true as analysed,
       subjects.subject_type, subjects.attributes
from analysis.subjects subjects cross join analysis.all_windows windows
where not subjects.contested
union all
select window_name, experiment, tenant, subject_id, known_after, known_until, first['time'],
       first['variant'], variant, crossover, analysed, first['subject_type'], first['attributes']
from states_of_contested
