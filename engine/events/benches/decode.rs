//! Decoding on one core: the codec, which builds Arrow columns, beside two general JSON readers, which fill a typed struct that borrows
//! from the same bytes and throw it away.

#![allow(missing_docs, reason = "criterion makes public functions")]
#![allow(clippy::expect_used, reason = "a benchmark of unsound records is none")]

use std::borrow::Cow;
use std::hint::black_box;
use std::time::Duration;

use backplane_events::{Decoder, Encoder, EnumSpelling, Envelope, EventTime, Exposure, Outcome, OutcomeType};
use criterion::{
    BatchSize, BenchmarkGroup, Criterion, Throughput, criterion_group, criterion_main, measurement::WallTime,
};
use rand::{Rng, SeedableRng};
use rand_chacha::ChaCha8Rng;
use serde::Deserialize;

const BLOCK: usize = 1 << 20;
const START: i64 = 1_767_571_200_000_000;

/// Every member that the records of this benchmark have.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct TypedEnvelope<'a> {
    #[serde(borrow)]
    event_id: Cow<'a, str>,
    #[serde(borrow)]
    timestamp: Cow<'a, str>,
    #[serde(borrow)]
    event_type: Cow<'a, str>,
    #[serde(borrow)]
    schema_version: Cow<'a, str>,
    #[serde(borrow)]
    payload: TypedPayload<'a>,
    #[serde(borrow)]
    correlation_id: Option<&'a str>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct TypedPayload<'a> {
    #[serde(borrow)]
    experiment_name: Option<&'a str>,
    #[serde(borrow)]
    variant_key: Option<&'a str>,
    #[serde(borrow)]
    subject_id: Option<&'a str>,
    #[serde(borrow)]
    subject_type: Option<&'a str>,
    #[serde(borrow)]
    tenant_id: Option<&'a str>,
    #[serde(borrow)]
    timestamp: Option<&'a str>,
    #[serde(borrow)]
    selection_reason: Option<&'a str>,
    #[serde(borrow)]
    rule_path: Option<&'a str>,
    #[serde(borrow)]
    assignment_policy: Option<&'a str>,
    is_repeat_exposure: Option<bool>,
    #[serde(borrow)]
    id: Option<&'a str>,
    #[serde(borrow)]
    outcome_type: Option<&'a str>,
    #[serde(borrow)]
    metric_name: Option<&'a str>,
    value: Option<f64>,
}

impl TypedEnvelope<'_> {
    /// Uses every member, so that none is optimised away.
    fn weight(&self) -> usize {
        let payload = &self.payload;
        let texts = [
            payload.experiment_name,
            payload.variant_key,
            payload.subject_id,
            payload.subject_type,
            payload.tenant_id,
            payload.timestamp,
            payload.selection_reason,
            payload.rule_path,
            payload.assignment_policy,
            payload.id,
            payload.outcome_type,
            payload.metric_name,
            self.correlation_id,
        ];
        let envelope = self.event_id.len() + self.timestamp.len() + self.event_type.len() + self.schema_version.len();
        let flags = usize::from(payload.is_repeat_exposure == Some(true)) + usize::from(payload.value == Some(0.0));
        texts.into_iter().flatten().map(str::len).sum::<usize>() + envelope + flags
    }
}

/// How full the records are.
#[derive(Clone, Copy)]
enum Shape {
    /// Members that are mostly used.
    Usual,
    /// Only what is required.
    Least,
}

fn block(shape: Shape) -> Vec<u8> {
    let mut random = ChaCha8Rng::seed_from_u64(7);
    let encoder = Encoder::new().with_enums(EnumSpelling::Names);
    let mut lines = Vec::with_capacity(BLOCK + 1_024);
    while lines.len() < BLOCK {
        let envelope = envelope(&mut random, shape);
        encoder
            .encode(&envelope, &mut lines)
            .expect("the benchmark's envelopes are sound");
        lines.push(b'\n');
    }
    lines
}

