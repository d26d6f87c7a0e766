//! `metrics`.

use crate::{
    Aggregation, MetricType, Role,
    shape::{Key, Kind, Shape},
};

pub(crate) static METRIC: Shape = Shape::new(
    "metric",
    "How the outcomes of a subject become one number.",
    &[
        Key::required(
            "name",
            Kind::Text,
            "The metricName of its outcomes, or the name of a ratio.",
        ),
        Key::optional(
            "type",
            Kind::Choice(MetricType::NAMES),
            "The kind of value; default Continuous.",
        ),
        Key::optional(
            "aggregation",
            Kind::Choice(Aggregation::NAMES),
            "How outcomes fold; default any for Binary, else sum.",
        ),
        Key::optional("winsorize", Kind::Object(&WINSORIZE), "Caps of the folded value."),
        Key::optional("ratio", Kind::Object(&RATIO), "The ratio of two other metrics."),
        Key::optional(
            "attributionWindow",
            Kind::LENGTH,
            "How long after the first exposure outcomes count; overrides the experiment's.",
        ),
        Key::default("higherIsBetter", Kind::Flag, "true", "Whether a rise is good news."),
        Key::default("role", Kind::Choice(Role::NAMES), "goal", "What the metric is for."),
        Key::optional(
            "tolerance",
            Kind::NOT_NEGATIVE,
            "How far a guardrail may fall, as a relative change.",
        )
        .without_effect(),
        Key::optional(
            "margin",
            Kind::POSITIVE,
            "The relative difference that still counts as equivalent.",
        )
        .without_effect(),
        Key::optional(
            "covariate",
            Kind::Object(&COVARIATE),
            "The pre-exposure value that reduces the variance (CUPED).",
        )
        .without_effect(),
    ],
);

static WINSORIZE: Shape = Shape::new(
    "winsorize",
    "Caps of a folded value.",
    &[
        Key::optional("lower", Kind::NUMBER, "Lesser values are lifted to it."),
        Key::optional("upper", Kind::NUMBER, "Greater values are cut to it."),
    ],
);

static RATIO: Shape = Shape::new(
    "ratio",
    "Two declared metrics that are no ratios and have the same attribution window.",
    &[
        Key::required("numerator", Kind::Text, "The metric above the line."),
        Key::required("denominator", Kind::Text, "The metric below the line."),
    ],
);

static COVARIATE: Shape = Shape::new(
    "covariate",
    "A metric's fold before the first exposure.",
    &[
        Key::required("metric", Kind::Text, "A declared metric."),
        Key::default("period", Kind::LENGTH, "14d", "How long before the first exposure."),
    ],
);
