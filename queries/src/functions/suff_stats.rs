//! `suff_stats` and `merge_suff_stats`: sufficient statistics as aggregates with mergeable state, so that the same function serves
//! partial results, the stream's tables and the lake.

use std::fmt::{self, Debug};
use std::marker::PhantomData;
use std::mem::size_of;
use std::sync::Arc;

use arrow::array::{Array, ArrayRef, AsArray, BooleanArray};
use arrow::datatypes::{DataType, Field, FieldRef, Float64Type};
use backplane_stats::{CrossMoments, Moments};
use datafusion::common::{Result, ScalarValue, exec_datafusion_err, exec_err, plan_err};
use datafusion::logical_expr::function::{AccumulatorArgs, StateFieldsArgs};
use datafusion::logical_expr::utils::format_state_name;
use datafusion::logical_expr::{
    Accumulator, AggregateUDFImpl, EmitTo, GroupsAccumulator, ReversedUDAF, Signature, Volatility,
};

use super::arguments::{argument, check_count, is_number};
use super::statistics::{Statistics, from_state, is_of_pairs, states_in, states_of, statistics_type, to_array};

const SUFF_STATS: &str = "suff_stats(x[, y])";
const MERGE_SUFF_STATS: &str = "merge_suff_stats(s)";

/// `suff_stats(x[, y])`: the statistics of the values, or of the pairs; where one is null the unit does not count.
#[derive(Debug, PartialEq, Eq, Hash)]
pub(super) struct SuffStats {
    signature: Signature,
}

impl SuffStats {
    pub(super) fn new() -> Self {
        SuffStats {
            signature: Signature::user_defined(Volatility::Immutable),
        }
    }
}

impl AggregateUDFImpl for SuffStats {
    fn name(&self) -> &str {
        "suff_stats"
    }

    fn signature(&self) -> &Signature {
        &self.signature
    }

    fn coerce_types(&self, given: &[DataType]) -> Result<Vec<DataType>> {
        check_count(SUFF_STATS, given, 1, 2)?;
        if let Some(other) = given.iter().find(|given| !is_number(given)) {
            return plan_err!("{SUFF_STATS} takes numbers, not {other}");
        }
        Ok(vec![DataType::Float64; given.len()])
    }

    fn return_type(&self, given: &[DataType]) -> Result<DataType> {
        Ok(statistics_type(given.len() == 2))
    }

    fn accumulator(&self, arguments: AccumulatorArgs) -> Result<Box<dyn Accumulator>> {
        if arguments.is_distinct {
            return plan_err!("{SUFF_STATS} does not take DISTINCT: select the distinct values first");
        }
        Ok(if arguments.exprs.len() == 2 {
            Box::new(StatisticsAccumulator::<CrossMoments, Values>::default())
        } else {
            Box::new(StatisticsAccumulator::<Moments, Values>::default())
        })
    }

    fn state_fields(&self, arguments: StateFieldsArgs) -> Result<Vec<FieldRef>> {
        Ok(state_fields(arguments.name))
    }

    fn groups_accumulator_supported(&self, arguments: AccumulatorArgs) -> bool {
        !arguments.is_distinct
    }

    fn create_groups_accumulator(&self, arguments: AccumulatorArgs) -> Result<Box<dyn GroupsAccumulator>> {
        Ok(if arguments.exprs.len() == 2 {
            Box::new(GroupsOfStatistics::<CrossMoments, Values>::default())
        } else {
            Box::new(GroupsOfStatistics::<Moments, Values>::default())
        })
    }

    fn reverse_expr(&self) -> ReversedUDAF {
        ReversedUDAF::Identical
    }
}

/// `merge_suff_stats(s)`: the statistics of all units that are in the given ones.
#[derive(Debug, PartialEq, Eq, Hash)]
pub(super) struct MergeSuffStats {
    signature: Signature,
}

impl MergeSuffStats {
    pub(super) fn new() -> Self {
        MergeSuffStats {
            signature: Signature::user_defined(Volatility::Immutable),
        }
    }
}

impl AggregateUDFImpl for MergeSuffStats {
    fn name(&self) -> &str {
        "merge_suff_stats"
    }

    fn signature(&self) -> &Signature {
        &self.signature
    }

    fn coerce_types(&self, given: &[DataType]) -> Result<Vec<DataType>> {
        check_count(MERGE_SUFF_STATS, given, 1, 1)?;
        for given in given {
            is_of_pairs(MERGE_SUFF_STATS, given)?;
        }
        Ok(given.to_vec())
    }

