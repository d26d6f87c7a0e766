-- What `metric_stats` has rows of: for each experiment the metrics that outcomes carry by name, which have one part, x,
-- and the listed ratios, which have two: x over y. One row a part.
--
-- `aggregation`, `lower` and `upper` are how the outcomes of the metric `part` fold. `x_absent`, `y_absent`: what a
-- subject without an outcome counts as in either part, winsorised like any other value; null where it does not count.
-- The attribution of a ratio is that of its parts.
with
parts as (
  select experiment, metric, listed, fold, numerator is not null as is_ratio,
         unnest(case when numerator is null then [named_struct('metric', metric, 'is_x', true)]
                     else [named_struct('metric', numerator, 'is_x', true),
                           named_struct('metric', denominator, 'is_x', false)] end) as part
  from analysis.metric_rules
  where numerator is null or listed
),
folded as (
  select parts.experiment, parts.metric, parts.listed, parts.fold, parts.is_ratio,
         parts.part['metric'] as part, parts.part['is_x'] as is_x,
         rules.aggregation, rules.lower, rules.upper, rules.attribution_window,
         case when rules.aggregation in ('sum', 'count', 'any')
              then least(greatest(0.0, rules.lower), rules.upper) end as absent
  from parts
  join analysis.metric_rules rules
    on  rules.experiment = parts.experiment
    and rules.metric = parts.part['metric']
    and rules.fold = parts.fold
)
select experiment, metric, listed, fold, is_ratio, part, is_x, aggregation, lower, upper, attribution_window,
       max(case when is_x then absent end) over of_measure as x_absent,
       max(case when not is_x then absent end) over of_measure as y_absent
from folded
window of_measure as (partition by experiment, metric, fold)
