-- The path of the anytime-valid test of each allocation: the logarithm of its e-value now. E-values of allocation epochs multiply.
select "row", srm_sequential(counts, weights)['log_e'] as log_e
from evaluated_assignments
