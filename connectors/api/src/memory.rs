//! A source and a sink in memory: for tests, and for streams that are made in the same process.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use arrow::record_batch::RecordBatch;
use backplane_events::Table;
use bytes::Bytes;
use serde_json::json;

use crate::{
    Block, BlockData, ConnectorError, Effect, Epoch, Output, PartitionId, PartitionReader, Position, Read, Sink,
    Source, lines,
};

/// The chunks of NDJSON of each partition; a chunk holds complete lines.
type Partitions = Arc<Mutex<BTreeMap<PartitionId, Vec<Bytes>>>>;

/// What a holder that panicked left behind is still whole: every change under these locks is a single push or insert.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Lines of NDJSON held in memory, in any number of partitions.
#[derive(Debug)]
pub struct MemorySource {
    name: String,
    bounded: bool,
    is_occasional: bool,
    partitions: Partitions,
}

/// The writing end of a live [`MemorySource`].
#[derive(Debug, Clone)]
pub struct MemoryFeed {
    partitions: Partitions,
}

impl MemorySource {
    /// A bounded source of these partitions. Text is cut into blocks at line feeds, as a file is.
    pub fn bounded(name: impl Into<String>, partitions: impl IntoIterator<Item = (String, Bytes)>) -> Self {
        let partitions = partitions
            .into_iter()
            .map(|(id, text)| (PartitionId(id), vec![text]))
            .collect();
        Self {
            name: name.into(),
            bounded: true,
            is_occasional: false,
            partitions: Arc::new(Mutex::new(partitions)),
        }
    }

    /// A live source, empty at first, and the feed that fills it.
    pub fn live(name: impl Into<String>) -> (Self, MemoryFeed) {
        let partitions = Partitions::default();
        let feed = MemoryFeed {
            partitions: Arc::clone(&partitions),
        };
        (
            Self {
                name: name.into(),
                bounded: false,
                is_occasional: false,
                partitions,
            },
            feed,
        )
    }

    /// A source that a job has in some of its runs only.
    #[must_use]
    pub fn that_is_occasional(self) -> Self {
        Self {
            is_occasional: true,
            ..self
        }
    }
}

impl MemoryFeed {
    /// Adds complete lines to a partition, which is made if it is new. A missing last line feed is added.
    pub fn append(&self, partition: &str, text: impl Into<Bytes>) {
        let mut text: Bytes = text.into();
        if lines::complete(&text) < text.len() {
            text = [text.as_ref(), b"\n"].concat().into();
        }
        lock(&self.partitions)
            .entry(PartitionId(partition.to_owned()))
            .or_default()
            .push(text);
    }
}

impl Source for MemorySource {
    fn name(&self) -> &str {
        &self.name
    }

    fn is_bounded(&self) -> bool {
        self.bounded
    }

    fn is_occasional(&self) -> bool {
        self.is_occasional
    }

    fn discover(&mut self) -> Result<Vec<PartitionId>, ConnectorError> {
        Ok(lock(&self.partitions).keys().cloned().collect())
    }

    fn describe(&self, partition: &PartitionId) -> String {
        format!("{} partition {}", self.name, partition.0)
    }

    fn open(
        &mut self,
        partition: &PartitionId,
        from: Option<&Position>,
    ) -> Result<Box<dyn PartitionReader>, ConnectorError> {
        let partitions = lock(&self.partitions);
        let Some(chunks) = partitions.get(partition) else {
            return Err(ConnectorError::invalid(
                &self.name,
                format_args!("there is no partition {}", partition.0),
            ));
        };
        let at = from.cloned().unwrap_or_default();
        let (chunk, within) = place(chunks, at.offset).ok_or_else(|| {
            ConnectorError::invalid(
                &self.name,
                format_args!("partition {} ends before the position {}", partition.0, at.offset),
            )
        })?;
        let partition = partition.clone();
        let bounded = self.bounded;
        Ok(Box::new(MemoryReader {
            partitions: Arc::clone(&self.partitions),
            partition,
            bounded,
            chunk,
            within,
            at,
        }))
    }
}

