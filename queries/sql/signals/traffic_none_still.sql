-- Whether exposures are still missing: the hour that had them is over, and none has come.
select "row", watermark, experiment,
       'Warning' as severity,
       exposures_last_hour as statistic,
       1 as threshold
from evaluated_experiments
where is_running and exposures_last_hour = 0
