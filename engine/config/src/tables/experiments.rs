//! `experiments`.

use super::framework;
use crate::{
    Correction, Design, Spending,
    shape::{Key, Kind, Shape},
};

pub(crate) static EXPERIMENT: Shape = Shape::new(
    "experiment",
    "An experiment.",
    &[
        Key::required("name", Kind::Text, "The experimentName of its events."),
        Key::optional(
            "allocation",
            Kind::Allocation,
            "Shares by variant (they may be weights), or a list of dated ones.",
        ),
        Key::optional(
            "control",
            Kind::Text,
            "The control; default `control` if it is a variant, else the first in byte order.",
        ),
        Key::optional(
            "metrics",
            Kind::List {
                of: &Kind::Text,
                empty: true,
            },
            "The metrics that it reports; default every declared one.",
        ),
        Key::optional(
            "attributionWindow",
            Kind::LENGTH,
            "How long after the first exposure outcomes count; default 7d.",
        ),
        Key::optional("startsAt", Kind::Instant, "When it starts, in event time."),
        Key::empty(
            "segments",
            Kind::List {
                of: &Kind::Segment,
                empty: true,
            },
            "By what its results are split as well.",
        ),
        Key::optional("plan", Kind::Object(&PLAN), "How it is to be decided."),
        Key::optional(
            "trials",
            Kind::List {
                of: &Kind::Object(&framework::TRIAL),
                empty: true,
            },
            "Trials of the .NET framework; left alone.",
        ),
        Key::optional(
            "activation",
            Kind::Object(&framework::ACTIVATION),
            "Activation in the .NET framework; left alone.",
        ),
        Key::optional("metadata", Kind::FreeMap, "Notes of your own; left alone."),
        Key::optional(
            "hypothesis",
            Kind::Object(&framework::HYPOTHESIS),
            "A hypothesis of the .NET framework; left alone.",
        ),
    ],
);

/// An entry of a dated allocation.
pub(crate) static ALLOCATION_EPOCH: Shape = Shape::new(
    "allocationEpoch",
    "Shares that hold from a date on.",
    &[
        Key::optional(
            "from",
            Kind::Instant,
            "From when on, in event time; the first entry may have none.",
        ),
        Key::required("shares", Kind::Shares, "Share or weight by variant."),
    ],
);

static PLAN: Shape = Shape::new(
    "plan",
    "How an experiment is to be decided.",
    &[
        Key::optional(
            "subjectsPerVariant",
            Kind::COUNT,
            "Subjects that each variant is to have.",
        ),
        Key::optional("endsAt", Kind::Instant, "When it ends, in event time."),
        Key::default(
            "alpha",
            Kind::PROBABILITY,
            "0.05",
            "The type I error that is accepted, two-sided.",
        ),
        Key::default(
            "power",
            Kind::PROBABILITY,
            "0.8",
            "The probability to find the minimal effect.",
        ),
        Key::optional(
            "minimumEffect",
            Kind::POSITIVE,
            "The least effect worth finding, relative to the control's mean.",
        ),
        Key::default(
            "correction",
            Kind::Choice(Correction::NAMES),
            "holm",
            "How several goal metrics share alpha.",
        )
        .without_effect(),
        Key::default(
            "design",
            Kind::Choice(Design::NAMES),
            "fixed",
            "When results may be acted on.",
        ),
        Key::optional(
            "looks",
            Kind::Integer {
                least: 2,
                greatest: 100,
            },
            "Planned looks of a group-sequential design.",
        )
        .without_effect(),
        Key::optional(
            "spending",
            Kind::Choice(Spending::NAMES),
            "How a group-sequential design spends alpha; default obrienFleming.",
        )
        .without_effect(),
    ],
);
