-- Whether a premature significance is still one, by matured subjects: it is over when the anytime-valid test has found the effect, when it is
-- not significant any more, or when the planned sample is there. Before the burn-in matured subjects say nothing, and it goes on. Raises
-- nothing by itself: nobody has looked.
with
tested as (
  select e.*, t.burn_in,
         welch(n_control, mean_control, m2_control, n_treatment, mean_treatment, m2_treatment, alpha)['p_value'] as p_value
  from evaluated_effects e cross join thresholds t
)
select "row", watermark, experiment, metric, pair,
       'Warning' as severity,
       p_value as statistic,
       alpha as threshold
from tested
where (planned_n is null or subjects < planned_n)
  and (least(n_control, n_treatment) < burn_in or (p_value < alpha and coalesce(log_e_max, 0) < -ln(alpha)))
