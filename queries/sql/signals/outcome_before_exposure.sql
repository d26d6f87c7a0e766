-- Outcomes that name the experiment lie before their subject's first exposure by more than clocks may differ (5 minutes): over 1 %, and at
-- least 10.
select "row", watermark, experiment,
       'Warning' as severity,
       outcomes_before_exposure / cast(outcomes as double) as statistic,
       0.01 as threshold,
       outcomes_before_exposure, outcomes
from evaluated_experiments
where outcomes_before_exposure >= 10 and outcomes_before_exposure > 0.01 * outcomes
