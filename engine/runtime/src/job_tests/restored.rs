//! A job that was written down at any moment and read back goes on as if nothing had happened.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::sync::atomic::AtomicBool;

use arrow::array::AsArray;
use arrow::compute::max;
use arrow::datatypes::Int64Type;
use arrow::util::pretty::pretty_format_batches;
use backplane_checkpoint::{CheckpointStore, Lease, Writer};
use backplane_config::{Config, Document, Syntax};
use backplane_connector_api::memory::{MemorySink, MemorySource, MemoryStore};
use backplane_events::Table;
use backplane_generator::{GeneratorConfig, generate};
use object_store::ObjectStore;
use object_store::memory::InMemory;

use super::{Feeder, all_tables, job_of, rows, texts};
use crate::evaluation::OWN_METADATA;
use crate::{Checkpoints, Ending, Job, LEAST_JOURNAL, Outlet, Recovery, RuntimeError, Start, UserQuery};

/// So small that a stream takes some dozens of rounds.
const BLOCK_BYTES: usize = 32_000;

type Partitions = Vec<(String, Vec<u8>)>;

/// A stream with all that streams have, and the configuration that belongs to it.
fn stream(generator: GeneratorConfig, partitions: u16) -> (Config, Partitions) {
    let generator = GeneratorConfig {
        partitions,
        ..generator
    };
    let mut texts = vec![Vec::new(); usize::from(partitions)];
    generate(
        &generator,
        &mut texts
            .iter_mut()
            .map(|text| text as &mut dyn std::io::Write)
            .collect::<Vec<_>>(),
    )
    .unwrap();
    let document = Document::parse("generated", &generator.config_json().to_string(), Syntax::Json);
    let config = document.unwrap().load(&|_| None).unwrap().config;
    let partitions = (0..).zip(texts).map(|(index, text)| (format!("p{index}"), text));
    (config, partitions.collect())
}

/// Has every ninth record come again in the next partition, about where it stands in its own.
fn delivered_twice(partitions: &mut Partitions) {
    let lines: Vec<Vec<Vec<u8>>> = partitions
        .iter()
        .map(|(_, text)| {
            text.split_inclusive(|byte| *byte == b'\n')
                .map(<[u8]>::to_vec)
                .collect()
        })
        .collect();
    for (index, (_, text)) in partitions.iter_mut().enumerate() {
        let (own, before) = (&lines[index], &lines[(index + lines.len() - 1) % lines.len()]);
        text.clear();
        let mut again = (0..before.len()).step_by(9).peekable();
        for (place, line) in own.iter().enumerate() {
            while let Some(repeat) = again.next_if(|repeat| repeat * own.len() <= place * before.len()) {
                text.extend_from_slice(&before[repeat]);
            }
            text.extend_from_slice(line);
        }
    }
}

/// What came of a job: rows that are final, and the state that it ended with.
#[derive(Debug, PartialEq)]
struct Outcome {
    /// By table: ids of events, and rows of final windows, sorted.
    rows: BTreeMap<&'static str, Vec<String>>,
    /// The results to date at the end.
    cumulative: Vec<String>,
    counters: crate::Counters,
    state: (Vec<u8>, String),
}

/// Rows of a table as texts, without what tells when they were written.
pub fn written(store: &MemoryStore, table: Table, is_wanted: impl Fn(bool, i64) -> bool) -> Vec<String> {
    let batch = rows(store, table);
    let columns: Vec<Vec<Option<String>>> = batch
        .schema()
        .fields()
        .iter()
        .filter(|field| !matches!(field.name().as_str(), "as_of" | "revision" | "ingest_time" | "time"))
        .map(|field| texts(&batch, field.name()))
        .collect();
    let is_final = batch
        .column_by_name("is_final")
        .map(|column| column.as_boolean().clone());
    let revision = batch
        .column_by_name("revision")
        .map(|column| column.as_primitive::<Int64Type>().clone());
    let wanted = (0..batch.num_rows()).filter(|row| {
        is_wanted(
            is_final.as_ref().is_none_or(|flags| flags.value(*row)),
            revision.as_ref().map_or(0, |revisions| revisions.value(*row)),
        )
    });
    wanted
        .map(|row| {
            columns
                .iter()
                .map(|column| format!("{:?}", column[row]))
                .collect::<Vec<_>>()
                .join(" ")
        })
        .collect()
}

