//! `governance`.

use crate::shape::{Key, Kind, Shape};

const STATES: Kind = Kind::Choice(&[
    "Draft",
    "PendingApproval",
    "Approved",
    "Running",
    "Ramping",
    "Paused",
    "RolledBack",
    "Archived",
    "Rejected",
]);

pub(crate) static GOVERNANCE: Shape = Shape::new(
    "governance",
    "Lifecycle, approvals and policies.",
    &[
        Key::default("initialState", STATES, "Draft", "The state of a new experiment."),
        Key::default(
            "enableAutoVersioning",
            Kind::Flag,
            "false",
            "Whether each change of configuration is a version.",
        ),
        Key::empty(
            "approvalGates",
            Kind::List {
                of: &Kind::Object(&GATE),
                empty: true,
            },
            "Who must approve which transition.",
        ),
        Key::empty(
            "policies",
            Kind::List {
                of: &Kind::Object(&POLICY),
                empty: true,
            },
            "What a transition must not break.",
        ),
        Key::optional(
            "persistence",
            Kind::Object(&PERSISTENCE),
            "Where states and histories are kept.",
        ),
    ],
);

static GATE: Shape = Shape::new(
    "approvalGate",
    "Who must approve a transition.",
    &[
        Key::required(
            "type",
            Kind::Choice(&["automatic", "manual", "roleBased", "role-based"]),
            "How approval is given.",
        ),
        Key::optional("fromState", STATES, "From which state; default any."),
        Key::required("toState", STATES, "To which state."),
        Key::optional(
            "allowedRoles",
            Kind::List {
                of: &Kind::Text,
                empty: false,
            },
            "Roles that may approve, for roleBased.",
        ),
        Key::optional("properties", Kind::FreeMap, "Your own; left alone."),
    ],
);

static POLICY: Shape = Shape::new(
    "policy",
    "What a transition must not break.",
    &[
        Key::required(
            "type",
            Kind::Choice(&[
                "trafficLimit",
                "errorRate",
                "timeWindow",
                "conflictPrevention",
                "traffic-limit",
                "error-rate",
                "time-window",
                "conflict-prevention",
            ]),
            "What is limited.",
        ),
        Key::optional("name", Kind::Text, "A name for people."),
        Key::optional(
            "maxTrafficPercentage",
            Kind::Real {
                least: 0.0,
                greatest: 100.0,
                open: false,
            },
            "The greatest share of traffic, for trafficLimit.",
        ),
        Key::optional(
            "minStableTime",
            Kind::TimeSpan,
            "After how long the limit is lifted, for trafficLimit.",
        ),
        Key::optional(
            "maxErrorRate",
            Kind::SHARE,
            "The greatest share of errors, for errorRate.",
        ),
        Key::optional(
            "allowedStartTime",
            Kind::TimeOfDay,
            "From when in the day (UTC), for timeWindow.",
        ),
        Key::optional(
            "allowedEndTime",
            Kind::TimeOfDay,
            "Until when in the day (UTC), for timeWindow.",
        ),
        Key::optional(
            "conflictingExperiments",
            Kind::List {
                of: &Kind::Text,
                empty: false,
            },
            "Experiments that may not run at once, for conflictPrevention.",
        ),
        Key::optional("properties", Kind::FreeMap, "Your own; left alone."),
    ],
);

static PERSISTENCE: Shape = Shape::new(
    "persistence",
    "Where states and histories are kept.",
    &[
        Key::required(
            "type",
            Kind::Choice(&["inMemory", "sql", "redis", "custom"]),
            "The kind of store.",
        ),
        Key::optional(
            "connectionString",
            Kind::Secret,
            "The connection string, for sql and redis.",
        ),
        Key::default(
            "optimisticConcurrency",
            Kind::Flag,
            "true",
            "Whether a change of a changed state is refused.",
        ),
        Key::default("retainHistory", Kind::Flag, "true", "Whether histories are kept."),
        Key::optional(
            "keyPrefix",
            Kind::Text,
            "What keys begin with, for redis; default governance:.",
        ),
        Key::optional(
            "provider",
            Kind::Choice(&["sqlserver", "postgresql", "sqlite", "custom"]),
            "The database, for sql.",
        ),
        Key::optional("properties", Kind::FreeMap, "Your own; left alone."),
    ],
);
