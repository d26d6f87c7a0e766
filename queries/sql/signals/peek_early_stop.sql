-- A decision followed within a day on a look at a premature significance.
select "row", watermark, experiment, metric, pair,
       'Error' as severity,
       p_value as statistic,
       alpha as threshold,
       decision, n_control, n_treatment, planned_n,
       (n_control + n_treatment) / planned_n as planned_share,
       exp(-greatest(coalesce(log_e, 0), 0)) as always_valid_p_value,
       distinct_looks
from evaluated_looks cross join thresholds
where decision is not null
  and design = 'fixed' and least(n_control, n_treatment) >= burn_in and standard_error > 0
  and p_value < alpha and coalesce(log_e, 0) < -ln(alpha)
  and (planned_n is null or n_control + n_treatment < planned_n)