fn envelope(random: &mut ChaCha8Rng, shape: Shape) -> Envelope {
    let instant = EventTime(START + random.random_range(0..86_400_000_000));
    let experiment = format!("experiment-{:03}", random.random_range(0..20));
    let variant = if random.random() { "control" } else { "treatment" };
    let subject = format!("user-{:07}", random.random_range(0..1_000_000));
    let id = format!(
        "{:08x}-{:04x}-4{:03x}-8{:03x}-{:012x}",
        random.random::<u32>(),
        random.random::<u16>(),
        random.random::<u16>() >> 4,
        random.random::<u16>() >> 4,
        random.random::<u64>() >> 16
    );
    let usual = matches!(shape, Shape::Usual);
    let timestamp = usual.then_some(instant.plus(-3));
    let tenant_id = usual.then(|| format!("tenant-{}", random.random_range(0..5)));
    if random.random_ratio(3, 5) {
        let exposure = Exposure {
            tenant_id,
            timestamp,
            subject_type: usual.then(|| "session".to_owned()),
            selection_reason: usual.then(|| "trial-selection".to_owned()),
            is_repeat_exposure: usual.then_some(false),
            ..Exposure::new(experiment, variant, subject)
        };
        Envelope::new(id, instant, exposure)
    } else {
        let metric = ["purchase", "click", "revenuePerVisit"][random.random_range(0..3)];
        let outcome = Outcome {
            tenant_id,
            timestamp,
            experiment: Some(experiment),
            variant: usual.then(|| variant.to_owned()),
            outcome_type: OutcomeType::Continuous,
            ..Outcome::new(subject, metric, f64::from(random.random_range(0..100_000)) / 100.0)
        };
        Envelope::new(id, instant, outcome)
    }
}

fn lines(block: &[u8]) -> impl Iterator<Item = &[u8]> {
    block.split(|byte| *byte == b'\n').filter(|line| !line.is_empty())
}

fn compare(group: &mut BenchmarkGroup<'_, WallTime>, block: &[u8]) {
    let ends: Vec<usize> = memchr::memchr_iter(b'\n', block).collect();
    let records = ends.len();
    assert_eq!(records, lines(block).count());

    let mut decoder = Decoder::new();
    let decoded = decoder.decode(block, EventTime(START));
    assert_eq!((decoded.records.len(), decoded.bad.len()), (records, 0));
    group.bench_function("backplane (Arrow columns)", |bencher| {
        bencher.iter(|| black_box(decoder.decode(black_box(block), EventTime(START)).records.len()));
    });

    group.bench_function("sonic-rs (typed, borrowing)", |bencher| {
        bencher.iter(|| {
            let mut weight = 0;
            let mut start = 0;
            for end in memchr::memchr_iter(b'\n', black_box(block)) {
                let envelope: TypedEnvelope<'_> = sonic_rs::from_slice(&block[start..end]).expect("valid JSON");
                weight += envelope.weight();
                start = end + 1;
            }
            black_box(weight)
        });
    });

    group.bench_function("simd-json (typed, borrowing)", |bencher| {
        let mut buffers = simd_json::Buffers::default();
        bencher.iter_batched_ref(
            || block.to_vec(),
            |block| {
                let mut weight = 0;
                let mut start = 0;
                for end in &ends {
                    let line = &mut block[start..*end];
                    let envelope: TypedEnvelope<'_> =
                        simd_json::serde::from_slice_with_buffers(line, &mut buffers).expect("valid JSON");
                    weight += envelope.weight();
                    start = end + 1;
                }
                black_box(weight)
            },
            BatchSize::LargeInput,
        );
    });
}

fn decode(criterion: &mut Criterion) {
    for (name, shape) in [
        ("decode, usual records", Shape::Usual),
        ("decode, least records", Shape::Least),
    ] {
        let block = block(shape);
        let records = lines(&block).count();
        println!("{name}: {} bytes a record", block.len() / records);
        let mut group = criterion.benchmark_group(name);
        group
            .throughput(Throughput::Elements(records as u64))
            .measurement_time(Duration::from_secs(5));
        compare(&mut group, &block);
        group.finish();
    }
}

criterion_group!(benches, decode);
criterion_main!(benches);
