//! What the engine relies on in a source.

use std::time::{Duration, Instant};

use arrow::record_batch::RecordBatch;
use backplane_events::EventType;
use bytes::Bytes;

use super::{During, Violation, hold};
use crate::{
    Block, BlockData, ConnectorError, DecodedEvents, PartitionId, PartitionReader, Position, Read, Source, lines,
};

/// One record as a source gave it.
#[derive(Debug, Clone, PartialEq)]
pub enum Record {
    /// A line without its line feed.
    Line(Bytes),
    /// A batch of one row.
    Row(EventType, RecordBatch),
}

/// A partition with everything in it.
#[derive(Debug, Clone)]
pub struct PartitionRecords {
    /// Its identity.
    pub id: PartitionId,
    /// Its name for people.
    pub name: String,
    /// Its records in order.
    pub records: Vec<Record>,
}

/// What offsets count.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Offsets {
    /// What blocks hold.
    Held,
    /// What the records were taken out of.
    Around,
}

/// Asks for blocks from the least to the largest that an engine would.
const BLOCK_SIZES: [usize; 5] = [1, 37, 1_000, 64 * 1024, 8 * 1024 * 1024];
/// Positions at which reading starts again, for each partition and block size.
const RESUMPTIONS: usize = 12;
/// A bounded source that says `Pending` for as long as this has hung.
const PATIENCE: Duration = Duration::from_secs(20);

/// Checks a bounded source. `make` gives a fresh one over the same input each time, as a restarted process would.
///
/// - Partitions have the same identities in the same order each time, and each is there once.
/// - Reading gives the same records in the same order, whatever size of block is asked for; blocks follow each other without a gap.
/// - Reading again from the end of any block gives the records that follow, none lost and none repeated.
/// - After the end comes the end.
///
/// Gives what was read, so that a test can compare it with what it put there.
///
/// # Errors
/// The first rule that is broken.
pub fn source(make: impl Fn() -> Result<Box<dyn Source>, ConnectorError>) -> Result<Vec<PartitionRecords>, Violation> {
    check(make, Offsets::Held)
}

/// As [`source`], of one that takes its records out of something: offsets count the bytes of that.
///
/// # Errors
/// The first rule that is broken.
pub fn unwrapping_source(
    make: impl Fn() -> Result<Box<dyn Source>, ConnectorError>,
) -> Result<Vec<PartitionRecords>, Violation> {
    check(make, Offsets::Around)
}

fn check(
    make: impl Fn() -> Result<Box<dyn Source>, ConnectorError>,
    offsets: Offsets,
) -> Result<Vec<PartitionRecords>, Violation> {
    let mut first = make().during(|| "making the source".to_owned())?;
    let partitions = first.discover().during(|| "discovering".to_owned())?;
    let again = first.discover().during(|| "discovering again".to_owned())?;
    hold("partitions have a stable order", partitions == again, || {
        format!("{partitions:?}, then {again:?}")
    })?;
    let mut distinct = partitions.clone();
    distinct.sort();
    distinct.dedup();
    hold("a partition is there once", distinct.len() == partitions.len(), || {
        format!("{partitions:?}")
    })?;
    hold("the source under test ends", first.is_bounded(), || {
        first.name().to_owned()
    })?;
    drop(first);
    partitions
        .iter()
        .map(|id| partition(&make, &partitions, id, offsets))
        .collect()
}

fn partition(
    make: &impl Fn() -> Result<Box<dyn Source>, ConnectorError>,
    all: &[PartitionId],
    id: &PartitionId,
    offsets: Offsets,
) -> Result<PartitionRecords, Violation> {
    let mut reference: Option<Vec<Record>> = None;
    let mut name = String::new();
    for max_bytes in BLOCK_SIZES {
        let (source, mut reader) = open(make, all, id, None)?;
        name = source.describe(id);
        hold("a partition has a name for people", !name.is_empty(), || id.0.clone())?;
        let blocks = read_all(reader.as_mut(), max_bytes)?;
        drop(reader);
        check_positions(&blocks, &Position::default(), offsets)?;
        let records = records(&blocks)?;
        match &reference {
            None => reference = Some(records),
            Some(reference) => same_records("the size of blocks does not change the records", reference, &records)?,
        }
        check_resumption(make, all, id, &blocks, (max_bytes, offsets))?;
    }
    Ok(PartitionRecords {
        id: id.clone(),
        name,
        records: reference.unwrap_or_default(),
    })
}

