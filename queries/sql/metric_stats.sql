-- The final rows of `metric_stats`, and those of `cumulative` as at the end of the stream, from the events alone.
--
-- A unit is a subject at risk in the window. For sum, count and any, those without an outcome count as 0: they are not
-- listed but counted, and enter the statistics by their number. For mean, max, min and last they are absent. The pairs
-- of a ratio are of the units that count in both of its parts.
with
-- The folded and winsorised value of each subject with an outcome.
valued as (
  select folded.*, rules.fold,
         least(greatest(
           case rules.aggregation
             when 'sum' then folded.sum
             when 'count' then cast(folded.outcomes as double)
             when 'mean' then folded.mean
             when 'max' then folded.max
             when 'min' then folded.min
             when 'last' then folded.last
             when 'any' then cast(folded.any as double)
           end, rules.lower), rules.upper) as value
  from analysis.folded_outcomes folded
  join analysis.metric_rules rules on rules.experiment = folded.experiment and rules.metric = folded.metric
  where rules.numerator is null
),
parts as (
  select experiment, metric, fold, x as part, true as is_x from analysis.measures
  union all
  select experiment, metric, fold, y, false from analysis.measures where y is not null
),
units as (
  select valued.window_name, valued.window_start, valued.window_end, valued.experiment, valued.tenant,
         valued.subject_id, parts.metric, parts.fold,
         min(valued.variant) as variant, min(valued.first_time) as first_time,
         min(valued.subject_type) as subject_type, min(valued.attributes) as attributes,
         sum(valued.outcomes) as outcomes, bool_and(valued.all_binary) as all_binary,
         max(value) filter (where is_x) as x, max(value) filter (where not is_x) as y
  from valued
  join parts on parts.experiment = valued.experiment and parts.part = valued.metric and parts.fold = valued.fold
  group by valued.window_name, valued.window_start, valued.window_end, valued.experiment, valued.tenant,
           valued.subject_id, parts.metric, parts.fold
),
completed as (
  select units.* except (x, y),
         coalesce(units.x, measures.x_absent) as x,
         case when measures.y is null then 0.0 else coalesce(units.y, measures.y_absent) end as y,
         units.first_time + measures.attribution_window <= units.window_end as matured,
         segments.segment,
         case
           when segments.segment = 'tenantId' then nullif(units.tenant, '')
           when segments.segment = 'subjectType' then units.subject_type
           when segments.segment like 'attributes.%' then json_text(units.attributes, substr(segments.segment, 12))
         end as segment_value
  from units
  join analysis.measures measures
    on measures.experiment = units.experiment and measures.metric = units.metric and measures.fold = units.fold
  join analysis.experiment_segments segments on segments.experiment = units.experiment
),
-- Two kinds of row for each group: the units with an outcome, and the number of all at risk.
rows_of_groups as (
  select experiment, variant, metric, fold, segment, segment_value, window_name, window_start, window_end,
         suff_stats(x, y) as statistics,
         count(*) as subjects_with_outcome,
         sum(outcomes) as outcomes,
         sum(cast(matured as bigint)) as matured_with_outcome,
         bool_and(all_binary) as all_binary,
         cast(null as bigint) as at_risk,
         cast(null as bigint) as matured_at_risk
  from completed
  where x is not null and y is not null
  group by 1, 2, 3, 4, 5, 6, 7, 8, 9
  union all
  select risk.experiment, risk.variant, measures.metric, measures.fold, risk.segment, risk.segment_value,
         risk.window_name, risk.window_start, risk.window_end,
         null, 0, 0, 0, null, risk.units, risk.matured
  from analysis.subjects_at_risk risk
  join analysis.measures measures
    on measures.experiment = risk.experiment and measures.attribution_window = risk.attribution_window
  where measures.x_absent is not null and (measures.y is null or measures.y_absent is not null)
),
groups as (
  select experiment, variant, metric, fold, segment, segment_value, window_name, window_start, window_end,
         merge_suff_stats(statistics) as statistics,
         sum(subjects_with_outcome) as subjects_with_outcome,
         sum(outcomes) as outcomes,
         sum(matured_with_outcome) as matured_with_outcome,
         bool_and(all_binary) as all_binary,
         sum(at_risk) as at_risk,
         sum(matured_at_risk) as matured_at_risk
  from rows_of_groups
  group by 1, 2, 3, 4, 5, 6, 7, 8, 9
),
filled as (
  select groups.*, measures.listed, measures.y is not null as is_ratio,
         with_units(statistics, coalesce(at_risk - subjects_with_outcome, 0), x_absent,
                    case when measures.y is null then 0.0 else y_absent end) as s,
         sum(subjects_with_outcome) over in_window > 0 as met_in_window,
         bool_and(all_binary) over in_window as binary_in_window
  from groups
  join analysis.measures measures
    on measures.experiment = groups.experiment and measures.metric = groups.metric and measures.fold = groups.fold
  window in_window as (partition by groups.experiment, groups.metric, groups.fold, window_name, window_end)
)
select experiment, variant, metric, segment, segment_value, window_name,
       case when window_name <> 'cumulative'
            then arrow_cast(window_start, 'Timestamp(Microsecond, Some("UTC"))') end as window_start,
       case when window_name <> 'cumulative'
            then arrow_cast(window_end, 'Timestamp(Microsecond, Some("UTC"))') end as window_end,
       s['n'] as subjects, subjects_with_outcome, outcomes,
       s['sum'] as sum, s['mean'] as mean, s['m2'] as m2, s['min'] as min, s['max'] as max,
       case when is_ratio then s['mean_y'] end as mean_y,
       case when is_ratio then s['m2_y'] end as m2_y,
       case when is_ratio then s['c'] end as c,
       coalesce(matured_at_risk, matured_with_outcome) as matured_subjects,
       window_name <> 'cumulative' as is_final
from filled
where s['n'] > 0
  and (listed or met_in_window)
  and (fold = 'declared' or fold = case when binary_in_window then 'any' else 'sum' end)
