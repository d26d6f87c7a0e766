//! Sections of the .NET framework that this engine checks and leaves alone.

use crate::shape::{Key, Kind, Shape};

pub(crate) static SETTINGS: Shape = Shape::new(
    "settings",
    "Settings of the .NET framework.",
    &[
        Key::optional(
            "proxyStrategy",
            Kind::Choice(&["sourceGenerators", "dispatchProxy"]),
            "How proxies are made.",
        ),
        Key::optional("namingConvention", Kind::Text, "How names are made."),
    ],
);

pub(crate) static DECORATOR: Shape = Shape::new(
    "decorator",
    "A decorator of the .NET framework.",
    &[
        Key::required("type", Kind::Text, "The type of decorator."),
        Key::optional("typeName", Kind::Text, "The .NET type, for custom."),
        Key::optional("options", Kind::FreeMap, "The options of that type."),
    ],
);

pub(crate) static TRIAL: Shape = Shape::new(
    "trial",
    "A trial of the .NET framework.",
    &[
        Key::required("serviceType", Kind::Text, "The .NET service type."),
        Key::required(
            "selectionMode",
            Kind::Object(&SELECTION_MODE),
            "How a condition is chosen.",
        ),
        Key::required("control", Kind::Object(&CONDITION), "The control."),
        Key::optional(
            "conditions",
            Kind::List {
                of: &Kind::Object(&CONDITION),
                empty: true,
            },
            "The other conditions.",
        ),
        Key::optional("errorPolicy", Kind::Object(&ERROR_POLICY), "What becomes of a failure."),
        Key::optional("activation", Kind::Object(&ACTIVATION), "When the trial is on."),
    ],
);

static SELECTION_MODE: Shape = Shape::new(
    "selectionMode",
    "How a condition is chosen.",
    &[
        Key::required("type", Kind::Text, "The mode."),
        Key::optional("flagName", Kind::Text, "The feature flag."),
        Key::optional("key", Kind::Text, "The configuration key."),
        Key::optional("flagKey", Kind::Text, "The key of an OpenFeature flag."),
        Key::optional("selectorName", Kind::Text, "The selector."),
        Key::optional("modeIdentifier", Kind::Text, "The mode's identifier, for custom."),
        Key::optional(
            "percentage",
            Kind::Real {
                least: 0.0,
                greatest: 100.0,
                open: false,
            },
            "The share, for percentage.",
        ),
        Key::optional("options", Kind::FreeMap, "The options of the mode."),
    ],
);

static CONDITION: Shape = Shape::new(
    "condition",
    "A condition.",
    &[
        Key::required("key", Kind::Text, "Its key."),
        Key::required("implementationType", Kind::Text, "The .NET type."),
    ],
);

static ERROR_POLICY: Shape = Shape::new(
    "errorPolicy",
    "What becomes of a failure.",
    &[
        Key::required(
            "type",
            Kind::Choice(&["throw", "fallbackToControl", "fallbackTo", "tryInOrder", "tryAny"]),
            "The policy.",
        ),
        Key::optional("fallbackKey", Kind::Text, "The condition, for fallbackTo."),
        Key::optional(
            "fallbackKeys",
            Kind::List {
                of: &Kind::Text,
                empty: true,
            },
            "The conditions, for tryInOrder.",
        ),
    ],
);

pub(crate) static ACTIVATION: Shape = Shape::new(
    "activation",
    "When something is on.",
    &[
        Key::optional("from", Kind::Instant, "From when on."),
        Key::optional("until", Kind::Instant, "Until when."),
        Key::optional("predicate", Kind::Object(&PREDICATE), "A condition in .NET."),
    ],
);

static PREDICATE: Shape = Shape::new(
    "predicate",
    "A condition in .NET.",
    &[Key::required("type", Kind::Text, "The .NET type.")],
);

pub(crate) static HYPOTHESIS: Shape = Shape::new(
    "hypothesis",
    "A hypothesis of the .NET framework.",
    &[
        Key::required("name", Kind::Text, "Its name."),
        Key::optional("description", Kind::Text, "In words."),
        Key::required(
            "type",
            Kind::Choice(&["superiority", "nonInferiority", "equivalence", "twoSided"]),
            "What is claimed.",
        ),
        Key::required("nullHypothesis", Kind::Text, "What is to be refuted."),
        Key::required("alternativeHypothesis", Kind::Text, "What is claimed, in words."),
        Key::required("primaryEndpoint", Kind::Object(&ENDPOINT), "What decides."),
        Key::optional(
            "secondaryEndpoints",
            Kind::List {
                of: &Kind::Object(&ENDPOINT),
                empty: true,
            },
            "What explains.",
        ),
        Key::optional("expectedEffectSize", Kind::POSITIVE, "The effect that is expected."),
        Key::required("successCriteria", Kind::Object(&SUCCESS_CRITERIA), "When it holds."),
        Key::optional("controlCondition", Kind::Text, "The control."),
        Key::optional(
            "treatmentConditions",
            Kind::List {
                of: &Kind::Text,
                empty: true,
            },
            "The treatments.",
        ),
        Key::optional("rationale", Kind::Text, "Why."),
        Key::optional("metadata", Kind::FreeMap, "Notes of your own."),
    ],
);

static ENDPOINT: Shape = Shape::new(
    "endpoint",
    "A measured quantity.",
    &[
        Key::required("name", Kind::Text, "Its name."),
        Key::required(
            "outcomeType",
            Kind::Choice(&["binary", "continuous", "count", "duration"]),
            "The kind of value.",
        ),
        Key::optional("description", Kind::Text, "In words."),
        Key::optional("unit", Kind::Text, "Its unit."),
        Key::optional("higherIsBetter", Kind::Flag, "Whether a rise is good news."),
        Key::optional("lowerIsBetter", Kind::Flag, "Whether a fall is good news."),
        Key::optional(
            "minimumImportantDifference",
            Kind::NUMBER,
            "The least difference that matters.",
        ),
        Key::optional(
            "expectedBaselineValue",
            Kind::NUMBER,
            "What the control is expected to have.",
        ),
        Key::optional("expectedVariance", Kind::NOT_NEGATIVE, "The variance that is expected."),
    ],
);

static SUCCESS_CRITERIA: Shape = Shape::new(
    "successCriteria",
    "When a hypothesis holds.",
    &[
        Key::optional("alpha", Kind::PROBABILITY, "The type I error; default 0.05."),
        Key::optional("power", Kind::PROBABILITY, "The power; default 0.8."),
        Key::optional("minimumSampleSize", Kind::COUNT, "The least sample."),
        Key::optional("minimumEffectSize", Kind::NUMBER, "The least effect."),
        Key::optional("nonInferiorityMargin", Kind::NUMBER, "The margin of non-inferiority."),
        Key::optional("equivalenceMargin", Kind::NUMBER, "The margin of equivalence."),
        Key::optional(
            "primaryEndpointOnly",
            Kind::Flag,
            "Whether only the primary endpoint decides.",
        ),
        Key::optional(
            "applyMultipleComparisonCorrection",
            Kind::Flag,
            "Whether several endpoints share alpha.",
        ),
        Key::optional("minimumDuration", Kind::TimeSpan, "The least duration."),
        Key::optional(
            "requirePositiveEffect",
            Kind::Flag,
            "Whether the effect must be positive.",
        ),
    ],
);
