//! Statistics of a group of subjects of an experiment in a shard.

use crate::risk::WindowCounter;
use crate::snapshot::Moved;
use crate::totals::{PairTotals, Totals};

/// Which subjects a group holds: those of a variant, all of them or those of one segment value.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, serde::Serialize, serde::Deserialize)]
pub struct GroupKey {
    /// The variant.
    pub variant: u32,
    /// (index of the segment, the shard's id of its value; [`NONE`] for an absent value).
    pub segment: Option<(u16, u32)>,
}

/// Statistics of a group.
#[derive(Debug, serde::Serialize, serde::Deserialize)]
pub struct Group {
    /// Which subjects.
    pub key: GroupKey,
    /// Subjects analysed in it.
    pub subjects: i64,
    /// Crossovers whose first exposure is of its variant.
    pub crossovers: i64,
    /// First exposures of its variant by allocation epoch, crossovers included.
    pub first_exposures: Vec<i64>,
    /// By metric slot: subjects with an outcome.
    pub metrics: Vec<Totals>,
    /// By ratio.
    pub ratios: Vec<PairTotals>,
    /// By attribution class: subjects whose window has closed.
    pub matured_subjects: Vec<i64>,
    /// As `metrics`, of matured subjects.
    pub matured_metrics: Vec<Totals>,
    /// As `ratios`, of matured subjects.
    pub matured_ratios: Vec<PairTotals>,
    /// By window kind, then `0` for first exposures in the window, `1 + 2 class` for subjects at risk, `2 + 2 class` for those that mature in it.
    pub windows: Vec<Vec<WindowCounter>>,
    /// Whether what evaluations look at changed since the last one.
    pub moved: Moved,
    /// Whether any of its statistics did.
    pub has_moved: bool,
}

impl Group {
    /// Bytes of memory held.
    #[must_use]
    pub fn memory(&self) -> usize {
        let totals = self.metrics.capacity() + self.matured_metrics.capacity();
        let pairs = self.ratios.capacity() + self.matured_ratios.capacity();
        let counts = self.first_exposures.capacity() + self.matured_subjects.capacity();
        let counters = self.windows.iter().flatten().map(WindowCounter::memory);
        size_of::<Group>()
            + totals * size_of::<Totals>()
            + pairs * size_of::<PairTotals>()
            + counts * size_of::<i64>()
            + counters.sum::<usize>()
    }
}