/// The chunk and the offset inside it where `offset` of the whole partition is.
fn place(chunks: &[Bytes], offset: u64) -> Option<(usize, usize)> {
    let mut left = usize::try_from(offset).ok()?;
    for (index, chunk) in chunks.iter().enumerate() {
        if left < chunk.len() {
            return Some((index, left));
        }
        left -= chunk.len();
    }
    (left == 0).then_some((chunks.len(), 0))
}

struct MemoryReader {
    partitions: Partitions,
    partition: PartitionId,
    bounded: bool,
    chunk: usize,
    within: usize,
    at: Position,
}

impl PartitionReader for MemoryReader {
    fn read(&mut self, max_bytes: usize) -> Result<Read, ConnectorError> {
        let partitions = lock(&self.partitions);
        let chunks = partitions.get(&self.partition).map(Vec::as_slice).unwrap_or_default();
        while let Some(chunk) = chunks.get(self.chunk) {
            if self.within == chunk.len() {
                self.chunk += 1;
                self.within = 0;
                continue;
            }
            let rest = chunk.slice(self.within..);
            let data = rest.slice(..lines::block(&rest, max_bytes));
            let start = self.at.clone();
            self.within += data.len();
            self.at.offset += data.len() as u64;
            self.at.line += lines::count(&data);
            return Ok(Read::Block(Block {
                data: BlockData::Lines(data),
                start,
                end: self.at.clone(),
            }));
        }
        Ok(if self.bounded { Read::End } else { Read::Pending })
    }
}

/// What the [`MemorySink`]s over it have been given.
#[derive(Debug, Clone, Default)]
pub struct MemoryStore {
    contents: Arc<Mutex<Contents>>,
}

/// An epoch of the sink of this name.
type Key = (String, Epoch);

#[derive(Debug, Default)]
struct Contents {
    /// Not published.
    prepared: BTreeMap<Key, Vec<Output>>,
    /// In the order of publishing.
    published: Vec<(Key, Vec<Output>)>,
}

impl Contents {
    fn is_published(&self, key: &Key) -> bool {
        self.published.iter().any(|(published, _)| published == key)
    }

    fn visible(&self) -> impl Iterator<Item = &Output> {
        self.published.iter().flat_map(|(_, outputs)| outputs)
    }
}

impl MemoryStore {
    /// An empty store.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// The published batches of a table, in the order of publishing.
    #[must_use]
    pub fn rows(&self, table: Table) -> Vec<RecordBatch> {
        let contents = lock(&self.contents);
        let of_table = contents.visible().filter_map(|output| match output {
            Output::Rows { table: of, batch } if *of == table => Some(batch.clone()),
            _ => None,
        });
        of_table.collect()
    }

    /// The published batches of a query of the user.
    #[must_use]
    pub fn query(&self, name: &str) -> Vec<RecordBatch> {
        let contents = lock(&self.contents);
        let of_query = contents.visible().filter_map(|output| match output {
            Output::Query { name: of, batch } if of == name => Some(batch.clone()),
            _ => None,
        });
        of_query.collect()
    }

    /// How many rows of each table are published.
    #[must_use]
    pub fn row_counts(&self) -> BTreeMap<Table, u64> {
        let mut counts = BTreeMap::new();
        for output in lock(&self.contents).visible() {
            if let Output::Rows { table, batch } = output {
                *counts.entry(*table).or_default() += batch.num_rows() as u64;
            }
        }
        counts
    }
}

/// Keeps what it is given in a [`MemoryStore`]; a second sink of the same name over the same store stands for a restarted process.
#[derive(Debug)]
pub struct MemorySink {
    name: String,
    store: MemoryStore,
    accepted: Vec<Output>,
}

