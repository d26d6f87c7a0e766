-- The allocation epochs of the experiments whose allocation is a list of dates; microseconds. What lies before the first
-- date belongs to the first epoch.
with
dates as (
  select distinct experiment, cast(from_time as bigint) as from_time
  from allocations
  where from_time is not null
)
select experiment,
       row_number() over by_time as epoch,
       case row_number() over by_time when 1 then -9223372036854775808 else from_time end as starts_at,
       lead(from_time, 1, 9223372036854775807) over by_time as ends_at
from dates
window by_time as (partition by experiment order by from_time)
