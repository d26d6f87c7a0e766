-- The always-valid confidence sequence of an effect excludes 0, after the burn-in (see effect_path.sql). Only where the design of the
-- experiment is sequential may it be acted on.
with
sized as (
  select e.*, t.burn_in,
         least(n_control, n_treatment) / cast(greatest(n_control, n_treatment, 1) as double) as balance
  from evaluated_effects e cross join thresholds t
  where design = 'sequential' and least(n_control, n_treatment) >= burn_in
),
tested as (
  select *, always_valid(n_control, mean_control, m2_control, n_treatment, mean_treatment, m2_treatment,
                         alpha, tuning_n, 'absolute')['log_e'] as log_e
  from sized
  where least(n_control, n_treatment) >= burn_in * greatest(1, 20 * (1 - balance) * (1 - balance) / (1 + balance))
)
select "row", watermark, experiment, metric, pair,
       'Info' as severity,
       exp(least(log_e, 700)) as statistic,
       1 / alpha as threshold,
       log_e, n_control, n_treatment, alpha
from tested
where log_e >= -ln(alpha)
