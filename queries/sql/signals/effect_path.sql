-- The path of the always-valid test of each effect: the logarithm of its e-value now. There is none before the burn-in, because the test is
-- asymptotic: `burn_in` subjects in the smaller arm, and more where the arms differ in size. With arms of r to 1 the skewness of the
-- difference is that of the outcomes times (1 - 1/r) / sqrt((1 + 1/r) n), 0 for equal arms; as r grows without bound it takes 20 burn-ins.
with
sized as (
  select e.*, t.burn_in,
         least(n_control, n_treatment) / cast(greatest(n_control, n_treatment, 1) as double) as balance
  from evaluated_effects e cross join thresholds t
  where least(n_control, n_treatment) >= burn_in
)
select "row",
       always_valid(n_control, mean_control, m2_control, n_treatment, mean_treatment, m2_treatment,
                    alpha, tuning_n, 'absolute')['log_e'] as log_e
from sized
where least(n_control, n_treatment) >= burn_in * greatest(1, 20 * (1 - balance) * (1 - balance) / (1 + balance))
