-- By what the results of each experiment are divided: one row a segment, and one of null for all subjects together.
select experiment, cast(null as varchar) as segment
from analysis.experiment_rules
union all
select experiment, segment
from (select experiment, unnest(json_texts(segments)) as segment from analysis.experiment_rules)
