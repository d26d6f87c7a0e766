-- What the windows of each name know of each (experiment, subject), as states: windows whose end e has
-- `known_after < e <= known_until` see the same exposures and so judge alike. All times in microseconds.
--
-- A window sees an exposure if it ends after the exposure's event time and after the last window that the exposure was
-- late for. `first_time`, `first_variant`, `subject_type` and `attributes` are of the first exposure seen; `variant` is
-- the one that results count under; `analysed` is false for a crossover where the policy excludes it.
with
-- A subject of which no exposure was late is judged once for all window names, the others once for each.
scopes as (
  select false as subject_was_late, 'every name' as scope
  union all
  select true, window_name from analysis.all_windows
),
windows_of_scope as (
  select 'every name' as scope, window_name from analysis.all_windows
  union all
  select window_name as scope, window_name from analysis.all_windows
),
seen as (
  select scopes.scope, sighting.*,
         greatest(sighting.event_time, late.late_until) as seen_after
  from analysis.sightings sighting
  join scopes on scopes.subject_was_late = sighting.subject_was_late
  left join (select * from analysis.window_lateness where event_type = 'Exposure') late
    on  late.event_id = sighting.event_id
    and cast(late.event_time as bigint) = sighting.event_time
    and late.window_name = scopes.scope
),
-- A second variant within one allocation epoch makes a crossover; another one across epochs is a reassignment.
compared as (
  select *,
         variant <> first_value(variant) over (
           partition by scope, experiment, tenant, subject_id, epoch order by seen_after) as crosses
  from seen
),
-- What is known once all exposures up to `known_after` are seen; those seen at the same instant give the same row.
known as (
  select distinct scope, experiment, tenant, subject_id,
         seen_after as known_after,
         min(named_struct('place', place, 'time', event_time, 'variant', variant, 'subject_type', subject_type,
                          'attributes', attributes)) over so_far as first,
         max(named_struct('place', place, 'variant', variant)) over so_far as last,
         max(crosses) over so_far as crossover
  from compared
  window so_far as (partition by scope, experiment, tenant, subject_id order by seen_after)
),
by_policy as (
  select known.*,
         case rules.crossovers when 'lastVariant' then last['variant'] else first['variant'] end as variant,
         not crossover or rules.crossovers <> 'exclude' as analysed
  from known join analysis.experiment_rules rules on rules.experiment = known.experiment
),
-- A state is one of its own where it differs from the one before; it holds until the next.
compared_states as (
  select *,
         lag(first['place']) over in_order as place_before,
         lag(variant) over in_order as variant_before,
         lag(crossover) over in_order as crossover_before
  from by_policy
  window in_order as (partition by scope, experiment, tenant, subject_id order by known_after)
),
states as (
  select *,
         lead(known_after, 1, 9223372036854775807) over (
           partition by scope, experiment, tenant, subject_id order by known_after) as known_until
  from compared_states
  where place_before is null or place_before <> first['place'] or variant_before <> variant
     or crossover_before <> crossover
)
select windows_of_scope.window_name, experiment, tenant, subject_id, known_after, known_until,
       first['time'] as first_time, first['variant'] as first_variant, variant, crossover, analysed,
       first['subject_type'] as subject_type, first['attributes'] as attributes
from states
join windows_of_scope on windows_of_scope.scope = states.scope