    fn return_type(&self, given: &[DataType]) -> Result<DataType> {
        Ok(statistics_type(
            given
                .iter()
                .any(|given| is_of_pairs(MERGE_SUFF_STATS, given).unwrap_or(false)),
        ))
    }

    fn accumulator(&self, arguments: AccumulatorArgs) -> Result<Box<dyn Accumulator>> {
        if arguments.is_distinct {
            return plan_err!("{MERGE_SUFF_STATS} does not take DISTINCT: equal statistics may be of different units");
        }
        Ok(if returns_pairs(&arguments) {
            Box::new(StatisticsAccumulator::<CrossMoments, Results>::default())
        } else {
            Box::new(StatisticsAccumulator::<Moments, Results>::default())
        })
    }

    fn state_fields(&self, arguments: StateFieldsArgs) -> Result<Vec<FieldRef>> {
        Ok(state_fields(arguments.name))
    }

    fn groups_accumulator_supported(&self, arguments: AccumulatorArgs) -> bool {
        !arguments.is_distinct
    }

    fn create_groups_accumulator(&self, arguments: AccumulatorArgs) -> Result<Box<dyn GroupsAccumulator>> {
        Ok(if returns_pairs(&arguments) {
            Box::new(GroupsOfStatistics::<CrossMoments, Results>::default())
        } else {
            Box::new(GroupsOfStatistics::<Moments, Results>::default())
        })
    }

    fn reverse_expr(&self) -> ReversedUDAF {
        ReversedUDAF::Identical
    }
}

fn returns_pairs(arguments: &AccumulatorArgs) -> bool {
    *arguments.return_field.data_type() == statistics_type(true)
}

fn state_fields(name: &str) -> Vec<FieldRef> {
    vec![Arc::new(Field::new(
        format_state_name(name, "moments"),
        DataType::Binary,
        true,
    ))]
}

/// What an aggregate reads its rows from.
trait Input: Send + Sync + 'static {
    /// Gives every unit, or statistics of units, with its row to `take`.
    fn read<S: Statistics>(
        arguments: &[ArrayRef],
        filter: Option<&BooleanArray>,
        take: impl FnMut(usize, &mut dyn FnMut(&mut S)) -> Result<()>,
    ) -> Result<()>;
}

/// Values: a column x, and a column y where there are pairs.
struct Values;

impl Input for Values {
    fn read<S: Statistics>(
        arguments: &[ArrayRef],
        filter: Option<&BooleanArray>,
        mut take: impl FnMut(usize, &mut dyn FnMut(&mut S)) -> Result<()>,
    ) -> Result<()> {
        let xs = argument(arguments, 0)?.as_primitive::<Float64Type>();
        let ys = arguments.get(1).map(|ys| ys.as_primitive::<Float64Type>());
        for row in 0..xs.len() {
            let present = xs.is_valid(row) && ys.is_none_or(|ys| ys.is_valid(row));
            if !present || !passes(filter, row) {
                continue;
            }
            let (x, y) = (xs.value(row), ys.map_or(0.0, |ys| ys.value(row)));
            if !x.is_finite() || !y.is_finite() {
                return exec_err!("{SUFF_STATS} takes finite numbers, leave NaN and infinities out with a filter");
            }
            take(row, &mut |statistics| statistics.take(x, y))?;
        }
        Ok(())
    }
}

/// Results of `suff_stats`: a column of structs.
struct Results;

impl Input for Results {
    fn read<S: Statistics>(
        arguments: &[ArrayRef],
        filter: Option<&BooleanArray>,
        take: impl FnMut(usize, &mut dyn FnMut(&mut S)) -> Result<()>,
    ) -> Result<()> {
        let states: ArrayRef = Arc::new(states_in(argument(arguments, 0)?)?);
        read_states(&states, filter, take)
    }
}

fn read_states<S: Statistics>(
    states: &ArrayRef,
    filter: Option<&BooleanArray>,
    mut take: impl FnMut(usize, &mut dyn FnMut(&mut S)) -> Result<()>,
) -> Result<()> {
    let states = states.as_binary::<i32>();
    for row in 0..states.len() {
        if states.is_valid(row) && passes(filter, row) {
            let part: S = from_state(states.value(row))?;
            take(row, &mut |statistics| statistics.merge(&part))?;
        }
    }
    Ok(())
}

fn passes(filter: Option<&BooleanArray>, row: usize) -> bool {
    filter.is_none_or(|filter| filter.is_valid(row) && filter.value(row))
}

