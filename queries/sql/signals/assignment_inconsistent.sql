-- Subjects were seen in several variants of one allocation epoch: 1 % of the first exposures and at least 10 subjects; an Error from 10 %.
select "row", watermark, experiment,
       case when crossovers >= 0.1 * first_exposures then 'Error' else 'Warning' end as severity,
       crossovers / cast(first_exposures as double) as statistic,
       case when crossovers >= 0.1 * first_exposures then 0.1 else 0.01 end as threshold,
       crossovers, first_exposures
from evaluated_experiments
where crossovers >= 10 and crossovers >= 0.01 * first_exposures
