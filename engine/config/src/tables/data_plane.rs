//! `dataPlane`: the producer's side, as in the framework's documents and with what they lacked.

use crate::shape::{Key, Kind, Shape, Type};

pub(crate) static DATA_PLANE: Shape = Shape::new(
    "dataPlane",
    "The producer's side.",
    &[
        Key::default(
            "enableExposureEvents",
            Kind::Flag,
            "true",
            "Whether exposures are published.",
        ),
        Key::default(
            "enableAssignmentEvents",
            Kind::Flag,
            "true",
            "Whether assignments are published.",
        ),
        Key::default(
            "enableOutcomeEvents",
            Kind::Flag,
            "true",
            "Whether outcomes are published.",
        ),
        Key::default(
            "enableAnalysisSignals",
            Kind::Flag,
            "true",
            "Whether analysis signals are published.",
        ),
        Key::default("enableErrorEvents", Kind::Flag, "true", "Whether errors are published."),
        Key::default(
            "exposureSemantics",
            Kind::Choice(&["onDecision", "onFirstUse", "explicit"]),
            "onDecision",
            "When an exposure is logged.",
        ),
        Key::default("samplingRate", Kind::SHARE, "1", "The share of subjects that is kept."),
        Key::default("batchSize", Kind::COUNT, "100", "Events in a batch of the queue."),
        Key::default(
            "flushIntervalMs",
            Kind::COUNT,
            "10000",
            "How long the queue waits for a batch to fill, in milliseconds.",
        ),
        Key::default("maxQueueSize", Kind::COUNT, "10000", "Events that wait at most."),
        Key::default(
            "failureMode",
            Kind::Choice(&["drop", "block", "retry", "deadLetter"]),
            "drop",
            "What becomes of an event that cannot be delivered.",
        ),
        Key::optional(
            "piiRedaction",
            Kind::Object(&REDACTION),
            "What is hidden before an event leaves.",
        ),
        Key::optional("backplane", Kind::Object(&BACKPLANE), "Where events go."),
    ],
);

static REDACTION: Shape = Shape::new(
    "piiRedaction",
    "What is hidden before an event leaves.",
    &[
        Key::default(
            "redactSubjectIds",
            Kind::Flag,
            "false",
            "Whether subject ids are hidden.",
        ),
        Key::default("redactTenantIds", Kind::Flag, "false", "Whether tenant ids are hidden."),
        Key::empty(
            "redactFields",
            Kind::List {
                of: &Kind::Text,
                empty: true,
            },
            "Attributes that are hidden.",
        ),
        Key::default(
            "redactionPlaceholder",
            Kind::Text,
            "[REDACTED]",
            "What stands in their place.",
        ),
    ],
);

static BACKPLANE: Shape = Shape::of_types(
    "backplane",
    "Where events go.",
    &[
        Key::required("type", Kind::TypeName, "The type of backplane."),
        Key::optional("options", Kind::TypeOptions, "The options of that type."),
        Key::optional(
            "backplanes",
            Kind::List {
                of: &Kind::Object(&BACKPLANE),
                empty: false,
            },
            "The parts of a composite backplane; each gets every event.",
        ),
    ],
    &[
        Type::new("inMemory", &NO_OPTIONS),
        Type::new("logging", &NO_OPTIONS),
        Type::new("openTelemetry", &NO_OPTIONS),
        Type::new("kafka", &KAFKA),
        Type::new("azureServiceBus", &SERVICE_BUS),
        Type::new("sqlServer", &SQL_SERVER),
        Type::new("composite", &NO_OPTIONS),
        Type::free("custom"),
    ],
);

static NO_OPTIONS: Shape = Shape::new("noOptions", "No options.", &[]);

