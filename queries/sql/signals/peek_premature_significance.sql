-- A fixed-horizon result was read before its planned sample and looked significant, where the anytime-valid test does not say so: whoever acts
-- on it now finds effects that are not there far more often than alpha says (Armitage, McPherson and Rowe 1969).
select "row", watermark, experiment, metric, pair,
       'Warning' as severity,
       p_value as statistic,
       alpha as threshold,
       n_control, n_treatment, planned_n,
       (n_control + n_treatment) / planned_n as planned_share,
       exp(-greatest(coalesce(log_e, 0), 0)) as always_valid_p_value,
       looks, distinct_looks
from evaluated_looks cross join thresholds
where is_new and design = 'fixed' and least(n_control, n_treatment) >= burn_in and standard_error > 0
  and p_value < alpha and coalesce(log_e, 0) < -ln(alpha)
  and (planned_n is null or n_control + n_treatment < planned_n)
