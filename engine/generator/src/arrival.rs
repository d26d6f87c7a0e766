//! From event time to the order of the lines: disorder, late records, second deliveries, lines that are no records.

use crate::config::{GeneratorConfig, PartitionBy, micros};
use crate::random::{Random, mix, scaled};
use crate::record::{Kind, NO_EXPERIMENT, Record};

/// Makes the draws of this stage independent of those of the simulation.
const SALT: u64 = 0x6172_7269_7661_6C73;

const MINUTE: i64 = 60_000_000;

/// The stream in the order of its lines.
pub(crate) fn arrive(config: &GeneratorConfig, mut records: Vec<Record>, copies: usize, bad: usize) -> Vec<Record> {
    let mut random = Random::new(mix(config.seed, SALT));
    let start = config.start.timestamp_micros();
    records.reserve(copies + bad);
    let mut on_time = Vec::new();
    for (index, record) in records.iter_mut().enumerate() {
        let delay = delay(config, record.kind, &mut random);
        record.arrival = record.time - start + delay;
        record.partition = partition(config, record, &mut random);
        if delay <= micros(config.rates.disorder) && copies > 0 {
            on_time.push(index);
        }
    }
    copy(config, &mut records, &on_time, copies, &mut random);
    for number in 0..bad {
        records.push(no_record(config, number, &mut random));
    }
    records.sort_by_key(|record| record.arrival);
    records
}

/// How long after its event time a record comes.
fn delay(config: &GeneratorConfig, kind: Kind, random: &mut Random) -> i64 {
    let rates = &config.rates;
    let (disorder, horizon) = (micros(rates.disorder), micros(config.time.correction_horizon));
    let usual = random.between(0, disorder + 1);
    let fate = random.unit();
    let may_be_late = rates.late_exposures || kind == Kind::Outcome;
    if !may_be_late || fate >= rates.late + rates.too_late {
        return usual;
    }
    if fate < rates.too_late {
        return random.between(horizon + MINUTE, 3 * horizon + 2 * MINUTE);
    }
    let closed = micros(config.time.max_out_of_orderness) + micros(config.time.allowed_lateness);
    // a minute off the horizon: what has arrived until then may be that much older than the arrival
    random.between(closed + 1, (horizon - MINUTE).max(closed + 2))
}

fn partition(config: &GeneratorConfig, record: &Record, random: &mut Random) -> u16 {
    let bits = match config.partition_by {
        PartitionBy::Subject => mix(SALT, u64::from(record.subject)),
        PartitionBy::Record => random.bits(),
    };
    u16::try_from(scaled(bits, u64::from(config.partitions))).unwrap_or(0)
}

/// Delivers some records again: soon in any partition, or much later in their own.
///
/// A second delivery in another partition never is late there, nor is the first one: which of the two would count is not defined.
fn copy(config: &GeneratorConfig, records: &mut Vec<Record>, on_time: &[usize], copies: usize, random: &mut Random) {
    let horizon = micros(config.time.correction_horizon);
    let disorder = micros(config.rates.disorder);
    for _ in 0..copies {
        let drawn = usize::try_from(random.below(on_time.len() as u64)).unwrap_or(0);
        let Some(original) = on_time.get(drawn).and_then(|index| records.get_mut(*index)) else {
            continue;
        };
        original.copied = true;
        let mut second = *original;
        let elsewhere = config.partition_by == PartitionBy::Record && random.chance(0.5);
        if elsewhere {
            second.partition = partition(config, &second, random);
            let since_event = random.between(0, disorder + 1);
            second.arrival = second.time - config.start.timestamp_micros() + since_event;
        } else {
            let far = random.chance(if config.rates.late_exposures { 0.2 } else { 0.0 });
            second.arrival += random.between(0, if far { 2 * horizon } else { 2 * MINUTE });
        }
        records.push(second);
    }
}

fn no_record(config: &GeneratorConfig, number: usize, random: &mut Random) -> Record {
    let partition = random.below(u64::from(config.partitions));
    Record {
        arrival: random.between(0, micros(config.span)),
        time: 0,
        id: u32::try_from(number).unwrap_or(0),
        subject: 0,
        cents: 0,
        experiment: NO_EXPERIMENT,
        partition: u16::try_from(partition).unwrap_or(0),
        variant: 0,
        metric: 0,
        kind: Kind::Bad,
        repeat: false,
        copied: false,
    }
}
