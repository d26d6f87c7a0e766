-- The always-valid confidence sequence of an effect excludes 0. Only where the experiment's design is sequential may it be acted on; the
-- path is kept for all. There is no verdict before the burn-in, because the sequence is asymptotic: `burn_in` subjects in the smaller arm,
-- and more where the arms differ in size. With arms of r to 1 the skewness of the difference is that of the outcomes times
-- (1 - 1/r) / sqrt((1 + 1/r) n), 0 for equal arms; 20 burn-ins would be needed as r grows without bound.
with
sized as (
  select e.*, t.burn_in,
         least(n_control, n_treatment) as least_n,
         least(n_control, n_treatment) / cast(greatest(n_control, n_treatment, 1) as double) as balance
  from evaluated_effects e cross join thresholds t
),
tested as (
  select *,
         case when least_n >= burn_in * greatest(1, 20 * (1 - balance) * (1 - balance) / (1 + balance))
              then always_valid(n_control, mean_control, m2_control, n_treatment, mean_treatment, m2_treatment,
                                alpha, tuning_n, 'absolute') end as sequence
  from sized
)
select "row", watermark, experiment, metric, pair,
       case when design = 'sequential' and sequence['log_e'] >= -ln(alpha) then 'Info' end as severity,
       sequence['log_e'] as log_e,
       exp(least(sequence['log_e'], 700)) as statistic,
       1 / alpha as threshold,
       n_control, n_treatment, alpha
from tested
