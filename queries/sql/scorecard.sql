-- Every metric in every treatment against the control, the experiment to date.
--
-- Beside each other stand the result of a fixed sample (Welch's test over all outcomes so far, valid when read once, at the planned
-- sample) and the always-valid one (over subjects whose attribution window has closed, valid whenever it is read). The verdict says no
-- more than the design of the experiment allows; docs/tables.md explains each.
with
sized as (
  select *, least(matured_n_control, matured_n) as least_n,
         least(matured_n_control, matured_n) / cast(greatest(matured_n_control, matured_n, 1) as double) as balance
  from analysis.effects
),
-- the burn-in is that of the signal `sequential.boundary`: 100 subjects in the smaller arm, and more where the arms differ in size
effects as (
  select *,
         case when least_n >= 100 * greatest(1, 20 * (1 - balance) * (1 - balance) / (1 + balance))
              then always_valid(matured_n_control, matured_mean_control, matured_m2_control, matured_n, matured_mean, matured_m2,
                                alpha, coalesce(planned, 5000), 'absolute') end as sequence
  from sized
),
paths as (
  select experiment, metric, pair, max(log_e_max) as log_e_max
  from (select *, rank() over (partition by experiment, metric, pair order by watermark desc) as recency from effect_path) dated
  where recency = 1
  group by 1, 2, 3
),
looked as (
  select experiment, metric, pair, count(distinct look_id) as looks from looks group by 1, 2, 3
),
latest_metrics as (
  select *, rank() over (partition by experiment order by since desc) as recency from metrics
),
-- an experiment judges by the metrics that it lists; where nobody declared any, by all that came
listed as (
  select experiment, array_agg(metric order by metric) as metrics, array_agg(role order by metric) as roles
  from latest_metrics
  where recency = 1
  group by 1
),
tested as (
  select effects.*,
         case when own.metrics is not null
              then coalesce(own.roles[cast(array_position(own.metrics, effects.metric) as bigint)], 'secondary')
              when general.metrics is not null
              then coalesce(general.roles[cast(array_position(general.metrics, effects.metric) as bigint)], 'secondary')
              else 'goal' end as role,
         welch(n_control, mean_control, m2_control, n, mean, m2, alpha) as fixed,
         relative_lift(n_control, mean_control, m2_control, n, mean, m2, alpha) as relative,
         case when paths.log_e_max is not null then exp(-greatest(paths.log_e_max, 0)) end as always_valid_p,
         (subjects_control + effects.subjects) / planned as planned_share,
         coalesce(looks, 0) as looks,
         coalesce(evidence.verdict, 'not_evaluated') as srm
  from effects
  left join listed own on own.experiment = effects.experiment
  left join (select * from listed where experiment = '*') general on true
  left join paths on paths.experiment = effects.experiment and paths.metric = effects.metric and paths.pair = effects.pair
  left join looked on looked.experiment = effects.experiment and looked.metric = effects.metric and looked.pair = effects.pair
  left join (select * from analysis.assignment_evidence where segment is null) evidence on evidence.experiment = effects.experiment
),
-- The family of Holm's adjustment: goal metrics by treatments. What the sequence does not know yet counts as 1, what a fixed test cannot
-- tell leaves the family.
families as (
  select *,
         array_agg(fixed['p_value']) over of_family as p_values,
         array_agg(coalesce(always_valid_p, 1.0)) over of_family as always_valid_p_values,
         cast(row_number() over of_family_in_order as bigint) as place
  from tested
  window of_family as (partition by experiment, role order by metric, variant rows between unbounded preceding and unbounded following),
         of_family_in_order as (partition by experiment, role order by metric, variant)
),
adjusted as (
  select *,
         case when role = 'goal' then holm(p_values)[place] end as p_adjusted,
         case when role = 'goal' and always_valid_p is not null then holm(always_valid_p_values)[place] end as always_valid_p_adjusted
  from families
),
decided as (
  select *,
         coalesce(p_adjusted, fixed['p_value']) < alpha as is_significant,
         coalesce(coalesce(always_valid_p_adjusted, always_valid_p) <= alpha, false) as is_always_valid
  from adjusted
)
select experiment, metric, role, variant, control, n_control, n, mean_control, mean,
       relative['lift'] as lift,
       case when relative['unstable'] then relative['fieller_low'] else relative['ci_low'] end as lift_low,
       case when relative['unstable'] then relative['fieller_high'] else relative['ci_high'] end as lift_high,
       fixed['difference'] as difference,
       fixed['ci_low'] as ci_low,
       fixed['ci_high'] as ci_high,
       fixed['p_value'] as p_value,
       p_adjusted,
       matured_n_control, matured_n,
       sequence['difference'] as always_valid_difference,
       sequence['ci_low'] as always_valid_low,
       sequence['ci_high'] as always_valid_high,
       always_valid_p, always_valid_p_adjusted,
       design, alpha, planned_share, looks, srm,
       case when srm = 'mismatch' then 'broken'
            when design <> 'fixed' then
              case when is_always_valid then 'significant'
                   when always_valid_p is null then 'insufficient'
                   when planned_share >= 1 then 'not_significant'
                   else 'undecided' end
            when planned_share >= 1 then
              case when least(n_control, n) < 100 or fixed['p_value'] is null then 'insufficient'
                   when is_significant then 'significant'
                   else 'not_significant' end
            when is_always_valid then 'significant_always_valid'
            when planned_share is null then 'no_plan'
            else 'planned_sample_not_reached' end as verdict
from decided
