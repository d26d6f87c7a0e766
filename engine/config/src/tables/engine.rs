//! `engine`.

use crate::{
    Crossovers, Format, Take,
    shape::{Key, Kind, Shape, Type},
};

pub(crate) static ENGINE: Shape = Shape::new(
    "engine",
    "The stream job.",
    &[
        Key::default(
            "job",
            Kind::Text,
            "backplane",
            "The job's name; letters, digits, dot, dash and underscore.",
        ),
        Key::empty(
            "sources",
            Kind::List {
                of: &Kind::Object(&SOURCE),
                empty: true,
            },
            "Where events come from.",
        ),
        Key::empty("time", Kind::Object(&TIME), "How event time passes."),
        Key::default(
            "crossovers",
            Kind::Choice(Crossovers::NAMES),
            "exclude",
            "What becomes of a subject seen in several variants.",
        ),
        Key::empty(
            "windows",
            Kind::List {
                of: &Kind::Object(&WINDOW),
                empty: true,
            },
            "Windows beside `cumulative`.",
        ),
        Key::default(
            "emitEvery",
            Kind::LENGTH,
            "10s",
            "How often a live job emits provisional rows, by the wall clock.",
        ),
        Key::default(
            "evaluateEvery",
            Kind::LENGTH,
            "1m",
            "At which multiples of event time signals are evaluated.",
        ),
        Key::empty("signals", Kind::Object(&SIGNALS), "Thresholds of the signals."),
        Key::empty(
            "queries",
            Kind::List {
                of: &Kind::Object(&QUERY),
                empty: true,
            },
            "Your own queries over each closed window.",
        ),
        Key::empty(
            "sinks",
            Kind::List {
                of: &Kind::Object(&SINK),
                empty: true,
            },
            "Where results go.",
        ),
        Key::empty(
            "deadLetter",
            Kind::Object(&DEAD_LETTER),
            "Where records go that cannot be read.",
        ),
        Key::empty("checkpoint", Kind::Object(&CHECKPOINT), "How the job's state is kept."),
        Key::optional(
            "parallelism",
            Kind::Integer {
                least: 1,
                greatest: 1024,
            },
            "How many shards; default the number of cores.",
        ),
        Key::default(
            "memory",
            Kind::Size,
            "4GiB",
            "How much memory state may take before it spills to disk.",
        ),
        Key::empty("server", Kind::Object(&SERVER), "The HTTP and SQL servers.").without_effect(),
    ],
);

static SOURCE: Shape = Shape::of_types(
    "source",
    "A source of events.",
    &[
        Key::optional("name", Kind::Text, "A name for people; default the type."),
        Key::required("type", Kind::TypeName, "The type of source."),
        Key::optional("options", Kind::TypeOptions, "The options of that type."),
    ],
    &[
        Type::new("file", &FILE_SOURCE),
        Type::new("stdin", &STDIN_SOURCE),
        Type::new("lake", &LAKE),
        Type::unavailable("kafka"),
        Type::unavailable("http"),
    ],
);

static FILE_SOURCE: Shape = Shape::new(
    "fileSource",
    "Files, each a partition; .gz and .zst are decompressed.",
    &[
        Key::required(
            "paths",
            Kind::ListOrOne(&Kind::Text),
            "Paths or globs, relative to the working directory.",
        ),
        Key::default(
            "follow",
            Kind::Flag,
            "false",
            "Whether the files grow and more may come.",
        ),
        Key::default(
            "format",
            Kind::Choice(Format::NAMES),
            "ndjson",
            "How records are written.",
        ),
    ],
);

static STDIN_SOURCE: Shape = Shape::new(
    "stdinSource",
    "Standard input.",
    &[Key::default(
        "format",
        Kind::Choice(Format::NAMES),
        "ndjson",
        "How records are written.",
    )],
);

static LAKE: Shape = Shape::new(
    "lake",
    "A lake of Delta tables.",
    &[Key::required(
        "url",
        Kind::Storage { remote: false },
        "A path or file:///path.",
    )],
);

static FILE_SINK: Shape = Shape::new(
    "fileSink",
    "A file of NDJSON.",
    &[Key::required(
        "path",
        Kind::Text,
        "The file, relative to the working directory.",
    )],
);

static TERMINAL_SINK: Shape = Shape::new("terminalSink", "Lines for people; no options.", &[]);

static TIME: Shape = Shape::new(
    "time",
    "How event time passes.",
    &[
        Key::default(
            "maxOutOfOrderness",
            Kind::LENGTH_OR_ZERO,
            "30s",
            "How far the watermark stays behind the greatest event time.",
        ),
        Key::default(
            "idleTimeout",
            Kind::LENGTH,
            "60s",
            "After how long without a record a live partition holds nobody up.",
        ),
        Key::default(
            "allowedLateness",
            Kind::LENGTH_OR_ZERO,
            "5m",
            "How long after its end a window stays open.",
        ),
        Key::default(
            "correctionHorizon",
            Kind::LENGTH_OR_ZERO,
            "1h",
            "How late a record may be and still count.",
        ),
        Key::default(
            "maxFutureSkew",
            Kind::LENGTH_OR_ZERO,
            "1h",
            "How far ahead of the wall clock a live event may be.",
        ),
    ],
);

static WINDOW: Shape = Shape::new(
    "window",
    "A window over event time.",
    &[
        Key::required("name", Kind::Text, "The name in result tables; `cumulative` is taken."),
        Key::required(
            "type",
            Kind::Choice(&["tumble", "hop"]),
            "Side by side, or overlapping.",
        ),
        Key::required("size", Kind::LENGTH, "The length."),
        Key::optional(
            "slide",
            Kind::LENGTH,
            "From one start to the next; for hop, at most the size.",
        ),
        Key::default(
            "offset",
            Kind::LENGTH_OR_ZERO,
            "0s",
            "By how much the windows are shifted from the Unix epoch.",
        ),
    ],
);

