-- The deliveries that came too late for everything, by event type, id and instant.
select event_type, event_id, event_time, count(*) as deliveries
from late_events
where window_name = 'cumulative'
group by 1, 2, 3
