-- Exposures joined to outcomes, the experiment to date: one row for each outcome attributed to a subject of an
-- experiment. `variant` is the one that results count under; where `analysed` is false the subject is an excluded
-- crossover, and its outcomes are in no metric.
select experiment, variant, nullif(tenant, '') as tenant_id, subject_id, crossover, analysed,
       arrow_cast(first_time, 'Timestamp(Microsecond, Some("UTC"))') as first_exposure,
       event_id,
       arrow_cast(event_time, 'Timestamp(Microsecond, Some("UTC"))') as event_time,
       metric, outcome_type, value, attribution_window
from analysis.attributed_outcomes
where window_name = 'cumulative'