/// A fresh source and a reader of one of its partitions.
type Opened = (Box<dyn Source>, Box<dyn PartitionReader>);

fn open(
    make: &impl Fn() -> Result<Box<dyn Source>, ConnectorError>,
    all: &[PartitionId],
    id: &PartitionId,
    from: Option<&Position>,
) -> Result<Opened, Violation> {
    let mut source = make().during(|| "making the source again".to_owned())?;
    let found = source.discover().during(|| "discovering after a restart".to_owned())?;
    hold("partitions are the same after a restart", found == all, || {
        format!("{all:?}, then {found:?}")
    })?;
    let reader = source
        .open(id, from)
        .during(|| format!("opening {} at {from:?}", id.0))?;
    Ok((source, reader))
}

fn read_all(reader: &mut dyn PartitionReader, max_bytes: usize) -> Result<Vec<Block>, Violation> {
    let mut blocks = Vec::new();
    let mut waiting_since = Instant::now();
    loop {
        match reader
            .read(max_bytes)
            .during(|| format!("reading after {} blocks", blocks.len()))?
        {
            Read::Block(block) => {
                blocks.push(block);
                waiting_since = Instant::now();
            }
            Read::Pending => {
                let waited = waiting_since.elapsed();
                hold("a bounded partition ends", waited < PATIENCE, || {
                    format!("pending for {waited:?}")
                })?;
                std::thread::sleep(Duration::from_millis(1));
            }
            Read::End => break,
        }
    }
    let after = reader.read(max_bytes).during(|| "reading after the end".to_owned())?;
    hold("after the end comes the end", matches!(after, Read::End), || {
        format!("{after:?}")
    })?;
    Ok(blocks)
}

fn check_positions(blocks: &[Block], from: &Position, offsets: Offsets) -> Result<(), Violation> {
    let mut at = from;
    for (index, block) in blocks.iter().enumerate() {
        hold("blocks follow each other without a gap", block.start == *at, || {
            format!("block {index} starts at {:?}, not at {at:?}", block.start)
        })?;
        let (held, line_count) = match &block.data {
            BlockData::Lines(text) => (text.len() as u64, lines::count(text)),
            BlockData::Decoded(events) => (events.records.len() as u64, 0),
        };
        hold("a block has at least one record", held > 0, || {
            format!("block {index} is empty")
        })?;
        hold(
            "positions count what blocks hold",
            match offsets {
                Offsets::Held => block.end.offset == at.offset + held,
                Offsets::Around => block.end.offset > at.offset,
            },
            || format!("block {index} holds {held}, and goes from {at:?} to {:?}", block.end),
        )?;
        hold("positions count lines", block.end.line == at.line + line_count, || {
            format!(
                "block {index} holds {line_count} lines, and goes from {at:?} to {:?}",
                block.end
            )
        })?;
        if let BlockData::Lines(text) = &block.data {
            hold(
                "only the last line of a partition may lack its line feed",
                text.ends_with(b"\n") || index + 1 == blocks.len(),
                || format!("block {index} of {}", blocks.len()),
            )?;
        }
        at = &block.end;
    }
    Ok(())
}

