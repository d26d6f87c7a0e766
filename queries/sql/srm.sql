-- The split of subjects against the allocation: of each experiment and segment value, to date and in every window.
--
-- Pearson's chi-square and the exact test look at the analysis population and are valid when read once. To date, the verdict is that of the
-- anytime-valid test; in a window, which is displayed and never alerts, it is a flag.
with
groups as (
  select distinct experiment, segment, segment_value, window_name, window_start, window_end from assignment_counts
),
placed as (
  select groups.*, evidence.epochs, evidence.epoch, log_e, log_e_max, verdict,
         case when evidence.epochs > 1
              then named_struct('variants', variants, 'observed', observed, 'expected', expected, 'counts', counts,
                                'weights', weights) end as by_epoch
  from groups
  left join analysis.assignment_evidence evidence
    on  groups.window_start is null
    and evidence.experiment = groups.experiment
    and (evidence.segment is not distinct from groups.segment)
    and (evidence.segment_value is not distinct from groups.segment_value)
),
-- the allocation epochs that a window overlaps or, to date, that have subjects
allocated as (
  select placed.experiment, segment, segment_value, window_name, window_start, window_end, log_e, log_e_max, verdict, by_epoch,
         shares.epoch, shares.variant, share, assumed
  from placed
  join analysis.variant_shares shares on shares.experiment = placed.experiment
  where case when window_start is not null
             then starts_at < cast(window_end as bigint) and ends_at > cast(window_start as bigint)
             else epochs is null or epochs > 1 or placed.epoch = shares.epoch end
),
tallies as (
  select *, 0 as subjects from allocated
  union all
  select experiment, segment, segment_value, window_name, window_start, window_end, null, null, null, null, null, variant, null, null,
         subjects
  from assignment_counts
),
-- a share that holds for all subjects is known where they came in one epoch
counted as (
  select experiment, segment, segment_value, window_name, window_start, window_end, variant,
         sum(subjects) as subjects,
         case when min(epoch) = max(epoch) then max(share) end as share,
         bool_or(assumed) as assumed,
         max(log_e) as log_e,
         max(log_e_max) as log_e_max,
         max(verdict) as verdict,
         first_value(by_epoch) filter (where by_epoch is not null) as by_epoch
  from tallies
  group by 1, 2, 3, 4, 5, 6, 7
),
expected as (
  select *,
         share * sum(case when share > 0 then subjects else 0 end) over (
           partition by experiment, segment, segment_value, window_name, window_start) as expected
  from counted
),
analysed as (
  select experiment, segment, segment_value, window_name, window_start, window_end, assumed, log_e, log_e_max, verdict,
         array_agg(variant order by variant) as variants,
         array_agg(subjects order by variant) as observed,
         array_agg(expected order by variant) as expected,
         array_agg(share order by variant) as weights,
         bool_and(share is not null) as is_of_one_epoch,
         first_value(by_epoch) as by_epoch
  from expected
  group by 1, 2, 3, 4, 5, 6, 7, 8, 9, 10
),
-- To date, over several epochs, first exposures are known by epoch, and tested. Of a window that overlaps several nothing is.
samples as (
  select experiment, segment, segment_value, window_name, window_start, window_end, assumed, log_e, log_e_max, verdict,
         by_epoch is not null as is_stratified,
         by_epoch is null and not is_of_one_epoch as spans_epochs,
         coalesce(by_epoch['variants'], variants) as variants,
         coalesce(by_epoch['observed'], observed) as observed,
         case when is_of_one_epoch then expected else by_epoch['expected'] end as expected,
         case when is_of_one_epoch then [observed] else by_epoch['counts'] end as counts,
         case when is_of_one_epoch then [weights] else by_epoch['weights'] end as weights
  from analysed
),
tested as (
  select *, srm_chi_square(counts, weights) as pearson from samples
),
read_once as (
  select *,
         case when not is_stratified and pearson['min_expected'] < 5
              then srm_exact(observed, weights[1])['p_value'] end as exact_p
  from tested
)
select experiment, segment, segment_value, window_name, window_start, window_end, variants, observed, expected,
       case when is_stratified then 'first_exposures' else 'analysis' end as population,
       assumed,
       pearson['statistic'] as chi_square,
       pearson['dof'] as dof,
       coalesce(exact_p, pearson['p_value']) as p_value,
       case when exact_p is not null then 'exact' when not spans_epochs then 'chi_square' end as test,
       pearson['min_expected'] as min_expected,
       pearson['max_share_deviation'] as share_deviation,
       pearson['leak'] as leak,
       log_e,
       case when log_e_max is not null then exp(-greatest(log_e_max, 0)) end as sequential_p_value,
       case when spans_epochs then 'spans_epochs'
            when window_start is null then coalesce(verdict, 'not_evaluated')
            when coalesce(exact_p, pearson['p_value']) < 0.001 then 'flag'
            else 'ok' end as verdict
from read_once
