//! A job that was written down at any moment and read back goes on as if nothing had happened.

use std::collections::BTreeMap;
use std::sync::atomic::AtomicBool;

use arrow::array::AsArray;
use backplane_config::{Config, Document, Syntax};
use backplane_connector_api::memory::{MemorySource, MemoryStore};
use backplane_events::Table;
use backplane_generator::{GeneratorConfig, generate};

use super::{Feeder, all_tables, job_of, rows, texts};
use crate::{Ending, Job, UserQuery};

/// So small that a stream takes some dozens of rounds.
const BLOCK_BYTES: usize = 32_000;

type Partitions = Vec<(String, Vec<u8>)>;

/// A stream with all that streams have, and the configuration that belongs to it.
fn stream(seed: u64) -> (Config, Partitions) {
    let generator = GeneratorConfig {
        partitions: 3,
        ..GeneratorConfig::property(seed)
    };
    let mut texts = [Vec::new(), Vec::new(), Vec::new()];
    let [first, second, third] = &mut texts;
    generate(&generator, &mut [first, second, third]).unwrap();
    let document = Document::parse("generated", &generator.config_json().to_string(), Syntax::Json);
    let config = document.unwrap().load(&|_| None).unwrap().config;
    let partitions = (0..).zip(texts).map(|(index, text)| (format!("p{index}"), text));
    (config, partitions.collect())
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
fn written(store: &MemoryStore, table: Table, is_wanted: impl Fn(bool) -> bool) -> Vec<String> {
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
    let wanted = (0..batch.num_rows()).filter(|row| is_wanted(is_final.as_ref().is_none_or(|flags| flags.value(*row))));
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
    let texts = partitions
        .iter()
        .map(|(name, text)| (name.clone(), text.clone().into()));
    let source = MemorySource::bounded("lines", texts);
    let outlet = all_tables(store).with_queries(queries.iter().map(|query| query.name.clone()));
    let job = job_of(config, queries.to_vec(), source, vec![outlet], 2);
    job.with_block_bytes(block_bytes).that_is_resumed()
}

/// Runs a job that is stopped after so many rounds, again and again, and goes on each time from what was written down.
fn in_pieces(
    config: &Config,
    queries: &[UserQuery],
    partitions: &Partitions,
    block_bytes: usize,
    rounds: usize,
) -> (Outcome, usize) {
    let mut all: BTreeMap<&'static str, Vec<String>> = BTreeMap::new();
    let mut saved: Option<(crate::Head, Vec<u8>)> = None;
    for piece in 1..200 {
        let store = MemoryStore::new();
        let mut job = job(config, queries, partitions, &store, block_bytes);
        if let Some((head, state)) = &saved {
            // as it is written down
            let head = serde_json::from_str(&serde_json::to_string(head).unwrap()).unwrap();
            job.restore(&head, &mut state.as_slice()).unwrap();
        }
        let stop = AtomicBool::new(false);
        let mut observer = Feeder {
            step: 0,
            stop: &stop,
            on_round: Box::new(|step, _| step + 1 >= rounds),
        };
        let ending = job.run(&stop, &mut observer).unwrap();
        for table in Table::ALL {
            let is_state = matches!(table, Table::AssignmentPath | Table::EffectPath | Table::MaturedStats);
            if !is_state {
                let found = written(&store, *table, |is_final| is_final);
                all.entry(table.name()).or_default().extend(found);
            }
        }
        for query in queries {
            let found = store
                .query(&query.name)
                .iter()
                .map(|batch| format!("{batch:?}"))
                .collect::<Vec<_>>();
            all.entry("queries").or_default().extend(found);
        }
        let mut state = Vec::new();
        job.write_state(&mut state).unwrap();
        if ending == Ending::Exhausted {
            all.values_mut().for_each(|rows| rows.sort());
            let mut cumulative = Vec::new();
            for table in [Table::AssignmentCounts, Table::MetricStats, Table::MaturedStats] {
                cumulative.extend(written(&store, table, |is_final| !is_final));
            }
            cumulative.sort();
            let counters = job.progress().counters;
            let outcome = Outcome {
                rows: all,
                cumulative,
                counters,
                state: job.comparable_state().unwrap(),
            };
            return (outcome, piece);
        }
        saved = Some((job.head(), state));
    }
    panic!("the job does not come to its end");
}

#[test]
fn stopped_and_read_back_at_any_round_it_ends_with_the_same_rows_and_the_same_state() {
    for seed in [3, 17] {
        let (config, partitions) = stream(seed);
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
        let (whole, pieces) = in_pieces(&config, queries, &partitions, BLOCK_BYTES, usize::MAX);
        assert_eq!(pieces, 1);
        assert!(whole.rows["exposures"].len() > 50 && !whole.cumulative.is_empty());
        for rounds in [1, 5] {
            let (found, pieces) = in_pieces(&config, queries, &partitions, BLOCK_BYTES, rounds);
            assert!(pieces > 2, "{pieces} pieces of {rounds} rounds");
            assert_eq!(found.counters, whole.counters, "seed {seed}, {rounds} rounds");
            for (table, rows) in &whole.rows {
                assert_eq!(&found.rows[table], rows, "seed {seed}, {rounds} rounds, {table}");
            }
            assert_eq!(found.cumulative, whole.cumulative, "seed {seed}, {rounds} rounds");
            assert!(
                found.state == whole.state,
                "seed {seed}, {rounds} rounds: the states differ"
            );
        }
    }
}

#[test]
fn bytes_that_are_no_state_are_refused() {
    let (config, partitions) = stream(3);
    let store = MemoryStore::new();
    let stop = AtomicBool::new(false);
    let mut whole = job(&config, &[], &partitions, &store, 2_000);
    let mut observer = Feeder {
        step: 0,
        stop: &stop,
        on_round: Box::new(|step, _| step >= 5),
    };
    whole.run(&stop, &mut observer).unwrap();
    let mut state = Vec::new();
    whole.write_state(&mut state).unwrap();
    for length in [0, 1, state.len() / 2, state.len() - 1] {
        let mut other = job(&config, &[], &partitions, &MemoryStore::new(), 2_000);
        let error = other.restore(&whole.head(), &mut &state[..length]).unwrap_err();
        assert!(
            error.to_string().contains("the state of the job cannot be read"),
            "{error}"
        );
    }
}
