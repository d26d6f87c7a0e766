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

mod arguments;
mod json;
mod length;
mod statistics;
mod suff_stats;
mod windows;
mod with_units;

use datafusion::logical_expr::{AggregateUDF, ScalarUDF};
use datafusion::prelude::SessionContext;

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
    vec![
        ScalarUDF::from(windows::Tumble::new()),
        ScalarUDF::from(windows::Hop::new()),
        ScalarUDF::from(with_units::WithUnits::new()),
        ScalarUDF::from(json::JsonText::new()),
        ScalarUDF::from(json::JsonTexts::new()),
    ]
}

/// The functions of many rows.
#[must_use]
pub fn aggregate_functions() -> Vec<AggregateUDF> {
    vec![
        AggregateUDF::from(suff_stats::SuffStats::new()),
        AggregateUDF::from(suff_stats::MergeSuffStats::new()),
    ]
}
