//! Sufficient statistics as SQL values: the struct, and the state inside it.

use std::fmt::Debug;
use std::sync::Arc;

use arrow::array::{Array, ArrayRef, AsArray, BinaryArray, Float64Array, Int64Array, StructArray};
use arrow::buffer::NullBuffer;
use arrow::compute::cast;
use arrow::datatypes::{DataType, Field, Fields};
use backplane_stats::{CrossMoments, Moments};
use datafusion::common::{DataFusionError, Result, exec_datafusion_err, exec_err, plan_err};

/// The member that holds everything needed for exact merging: the words of the state, little-endian.
const STATE: &str = "state";

/// What statistics in SQL are made of: the moments of one variable, or of two.
pub(super) trait Statistics: Default + Clone + Debug + Send + Sync + 'static {
    /// Whether they are of pairs.
    const PAIRS: bool;

    /// Takes in one unit; `y` is nothing to the moments of one variable.
    fn take(&mut self, x: f64, y: f64);
    /// `count` units of the same value.
    fn repeated(x: f64, y: f64, count: u64) -> Self;
    /// Takes in all units of the other.
    fn merge(&mut self, other: &Self);
    /// The first variable.
    fn x(&self) -> &Moments;
    /// Mean and squared deviations of the second variable, and the co-moment of the two.
    fn second(&self) -> [Option<f64>; 3];
    /// The state for exact merging.
    fn to_bytes(&self) -> Vec<u8>;
    /// The statistics of a state; none if it is not of this kind.
    fn from_bytes(bytes: &[u8]) -> Option<Self>;
}

impl Statistics for Moments {
    const PAIRS: bool = false;

    fn take(&mut self, x: f64, _: f64) {
        self.add(x);
    }

    fn repeated(x: f64, _: f64, count: u64) -> Self {
        Moments::repeated(x, count)
    }

    fn merge(&mut self, other: &Self) {
        Moments::merge(self, other);
    }

    fn x(&self) -> &Moments {
        self
    }

    fn second(&self) -> [Option<f64>; 3] {
        [None; 3]
    }

    fn to_bytes(&self) -> Vec<u8> {
        bytes_of(&self.to_array())
    }

    fn from_bytes(bytes: &[u8]) -> Option<Self> {
        words_of(bytes).map(Moments::from_array)
    }
}

impl Statistics for CrossMoments {
    const PAIRS: bool = true;

    fn take(&mut self, x: f64, y: f64) {
        self.add(x, y);
    }

    fn repeated(x: f64, y: f64, count: u64) -> Self {
        CrossMoments::repeated(x, y, count)
    }

    fn merge(&mut self, other: &Self) {
        CrossMoments::merge(self, other);
    }

    fn x(&self) -> &Moments {
        CrossMoments::x(self)
    }

    fn second(&self) -> [Option<f64>; 3] {
        [self.mean_y(), self.m2_y(), self.c()]
    }

    fn to_bytes(&self) -> Vec<u8> {
        bytes_of(&self.to_array())
    }

    fn from_bytes(bytes: &[u8]) -> Option<Self> {
        words_of(bytes).map(CrossMoments::from_array)
    }
}

fn bytes_of(words: &[u64]) -> Vec<u8> {
    words.iter().flat_map(|word| word.to_le_bytes()).collect()
}

fn words_of<const WORDS: usize>(bytes: &[u8]) -> Option<[u64; WORDS]> {
    let (chunks, rest) = bytes.as_chunks::<8>();
    let chunks: &[[u8; 8]; WORDS] = chunks.try_into().ok()?;
    rest.is_empty().then(|| chunks.map(u64::from_le_bytes))
}

/// The type of the statistics.
pub(super) fn statistics_type(pairs: bool) -> DataType {
    DataType::Struct(members(pairs))
}

