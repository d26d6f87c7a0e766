-- Every planned variant has its planned sample.
select "row", watermark, experiment,
       'Info' as severity,
       least_subjects as statistic,
       planned_subjects as threshold
from evaluated_experiments
where least_subjects >= planned_subjects