static SIGNALS: Shape = Shape::new(
    "signals",
    "Thresholds of the signals.",
    &[
        Key::empty(
            "sampleRatioMismatch",
            Kind::Object(&SAMPLE_RATIO_MISMATCH),
            "Subjects are not split as allocated.",
        ),
        Key::empty("peeking", Kind::Object(&PEEKING), "An experiment is read too early."),
        Key::default(
            "resolveAfter",
            Kind::LENGTH_OR_ZERO,
            "30m",
            "How long after its raising a signal may first resolve.",
        ),
    ],
);

static SAMPLE_RATIO_MISMATCH: Shape = Shape::new(
    "sampleRatioMismatch",
    "When a sample ratio mismatch is raised.",
    &[
        Key::default("warning", Kind::POSITIVE, "100", "The e-value of a Warning."),
        Key::default("error", Kind::POSITIVE, "1000", "The e-value of an Error."),
        Key::default(
            "errorDeviation",
            Kind::SHARE,
            "0.001",
            "The least share deviation of an Error.",
        ),
        Key::default(
            "minimumSubjects",
            Kind::Integer {
                least: 0,
                greatest: i64::MAX,
            },
            "100",
            "Nothing is raised with fewer.",
        ),
        Key::default(
            "minimumDeviation",
            Kind::SHARE,
            "0",
            "Nothing is raised with a smaller share deviation.",
        ),
    ],
);

static PEEKING: Shape = Shape::new(
    "peeking",
    "When reading too early is raised.",
    &[
        Key::default(
            "alpha",
            Kind::PROBABILITY,
            "0.05",
            "The type I error where an experiment has no plan.",
        ),
        Key::default(
            "distinctLook",
            Kind::SHARE,
            "0.005",
            "By what share of the planned information a distinct look grew.",
        ),
        Key::default(
            "burnIn",
            Kind::Integer {
                least: 0,
                greatest: i64::MAX,
            },
            "100",
            "Subjects of each arm before a verdict.",
        ),
    ],
);

static QUERY: Shape = Shape::new(
    "query",
    "A query over each closed window.",
    &[
        Key::required("name", Kind::Text, "The name that its rows carry."),
        Key::required("window", Kind::Text, "A declared window, or `cumulative`."),
        Key::required("sql", Kind::Text, "One SQL statement."),
        Key::empty(
            "sinks",
            Kind::List {
                of: &Kind::Text,
                empty: true,
            },
            "Names of sinks that get its rows.",
        ),
    ],
);

static SINK: Shape = Shape::of_types(
    "sink",
    "A place for results.",
    &[
        Key::optional("name", Kind::Text, "The name; default the type."),
        Key::required("type", Kind::TypeName, "The type of sink."),
        Key::optional("options", Kind::TypeOptions, "The options of that type."),
        Key::optional(
            "take",
            Kind::List {
                of: &Kind::Choice(Take::NAMES),
                empty: true,
            },
            "What it takes; the default is the type's.",
        ),
        Key::default(
            "countsAsLook",
            Kind::Flag,
            "false",
            "Whether what it shows to people counts as a look at the results.",
        ),
    ],
    &[
        Type::new("lake", &LAKE),
        Type::new("file", &FILE_SINK),
        Type::new("terminal", &TERMINAL_SINK),
        Type::unavailable("kafka"),
        Type::unavailable("azureServiceBus"),
        Type::unavailable("sqlServer"),
        Type::unavailable("webhook"),
    ],
);

static DEAD_LETTER: Shape = Shape::of_types(
    "deadLetter",
    "Where records go that cannot be read.",
    &[
        Key::default("type", Kind::TypeName, "file", "The type of output."),
        Key::optional("options", Kind::TypeOptions, "The options of that type."),
    ],
    &[Type::new("file", &DEAD_LETTER_FILE), Type::unavailable("kafka")],
);

static DEAD_LETTER_FILE: Shape = Shape::new(
    "deadLetterFile",
    "A file of NDJSON, created with the first bad record.",
    &[Key::default(
        "path",
        Kind::Text,
        "dead-letters.ndjson",
        "The file, relative to the working directory.",
    )],
);

static CHECKPOINT: Shape = Shape::new(
    "checkpoint",
    "How the job's state is kept.",
    &[
        Key::default("interval", Kind::LENGTH, "10s", "How often, by the wall clock."),
        Key::optional(
            "url",
            Kind::Storage { remote: true },
            "Where: a path, file:///path, s3://bucket/path, gs://bucket/path, az://container/path or \
             abfss://container@account.dfs.core.windows.net/path, with credentials from the environment; without it the job keeps no state.",
        ),
        Key::default(
            "retain",
            Kind::Integer {
                least: 1,
                greatest: 1_000_000,
            },
            "5",
            "How many are kept.",
        ),
    ],
);

static SERVER: Shape = Shape::new(
    "server",
    "The HTTP and SQL servers.",
    &[
        Key::optional("http", Kind::Address, "Where HTTP listens."),
        Key::optional("sql", Kind::Address, "Where the PostgreSQL wire protocol listens."),
        Key::empty("auth", Kind::Object(&AUTH), "Who may ask."),
    ],
);

static AUTH: Shape = Shape::new(
    "auth",
    "Who may ask.",
    &[Key::empty(
        "tokens",
        Kind::List {
            of: &Kind::Secret,
            empty: true,
        },
        "Tokens, one of which a client must show.",
    )],
);
