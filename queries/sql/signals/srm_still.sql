-- Whether a sample ratio mismatch that was raised still is one: as long as the e-value is above a tenth of the Warning's threshold. So a
-- mismatch whose evidence wavers around the threshold is told once.
select "row", watermark, experiment, segment, segment_value,
       'Warning' as severity,
       exp(least(log_e, 700)) as statistic,
       srm_warning * segment_values / 10 as threshold
from evaluated_assignments cross join thresholds
where log_e >= ln(srm_warning * segment_values / 10)