/// The statistics of all rows.
struct StatisticsAccumulator<S, I> {
    statistics: S,
    input: PhantomData<I>,
}

impl<S: Statistics, I> Default for StatisticsAccumulator<S, I> {
    fn default() -> Self {
        StatisticsAccumulator {
            statistics: S::default(),
            input: PhantomData,
        }
    }
}

impl<S: Statistics, I> Debug for StatisticsAccumulator<S, I> {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter
            .debug_tuple("StatisticsAccumulator")
            .field(&self.statistics)
            .finish()
    }
}

impl<S: Statistics, I: Input> Accumulator for StatisticsAccumulator<S, I> {
    fn update_batch(&mut self, values: &[ArrayRef]) -> Result<()> {
        I::read(values, None, |_, change| {
            change(&mut self.statistics);
            Ok(())
        })
    }

    fn evaluate(&mut self) -> Result<ScalarValue> {
        let statistics = to_array(&[Some(self.statistics.clone())])?;
        Ok(ScalarValue::Struct(Arc::new(statistics)))
    }

    fn size(&self) -> usize {
        size_of::<Self>()
    }

    fn state(&mut self) -> Result<Vec<ScalarValue>> {
        Ok(vec![ScalarValue::Binary(Some(self.statistics.to_bytes()))])
    }

    fn merge_batch(&mut self, states: &[ArrayRef]) -> Result<()> {
        read_states(argument(states, 0)?, None, |_, change| {
            change(&mut self.statistics);
            Ok(())
        })
    }
}

/// The statistics of each group.
struct GroupsOfStatistics<S, I> {
    groups: Vec<S>,
    input: PhantomData<I>,
}

impl<S, I> Default for GroupsOfStatistics<S, I> {
    fn default() -> Self {
        GroupsOfStatistics {
            groups: Vec::new(),
            input: PhantomData,
        }
    }
}

impl<S: Statistics, I: Input> GroupsOfStatistics<S, I> {
    fn emit(&mut self, emit_to: EmitTo) -> Vec<Option<S>> {
        emit_to.take_needed(&mut self.groups).into_iter().map(Some).collect()
    }
}

/// Applies the change of a row to the group of that row.
#[allow(clippy::type_complexity)] // it is one closure type, said once
fn change_group<S>(
    groups: &mut [S],
    group_indices: &[usize],
) -> impl FnMut(usize, &mut dyn FnMut(&mut S)) -> Result<()> {
    move |row, change| {
        let group = group_indices.get(row).and_then(|index| groups.get_mut(*index));
        change(group.ok_or_else(|| exec_datafusion_err!("row {row} has no group"))?);
        Ok(())
    }
}

impl<S: Statistics, I: Input> GroupsAccumulator for GroupsOfStatistics<S, I> {
    fn update_batch(
        &mut self,
        values: &[ArrayRef],
        group_indices: &[usize],
        opt_filter: Option<&BooleanArray>,
        total_num_groups: usize,
    ) -> Result<()> {
        self.groups.resize(total_num_groups, S::default());
        I::read(values, opt_filter, change_group(&mut self.groups, group_indices))
    }

    fn evaluate(&mut self, emit_to: EmitTo) -> Result<ArrayRef> {
        Ok(Arc::new(to_array(&self.emit(emit_to))?))
    }

    fn state(&mut self, emit_to: EmitTo) -> Result<Vec<ArrayRef>> {
        Ok(vec![Arc::new(states_of(&self.emit(emit_to)))])
    }

    fn merge_batch(&mut self, values: &[ArrayRef], group_indices: &[usize], total_num_groups: usize) -> Result<()> {
        self.groups.resize(total_num_groups, S::default());
        read_states(
            argument(values, 0)?,
            None,
            change_group(&mut self.groups, group_indices),
        )
    }

    fn convert_to_state(&self, values: &[ArrayRef], opt_filter: Option<&BooleanArray>) -> Result<Vec<ArrayRef>> {
        let rows = argument(values, 0)?.len();
        let mut statistics = vec![S::default(); rows];
        let own_row: Vec<usize> = (0..rows).collect();
        I::read(values, opt_filter, change_group(&mut statistics, &own_row))?;
        let statistics: Vec<Option<S>> = statistics.into_iter().map(Some).collect();
        Ok(vec![Arc::new(states_of(&statistics))])
    }

    fn size(&self) -> usize {
        self.groups.capacity() * size_of::<S>()
    }
}