impl MemorySink {
    /// A sink into this store.
    pub fn new(name: impl Into<String>, store: MemoryStore) -> Self {
        Self {
            name: name.into(),
            store,
            accepted: Vec::new(),
        }
    }
}

impl Sink for MemorySink {
    fn name(&self) -> &str {
        &self.name
    }

    fn accept(&mut self, output: &Output) -> Result<(), ConnectorError> {
        self.accepted.push(output.clone());
        Ok(())
    }

    fn prepare(&mut self, epoch: Epoch) -> Result<Effect, ConnectorError> {
        let outputs = std::mem::take(&mut self.accepted);
        let effect = json!({ "sink": self.name, "outputs": outputs.len() });
        // An epoch that was prepared and never decided is prepared again after a restart: the new rows replace the old.
        lock(&self.store.contents)
            .prepared
            .insert((self.name.clone(), epoch), outputs);
        Ok(effect)
    }

    fn publish(&mut self, epoch: Epoch, _effect: &Effect) -> Result<(), ConnectorError> {
        let mut contents = lock(&self.store.contents);
        let key = (self.name.clone(), epoch);
        if contents.is_published(&key) {
            return Ok(());
        }
        let Some(outputs) = contents.prepared.remove(&key) else {
            return Err(ConnectorError::internal(
                &self.name,
                format_args!("epoch {} was published, but never prepared", epoch.0),
            ));
        };
        contents.published.push((key, outputs));
        Ok(())
    }

    fn withdraw(&mut self, epoch: Epoch, _effect: &Effect) -> Result<(), ConnectorError> {
        let mut contents = lock(&self.store.contents);
        let key = (self.name.clone(), epoch);
        contents.prepared.remove(&key);
        contents.published.retain(|(published, _)| *published != key);
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::conformance;

    fn partitions() -> Vec<(String, Bytes)> {
        let numbered = |n: usize| (0..n).map(|i| format!("{{\"record\":{i}}}\n")).collect::<String>();
        vec![
            ("a".to_owned(), numbered(50).into()),
            ("b".to_owned(), numbered(3).trim_end().to_owned().into()),
            ("c".to_owned(), Bytes::new()),
        ]
    }

    #[test]
    fn the_memory_source_conforms() {
        conformance::source(|| Ok(Box::new(MemorySource::bounded("memory", partitions())))).unwrap();
    }

    #[test]
    fn the_memory_sink_conforms() {
        let store = MemoryStore::new();
        let make =
            || -> Result<Box<dyn Sink>, ConnectorError> { Ok(Box::new(MemorySink::new("memory", store.clone()))) };
        conformance::sink(make, || Ok(store.row_counts()), conformance::Visibility::AtPublish).unwrap();
    }

    #[test]
    fn the_memory_sink_takes_epochs_back() {
        let store = MemoryStore::new();
        let make =
            || -> Result<Box<dyn Sink>, ConnectorError> { Ok(Box::new(MemorySink::new("memory", store.clone()))) };
        conformance::withdrawal(make, || Ok(store.row_counts())).unwrap();
    }

    #[test]
    fn a_live_source_is_pending_until_it_is_fed() {
        let (mut source, feed) = MemorySource::live("live");
        assert!(source.discover().unwrap().is_empty());
        feed.append("p", "one");
        let partition = source.discover().unwrap().remove(0);
        let mut reader = source.open(&partition, None).unwrap();
        assert!(matches!(reader.read(100).unwrap(), Read::Block(_)));
        assert!(matches!(reader.read(100).unwrap(), Read::Pending));
        feed.append("p", "two\nthree\n");
        let Read::Block(block) = reader.read(100).unwrap() else {
            panic!("there are lines")
        };
        assert_eq!(
            block.start,
            Position {
                offset: 4,
                line: 1,
                detail: None
            }
        );
        assert_eq!(
            block.end,
            Position {
                offset: 14,
                line: 3,
                detail: None
            }
        );
    }
}
