-- The attributed outcomes of each analysed subject, metric and window, folded in every way that a metric may ask for.
select window_name, window_start, window_end, experiment, tenant, subject_id, metric,
       min(variant) as variant, min(first_time) as first_time,
       min(subject_type) as subject_type, min(attributes) as attributes,
       count(*) as outcomes,
       bool_and(outcome_type = 'Binary') as all_binary,
       -- a sum beyond the range of a double stays at its end
       least(greatest(sum(value), -1.7976931348623157e308), 1.7976931348623157e308) as sum,
       least(greatest(sum(value), -1.7976931348623157e308), 1.7976931348623157e308) / count(*) as mean,
       max(value) as max,
       min(value) as min,
       last_value(value order by event_time, event_id) as last,
       bool_or(value <> 0) as any
from analysis.attributed_outcomes
where analysed
group by window_name, window_start, window_end, experiment, tenant, subject_id, metric
