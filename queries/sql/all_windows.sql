-- The windows that results are computed for, one row a name; sizes in microseconds.
-- `cumulative`, the experiment to date, is the one window that reaches from year 0 to year 10000: it contains
-- every event and needs no rule of its own.
select name as window_name, size, case type when 'tumble' then size else slide end as slide, "offset"
from windows
where name <> 'cumulative'
union
select 'cumulative', 315569520000000000, 315569520000000000, -62167219200000000
