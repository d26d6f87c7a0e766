-- The windows that results are computed for, one row a name; sizes in microseconds.
-- `cumulative`, the experiment to date, is the one window that reaches from year 0 to year 10100: it contains every
-- event and its attribution window, and needs no rule of its own.
select name as window_name, size, case type when 'tumble' then size else slide end as slide, "offset"
from windows
where name <> 'cumulative'
union
select 'cumulative', 318725215200000000, 318725215200000000, -62167219200000000
