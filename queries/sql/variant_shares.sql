-- The share of each variant in each allocation epoch: of those that are declared and of those that were seen, 0 where a variant has
-- none. Where no allocation is declared, equal shares over the variants seen are assumed. Times in microseconds.
with
variants as (
  select experiment, variant from allocations
  union
  -- some are assigned on purpose and never exposed
  select experiment, variant from assignment_path where first_exposures > 0
  union
  select experiment, variant from assignment_counts_history
),
dated as (
  select experiment, variant, share,
         dense_rank() over (partition by experiment
                            order by coalesce(cast(from_time as bigint), -9223372036854775808)) as epoch
  from allocations
),
-- every start of a job declares the same again
shares as (
  select experiment, epoch, variant, max(share) as share from dated group by 1, 2, 3
)
select variants.experiment, variants.variant,
       coalesce(epochs.epoch, 1) as epoch,
       coalesce(epochs.starts_at, -9223372036854775808) as starts_at,
       coalesce(epochs.ends_at, 9223372036854775807) as ends_at,
       case when epochs.epoch is null then 1.0 / count(*) over (partition by variants.experiment)
            else coalesce(shares.share, 0.0) end as share,
       epochs.epoch is null as assumed
from variants
left join analysis.allocation_epochs epochs on epochs.experiment = variants.experiment
left join shares
  on  shares.experiment = variants.experiment
  and shares.epoch = epochs.epoch
  and shares.variant = variants.variant
