-- The states of all subjects, once with a null segment and once for each segment of their experiment, with the value
-- that their first exposure has there (null: none).
select states.*,
       segments.segment,
       case
         when segments.segment = 'tenantId' then nullif(states.tenant, '')
         when segments.segment = 'subjectType' then states.subject_type
         when segments.segment like 'attributes.%' then json_text(states.attributes, substr(segments.segment, 12))
       end as segment_value
from analysis.subject_states states
join analysis.experiment_segments segments on segments.experiment = states.experiment
