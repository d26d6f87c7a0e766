-- A running experiment has had no exposure for an hour of event time: since its start, or after an hour with at least 60 of them.
select "row", watermark, experiment,
       'Warning' as severity,
       exposures_last_hour as statistic,
       1 as threshold,
       exposures, exposures_hour_before
from evaluated_experiments
where is_running and exposures_last_hour = 0
  and (exposures_hour_before >= 60 or (exposures = 0 and is_awaited))