fn job(
    config: &Config,
    queries: &[UserQuery],
    partitions: &Partitions,
    store: &MemoryStore,
    block_bytes: usize,
) -> Job {
    job_with(config, queries, partitions, all_tables(store), block_bytes)
}

fn job_with(
    config: &Config,
    queries: &[UserQuery],
    partitions: &Partitions,
    outlet: Outlet,
    block_bytes: usize,
) -> Job {
    let texts = partitions
        .iter()
        .map(|(name, text)| (name.clone(), text.clone().into()));
    let source = MemorySource::bounded("lines", texts);
    let outlet = outlet.with_queries(queries.iter().map(|query| query.name.clone()));
    let job = job_of(config, queries.to_vec(), source, vec![outlet], 2);
    job.with_block_bytes(block_bytes)
}

pub(super) fn epochs() -> Arc<CheckpointStore> {
    Arc::new(epochs_on(Arc::new(InMemory::new())))
}

pub(super) fn epochs_on(store: Arc<dyn ObjectStore>) -> CheckpointStore {
    CheckpointStore::remote(store, &object_store::path::Path::default(), "job").unwrap()
}

/// Has a job keep its epochs there, and go on from the last one.
pub(super) fn resume(job: &mut Job, epochs: &Arc<CheckpointStore>, least_journal: u64) -> Result<bool, RuntimeError> {
    let recovery = Recovery::read(epochs, Start::Latest)?;
    let writer = Writer::new();
    let checkpoints = Checkpoints {
        store: Arc::clone(epochs),
        lease: Lease::take(epochs, writer)?,
        writer,
        job: "job".to_owned(),
        fingerprint: BTreeMap::new(),
        retain: 3,
        least_journal,
    };
    job.resume(checkpoints, &recovery)
}

/// Runs a job that is stopped after so many rounds, again and again, and goes on each time from its last epoch.
fn in_pieces(
    config: &Config,
    queries: &[UserQuery],
    partitions: &Partitions,
    rounds: usize,
    least_journal: u64,
) -> (Outcome, usize) {
    let pieces = Pieces { rounds, least_journal };
    in_pieces_with(config, queries, partitions, pieces, |_| Table::ALL.to_vec())
}

/// How a job is stopped again and again.
#[derive(Clone, Copy)]
struct Pieces {
    rounds: usize,
    least_journal: u64,
}

/// The same, with a sink that takes these tables in each piece.
fn in_pieces_with(
    config: &Config,
    queries: &[UserQuery],
    partitions: &Partitions,
    Pieces { rounds, least_journal }: Pieces,
    tables: impl Fn(usize) -> Vec<Table>,
) -> (Outcome, usize) {
    let (store, epochs) = (MemoryStore::new(), epochs());
    for piece in 1..200 {
        let outlet = Outlet::new(Box::new(MemorySink::new("memory", store.clone())), tables(piece));
        let mut job = job_with(config, queries, partitions, outlet, BLOCK_BYTES);
        assert_eq!(resume(&mut job, &epochs, least_journal).unwrap(), piece == 1);
        let stop = AtomicBool::new(false);
        let mut observer = Feeder {
            step: 0,
            stop: &stop,
            on_round: Box::new(|step, _| step + 1 >= rounds),
        };
        if job.run(&stop, &mut observer).unwrap() == Ending::Exhausted {
            return (outcome(&job, &store, queries), piece);
        }
    }
    panic!("the job does not come to its end");
}

