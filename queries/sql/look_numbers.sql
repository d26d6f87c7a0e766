-- What a look sees now of each metric in each treatment, against the control: subjects, Welch's p-value over all outcomes so far, and the evidence of the
-- always-valid test, which rests on matured subjects only. A ratio's units are those of the delta method.
with
moments as (
  select experiment, metric, variant, subjects as n, matured_subjects,
         case when mean_y is null then mean when mean_y <> 0 then mean / mean_y end as mean,
         case when mean_y is null then m2
              when mean_y <> 0 then (m2 - 2 * (mean / mean_y) * c + (mean / mean_y) * (mean / mean_y) * m2_y)
                                    / (mean_y * mean_y) end as m2
  from metric_stats
  where window_name = 'cumulative' and segment is null
),
-- beyond these sizes differences and squares would leave the range of a double; rounding may bring a ratio's below 0
arms as (
  select experiment, metric, variant, n, matured_subjects,
         case when abs(mean) <= 1e140 and m2 <= 1e290 then mean end as mean,
         case when abs(mean) <= 1e140 and abs(m2) <= 1e290 then greatest(m2, 0) end as m2
  from moments
),
controls as (
  select a.experiment,
         coalesce(max(e.control), max(case when a.variant = 'control' then a.variant end), min(a.variant)) as control
  from arms a left join experiments e on e.experiment = a.experiment
  group by a.experiment
),
paths as (
  select experiment, metric, pair, log_e_max as log_e,
         row_number() over (partition by experiment, metric, pair order by watermark desc) as age
  from effect_path
),
-- up to when everything is settled: of what has moved last
watermarks as (
  select experiment, max(watermark) as watermark
  from (select experiment, watermark from assignment_path union all select experiment, watermark from effect_path)
  group by 1
),
subjects as (
  select experiment, variant, subjects from assignment_counts where window_name = 'cumulative' and segment is null
),
compared as (
  select t.experiment, t.metric, concat(t.variant, ' vs ', c.variant) as pair, w.watermark,
         coalesce(of_c.subjects, c.n) as n_control, coalesce(of_t.subjects, t.n) as n_treatment, c.matured_subjects + t.matured_subjects as matured_n,
         welch(c.n, c.mean, c.m2, t.n, t.mean, t.m2) as test
  from controls
  join arms c on c.experiment = controls.experiment and c.variant = controls.control
  join arms t on t.experiment = c.experiment and t.metric = c.metric and t.variant <> c.variant
  left join watermarks w on w.experiment = c.experiment
  left join subjects of_c on of_c.experiment = c.experiment and of_c.variant = c.variant
  left join subjects of_t on of_t.experiment = t.experiment and of_t.variant = t.variant
)
select compared.experiment, compared.metric, compared.pair, watermark, n_control, n_treatment, matured_n,
       test['standard_error'] as standard_error, test['p_value'] as p_value, paths.log_e
from compared
left join paths on paths.experiment = compared.experiment and paths.metric = compared.metric and paths.pair = compared.pair
                and paths.age = 1
order by 1, 2, 3
