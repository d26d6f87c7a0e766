-- A variant has a share and no subject: as improbable as 1 in 1000 if the share were real.
select "row", watermark, experiment, variant,
       'Warning' as severity,
       epoch_first_exposures as statistic,
       case when share < 1 then ln(0.001) / ln(1 - share) else 1 end as threshold,
       share
from evaluated_variants
where share > 0 and first_exposures = 0
  and epoch_first_exposures >= case when share < 1 then ln(0.001) / ln(1 - share) else 1 end