fn outcome(job: &Job, store: &MemoryStore, queries: &[UserQuery]) -> Outcome {
    let mut all: BTreeMap<&'static str, Vec<String>> = BTreeMap::new();
    for table in Table::ALL {
        // these are written whenever a job is stopped
        let is_state = matches!(table, Table::AssignmentPath | Table::EffectPath | Table::MaturedStats);
        if !is_state {
            all.insert(table.name(), written(store, *table, |is_final, _| is_final));
        }
    }
    for query in queries {
        let found = store.query(&query.name);
        // by their values: the order of a dictionary is that of blocks
        let found = found
            .iter()
            .map(|batch| pretty_format_batches(std::slice::from_ref(batch)).unwrap().to_string());
        all.entry("queries").or_default().extend(found);
    }
    all.values_mut().for_each(|rows| rows.sort());
    let mut cumulative = Vec::new();
    for table in [Table::AssignmentCounts, Table::MetricStats, Table::MaturedStats] {
        let revisions = rows(store, table);
        let revisions = revisions.column_by_name("revision").unwrap();
        let last = max(revisions.as_primitive::<Int64Type>()).unwrap();
        cumulative.extend(written(store, table, |is_final, revision| {
            !is_final && revision == last
        }));
    }
    cumulative.sort();
    Outcome {
        rows: all,
        cumulative,
        counters: job.progress().counters,
        state: job.comparable_state().unwrap(),
    }
}

#[test]
fn stopped_and_read_back_at_any_round_it_ends_with_the_same_rows_and_the_same_state() {
    for seed in [3, 17] {
        let (config, mut partitions) = stream(GeneratorConfig::property(seed), 3);
        if seed == 17 {
            delivered_twice(&mut partitions);
        }
        let queries = [UserQuery {
            name: "counted".to_owned(),
            window: 0,
            sql: "select experiment, count(*) as events from exposures group by 1 order by 1".to_owned(),
        }];
        let queries = if config.engine.windows.is_empty() {
            &[][..]
        } else {
            &queries[..]
        };
        for queries in if seed == 3 { vec![queries, &[]] } else { vec![queries] } {
            let (whole, pieces) = in_pieces(&config, queries, &partitions, usize::MAX, LEAST_JOURNAL);
            assert_eq!(pieces, 1);
            assert!(whole.rows["exposures"].len() > 50 && !whole.cumulative.is_empty());
            assert!(seed != 17 || whole.counters.duplicates > 50);
            // with the journal since the beginning, with one of some rounds, and with all of the state every time
            for (rounds, least_journal) in [(2, LEAST_JOURNAL), (3, 300_000), (4, 0)] {
                let how = format!("seed {seed}, {rounds} rounds, a journal of {least_journal}");
                let (found, pieces) = in_pieces(&config, queries, &partitions, rounds, least_journal);
                assert!(pieces > 2, "{how}: {pieces} pieces");
                assert_eq!(found.counters, whole.counters, "{how}");
                for (table, rows) in &whole.rows {
                    assert_eq!(&found.rows[table], rows, "{how}, {table}");
                }
                assert_eq!(found.cumulative, whole.cumulative, "{how}");
                assert!(found.state == whole.state, "{how}: the states differ");
            }
        }
    }
}

/// What a job writes that hands no events on.
const RESULTS: [Table; 4] = [
    Table::AssignmentCounts,
    Table::MetricStats,
    Table::MaturedStats,
    Table::Signals,
];