fn check_resumption(
    make: &impl Fn() -> Result<Box<dyn Source>, ConnectorError>,
    all: &[PartitionId],
    id: &PartitionId,
    blocks: &[Block],
    (max_bytes, offsets): (usize, Offsets),
) -> Result<(), Violation> {
    let stride = blocks.len().div_ceil(RESUMPTIONS).max(1);
    let last = blocks.len().saturating_sub(1);
    for (index, block) in blocks
        .iter()
        .enumerate()
        .filter(|(index, _)| index % stride == 0 || *index == last)
    {
        let written = serde_json::to_string(&block.end).unwrap_or_default();
        let from: Option<Position> = serde_json::from_str(&written).ok();
        hold(
            "a position survives being written down",
            from.as_ref() == Some(&block.end),
            || written,
        )?;
        let (_source, mut reader) = open(make, all, id, from.as_ref())?;
        let rest = read_all(reader.as_mut(), max_bytes)?;
        check_positions(&rest, &block.end, offsets)?;
        let expected = records(blocks.get(index + 1..).unwrap_or_default())?;
        same_records(
            "reading on from a block's end gives what follows",
            &expected,
            &records(&rest)?,
        )?;
    }
    Ok(())
}

fn same_records(rule: &'static str, expected: &[Record], found: &[Record]) -> Result<(), Violation> {
    let differs = expected
        .iter()
        .zip(found)
        .position(|(expected, found)| expected != found);
    hold(rule, differs.is_none(), || {
        format!("record {} differs", differs.unwrap_or_default())
    })?;
    hold(rule, expected.len() == found.len(), || {
        format!("{} records instead of {}", found.len(), expected.len())
    })
}

fn records(blocks: &[Block]) -> Result<Vec<Record>, Violation> {
    let mut records = Vec::new();
    for block in blocks {
        match &block.data {
            BlockData::Lines(text) => {
                let body = text.strip_suffix(b"\n").unwrap_or(text);
                records.extend(
                    body.split(|byte| *byte == b'\n')
                        .map(|line| Record::Line(text.slice_ref(line))),
                );
            }
            BlockData::Decoded(events) => rows(events, &mut records)?,
        }
    }
    Ok(records)
}

fn rows(events: &DecodedEvents, records: &mut Vec<Record>) -> Result<(), Violation> {
    let held: usize = events.batches.iter().map(|(_, batch)| batch.num_rows()).sum();
    hold("every row of a block is a record", held == events.records.len(), || {
        format!("{held} rows, {} records", events.records.len())
    })?;
    for record in &events.records {
        let row = record.row as usize;
        let batch = events
            .batches
            .iter()
            .find(|(of, batch)| *of == record.event_type && row < batch.num_rows());
        let Some((event_type, batch)) = batch else {
            return Err(Violation::Broken {
                rule: "a record is in its batch",
                found: format!("{record:?}"),
            });
        };
        records.push(Record::Row(*event_type, batch.slice(row, 1)));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::memory::MemorySource;

    /// Breaks one rule: loses the first line after a position.
    struct Forgetful(MemorySource);

    impl Source for Forgetful {
        fn name(&self) -> &str {
            "forgetful"
        }
        fn is_bounded(&self) -> bool {
            true
        }
        fn discover(&mut self) -> Result<Vec<PartitionId>, ConnectorError> {
            self.0.discover()
        }
        fn describe(&self, partition: &PartitionId) -> String {
            self.0.describe(partition)
        }
        fn open(
            &mut self,
            partition: &PartitionId,
            from: Option<&Position>,
        ) -> Result<Box<dyn PartitionReader>, ConnectorError> {
            let mut reader = self.0.open(partition, from)?;
            if from.is_some() {
                reader.read(1)?;
            }
            Ok(reader)
        }
    }

    #[test]
    fn a_source_that_loses_a_record_on_resumption_is_found_out() {
        let make = || -> Result<Box<dyn Source>, ConnectorError> {
            let text = "1\n2\n3\n".to_owned();
            Ok(Box::new(Forgetful(MemorySource::bounded(
                "memory",
                [("p".to_owned(), text.into())],
            ))))
        };
        assert!(matches!(
            source(make),
            Err(Violation::Broken {
                rule: "blocks follow each other without a gap",
                ..
            })
        ));
    }
}