const BATCH: Key = Key::optional("batchSize", Kind::COUNT, "Messages in a batch of the transport.");
const FLUSH: Key = Key::optional(
    "flushIntervalMs",
    Kind::COUNT,
    "How long the transport waits for a batch to fill, in milliseconds.",
);
const CLIENT: Key = Key::optional("clientId", Kind::Text, "How the client names itself.");
const ENUMS: Key = Key::optional(
    "enumFormat",
    Kind::Choice(&["name", "integer"]),
    "How enumerations are written; default name.",
);

static KAFKA: Shape = Shape::new(
    "kafkaOptions",
    "Kafka.",
    &[
        Key::required(
            "brokers",
            Kind::ListOrOne(&Kind::Text),
            "Addresses as a list, or one text with commas.",
        ),
        Key::optional(
            "topic",
            Kind::Text,
            "One topic for every type; default a topic for each.",
        ),
        Key::optional(
            "partitionBy",
            Kind::Choice(&["experimentKey", "subjectId", "tenantId", "roundRobin"]),
            "What the message key is; default experimentKey.",
        ),
        BATCH,
        FLUSH,
        Key::optional(
            "lingerMs",
            Kind::Integer {
                least: 0,
                greatest: 900_000,
            },
            "How long the producer waits for a batch to fill.",
        ),
        Key::optional(
            "enableIdempotence",
            Kind::Flag,
            "Whether the broker drops a producer's own repeats; default true.",
        ),
        Key::optional(
            "compressionType",
            Kind::Choice(&["none", "gzip", "snappy", "lz4", "zstd"]),
            "Default snappy.",
        ),
        Key::optional(
            "acks",
            Kind::Choice(&["all", "-1", "1", "0"]),
            "Which acknowledgements are waited for; default all.",
        ),
        Key::optional("requestTimeoutMs", Kind::COUNT, "How long a request may take."),
        Key::optional(
            "maxInFlight",
            Kind::Integer {
                least: 1,
                greatest: 1_000_000,
            },
            "Requests on the way at once; default 5.",
        ),
        CLIENT,
        ENUMS,
        Key::optional(
            "additionalConfig",
            Kind::TextMap,
            "Settings of librdkafka, applied last.",
        ),
    ],
);

static SERVICE_BUS: Shape = Shape::new(
    "azureServiceBusOptions",
    "Azure Service Bus.",
    &[
        Key::required("connectionString", Kind::Secret, "The connection string."),
        Key::optional("queueName", Kind::Text, "One queue for every type."),
        Key::optional("topicName", Kind::Text, "One topic for every type."),
        Key::optional(
            "useTypeSpecificDestinations",
            Kind::Flag,
            "Whether each type has a destination of its own.",
        ),
        Key::optional("messageTimeToLiveMinutes", Kind::COUNT, "How long a message lives."),
        Key::optional(
            "maxRetryAttempts",
            Kind::Integer {
                least: 0,
                greatest: 1000,
            },
            "How often a send is tried again; default 3.",
        ),
        BATCH,
        FLUSH,
        Key::optional("enableSessions", Kind::Flag, "Whether messages have a session."),
        Key::optional(
            "sessionStrategy",
            Kind::Choice(&["experimentKey", "subjectId", "tenantId"]),
            "What the session is; default experimentKey.",
        ),
        CLIENT,
        ENUMS,
    ],
);

static SQL_SERVER: Shape = Shape::new(
    "sqlServerOptions",
    "SQL Server.",
    &[
        Key::required("connectionString", Kind::Secret, "The connection string."),
        Key::optional("schema", Kind::Text, "Default dbo."),
        Key::optional("tableName", Kind::Text, "Default ExperimentEvents."),
        BATCH,
        FLUSH,
        Key::optional(
            "enableIdempotency",
            Kind::Flag,
            "Whether repeated event ids are dropped; default true.",
        ),
        Key::optional(
            "autoMigrate",
            Kind::Flag,
            "Whether the table is created; default false.",
        ),
        Key::optional(
            "commandTimeoutSeconds",
            Kind::COUNT,
            "How long a command may take; default 30.",
        ),
        ENUMS,
    ],
);
