-- Exposures and outcomes came beyond the correction horizon and are in no result: over 0.1 %, and at least 10.
select "row", watermark, experiment,
       'Warning' as severity,
       too_late / cast(records + too_late as double) as statistic,
       0.001 as threshold,
       too_late, records
from evaluated_experiments
where too_late >= 10 and too_late > 0.001 * (records + too_late)
