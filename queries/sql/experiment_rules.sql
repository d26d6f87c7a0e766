-- What holds for each experiment of the stream: its declaration, or the job's defaults (the row of '*').
-- `attribution_window` in microseconds; `segments` a JSON array of names.
with
latest as (
  select *, row_number() over (partition by experiment order by since desc) as recency
  from experiments
),
declarations as (
  select experiment, attribution_window, crossovers, segments from latest where recency = 1
),
seen as (
  select distinct cast(experiment as varchar) as experiment from exposures
)
select seen.experiment,
       own.experiment is not null as declared,
       coalesce(own.attribution_window, general.attribution_window, 604800000000) as attribution_window,
       coalesce(own.crossovers, general.crossovers, 'exclude') as crossovers,
       own.segments
from seen
left join declarations own on own.experiment = seen.experiment
left join (select * from declarations where experiment = '*') general on true
