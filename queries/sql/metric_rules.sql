-- How each metric folds in each experiment.
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
general as (
  select * from declarations where experiment = '*'
),
-- every experiment knows every declared metric
known as (
  select rules.experiment, general.metric from analysis.experiment_rules rules cross join general
  union
  select experiment, metric from declarations where experiment <> '*'
),
declared as (
  select known.experiment, known.metric,
         own.metric is not null or not rules.declared as listed,
         'declared' as fold,
         coalesce(own.aggregation, general.aggregation) as aggregation,
         case when own.metric is null then general.winsorize_lower else own.winsorize_lower end as lower,
         case when own.metric is null then general.winsorize_upper else own.winsorize_upper end as upper,
         coalesce(own.numerator, general.numerator) as numerator,
         coalesce(own.denominator, general.denominator) as denominator,
         coalesce(own.attribution_window, general.attribution_window, rules.attribution_window) as attribution_window
  from known
  join analysis.experiment_rules rules on rules.experiment = known.experiment
  left join declarations own on own.experiment = known.experiment and own.metric = known.metric
  left join general on general.metric = known.metric
),
undeclared as (
  select rules.experiment, seen.metric, rules.attribution_window
  from (select distinct cast(metric as varchar) as metric from outcomes) seen
  cross join analysis.experiment_rules rules
  left anti join declared on declared.experiment = rules.experiment and declared.metric = seen.metric
)
select experiment, metric, listed, fold, aggregation, lower, upper, numerator, denominator, attribution_window
from declared
union all
select experiment, metric, false as listed, fold, fold as aggregation, null, null, null, null, attribution_window
from undeclared cross join (values ('sum'), ('any')) folds (fold)
