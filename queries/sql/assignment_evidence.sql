-- The anytime-valid test of the split of subjects, where it stands: of each experiment and of each segment value that is followed. It
-- counts first exposures, crossovers included; its e-values are those of `assignment_path`, which the job has updated at every evaluation.
--
-- `counts` and `weights`: by allocation epoch and variant, variants in byte order. `observed`, `expected`: by variant over all epochs.
-- `epochs`: how many epochs have subjects, `epoch`: the latest of them.
--
-- The verdict judges as the signal `srm` does with its default thresholds: E of 100 and 1000, times the number of values of the
-- segment; a greatest deviation of a share of 0.001 for a mismatch; 100 subjects.
with
dated as (
  select *, rank() over (partition by experiment, segment, segment_value order by watermark desc) as recency
  from assignment_path
),
-- every variant that was exposed, or is declared, has a row in every epoch
latest as (
  select experiment, segment, segment_value, allocation_epoch as epoch, variant, max(first_exposures) as subjects,
         max(log_e) as log_e, max(log_e_max) as log_e_max
  from dated
  where recency = 1
  group by 1, 2, 3, 4, 5
),
shared as (
  select latest.*, share, assumed,
         case when share > 0 then subjects else 0 end as tested
  from latest
  join analysis.variant_shares shares
    on  shares.experiment = latest.experiment
    and shares.epoch = latest.epoch
    and shares.variant = latest.variant
),
expected as (
  select *,
         share * sum(tested) over (partition by experiment, segment, segment_value, epoch) as expected
  from shared
),
totals as (
  select *,
         sum(subjects) over of_variant as total_observed,
         sum(expected) over of_variant as total_expected
  from expected
  window of_variant as (partition by experiment, segment, segment_value, variant)
),
epochs as (
  select experiment, segment, segment_value, epoch, assumed, log_e, log_e_max,
         array_agg(variant order by variant) as variants,
         array_agg(subjects order by variant) as counts,
         array_agg(share order by variant) as weights,
         array_agg(total_observed order by variant) as observed,
         array_agg(total_expected order by variant) as expected,
         sum(subjects) as subjects,
         sum(tested) as tested
  from totals
  group by 1, 2, 3, 4, 5, 6, 7
),
paths as (
  select experiment, segment, segment_value, assumed, log_e, log_e_max,
         first_value(variants) as variants,
         array_agg(counts order by epoch) as counts,
         array_agg(weights order by epoch) as weights,
         first_value(observed) as observed,
         first_value(expected) as expected,
         sum(tested) as subjects,
         count(*) filter (where subjects > 0) as epochs,
         coalesce(max(epoch) filter (where subjects > 0), 1) as epoch
  from epochs
  group by 1, 2, 3, 4, 5, 6
),
tested as (
  select *, srm_chi_square(counts, weights)['max_share_deviation'] as share_deviation,
         -- of a segment with many values the 50 largest are followed
         case when segment is null then 1
              else least(count(*) over (partition by experiment, segment), 50) end as segment_values
  from paths
)
select *,
       case when log_e is null then 'not_evaluated'
            when subjects < 100 then 'too_few'
            when log_e >= ln(1000.0 * segment_values) and share_deviation >= 0.001 and not assumed then 'mismatch'
            when log_e >= ln(100.0 * segment_values) then 'warning'
            else 'ok' end as verdict
from tested
