-- Assigned subjects bring outcomes without ever being exposed, and not in proportion to the variants: over 1 %, at least 10, and an e-value
-- of 1000 for their split against that of all assigned subjects. Where variants lose alike it is only a trigger that not everybody meets.
with
tested as (
  select *, srm_sequential(missing, assigned)['log_e'] as log_e
  from evaluated_experiments
  where missing_subjects >= 10 and missing_subjects > 0.01 * assigned_subjects
)
select "row", watermark, experiment,
       'Warning' as severity,
       exp(least(log_e, 700)) as statistic,
       1000.0 as threshold,
       log_e, variants, assigned, missing, assigned_subjects, missing_subjects
from tested
where log_e >= ln(1000.0)
