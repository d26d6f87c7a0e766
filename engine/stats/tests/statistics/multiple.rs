//! Adjusted p-values against the golden table.

use backplane_stats::{benjamini_hochberg, benjamini_yekutieli, bonferroni, hochberg, holm};

use crate::support::{Row, rows};

fn check(row: &Row, column: &str, adjust: fn(&[f64]) -> Vec<f64>) {
    let adjusted = adjust(&row.list("p_values", ';'));
    let expected: Vec<f64> = row.list(column, ';');
    assert_eq!(adjusted.len(), expected.len(), "{}", row.place());
    for (adjusted, expected) in adjusted.iter().zip(&expected) {
        let error = (adjusted - expected).abs();
        assert!(
            error <= 1e-9 * expected,
            "{}, {column}: {adjusted:e}, expected {expected:e}",
            row.place()
        );
    }
}

#[test]
fn adjusted_p_values_meet_every_golden_row() {
    for row in rows("bh_holm", 48) {
        check(&row, "bonferroni", bonferroni);
        check(&row, "holm", holm);
        check(&row, "hochberg", hochberg);
        check(&row, "bh", benjamini_hochberg);
        check(&row, "by", benjamini_yekutieli);
    }
}
