//! What the lake knows of one experiment.

use arrow::array::{Array, ArrayRef, AsArray, RecordBatch};
use arrow::compute::cast;
use arrow::datatypes::{DataType, Float64Type, Int64Type, TimestampMicrosecondType};
use backplane_events::EventTime;
use datafusion::prelude::{col, lit};

use crate::exit::CliError;
use crate::lakes::OpenLake;

const PLAN: &str = "select experiment, design, alpha, power, minimum_effect, planned_total, since from experiments order by since desc";
const ALLOCATION: &str = "select experiment, variants, observed, expected, assumed, segment, segment_value, p_value, test, \
                          sequential_p_value, log_e, share_deviation, verdict \
                          from srm where window_name = 'cumulative' order by segment nulls first, segment_value";
const EFFECTS: &str = "select * from scorecard order by role, metric, variant";
const LOOKS: &str = "select experiment, principal, origin, count(distinct time) as times, min(time) as first_time, max(time) as last_time \
                     from looks group by 1, 2, 3 order by times desc, principal, origin";
const SIGNALS: &str = "select experiment, event_time, severity, signal, state, message from signals \
                       where signal is not null and state is not null order by event_time, signal, event_id";
const WATERMARK: &str = "select experiment, max(watermark) as watermark from assignment_path group by 1";

/// Everything that the report shows.
pub struct Facts {
    /// The experiment.
    pub experiment: String,
    /// Rows of each query.
    pub plan: Rows,
    /// Subjects against the allocation: of all, then of segments.
    pub allocation: Rows,
    /// The scorecard.
    pub effects: Rows,
    /// Who looked, how, how often.
    pub looks: Rows,
    /// The engine's signals.
    pub signals: Rows,
    /// Up to when everything is settled.
    pub watermark: Option<EventTime>,
}

impl Facts {
    /// Asks the lake.
    ///
    /// # Errors
    /// A query failed.
    pub async fn read(lake: &OpenLake, experiment: &str) -> Result<Self, CliError> {
        let watermark = Rows::ask(lake, WATERMARK, experiment).await?;
        Ok(Facts {
            experiment: experiment.to_owned(),
            plan: Rows::ask(lake, PLAN, experiment).await?,
            allocation: Rows::ask(lake, ALLOCATION, experiment).await?,
            effects: Rows::ask(lake, EFFECTS, experiment).await?,
            looks: Rows::ask(lake, LOOKS, experiment).await?,
            signals: Rows::ask(lake, SIGNALS, experiment).await?,
            watermark: watermark.time(0, "watermark"),
        })
    }
}

/// Rows of a query, read by name; what is not there is null.
#[derive(Debug)]
pub struct Rows(RecordBatch);

impl Rows {
    /// The rows of one experiment.
    async fn ask(lake: &OpenLake, query: &str, experiment: &str) -> Result<Self, CliError> {
        let explain = |error| CliError::from(lake.catalogue.explain(&error));
        let frame = lake.catalogue.query(query).await?;
        let frame = frame.filter(col("experiment").eq(lit(experiment))).map_err(explain)?;
        Ok(Rows(lake.rows(frame).await?))
    }

    /// How many rows there are.
    pub fn len(&self) -> usize {
        self.0.num_rows()
    }

    fn column(&self, row: usize, name: &str, data_type: &DataType) -> Option<ArrayRef> {
        let column = self.0.column_by_name(name)?;
        (row < column.len() && column.is_valid(row)).then(|| cast(column, data_type).ok())?
    }

    /// A text.
    pub fn text(&self, row: usize, name: &str) -> Option<String> {
        let column = self.column(row, name, &DataType::Utf8)?;
        Some(column.as_string::<i32>().value(row).to_owned())
    }

    /// A number.
    pub fn real(&self, row: usize, name: &str) -> Option<f64> {
        let column = self.column(row, name, &DataType::Float64)?;
        Some(column.as_primitive::<Float64Type>().value(row))
    }

    /// A count; 0 where there is none.
    pub fn count(&self, row: usize, name: &str) -> u64 {
        let column = self.column(row, name, &DataType::Int64);
        let count = column.map_or(0, |column| column.as_primitive::<Int64Type>().value(row));
        u64::try_from(count).unwrap_or(0)
    }

    /// An instant.
    pub fn time(&self, row: usize, name: &str) -> Option<EventTime> {
        let column = self.0.column_by_name(name)?;
        let times = column.as_primitive_opt::<TimestampMicrosecondType>()?;
        (row < times.len() && times.is_valid(row)).then(|| EventTime(times.value(row)))
    }

    /// A list of texts.
    pub fn texts(&self, row: usize, name: &str) -> Vec<String> {
        let Some(list) = self.list(row, name, &DataType::Utf8) else {
            return Vec::new();
        };
        let texts = list.as_string::<i32>();
        texts.iter().map(|text| text.unwrap_or_default().to_owned()).collect()
    }

    /// A list of numbers.
    pub fn reals(&self, row: usize, name: &str) -> Vec<f64> {
        let Some(list) = self.list(row, name, &DataType::Float64) else {
            return Vec::new();
        };
        list.as_primitive::<Float64Type>()
            .iter()
            .map(Option::unwrap_or_default)
            .collect()
    }

    fn list(&self, row: usize, name: &str, item: &DataType) -> Option<ArrayRef> {
        let lists = self.0.column_by_name(name)?.as_list_opt::<i32>()?;
        let list = (row < lists.len() && lists.is_valid(row)).then(|| lists.value(row))?;
        cast(&list, item).ok()
    }
}
