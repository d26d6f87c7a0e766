-- The always-valid confidence sequence of an effect excludes 0, after the burn-in (see effect_path.sql). Only where the design of the
-- experiment is sequential may it be acted on.
select "row", watermark, experiment, metric, pair,
       'Info' as severity,
       exp(least(log_e, 700)) as statistic,
       1 / alpha as threshold,
       log_e, n_control, n_treatment, alpha
from evaluated_effects
where design = 'sequential' and log_e >= -ln(alpha)
