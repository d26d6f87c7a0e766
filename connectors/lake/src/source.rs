//! The lake as a source.

use std::collections::BTreeMap;

use backplane_connector_api::{
    Block, BlockData, ConnectorError, DecodedEvents, PartitionId, PartitionReader, Position, Read, Source,
};
use backplane_events::{EventType, Table};
use futures::executor::block_on;
use serde::{Deserialize, Serialize};
use tokio::sync::mpsc;

use crate::merge::Merge;
use crate::runtime::{runtime, wait_for};
use crate::{Lake, LakeError, LakeOptions};

/// What an event takes in memory, about: to make blocks of about as many bytes as are asked for.
const BYTES_PER_EVENT: usize = 400;
/// The name of the only partition.
const PARTITION: &str = "lake";

/// The events of a lake as one bounded partition, in the order of event time, then of identifier.
///
/// A position is a number of events, together with the versions of the tables it was counted in: reading goes on in those versions, so that
/// what was committed to the lake in the meantime does not shift it.
#[derive(Debug)]
pub struct LakeSource {
    name: String,
    options: LakeOptions,
}

/// What a position holds besides its number.
#[derive(Debug, Serialize, Deserialize)]
struct Detail {
    versions: BTreeMap<Table, u64>,
}

impl LakeSource {
    /// A source over a lake; `name` is what errors call it.
    #[must_use]
    pub fn new(name: impl Into<String>, options: LakeOptions) -> Self {
        Self {
            name: name.into(),
            options,
        }
    }
}

impl Source for LakeSource {
    fn name(&self) -> &str {
        &self.name
    }

    fn is_bounded(&self) -> bool {
        true
    }

    fn discover(&mut self) -> Result<Vec<PartitionId>, ConnectorError> {
        let options = self.options.clone();
        wait_for(async move { open(&options).await.map(drop) }).map_err(|error| error.of(&self.name))?;
        Ok(vec![PartitionId(PARTITION.to_owned())])
    }

    fn describe(&self, _partition: &PartitionId) -> String {
        self.options.url.clone()
    }

    fn open(
        &mut self,
        _partition: &PartitionId,
        from: Option<&Position>,
    ) -> Result<Box<dyn PartitionReader>, ConnectorError> {
        let options = self.options.clone();
        let at = from.cloned().unwrap_or_default();
        let position = at.clone();
        let (merge, detail) =
            wait_for(async move { go_to(&options, &position).await }).map_err(|error| error.of(&self.name))?;
        let (ask, asked) = mpsc::channel(1);
        let (give, given) = mpsc::channel(1);
        runtime()
            .map_err(|error| error.of(&self.name))?
            .spawn(serve(merge, asked, give));
        Ok(Box::new(LakeReader {
            connector: self.name.clone(),
            at,
            detail,
            ask,
            given,
            is_asked: false,
            ended: false,
        }))
    }
}

/// Opens the lake and sees that it has events.
async fn open(options: &LakeOptions) -> Result<Lake, LakeError> {
    let lake = Lake::open(options).await?;
    let tables: Vec<Table> = EventType::ALL
        .iter()
        .map(|event_type| Table::of_event(*event_type))
        .collect();
    if tables.iter().any(|table| lake.has(*table)) {
        return Ok(lake);
    }
    let names: Vec<_> = tables.iter().map(|table| table.name()).collect();
    Err(LakeError::NotALake {
        url: options.url.clone(),
        tables: names.join(", "),
    })
}

/// Opens the lake at a position.
async fn go_to(options: &LakeOptions, position: &Position) -> Result<(Merge, serde_json::Value), LakeError> {
    let mut lake = open(options).await?;
    if let Some(detail) = &position.detail {
        let detail: Detail = serde_json::from_value(detail.clone())
            .map_err(|error| LakeError::internal(format!("the position is not one of a lake: {error}")))?;
        lake.go_back_to(&detail.versions).await?;
    }
    let detail = serde_json::to_value(Detail {
        versions: lake.versions(),
    })
    .map_err(LakeError::internal)?;
    let mut merge = Merge::begin(lake)?;
    let records = merge.remaining_records();
    if position.offset > records {
        return Err(LakeError::BadPosition {
            url: options.url.clone(),
            position: position.offset,
            records,
        });
    }
    merge.skip(position.offset).await?;
    Ok((merge, detail))
}

/// Merges as many events as are asked for, until nobody asks any more.
async fn serve(
    mut merge: Merge,
    mut asked: mpsc::Receiver<usize>,
    give: mpsc::Sender<Result<DecodedEvents, LakeError>>,
) {
    while let Some(records) = asked.recv().await {
        let events = merge.next(records).await;
        let failed = events.is_err();
        if give.send(events).await.is_err() || failed {
            break;
        }
    }
}

struct LakeReader {
    connector: String,
    at: Position,
    detail: serde_json::Value,
    ask: mpsc::Sender<usize>,
    given: mpsc::Receiver<Result<DecodedEvents, LakeError>>,
    /// Whether a block has been asked for and not been given: the next one is merged while the last one is worked on.
    is_asked: bool,
    ended: bool,
}

impl LakeReader {
    fn ask(&mut self, records: usize) {
        // if nobody serves any more, the answer below says why
        self.is_asked = self.ask.try_send(records).is_ok();
    }
}

impl PartitionReader for LakeReader {
    fn read(&mut self, max_bytes: usize) -> Result<Read, ConnectorError> {
        if self.ended {
            return Ok(Read::End);
        }
        let records = (max_bytes / BYTES_PER_EVENT).max(1);
        if !self.is_asked {
            self.ask(records);
        }
        let gone = || ConnectorError::internal(&self.connector, "reading the lake ended early");
        let given = block_on(self.given.recv()).ok_or_else(gone)?;
        self.is_asked = false;
        let events = given.map_err(|error| error.of(&self.connector))?;
        if events.records.is_empty() {
            self.ended = true;
            return Ok(Read::End);
        }
        self.ask(records);
        let start = self.at.clone();
        self.at.offset += events.records.len() as u64;
        self.at.detail = Some(self.detail.clone());
        Ok(Read::Block(Block {
            data: BlockData::Decoded(events),
            start,
            end: self.at.clone(),
        }))
    }
}
