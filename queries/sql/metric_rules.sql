-- How each metric, declared or met in the stream, folds in each experiment.
--
-- `listed`: the experiment asks for the metric, its rows exist with or without outcomes.
-- `fold`: a metric that nobody declared folds by `any` where all its outcomes are Binary, else by `sum`; which of the
-- two is known only from the outcomes of a window, so it has a row for either. Others have the one row 'declared'.
-- `attribution_window`: of the metric (microseconds), else of the experiment.
with
latest as (
  select *, rank() over (partition by experiment order by since desc) as recency
  from metrics
),
declarations as (
  select * from latest where recency = 1
),
names as (
  select metric from declarations
  union
  select cast(metric as varchar) from outcomes
),
-- An experiment has rows of the metrics that it lists, '*' of all that are declared.
rules as (
  select experiments.experiment, names.metric,
         own.metric is not null or (not experiments.declared and general.metric is not null) as listed,
         coalesce(own.aggregation, general.aggregation) as aggregation,
         case when own.metric is null then general.winsorize_lower else own.winsorize_lower end as lower,
         case when own.metric is null then general.winsorize_upper else own.winsorize_upper end as upper,
         coalesce(own.numerator, general.numerator) as numerator,
         coalesce(own.denominator, general.denominator) as denominator,
         coalesce(own.attribution_window, general.attribution_window, experiments.attribution_window)
           as attribution_window,
         case when coalesce(own.metric, general.metric) is null then ['sum', 'any'] else ['declared'] end as folds
  from analysis.experiment_rules experiments
  cross join names
  left join declarations own on own.experiment = experiments.experiment and own.metric = names.metric
  left join (select * from declarations where experiment = '*') general on general.metric = names.metric
)
select experiment, metric, listed, fold, coalesce(aggregation, fold) as aggregation, lower, upper, numerator, denominator,
       attribution_window
from (select *, unnest(folds) as fold from rules)
