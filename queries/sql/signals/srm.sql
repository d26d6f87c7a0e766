-- Sample ratio mismatch: subjects are not split as allocated. The anytime-valid multinomial test decides, so it may be read after every
-- event; with one segment value among many the threshold grows by their number. Chi-square and, for small counts, the exact test are
-- there to be compared with other tools: they are valid when read once, and raise nothing.
--
-- What is asked of chi-square makes no signal of a row, and no filter: filters are pushed down, and would be computed for every row.
with
suspects as (
  select a.*, t.*
  from evaluated_assignments a cross join thresholds t
  where subjects >= srm_minimum_subjects and log_e >= ln(srm_warning * segment_values)
),
tested as (
  select *,
         srm_chi_square(counts, weights) as chi_square,
         log_e >= ln(srm_error * segment_values) as is_certain
  from suspects
),
judged as (
  select *,
         case when chi_square['max_share_deviation'] < srm_minimum_deviation then null
              when is_certain and not assumed and chi_square['max_share_deviation'] >= srm_error_deviation then 'Error'
              else 'Warning' end as severity
  from tested
)
select "row", watermark, experiment, segment, segment_value, severity, log_e,
       exp(least(log_e, 700)) as statistic,
       case severity when 'Error' then srm_error else srm_warning end * segment_values as threshold,
       subjects, variants, observed, expected, assumed,
       chi_square['max_share_deviation'] as share_deviation,
       chi_square['statistic'] as chi_square,
       chi_square['p_value'] as chi_square_p_value,
       case when array_length(counts) = 1 and chi_square['min_expected'] < 5
            then srm_exact(counts[1], weights[1])['p_value'] end as exact_p_value
from judged
