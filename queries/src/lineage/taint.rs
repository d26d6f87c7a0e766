//! What a column depends on.

/// What a column, or the number of rows, depends on.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Taint(u8);

impl Taint {
    pub(super) const NONE: Taint = Taint(0);
    /// Outcomes, or statistics of metrics.
    pub(super) const VALUE: Taint = Taint(1);
    /// The variant.
    pub(super) const VARIANT: Taint = Taint(2);
    /// Outcomes, told apart by variant.
    pub(super) const APART: Taint = Taint(4);
    /// Of one variant alone, whichever it is: a row of statistics.
    pub(super) const ROW: Taint = Taint(8);

    pub(super) fn has(self, other: Taint) -> bool {
        self.0 & other.0 == other.0
    }

    /// A value that depends on the variant is told apart by it.
    pub(super) fn settled(self) -> Taint {
        if self.has(Taint::VALUE | Taint::VARIANT) {
            self | Taint::APART
        } else {
            self
        }
    }

    pub(super) fn without_value(self) -> Taint {
        Taint(self.0 & !(Taint::VALUE.0 | Taint::APART.0 | Taint::ROW.0))
    }

    /// What is added up over rows is no longer of one variant alone.
    pub(super) fn added_up(self) -> Taint {
        Taint(self.0 & !Taint::ROW.0)
    }
}

impl std::ops::BitOr for Taint {
    type Output = Taint;

    fn bitor(self, other: Taint) -> Taint {
        Taint(self.0 | other.0)
    }
}

/// What a column of a table is. Numbers of subjects and the paths of anytime-valid tests are neither.
pub(super) fn taint_of_column(table: &str, column: &str) -> Taint {
    let is_statistics = matches!(
        table,
        "metric_stats" | "metric_stats_history" | "matured_stats" | "matured_stats_history"
    );
    match column {
        "variant" | "new_variant" | "previous_variant" => Taint::VARIANT,
        "value" if table == "outcomes" => Taint::VALUE,
        "subjects_with_outcome" | "outcomes" | "sum" | "mean" | "m2" | "min" | "max" | "mean_y" | "m2_y" | "c"
            if is_statistics =>
        {
            Taint::VALUE | Taint::ROW
        }
        _ => Taint::NONE,
    }
}
