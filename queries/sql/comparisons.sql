-- Each variant, the control itself included, with the control of its experiment, and the plan that both are judged by: the experiment's own, else the row of '*'.
-- A variant is compared if it has a share in some allocation epoch. `planned`: subjects that the plan wants in the two together.
with
latest as (
  select *, row_number() over (partition by experiment order by since desc) as recency
  from experiments
),
declarations as (
  select experiment, control, design, alpha, planned_total from latest where recency = 1
),
variants as (
  select experiment, variant, not assumed as declared
  from analysis.variant_shares
  group by 1, 2, 3
  having max(share) > 0
)
select variants.experiment, variant,
       coalesce(own.control, max(case variant when 'control' then variant end) over of_experiment,
                min(variant) over of_experiment) as control,
       coalesce(own.design, general.design, 'fixed') as design,
       coalesce(own.alpha, general.alpha, 0.05) as alpha,
       -- the total of a plan is that of all declared variants, at least two
       2.0 * own.planned_total / greatest(sum(cast(declared as bigint)) over of_experiment, 2) as planned
from variants
left join declarations own on own.experiment = variants.experiment
left join (select * from declarations where experiment = '*') general on true
window of_experiment as (partition by variants.experiment)
