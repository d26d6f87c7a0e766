//! How many subjects count in each window of a kind, kept by differences.
//!
//! A subject counts in a run of consecutive windows (those that begin before its attribution ends and end after its first exposure), so
//! one entry at the run's beginning and one after its end move the count of every window between, however many there are.

use std::collections::{BTreeMap, VecDeque};

/// A count for each window of a kind.
#[derive(Debug, Clone, Default, PartialEq, serde::Serialize, serde::Deserialize)]
pub struct WindowCounter {
    /// The count of the window before `next`, which every later one starts from.
    running: i64,
    /// (window index, how the count changes there), ascending; mostly few.
    differences: VecDeque<(i64, i64)>,
}

impl WindowCounter {
    /// Adds `delta` to windows `from..=to`; `next` is the first that is not final yet. Final ones keep their count.
    pub fn add(&mut self, from: i64, to: i64, delta: i64, next: i64) {
        if to < from || to < next {
            return;
        }
        if from < next {
            self.running += delta;
        } else {
            self.change(from, delta);
        }
        self.change(to + 1, -delta);
    }

    /// The count of window `index`; windows must be asked for in ascending order, and earlier ones are final from then on.
    pub fn advance_to(&mut self, index: i64) -> i64 {
        while let Some((_, delta)) = self.differences.pop_front_if(|(at, _)| *at <= index) {
            self.running += delta;
        }
        self.running
    }

    /// The count of window `index`, without making anything final.
    #[must_use]
    pub fn peek(&self, index: i64) -> i64 {
        let until = self.differences.iter().take_while(|(at, _)| *at <= index);
        self.running + until.map(|(_, delta)| delta).sum::<i64>()
    }

    /// Bytes of memory held, about.
    #[must_use]
    pub fn memory(&self) -> usize {
        size_of::<Self>() + self.differences.capacity() * size_of::<(i64, i64)>()
    }

    fn change(&mut self, index: i64, delta: i64) {
        match self.differences.binary_search_by_key(&index, |(at, _)| *at) {
            Err(place) => self.differences.insert(place, (index, delta)),
            Ok(place) => {
                if let Some((_, change)) = self.differences.get_mut(place) {
                    *change += delta;
                    if *change == 0 {
                        self.differences.remove(place);
                    }
                }
            }
        }
    }
}

/// Runs of consecutive window indices. However far apart event times lie, only windows that may count somebody are gone through.
#[derive(Debug, Clone, Default, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct IndexRuns {
    /// First index to last, disjoint and not adjacent.
    runs: BTreeMap<i64, i64>,
}

impl IndexRuns {
    /// Adds the indices `from..=to`.
    pub fn insert(&mut self, from: i64, to: i64) {
        if to < from {
            return;
        }
        let (mut from, mut to) = (from, to);
        if let Some((&start, &end)) = self.runs.range(..=from).next_back()
            && end >= from.saturating_sub(1)
        {
            if end >= to {
                return;
            }
            from = start;
        }
        while let Some((&start, &end)) = self.runs.range(from..=to.saturating_add(1)).next() {
            to = to.max(end);
            self.runs.remove(&start);
        }
        self.runs.insert(from, to);
    }

    /// The first index that is at least `index`.
    #[must_use]
    pub fn at_or_after(&self, index: i64) -> Option<i64> {
        if let Some((_, end)) = self.runs.range(..=index).next_back()
            && *end >= index
        {
            return Some(index);
        }
        self.runs.range(index..).next().map(|(start, _)| *start)
    }

    /// All indices, ascending.
    pub fn indices(&self) -> impl Iterator<Item = i64> + '_ {
        self.runs.iter().flat_map(|(start, end)| *start..=*end)
    }

    /// Forgets runs that lie before `index` altogether.
    pub fn forget_before(&mut self, index: i64) {
        while let Some(entry) = self.runs.first_entry() {
            if *entry.get() >= index {
                break;
            }
            entry.remove();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_run_counts_in_each_of_its_windows() {
        let mut counter = WindowCounter::default();
        counter.add(2, 4, 1, i64::MIN);
        counter.add(3, 9, 1, i64::MIN);
        let counts: Vec<i64> = (1..=10).map(|index| counter.advance_to(index)).collect();
        assert_eq!(counts, [0, 1, 2, 2, 1, 1, 1, 1, 1, 0]);
        assert_eq!(counter, WindowCounter::default());
    }

    #[test]
    fn what_is_final_is_not_changed_by_a_later_correction() {
        let mut counter = WindowCounter::default();
        counter.add(0, 5, 1, i64::MIN);
        assert_eq!(counter.advance_to(2), 1);
        // the subject's first exposure moves to an earlier window: 0..=5 leaves, -1..=4 comes; 3 is next
        counter.add(0, 5, -1, 3);
        counter.add(-1, 4, 1, 3);
        assert_eq!(counter.peek(3), 1);
        assert_eq!(
            (3..=6).map(|index| counter.advance_to(index)).collect::<Vec<_>>(),
            [1, 1, 0, 0]
        );
        // wholly in the past: nothing happens
        counter.add(0, 6, 1, 7);
        assert_eq!(counter, WindowCounter::default());
    }

    #[test]
    fn runs_merge_where_they_touch_and_leave_gaps_out() {
        let mut runs = IndexRuns::default();
        runs.insert(10, 20);
        runs.insert(40, 50);
        runs.insert(15, 18);
        runs.insert(21, 25);
        assert_eq!(runs.runs, BTreeMap::from([(10, 25), (40, 50)]));
        assert_eq!(runs.at_or_after(i64::MIN), Some(10));
        assert_eq!(runs.at_or_after(26), Some(40));
        assert_eq!(runs.at_or_after(51), None);
        runs.insert(5, 45);
        assert_eq!(runs.runs, BTreeMap::from([(5, 50)]));
        runs.forget_before(51);
        assert_eq!(runs, IndexRuns::default());
    }
}
