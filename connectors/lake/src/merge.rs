//! The events of a lake in event-time order, with bounded memory.
//!
//! The days of the lake follow each other in event time, because the partition of an event is the date of its time. So the days are read one
//! after the other; within a day each table is sorted by DataFusion, which spills to disk what does not fit, and the sorted tables are
//! merged row by row.

use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;

use arrow::array::{AsArray, StringArray, TimestampMicrosecondArray};
use arrow::compute::{cast, concat_batches};
use arrow::datatypes::{DataType, SchemaRef, TimestampMicrosecondType};
use arrow::error::ArrowError;
use arrow::record_batch::RecordBatch;
use backplane_connector_api::{DecodedEvents, RecordRef};
use backplane_events::{EventType, Table};
use datafusion::execution::SendableRecordBatchStream;
use datafusion::execution::memory_pool::FairSpillPool;
use datafusion::execution::runtime_env::RuntimeEnvBuilder;
use datafusion::prelude::{Expr, SessionConfig, SessionContext, cast as cast_to, col, lit};
use futures::StreamExt;

use crate::layout::{Day, EVENT_DATE};
use crate::{Lake, LakeError};

/// What sorting may hold in memory before it spills.
const SORT_MEMORY: usize = 256 << 20;

/// The events of a lake that are still to come.
pub(crate) struct Merge {
    lake: Lake,
    session: SessionContext,
    /// The days that are not begun, with their numbers of events.
    days: VecDeque<(Day, u64)>,
    /// The tables of the day that is begun, each sorted.
    tables: Vec<SortedTable>,
}

impl Merge {
    /// All events of the lake.
    pub(crate) fn begin(lake: Lake) -> Result<Self, LakeError> {
        let mut days: BTreeMap<Day, u64> = BTreeMap::new();
        for event_type in EventType::ALL {
            for (day, records) in lake.days(Table::of_event(*event_type))? {
                *days.entry(day).or_default() += records;
            }
        }
        let memory = RuntimeEnvBuilder::new()
            .with_memory_pool(Arc::new(FairSpillPool::new(SORT_MEMORY)))
            .build_arc();
        let memory = memory.map_err(|error| LakeError::storage("preparing to sort the lake", error))?;
        let mut config = SessionConfig::new().with_target_partitions(2);
        config.options_mut().execution.parquet.schema_force_view_types = false;
        let session = SessionContext::new_with_config_rt(config, memory);
        Ok(Self {
            lake,
            session,
            days: days.into_iter().collect(),
            tables: Vec::new(),
        })
    }

    /// How many events there are in all that has not been begun.
    pub(crate) fn remaining_records(&self) -> u64 {
        self.days.iter().map(|(_, records)| records).sum()
    }

    /// Passes over the first `records` events: whole days by their numbers, the rest one by one.
    pub(crate) async fn skip(&mut self, records: u64) -> Result<(), LakeError> {
        let mut left = records;
        while let Some((_, of_day)) = self.days.front().filter(|(_, of_day)| *of_day <= left) {
            left -= of_day;
            self.days.pop_front();
        }
        while left > 0 {
            let step = usize::try_from(left).unwrap_or(usize::MAX).min(8192);
            match self.next(step).await?.records.len() {
                0 => break,
                skipped => left -= skipped as u64,
            }
        }
        Ok(())
    }

    /// The next events, at most `records` of them; none if there are no more.
    pub(crate) async fn next(&mut self, records: usize) -> Result<DecodedEvents, LakeError> {
        let mut block = Block::default();
        while block.records.len() < records {
            let Some(index) = self.least() else {
                if self.begin_day().await? {
                    continue;
                }
                break;
            };
            let Some(table) = self.tables.get_mut(index) else {
                break;
            };
            block.records.push(table.event_type);
            if table.take_row(&mut block.pieces) {
                let loaded = table.load().await;
                loaded.map_err(|error| error.reading(&self.lake))?;
            }
        }
        for table in &mut self.tables {
            table.take_piece(&mut block.pieces);
        }
        block.decoded().map_err(LakeError::internal)
    }

    /// The table whose next row comes first; none if no table has one.
    fn least(&self) -> Option<usize> {
        let tables = self.tables.iter().enumerate();
        let keys = tables.filter_map(|(index, table)| Some((table.key()?, index)));
        keys.min().map(|(_, index)| index)
    }

    /// Opens the tables of the next day; says whether there is one.
    async fn begin_day(&mut self) -> Result<bool, LakeError> {
        let Some((day, _)) = self.days.pop_front() else {
            return Ok(false);
        };
        self.tables.clear();
        for event_type in EventType::ALL {
            if let Some(rows) = sorted(&self.lake, &self.session, Table::of_event(*event_type), day).await? {
                let mut table = SortedTable::new(*event_type, rows);
                table.load().await.map_err(|error| error.reading(&self.lake))?;
                self.tables.push(table);
            }
        }
        Ok(true)
    }
}

