-- What `metric_stats` has rows of: for each experiment a metric that outcomes carry by name (`x`), or the ratio of two
-- (`x` over `y`). `x_absent`, `y_absent`: what a subject without an outcome counts as there, winsorised like any other
-- value; null where it does not count. A ratio has rows where the experiment lists it, and the attribution of its parts.
with
rules as (
  select *,
         case when aggregation in ('sum', 'count', 'any') then least(greatest(0.0, lower), upper) end as absent
  from analysis.metric_rules
)
select experiment, metric, fold, listed, attribution_window,
       metric as x, cast(null as varchar) as y, absent as x_absent, cast(null as double) as y_absent
from rules
where numerator is null
union all
select ratio.experiment, ratio.metric, ratio.fold, ratio.listed, x.attribution_window, x.metric, y.metric, x.absent, y.absent
from rules ratio
join rules x on x.experiment = ratio.experiment and x.metric = ratio.numerator
join rules y on y.experiment = ratio.experiment and y.metric = ratio.denominator
where ratio.listed and x.fold = 'declared' and y.fold = 'declared'