fn members(pairs: bool) -> Fields {
    let real = |name: &str| Field::new(name, DataType::Float64, true);
    let mut members = vec![Field::new("n", DataType::Int64, true)];
    members.extend(["sum", "mean", "m2", "min", "max"].map(real));
    if pairs {
        members.extend(["mean_y", "m2_y", "c"].map(real));
    }
    members.push(Field::new(STATE, DataType::Binary, true));
    Fields::from(members)
}

/// Whether a type is that of statistics of pairs; an error if it is not that of statistics at all.
pub(super) fn is_of_pairs(usage: &str, data_type: &DataType) -> Result<bool> {
    match data_type {
        DataType::Struct(fields) if fields.find(STATE).is_some() => Ok(fields.find("c").is_some()),
        other => plan_err!("{usage}: s is a struct as suff_stats gives it, not {other}"),
    }
}

/// One row of statistics for each item; null for none.
pub(super) fn to_array<S: Statistics>(statistics: &[Option<S>]) -> Result<StructArray> {
    let real = |get: &dyn Fn(&S) -> Option<f64>| -> ArrayRef {
        Arc::new(
            statistics
                .iter()
                .map(|s| s.as_ref().and_then(get))
                .collect::<Float64Array>(),
        )
    };
    let counts: Int64Array = statistics.iter().map(|s| s.as_ref().map(|s| count_of(s.x()))).collect();
    let mut columns: Vec<ArrayRef> = vec![
        Arc::new(counts),
        real(&|s| (s.x().count() > 0).then(|| s.x().sum())),
        real(&|s| s.x().mean()),
        real(&|s| s.x().m2()),
        real(&|s| s.x().min()),
        real(&|s| s.x().max()),
    ];
    if S::PAIRS {
        for index in 0..3 {
            columns.push(real(&|s| s.second().get(index).copied().flatten()));
        }
    }
    columns.push(Arc::new(states_of(statistics)));
    let nulls: NullBuffer = statistics.iter().map(Option::is_some).collect::<Vec<_>>().into();
    Ok(StructArray::try_new(members(S::PAIRS), columns, Some(nulls))?)
}

fn count_of(moments: &Moments) -> i64 {
    i64::try_from(moments.count()).unwrap_or(i64::MAX)
}

/// The states alone.
pub(super) fn states_of<S: Statistics>(statistics: &[Option<S>]) -> BinaryArray {
    statistics
        .iter()
        .map(|s| s.as_ref().map(Statistics::to_bytes))
        .collect()
}

/// The states inside statistics, wherever in the struct and however encoded they are.
pub(super) fn states_in(statistics: &ArrayRef) -> Result<BinaryArray> {
    let Some(structs) = statistics.as_struct_opt() else {
        return exec_err!("{} holds no statistics", statistics.data_type());
    };
    let Some(states) = structs.column_by_name(STATE) else {
        return exec_err!("the struct has no member {STATE}, it does not come from suff_stats");
    };
    let states = cast(states, &DataType::Binary)?;
    let states = states.as_binary::<i32>();
    let nulls = NullBuffer::union(structs.logical_nulls().as_ref(), states.nulls());
    Ok(BinaryArray::try_new(
        states.offsets().clone(),
        states.values().clone(),
        nulls,
    )?)
}

/// The statistics of one state.
pub(super) fn from_state<S: Statistics>(state: &[u8]) -> Result<S> {
    S::from_bytes(state).ok_or_else(|| damaged::<S>(state.len()))
}

fn damaged<S: Statistics>(length: usize) -> DataFusionError {
    let kind = if S::PAIRS { "pairs" } else { "one variable" };
    exec_datafusion_err!(
        "a state of {length} bytes is not one of statistics of {kind}, it does not come from suff_stats"
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_state_is_read_back_only_as_what_it_was() {
        let mut moments = Moments::new();
        moments.add(2.5);
        let bytes = Statistics::to_bytes(&moments);
        assert_eq!(Moments::from_bytes(&bytes), Some(moments));
        assert_eq!(CrossMoments::from_bytes(&bytes), None);
        assert_eq!(Moments::from_bytes(&bytes[1..]), None);
        assert_eq!(Moments::from_bytes(&[]), None);
    }
}
