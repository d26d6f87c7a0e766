//! The functions of the analysis, beside DataFusion's own.
//!
//! | function | kind | gives |
//! |---|---|---|
//! | `tumble(ts, size[, offset])` | scalar | the window that `ts` falls into, struct `start`, `end` |
//! | `hop(ts, size, slide[, offset])` | scalar | all windows that `ts` falls into, a list of such structs; unnest it |
//! | `suff_stats(x[, y])` | aggregate | struct `n`, `sum`, `mean`, `m2`, `min`, `max`, with y also `mean_y`, `m2_y`, `c`, and `state` |
//! | `merge_suff_stats(s)` | aggregate | the statistics of all values in the merged ones, exactly, from their `state` |
//! | `with_units(s, count, x[, y])` | scalar | the statistics with `count` further units of value `x` |
//! | `json_text(json, name)` | scalar | a member of a JSON object: text as it is, any other value as its JSON text |
//! | `json_texts(json)` | scalar | the elements of a JSON array, each likewise |
//! | `srm_chi_square(counts, weights)`, `srm_exact`, `srm_sequential` | scalar | tests of the split of subjects |
//! | `welch(n1, mean1, m2_1, n2, mean2, m2_2[, alpha])`, `relative_lift`, `always_valid`, `proportion_z` | scalar | tests of an effect |
//! | `holm(p_values)`, `benjamini_hochberg(p_values)` | scalar | p-values adjusted for their number |
//! | `power_t(effect, n_control, ratio, alpha)`, `sample_size_t`, `least_effect_z` and their like | scalar | planning |
//!
//! Tests give a struct for each row, whose members are named alike over all tests, and null where an argument is null. What the data
//! cannot tell is a `status`; arguments that are none fail the query with a sentence that says what to correct.

mod adjustment;
mod allocations;
mod arguments;
mod effects;
mod function;
mod json;
mod length;
mod parameters;
mod sizing;
mod srm;
mod statistics;
mod suff_stats;
mod test_function;
mod windows;
mod with_units;

use datafusion::logical_expr::{AggregateUDF, ScalarUDF};
use datafusion::prelude::SessionContext;

use adjustment::adjustments;
use effects::{AlwaysValidTest, ProportionZ, RelativeLifts, WelchsTest};
use sizing::planning;
use srm::{SrmChiSquare, SrmExact, SrmSequential};
use test_function::test_function;

/// Makes every function known to the session.
pub fn register_all(context: &SessionContext) {
    for function in scalar_functions() {
        context.register_udf(function);
    }
    for function in aggregate_functions() {
        context.register_udaf(function);
    }
}

/// The functions of one row.
#[must_use]
pub fn scalar_functions() -> Vec<ScalarUDF> {
    let mut functions = vec![
        ScalarUDF::from(windows::Tumble::new()),
        ScalarUDF::from(windows::Hop::new()),
        ScalarUDF::from(with_units::WithUnits::new()),
        ScalarUDF::from(json::JsonText::new()),
        ScalarUDF::from(json::JsonTexts::new()),
        ScalarUDF::from(test_function::<SrmChiSquare>()),
        ScalarUDF::from(test_function::<SrmExact>()),
        ScalarUDF::from(test_function::<SrmSequential>()),
        ScalarUDF::from(test_function::<WelchsTest>()),
        ScalarUDF::from(test_function::<RelativeLifts>()),
        ScalarUDF::from(test_function::<AlwaysValidTest>()),
        ScalarUDF::from(test_function::<ProportionZ>()),
    ];
    functions.extend(adjustments().map(ScalarUDF::from));
    functions.extend(planning().map(ScalarUDF::from));
    functions
}

/// The functions of many rows.
#[must_use]
pub fn aggregate_functions() -> Vec<AggregateUDF> {
    vec![
        AggregateUDF::from(suff_stats::SuffStats::new()),
        AggregateUDF::from(suff_stats::MergeSuffStats::new()),
    ]
}
