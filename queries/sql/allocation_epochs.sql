-- The allocation epochs of the experiments, one where the allocation never changes; microseconds. The first begins with
-- time, whatever its date.
with
dates as (
  select distinct experiment, coalesce(cast(from_time as bigint), -9223372036854775808) as from_time
  from allocations
)
select experiment,
       row_number() over by_time as epoch,
       case row_number() over by_time when 1 then -9223372036854775808 else from_time end as starts_at,
       lead(from_time, 1, 9223372036854775807) over by_time as ends_at
from dates
window by_time as (partition by experiment order by from_time)
