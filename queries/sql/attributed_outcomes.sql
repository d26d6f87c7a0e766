-- Exposures joined to outcomes in windows: one row for each window that takes in an outcome attributed to a subject of
-- an experiment. All times in microseconds.
--
-- An outcome is attributed if `first_time <= t < first_time + attribution`; one without an experiment to every
-- experiment that its subject is exposed in. Windows take in what falls into them and was not late for them.
with
lengths as (
  select distinct experiment, metric, attribution_window from analysis.metric_rules
),
attributed as (
  select states.window_name, states.experiment, states.tenant, states.subject_id, states.known_after,
         states.known_until, states.first_time, states.first_variant, states.variant, states.crossover,
         states.analysed, states.subject_type, states.attributes, lengths.attribution_window,
         outcome.event_id, outcome.event_time, outcome.metric, outcome.outcome_type, outcome.value
  from analysis.counted_outcomes outcome
  join analysis.subject_states states
    on  states.tenant = outcome.tenant
    and states.subject_id = outcome.subject_id
    and (outcome.experiment is null or outcome.experiment = states.experiment)
    and outcome.event_time >= states.first_time
  join lengths on lengths.experiment = states.experiment and lengths.metric = outcome.metric
  where outcome.event_time < states.first_time + lengths.attribution_window
),
placed as (
  select attributed.*, coalesce(late.late_until, attributed.event_time) as seen_after,
         unnest(hop(attributed.event_time, windows.size, windows.slide, windows."offset")) as bounds
  from attributed
  join analysis.all_windows windows on windows.window_name = attributed.window_name
  left join (select * from analysis.window_lateness where event_type = 'Outcome') late
    on  late.event_id = attributed.event_id
    and cast(late.event_time as bigint) = attributed.event_time
    and late.window_name = attributed.window_name
)
select window_name, bounds['start'] as window_start, bounds['end'] as window_end, experiment, tenant, subject_id,
       first_time, first_variant, variant, crossover, analysed, subject_type, attributes,
       attribution_window, event_id, event_time, metric, outcome_type, value
from placed
where bounds['end'] > known_after and bounds['end'] <= known_until and bounds['end'] > seen_after
