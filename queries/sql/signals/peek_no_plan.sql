-- Results are read of an experiment that has no planned sample, end or minimal effect: nobody can tell how far it has come.
select "row", watermark, experiment,
       'Info' as severity,
       looks as statistic,
       1 as threshold
from evaluated_looks
where is_new and design = 'fixed' and not has_plan
