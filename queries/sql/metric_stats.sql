-- The final rows of `metric_stats`, and those of `cumulative` as at the end of the stream, from the events alone.
--
-- A unit is a subject at risk in the window. For sum, count and any, those without an outcome count as 0: they are not
-- listed but counted, and enter the statistics by their number. For mean, max, min and last they are absent. The pairs
-- of a ratio are of the units that count in both of its parts.
with
-- The folded and winsorised value of each subject with an outcome, for each part of a measure.
valued as (
  select folded.*, measures.metric as measure, measures.fold, measures.listed, measures.is_ratio, measures.is_x,
         measures.x_absent, measures.y_absent,
         folded.first_time + measures.attribution_window <= folded.window_end as matured,
         least(greatest(
           case measures.aggregation
             when 'sum' then folded.sum
             when 'count' then cast(folded.outcomes as double)
             when 'mean' then folded.mean
             when 'max' then folded.max
             when 'min' then folded.min
             when 'last' then folded.last
             when 'any' then cast(folded.any as double)
           end, measures.lower), measures.upper) as value
  from analysis.folded_outcomes folded
  join analysis.measures measures on measures.experiment = folded.experiment and measures.part = folded.metric
),
units as (
  select experiment, measure, fold, window_name, window_start, window_end, tenant, subject_id,
         bool_and(listed) as listed, bool_and(is_ratio) as is_ratio,
         max(x_absent) as x_absent, max(y_absent) as y_absent,
         min(variant) as variant, min(subject_type) as subject_type, min(attributes) as attributes,
         bool_and(matured) as matured, sum(outcomes) as outcomes, bool_and(all_binary) as all_binary,
         coalesce(max(value) filter (where is_x), max(x_absent)) as x,
         case when bool_and(is_ratio) then coalesce(max(value) filter (where not is_x), max(y_absent)) else 0.0 end as y
  from valued
  group by experiment, measure, fold, window_name, window_start, window_end, tenant, subject_id
),
segmented as (
  select units.*, segments.segment,
         case
           when segments.segment = 'tenantId' then nullif(units.tenant, '')
           when segments.segment = 'subjectType' then units.subject_type
           when segments.segment like 'attributes.%' then json_text(units.attributes, substr(segments.segment, 12))
         end as segment_value
  from units
  join analysis.experiment_segments segments on segments.experiment = units.experiment
  where units.x is not null and units.y is not null
),
-- Two kinds of row for each group: the units with an outcome, and the number of all at risk.
rows_of_groups as (
  select experiment, variant, measure, fold, segment, segment_value, window_name, window_start, window_end,
         bool_and(listed) as listed, bool_and(is_ratio) as is_ratio,
         max(x_absent) as x_absent, max(y_absent) as y_absent,
         suff_stats(x, y) as statistics,
         count(*) as subjects_with_outcome, sum(outcomes) as outcomes, bool_and(all_binary) as all_binary,
         sum(cast(matured as bigint)) as matured_with_outcome,
         cast(null as bigint) as at_risk, cast(null as bigint) as matured_at_risk
  from segmented
  group by 1, 2, 3, 4, 5, 6, 7, 8, 9
  union all
  select risk.experiment, risk.variant, measures.metric, measures.fold, risk.segment, risk.segment_value,
         risk.window_name, risk.window_start, risk.window_end,
         measures.listed, measures.is_ratio, measures.x_absent, measures.y_absent,
         null, 0, 0, null, 0, risk.units, risk.matured
  from analysis.subjects_at_risk risk
  join (select * from analysis.measures where is_x) measures
    on measures.experiment = risk.experiment and measures.attribution_window = risk.attribution_window
  where measures.x_absent is not null and (not measures.is_ratio or measures.y_absent is not null)
),
groups as (
  select experiment, variant, measure, fold, segment, segment_value, window_name, window_start, window_end,
         bool_and(listed) as listed, bool_and(is_ratio) as is_ratio,
         max(x_absent) as x_absent, max(y_absent) as y_absent,
         merge_suff_stats(statistics) as statistics,
         sum(subjects_with_outcome) as subjects_with_outcome, sum(outcomes) as outcomes,
         bool_and(all_binary) as all_binary, sum(matured_with_outcome) as matured_with_outcome,
         sum(at_risk) as at_risk, sum(matured_at_risk) as matured_at_risk
  from rows_of_groups
  group by 1, 2, 3, 4, 5, 6, 7, 8, 9
),
filled as (
  select *,
         with_units(statistics, coalesce(at_risk - subjects_with_outcome, 0), x_absent,
                    case when is_ratio then y_absent else 0.0 end) as s,
         sum(subjects_with_outcome) over in_window > 0 as met_in_window,
         bool_and(all_binary) over in_window as binary_in_window
  from groups
  window in_window as (partition by experiment, measure, fold, window_name, window_end)
)
select experiment, variant, measure as metric, segment, segment_value, window_name,
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
