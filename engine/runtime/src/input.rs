//! The partitions of a job: which are read next, and how far each has come.

use std::time::Instant;

use backplane_connector_api::{
    Block as SourceBlock, ConnectorError, PartitionId, PartitionReader, Position, Read, Source,
};

use serde::{Deserialize, Serialize};

use crate::error::RuntimeError;
use crate::stream_time::{PartitionClock, PartitionState};

/// Bytes of one block, unless told otherwise: large enough to spread the cost of a round, small enough to stay in the cache.
pub const BLOCK_BYTES: usize = 1 << 20;

/// Bytes read from a partition that has shown no record yet. All of them are read once before anything can be settled, so that a job over
/// thousands of files holds little of each.
const FIRST_LOOK: usize = 16 << 10;

/// One source partition.
pub struct Partition {
    /// Index of the source; none where it is not among the sources of this run.
    source: Option<usize>,
    source_name: String,
    /// Whether its source is occasional, see [`Source::is_occasional`]. Its clock stands still: its records have no order to judge them by, and
    /// while they are read the job's watermark waits.
    pub is_occasional: bool,
    /// Its identity.
    pub id: PartitionId,
    /// Its name for people.
    pub description: String,
    /// Its clock, idleness and end.
    pub state: PartitionState,
    /// How many blocks were read.
    read: u64,
    /// How many of them were taken in.
    taken: u64,
    /// The position after the last record that was taken in.
    position: Position,
    /// Whether the last answer was that there is nothing more for now.
    caught_up: bool,
    reader: Box<dyn PartitionReader>,
}

impl Partition {
    /// One that has shown nothing yet.
    fn new(index: usize, source: &dyn Source, id: PartitionId, reader: Box<dyn PartitionReader>) -> Self {
        Partition {
            source: Some(index),
            source_name: source.name().to_owned(),
            is_occasional: source.is_occasional(),
            description: source.describe(&id),
            id,
            state: PartitionState {
                clock: PartitionClock::default(),
                exhausted: false,
                live: !source.is_bounded(),
                silent_since: None,
            },
            read: 0,
            taken: 0,
            position: Position::default(),
            caught_up: false,
            reader,
        }
    }

    /// One of an occasional source that this run does not read: it keeps its place among the partitions, and its position.
    fn resting(head: &PartitionHead) -> Self {
        Partition {
            source: None,
            source_name: head.source.clone(),
            is_occasional: true,
            id: head.id.clone(),
            description: head.description.clone(),
            state: PartitionState {
                clock: head.clock,
                exhausted: true,
                live: false,
                silent_since: None,
            },
            read: head.blocks,
            taken: head.blocks,
            position: head.position.clone(),
            caught_up: head.caught_up,
            reader: Box::new(Ended),
        }
    }

    /// Whether blocks of it were read that are not taken in.
    fn is_ahead(&self) -> bool {
        self.read > self.taken
    }

    /// Takes note that its next block is taken in, which ends here.
    pub fn take_in(&mut self, end: Position) {
        self.taken += 1;
        self.position = end;
    }

    /// What the watermark needs to know: what was taken in, whatever was read.
    fn taken_state(&self) -> PartitionState {
        let is_ahead = self.is_ahead();
        PartitionState {
            exhausted: self.state.exhausted && !is_ahead,
            silent_since: self.state.silent_since.filter(|_| !is_ahead),
            ..self.state
        }
    }

    fn head(&self) -> PartitionHead {
        let is_ahead = self.is_ahead();
        PartitionHead {
            source: self.source_name.clone(),
            is_occasional: self.is_occasional,
            id: self.id.clone(),
            description: self.description.clone(),
            position: self.position.clone(),
            clock: self.state.clock,
            exhausted: self.state.exhausted && !self.is_occasional && !is_ahead,
            caught_up: (self.state.exhausted || self.caught_up) && !is_ahead,
            blocks: self.taken,
        }
    }
}

