//! Rows of many experiments, put together to be judged.

use std::ops::Range;
use std::sync::Arc;

use arrow::array::{Int64Array, RecordBatch};
use arrow::compute::concat_batches;
use backplane_queries::evaluation::EvaluationTable;

use super::about::About;
use crate::error::RuntimeError;

/// The rows of one table, and what each is about.
#[derive(Debug, Default)]
pub struct JudgedRows {
    parts: Vec<RecordBatch>,
    /// (evaluation, subject of the row).
    pub about: Vec<(i64, About)>,
    /// The experiments whose rows were put together, each with where its rows end.
    ends: Vec<(u32, usize)>,
}

impl JudgedRows {
    /// Puts further rows behind these: of one experiment, or of several.
    pub fn extend(&mut self, experiment: Option<u32>, (batch, about): (RecordBatch, Vec<(i64, About)>)) {
        self.parts.push(batch);
        self.about.extend(about);
        self.ends
            .extend(experiment.map(|experiment| (experiment, self.about.len())));
    }

    /// Where the rows of each experiment are.
    pub fn by_experiment(&self) -> impl Iterator<Item = (u32, Range<usize>)> {
        let starts = std::iter::once(0).chain(self.ends.iter().map(|(_, end)| *end));
        starts
            .zip(&self.ends)
            .map(|(start, (experiment, end))| (*experiment, start..*end))
    }

    /// All of them as one batch, numbered.
    ///
    /// # Errors
    /// [`RuntimeError::Internal`] if they are not rows of this table.
    pub fn batch(&self, table: EvaluationTable) -> Result<RecordBatch, RuntimeError> {
        let batch = concat_batches(&table.schema(), &self.parts)?;
        let mut columns = batch.columns().to_vec();
        if let Some(number) = columns.first_mut() {
            let count = i64::try_from(self.about.len()).unwrap_or(i64::MAX);
            *number = Arc::new(Int64Array::from_iter_values(0..count));
        }
        Ok(RecordBatch::try_new(table.schema(), columns)?)
    }
}
