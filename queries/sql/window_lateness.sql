-- For which windows a counted record came too late: it is left out of those of this name that end at or before
-- `late_until` (microseconds), and taken into all later ones.
--
-- A delivery that was too late for everything has a row of `cumulative` beside its rows for the windows; those
-- rows are its own and say nothing of the delivery that counts.
select late.event_type, late.event_id, late.event_time, late.window_name,
       max(cast(late.window_end as bigint)) as late_until
from late_events late
left anti join (select * from late_events where window_name = 'cumulative') too_late
  on  late.event_type = too_late.event_type
  and late.event_id = too_late.event_id
  and late.event_time = too_late.event_time
  and late.watermark = too_late.watermark
group by 1, 2, 3, 4