/// How far a partition was taken in, as it is written down.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct PartitionHead {
    /// The source's name.
    pub source: String,
    /// Whether runs without this source are runs of the same job: they leave the partition alone, and carry this on.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub is_occasional: bool,
    /// The partition.
    pub id: PartitionId,
    /// Its name for people.
    pub description: String,
    /// The position after the last record that was taken in.
    pub position: Position,
    /// Its clock.
    pub clock: PartitionClock,
    /// Whether it had ended; one of an occasional source never has.
    pub exhausted: bool,
    /// Whether all of it was taken in that there was.
    pub caught_up: bool,
    /// How many blocks were taken in.
    pub blocks: u64,
}

impl PartitionHead {
    /// Whether the partition is one of this source's. An occasional source may have the name of another.
    fn is_of(&self, source: &dyn Source) -> bool {
        source.name() == self.source && source.is_occasional() == self.is_occasional
    }
}

/// A partition of which nothing more is read.
struct Ended;

impl PartitionReader for Ended {
    fn read(&mut self, _max_bytes: usize) -> Result<Read, ConnectorError> {
        Ok(Read::End)
    }
}

/// A block just read.
pub struct ReadBlock {
    /// Index of the partition.
    pub partition: usize,
    /// Number of the block in its partition.
    pub sequence: u64,
    /// The records.
    pub block: SourceBlock,
}

/// All partitions of all sources.
pub struct Input {
    sources: Vec<Box<dyn Source>>,
    /// In order of discovery.
    pub partitions: Vec<Partition>,
    last_discovery: Option<Instant>,
}

/// How often live sources are asked for new partitions.
const DISCOVERY_INTERVAL: std::time::Duration = std::time::Duration::from_secs(1);

impl Input {
    /// An input that has not looked at its sources yet.
    #[must_use]
    pub fn new(sources: Vec<Box<dyn Source>>) -> Self {
        Input {
            sources,
            partitions: Vec::new(),
            last_discovery: None,
        }
    }

    /// Whether every source ends by itself.
    #[must_use]
    pub fn is_bounded(&self) -> bool {
        self.sources.iter().all(|source| source.is_bounded())
    }

    /// How far each partition was taken in.
    #[must_use]
    pub fn heads(&self) -> Vec<PartitionHead> {
        self.partitions.iter().map(Partition::head).collect()
    }

    /// Opens partitions where they were left, in their order, by which blocks name them. One that was read to its end and is gone has ended. One of
    /// an occasional source rests where this run has not that source, or the source not that partition.
    ///
    /// # Errors
    /// A source is not there any more, or a partition that had not ended.
    pub fn restore(&mut self, heads: &[PartitionHead]) -> Result<(), RuntimeError> {
        for head in heads {
            let mut sources = self.sources.iter_mut().enumerate();
            let found = sources.find(|(_, source)| head.is_of(source.as_ref()));
            let Some((index, source)) = found else {
                if head.is_occasional {
                    self.partitions.push(Partition::resting(head));
                    continue;
                }
                return Err(RuntimeError::Configuration(format!(
                    "the checkpoint has read {} from a source {}, which the configuration has no more; put it back, or start anew with \
                     --restore none",
                    head.description, head.source
                )));
            };
            if head.is_occasional && !source.discover()?.contains(&head.id) {
                self.partitions.push(Partition::resting(head));
                continue;
            }
            let reader = match source.open(&head.id, Some(&head.position)) {
                Ok(reader) => reader,
                // somebody has tidied up since, as those do who rotate files
                Err(error @ ConnectorError::Gone { .. }) if head.caught_up => {
                    if !head.exhausted {
                        tracing::warn!(
                            %error,
                            position = head.position.offset,
                            "it was read up to here; what it has grown by since is lost"
                        );
                    }
                    Box::new(Ended)
                }
                Err(error) => return Err(error.into()),
            };
            let mut partition = Partition::new(index, source.as_ref(), head.id.clone(), reader);
            partition.state.clock = head.clock;
            partition.read = head.blocks;
            partition.taken = head.blocks;
            partition.position = head.position.clone();
            self.partitions.push(partition);
        }
        Ok(())
    }

