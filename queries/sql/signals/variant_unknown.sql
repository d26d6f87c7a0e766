-- A variant that no allocation names receives subjects. One is worth knowing; 3 and 0.01 % are a Warning. It is over when none comes any more.
select "row", watermark, experiment, variant,
       case when stray_exposures >= 3 and stray_exposures >= 0.0001 * subjects then 'Warning' else 'Info' end as severity,
       stray_exposures as statistic,
       case when stray_exposures >= 3 and stray_exposures >= 0.0001 * subjects then 3 else 1 end as threshold,
       subjects,
       cast(last_stray as bigint) + resolve_after as holds_until
from evaluated_variants cross join thresholds
where not is_declared and stray_exposures > 0
