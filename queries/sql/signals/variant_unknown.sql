-- A variant that no allocation names receives subjects. One is worth knowing; 3 and 0.01 % are a Warning. It is over when none comes any more.
select "row", watermark, experiment, variant,
       case when stray_exposures >= greatest(3, 0.0001 * subjects) then 'Warning' else 'Info' end as severity,
       stray_exposures as statistic,
       case when stray_exposures >= greatest(3, 0.0001 * subjects) then greatest(3, 0.0001 * subjects) else 1 end as threshold,
       subjects,
       -- at the evaluation that saw it, at least
       cast(last_stray as bigint) + greatest(resolve_after, 1) as holds_until
from evaluated_variants cross join thresholds
where not is_declared and stray_exposures > 0