/// One day of a table in order. Ties are ordered by all that tells two deliveries of an event apart, so that the order is always the same.
async fn sorted(
    lake: &Lake,
    session: &SessionContext,
    table: Table,
    day: Day,
) -> Result<Option<SendableRecordBatchStream>, LakeError> {
    let failed = |error| LakeError::damaged(format!("reading {} of {}", table.name(), lake.url()), error);
    let Some(provider) = lake.table_for(table, Arc::new(session.state())).await? else {
        return Ok(None);
    };
    let columns: Vec<Expr> = table.schema().fields().iter().map(|field| col(field.name())).collect();
    let order = [
        "event_time",
        "event_id",
        "ingest_time",
        "correlation_id",
        "metadata",
        "extra",
    ];
    let on_day = col(EVENT_DATE).eq(cast_to(lit(day.text()), DataType::Date32));
    let rows = session
        .read_table(provider)
        .and_then(|rows| rows.filter(on_day))
        .and_then(|rows| rows.select(columns))
        .and_then(|rows| rows.sort(order.map(|name| col(name).sort(true, true)).to_vec()))
        .map_err(failed)?;
    rows.execute_stream().await.map(Some).map_err(failed)
}

/// What orders events: the time, then the identifier.
type Key<'a> = (i64, &'a str);

/// One table of one day, in order.
struct SortedTable {
    event_type: EventType,
    schema: SchemaRef,
    rows: SendableRecordBatchStream,
    batch: RecordBatch,
    times: TimestampMicrosecondArray,
    ids: StringArray,
    /// The first row of the batch that is not yet in a piece.
    from: usize,
    /// The first row that is not yet taken.
    at: usize,
}

/// Rows that were taken, in order: pieces of batches.
type Pieces = BTreeMap<EventType, Vec<RecordBatch>>;

enum ReadError {
    Rows(datafusion::error::DataFusionError),
    Columns(ArrowError),
}

impl ReadError {
    fn reading(self, lake: &Lake) -> LakeError {
        match self {
            Self::Rows(error) => LakeError::damaged(format!("reading the events of {}", lake.url()), error),
            Self::Columns(error) => LakeError::internal(error),
        }
    }
}

impl SortedTable {
    fn new(event_type: EventType, rows: SendableRecordBatchStream) -> Self {
        let schema = Table::of_event(event_type).schema();
        let batch = RecordBatch::new_empty(Arc::clone(&schema));
        let times = TimestampMicrosecondArray::from(Vec::<i64>::new());
        let ids = StringArray::from(Vec::<&str>::new());
        Self {
            event_type,
            schema,
            rows,
            batch,
            times,
            ids,
            from: 0,
            at: 0,
        }
    }

    /// The key of the next row; none at the end.
    fn key(&self) -> Option<Key<'_>> {
        (self.at < self.batch.num_rows()).then(|| (self.times.value(self.at), self.ids.value(self.at)))
    }

    /// Takes the next row; says whether another batch must be loaded then.
    fn take_row(&mut self, pieces: &mut Pieces) -> bool {
        self.at += 1;
        let used_up = self.at >= self.batch.num_rows();
        if used_up {
            self.take_piece(pieces);
        }
        used_up
    }

    /// Gives out the rows that were taken since the last piece.
    fn take_piece(&mut self, pieces: &mut Pieces) {
        if self.at > self.from {
            pieces
                .entry(self.event_type)
                .or_default()
                .push(self.batch.slice(self.from, self.at - self.from));
            self.from = self.at;
        }
    }

    /// Loads the next batch that has rows, in the columns of the engine; at the end the batch stays empty.
    async fn load(&mut self) -> Result<(), ReadError> {
        self.batch = RecordBatch::new_empty(Arc::clone(&self.schema));
        (self.from, self.at) = (0, 0);
        while let Some(batch) = self.rows.next().await {
            let batch = batch.map_err(ReadError::Rows)?;
            if batch.num_rows() == 0 {
                continue;
            }
            let batch = in_schema(&batch, &self.schema).map_err(ReadError::Columns)?;
            let column = |name| {
                batch
                    .column_by_name(name)
                    .ok_or_else(|| ReadError::Columns(missing(name)))
            };
            self.times = column("event_time")?.as_primitive::<TimestampMicrosecondType>().clone();
            self.ids = column("event_id")?.as_string::<i32>().clone();
            self.batch = batch;
            break;
        }
        Ok(())
    }
}

/// The rows in the columns of the engine: dictionaries where it has dictionaries.
fn in_schema(batch: &RecordBatch, schema: &SchemaRef) -> Result<RecordBatch, ArrowError> {
    let mut columns = Vec::with_capacity(schema.fields().len());
    for field in schema.fields() {
        let column = batch
            .column_by_name(field.name())
            .ok_or_else(|| missing(field.name()))?;
        columns.push(cast(column, field.data_type())?);
    }
    RecordBatch::try_new(Arc::clone(schema), columns)
}

fn missing(name: &str) -> ArrowError {
    ArrowError::SchemaError(format!("rows of the lake have no column {name}"))
}

/// Events that were taken.
#[derive(Default)]
struct Block {
    /// The type of each, in order.
    records: Vec<EventType>,
    pieces: Pieces,
}

impl Block {
    fn decoded(self) -> Result<DecodedEvents, ArrowError> {
        let mut batches = Vec::with_capacity(self.pieces.len());
        for (event_type, pieces) in &self.pieces {
            batches.push((
                *event_type,
                concat_batches(&Table::of_event(*event_type).schema(), pieces)?,
            ));
        }
        let mut rows: BTreeMap<EventType, u32> = BTreeMap::new();
        let in_order = self.records.into_iter().map(|event_type| {
            let next = rows.entry(event_type).or_default();
            let row = *next;
            *next += 1;
            RecordRef { event_type, row }
        });
        let records = in_order.collect();
        Ok(DecodedEvents { batches, records })
    }
}
