//! Counts and weights by arm, as lists: of one allocation, or of each allocation epoch.

use std::ops::Range;

use arrow::array::{Array, ArrayRef, AsArray, Float64Array, ListArray};
use arrow::datatypes::{ArrowNativeType, DataType};
use backplane_stats::srm::Epoch;
use datafusion::common::{Result, plan_err};

use super::parameters::{Arguments, Counts, Parameters, depth, is_untyped, list_of, real, reals_in, unconverted};

/// The types of the arguments, the first of which are counts and weights: both by arm, or both by epoch and arm.
pub(super) fn coerce(parameters: &Parameters, given: &[DataType]) -> Result<Vec<DataType>> {
    let mut coerced = parameters.coerce(given)?;
    if let ([counts, weights, ..], [given_counts, given_weights, ..]) = (coerced.as_mut_slice(), given) {
        // an empty list, or null, is as deep as the other
        if depth(counts) < depth(weights) && is_untyped(given_counts) {
            *counts = list_of(counts.clone());
        } else if depth(weights) < depth(counts) && is_untyped(given_weights) {
            *weights = list_of(weights.clone());
        }
        if depth(counts) != depth(weights) {
            return plan_err!(
                "{parameters}: counts is {given_counts} and weights is {given_weights}, \
                 give both as lists by arm, or both as lists of these by allocation epoch"
            );
        }
    }
    Ok(coerced)
}

/// The counts and weights of all rows.
#[derive(Debug)]
pub(super) struct Allocations<'a> {
    arguments: &'a Arguments,
    counts: Lists<'a>,
    counts_of_arms: Counts<'a>,
    weights: Lists<'a>,
    weights_of_arms: &'a Float64Array,
}

impl<'a> Allocations<'a> {
    /// The first two arguments.
    pub(super) fn read(arguments: &'a Arguments) -> Result<Self> {
        let counts = Lists::new(arguments.column(0)?)?;
        let weights = Lists::new(arguments.column(1)?)?;
        Ok(Allocations {
            arguments,
            counts_of_arms: arguments.counts_in(counts.of_epochs.values(), 0)?,
            counts,
            weights_of_arms: reals_in(weights.of_epochs.values())?,
            weights,
        })
    }

    /// What `test` gives for the epochs of each row; none where something in them is null.
    pub(super) fn each_row<T>(
        &self,
        mut test: impl FnMut(&Epochs, usize) -> Result<Option<T>>,
    ) -> Result<Vec<Option<T>>> {
        let mut epochs = Epochs::default();
        self.arguments.each_row(|row| {
            if self.fill(&mut epochs, row)? {
                test(&epochs, row)
            } else {
                Ok(None)
            }
        })
    }

    /// Reads a row; false if something in it is null.
    fn fill(&self, epochs: &mut Epochs, row: usize) -> Result<bool> {
        epochs.clear();
        let (Some(counts), Some(weights)) = (self.counts.epochs(row), self.weights.epochs(row)) else {
            return Ok(false);
        };
        if counts.len() != weights.len() {
            return Err(self.arguments.wrong(format_args!(
                "there are {} epochs of counts and {} of weights, give one list of weights for each list of counts",
                counts.len(),
                weights.len()
            )));
        }
        for (counts, weights) in counts.zip(weights) {
            let (Some(counts), Some(weights)) = (self.counts.arms(counts), self.weights.arms(weights)) else {
                return Ok(false);
            };
            let (first_count, first_weight) = (epochs.counts.len(), epochs.weights.len());
            for arm in counts {
                let Some(count) = self.counts_of_arms.get(arm)? else {
                    return Ok(false);
                };
                epochs.counts.push(count);
            }
            for arm in weights {
                let Some(weight) = real(self.weights_of_arms, arm) else {
                    return Ok(false);
                };
                epochs.weights.push(weight);
            }
            epochs
                .arms
                .push((first_count..epochs.counts.len(), first_weight..epochs.weights.len()));
        }
        Ok(true)
    }
}

/// The epochs of a row. One is filled with each row in turn, so that rows need no memory of their own.
#[derive(Debug, Default)]
pub(super) struct Epochs {
    counts: Vec<u64>,
    weights: Vec<f64>,
    /// Which of the counts and of the weights are an epoch's.
    arms: Vec<(Range<usize>, Range<usize>)>,
}

impl Epochs {
    pub(super) fn iter(&self) -> impl Iterator<Item = Epoch<'_>> {
        self.arms.iter().map(|(counts, weights)| Epoch {
            counts: self.counts.get(counts.clone()).unwrap_or_default(),
            weights: self.weights.get(weights.clone()).unwrap_or_default(),
        })
    }

    /// The epoch, if there is but one.
    pub(super) fn only(&self) -> Option<Epoch<'_>> {
        self.iter().next().filter(|_| self.arms.len() == 1)
    }

    fn clear(&mut self) {
        self.counts.clear();
        self.weights.clear();
        self.arms.clear();
    }
}

/// A column of lists by arm, or of lists of these by epoch.
#[derive(Debug)]
struct Lists<'a> {
    /// The epochs of a row; where there is none, a row has one epoch, of its own number.
    of_rows: Option<&'a ListArray>,
    /// The arms of an epoch.
    of_epochs: &'a ListArray,
}

impl<'a> Lists<'a> {
    fn new(column: &'a ArrayRef) -> Result<Self> {
        let outer = column.as_list_opt::<i32>().ok_or_else(|| unconverted(column))?;
        Ok(match outer.values().as_list_opt::<i32>() {
            Some(inner) => Lists {
                of_rows: Some(outer),
                of_epochs: inner,
            },
            None => Lists {
                of_rows: None,
                of_epochs: outer,
            },
        })
    }

    fn epochs(&self, row: usize) -> Option<Range<usize>> {
        match self.of_rows {
            Some(lists) => elements(lists, row),
            None => Some(row..row + 1),
        }
    }

    fn arms(&self, epoch: usize) -> Option<Range<usize>> {
        elements(self.of_epochs, epoch)
    }
}

/// Where the elements of a list are; none where it is null.
pub(super) fn elements(lists: &ListArray, row: usize) -> Option<Range<usize>> {
    lists.is_valid(row).then(|| {
        let first = lists.value_offsets()[row].as_usize();
        first..first + lists.value_length(row).as_usize()
    })
}
