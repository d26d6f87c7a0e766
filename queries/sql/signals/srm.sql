-- Sample ratio mismatch: subjects are not split as allocated. The anytime-valid multinomial test decides, so it may be read after every
-- event; E-values of allocation epochs multiply. With one segment among many the threshold grows by their number. Chi-square and, for
-- small counts, the exact test are there to be compared with other tools: they are valid when read once, and raise nothing.
with
tested as (
  select a.*, t.*,
         srm_sequential(counts, weights)['log_e'] as log_e,
         srm_chi_square(counts, weights) as chi_square,
         case when assumed then 'Warning' else 'Error' end as gravest
  from evaluated_assignments a cross join thresholds t
),
judged as (
  select *,
         case when subjects < srm_minimum_subjects
                or chi_square['max_share_deviation'] < srm_minimum_deviation then null
              when log_e >= ln(srm_error * segment_values)
               and chi_square['max_share_deviation'] >= srm_error_deviation then gravest
              when log_e >= ln(srm_warning * segment_values) then 'Warning'
         end as severity
  from tested
)
select "row", watermark, experiment, segment, segment_value, severity, log_e,
       exp(least(log_e, 700)) as statistic,
       case severity when 'Error' then srm_error else srm_warning end * segment_values as threshold,
       subjects, variants, observed, expected, assumed,
       chi_square['max_share_deviation'] as share_deviation,
       chi_square['statistic'] as chi_square,
       chi_square['p_value'] as chi_square_p_value,
       case when severity is not null and cardinality(counts) = 1 and chi_square['min_expected'] < 5
            then srm_exact(counts[1], weights[1])['p_value'] end as exact_p_value
from judged