#[test]
fn results_are_the_same_where_nobody_takes_events_and_where_a_sink_for_them_comes_later() {
    let (config, partitions) = stream(GeneratorConfig::property(3), 3);
    let in_one = Pieces {
        rounds: usize::MAX,
        least_journal: LEAST_JOURNAL,
    };
    let run = |pieces, tables: fn(usize) -> Vec<Table>| in_pieces_with(&config, &[], &partitions, pieces, tables);
    let all = run(in_one, |_| Table::ALL.to_vec()).0;
    let alone = run(in_one, |_| RESULTS.to_vec()).0;
    assert!(alone.rows["exposures"].is_empty() && !alone.cumulative.is_empty() && !alone.rows["signals"].is_empty());
    let assert_same = |found: &Outcome, how: &str| {
        for table in RESULTS {
            assert_eq!(
                found.rows.get(table.name()),
                all.rows.get(table.name()),
                "{how}, {table:?}"
            );
        }
        assert_eq!(found.cumulative, all.cumulative, "{how}");
        assert!(found.state == all.state, "{how}: the states differ");
    };
    assert_same(&alone, "in one");
    for (rounds, least_journal) in [(3, LEAST_JOURNAL), (4, 300_000), (3, 0)] {
        let pieces = Pieces { rounds, least_journal };
        let (found, count) = run(pieces, |_| RESULTS.to_vec());
        assert!(count > 2, "{count} pieces");
        assert_same(&found, &format!("{rounds} rounds, a journal of {least_journal}"));
        let later: fn(usize) -> Vec<Table> = |piece| {
            if piece < 3 {
                RESULTS.to_vec()
            } else {
                Table::ALL.to_vec()
            }
        };
        let found = run(pieces, later).0;
        assert_same(
            &found,
            &format!("events later, {rounds} rounds, a journal of {least_journal}"),
        );
        let events = found.rows["exposures"].len();
        assert!(0 < events && events < all.rows["exposures"].len(), "{events} exposures");
    }
}

#[test]
fn a_job_that_came_to_its_end_has_nothing_new_and_goes_on_where_a_partition_comes_or_grows() {
    // beside others time goes on when one has ended, and what it grows by may be late
    let (config, partitions) = stream(GeneratorConfig::demo(20_000, 3), 1);
    let whole = in_pieces(&config, &[], &partitions, usize::MAX, LEAST_JOURNAL).0;
    let (store, epochs) = (MemoryStore::new(), epochs());
    let run = |partitions: &Partitions| {
        let mut job = job(&config, &[], partitions, &store, BLOCK_BYTES);
        resume(&mut job, &epochs, LEAST_JOURNAL).unwrap();
        let ending = job.run(&AtomicBool::new(false), &mut ()).unwrap();
        (ending, outcome(&job, &store, &[]))
    };
    // it breaks off at two thirds of its lines; then the last third comes
    let shorter: Partitions = partitions
        .iter()
        .map(|(name, text)| {
            let end = text
                .iter()
                .take(text.len() * 2 / 3)
                .rposition(|byte| *byte == b'\n')
                .unwrap()
                + 1;
            (name.clone(), text[..end].to_vec())
        })
        .collect();
    assert_eq!(run(&shorter).0, Ending::Exhausted);
    let visible = store.row_counts();
    assert_eq!(run(&shorter).0, Ending::NothingNew);
    assert_eq!(store.row_counts(), visible);
    let (ending, grown) = run(&partitions);
    assert_eq!(ending, Ending::Exhausted);
    assert_eq!(grown.cumulative, whole.cumulative);
    // where subjects lie in memory depends on how the stream was cut, the paths do not
    assert_eq!(grown.state.1, whole.state.1);
    // what was told at the first end is not told again; the undisturbed job never told it
    let ids = texts(&rows(&store, Table::Signals), "event_id");
    let origins = texts(&rows(&store, Table::Signals), "metadata");
    let mut told = BTreeSet::new();
    for (id, _) in ids
        .iter()
        .zip(origins)
        .filter(|(_, origin)| origin.as_deref() == Some(OWN_METADATA))
    {
        assert!(told.insert(id), "{id:?} was told twice");
    }
    assert!(!told.is_empty());
    assert_eq!(grown.rows["exposures"], whole.rows["exposures"]);
}
