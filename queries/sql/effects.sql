-- The statistics of each metric in a treatment and in its control, the experiment to date: over all subjects, and over those whose
-- attribution window has closed. `n` are the units of the metric, `subjects` the analysis population of the variant.
--
-- Of a ratio of means R = x / y they are those of the delta method's linearisation: the mean R, and the squared deviations
-- (m2 of x - 2 R c + R² m2 of y) / y², so that every test takes them as it takes a mean. They are null where y is 0.
with
ratios as (
  select distinct metric from metrics where numerator is not null
),
statistics as (
  select experiment, metric, variant, false as matured, subjects, mean, m2, mean_y, m2_y, c
  from metric_stats
  where window_name = 'cumulative' and segment is null
  union all
  select experiment, metric, variant, true, subjects, mean, m2, mean_y, m2_y, c
  from matured_stats
  where segment is null
),
with_ratio as (
  select statistics.*, ratios.metric is not null as is_ratio,
         case when mean_y <> 0 then mean / mean_y end as ratio
  from statistics left join ratios on ratios.metric = statistics.metric
),
parts as (
  select experiment, metric, variant, matured, subjects as n,
         case when is_ratio then ratio else mean end as mean,
         case when not is_ratio then m2
              when ratio is not null then (m2 - 2 * ratio * c + ratio * ratio * m2_y) / (mean_y * mean_y) end as m2
  from with_ratio
),
-- beyond these sizes differences and squares would leave the range of a double; rounding may bring a ratio's below 0
usable as (
  select experiment, metric, variant, matured, n,
         case when abs(mean) <= 1e140 and abs(m2) <= 1e290 then mean end as mean,
         case when abs(mean) <= 1e140 and abs(m2) <= 1e290 then greatest(m2, 0) end as m2
  from parts
),
arms as (
  select experiment, metric, variant,
         max(n) filter (where not matured) as n,
         max(mean) filter (where not matured) as mean,
         max(m2) filter (where not matured) as m2,
         max(n) filter (where matured) as matured_n,
         max(mean) filter (where matured) as matured_mean,
         max(m2) filter (where matured) as matured_m2
  from usable
  group by 1, 2, 3
  having max(n) filter (where not matured) is not null
),
sized as (
  select arms.*, comparisons.control, design, alpha, planned, coalesce(counts.subjects, 0) as subjects
  from arms
  join analysis.comparisons comparisons on comparisons.experiment = arms.experiment and comparisons.variant = arms.variant
  left join assignment_counts counts
    on  counts.experiment = arms.experiment
    and counts.variant = arms.variant
    and counts.window_name = 'cumulative'
    and counts.segment is null
),
compared as (
  select *, variant || ' vs ' || control as pair,
         max(subjects) filter (where variant = control) over of_metric as subjects_control,
         max(n) filter (where variant = control) over of_metric as n_control,
         max(mean) filter (where variant = control) over of_metric as mean_control,
         max(m2) filter (where variant = control) over of_metric as m2_control,
         max(matured_n) filter (where variant = control) over of_metric as matured_n_control,
         max(matured_mean) filter (where variant = control) over of_metric as matured_mean_control,
         max(matured_m2) filter (where variant = control) over of_metric as matured_m2_control
  from sized
  window of_metric as (partition by experiment, metric)
)
select * from compared where variant <> control and n_control is not null
