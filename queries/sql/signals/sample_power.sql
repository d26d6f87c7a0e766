-- The matured subjects and the variance of the metric give the planned power at the planned minimal effect, relative to the control's
-- mean; two-sided normal approximation (z-test), as in sample size planning. Not before the burn-in: few subjects may lie together by chance.
with
tested as (
  -- the standard error of the difference of two means, which is all that is asked for here of Welch's test; null for arms of fewer than two, also
  -- where conditions are judged side by side
  select *, sqrt(m2_control / nullif(greatest(n_control - 1, 0), 0) / n_control
                 + m2_treatment / nullif(greatest(n_treatment - 1, 0), 0) / n_treatment) as standard_error
  from evaluated_effects cross join thresholds
  where minimum_effect is not null and least(n_control, n_treatment) >= burn_in
),
powered as (
  -- two arms of 2 with unit variance have a standard error of 1; beyond a million of them the power is 1
  select *, power_z(least(minimum_effect * abs(mean_control) / nullif(standard_error, 0), 1e6), 2.0, 1.0, alpha) as power_now
  from tested
  where mean_control <> 0 and standard_error > 0
)
select "row", watermark, experiment, metric, pair,
       'Info' as severity,
       power_now as statistic,
       power as threshold,
       n_control, n_treatment, minimum_effect, alpha
from powered
where power_now >= power