    /// The name of a partition's source.
    #[must_use]
    pub fn source_name(&self, partition: usize) -> &str {
        let partition = self.partitions.get(partition);
        partition.map_or("", |partition| &partition.source_name)
    }

    /// Opens partitions that are new: all of them at first, those of live sources from time to time.
    ///
    /// # Errors
    /// A source cannot be asked, or has nothing under its name.
    pub fn discover(&mut self, now: Instant) -> Result<(), RuntimeError> {
        let is_first = self.last_discovery.is_none();
        if self
            .last_discovery
            .is_some_and(|last| now.saturating_duration_since(last) < DISCOVERY_INTERVAL)
        {
            return Ok(());
        }
        self.last_discovery = Some(now);
        for (index, source) in self.sources.iter_mut().enumerate() {
            if !is_first && source.is_bounded() {
                continue;
            }
            for id in source.discover()? {
                if self
                    .partitions
                    .iter()
                    .any(|partition| partition.source == Some(index) && partition.id == id)
                {
                    continue;
                }
                let reader = source.open(&id, None)?;
                self.partitions.push(Partition::new(index, source.as_ref(), id, reader));
            }
        }
        Ok(())
    }

    /// Reads up to `wanted` blocks, from the partitions that are furthest behind in event time first, so that little has to wait for the
    /// others. A partition that has shown no record yet gives one block, which tells where it stands. An occasional one is read to its end
    /// first, because the watermark waits for it.
    ///
    /// # Errors
    /// A source failed, or what it holds is damaged. The blocks read before that are there.
    pub fn read(
        &mut self,
        wanted: usize,
        block_bytes: usize,
        now: Instant,
        blocks: &mut Vec<ReadBlock>,
    ) -> Result<(), RuntimeError> {
        let mut order: Vec<usize> = (0..self.partitions.len())
            .filter(|index| {
                self.partitions
                    .get(*index)
                    .is_some_and(|partition| !partition.state.exhausted)
            })
            .collect();
        order.sort_by_key(|index| {
            self.partitions
                .get(*index)
                .map(|partition| partition.state.clock.running_maximum)
        });
        for index in order {
            let Some(partition) = self.partitions.get_mut(index) else {
                continue;
            };
            while blocks.len() < wanted {
                let is_first_look = !partition.is_occasional && partition.state.clock.running_maximum == i64::MIN;
                if is_first_look && partition.is_ahead() {
                    break;
                }
                let bytes = if is_first_look {
                    block_bytes.min(FIRST_LOOK)
                } else {
                    block_bytes
                };
                match partition.reader.read(bytes) {
                    Ok(Read::Block(block)) => {
                        partition.caught_up = false;
                        blocks.push(ReadBlock {
                            partition: index,
                            sequence: partition.read,
                            block,
                        });
                        partition.read += 1;
                        if is_first_look {
                            break;
                        }
                    }
                    Ok(Read::Pending) => {
                        partition.caught_up = true;
                        partition.state.silent_since.get_or_insert(now);
                        break;
                    }
                    Ok(Read::End) => {
                        partition.state.exhausted = true;
                        break;
                    }
                    Err(error) => return Err(error.into()),
                }
            }
        }
        Ok(())
    }

    /// Whether every partition has ended, and all of it was taken in.
    #[must_use]
    pub fn is_exhausted(&self) -> bool {
        self.partitions
            .iter()
            .all(|partition| partition.state.exhausted && !partition.is_ahead())
    }

    /// What the watermark needs to know.
    #[must_use]
    pub fn states(&self) -> Vec<PartitionState> {
        self.partitions.iter().map(Partition::taken_state).collect()
    }
}
