//! The keys of the document, a table for each mapping.

mod data_plane;
mod engine;
mod experiments;
mod framework;
mod governance;
mod metrics;

use crate::shape::{Key, Kind, Shape};

/// The whole document, below the root key.
pub(crate) static ROOT: Shape = Shape::new(
    "root",
    "The configuration of Backplane.",
    &[
        Key::optional(
            "settings",
            Kind::Object(&framework::SETTINGS),
            "Settings of the .NET framework; left alone.",
        ),
        Key::optional(
            "decorators",
            Kind::List {
                of: &Kind::Object(&framework::DECORATOR),
                empty: true,
            },
            "Decorators of the .NET framework; left alone.",
        ),
        Key::optional(
            "configurationPaths",
            Kind::List {
                of: &Kind::Text,
                empty: true,
            },
            "Further documents of the .NET framework; left alone.",
        ),
        Key::optional(
            "trials",
            Kind::List {
                of: &Kind::Object(&framework::TRIAL),
                empty: true,
            },
            "Trials of the .NET framework; left alone.",
        ),
        Key::optional(
            "dataPlane",
            Kind::Object(&data_plane::DATA_PLANE),
            "The producer's side.",
        )
        .without_effect(),
        Key::optional(
            "governance",
            Kind::Object(&governance::GOVERNANCE),
            "Lifecycle, approvals and policies.",
        )
        .without_effect(),
        Key::empty(
            "metrics",
            Kind::List {
                of: &Kind::Object(&metrics::METRIC),
                empty: true,
            },
            "The declared metrics.",
        ),
        Key::empty(
            "experiments",
            Kind::List {
                of: &Kind::Object(&experiments::EXPERIMENT),
                empty: true,
            },
            "The declared experiments; others in the stream are analysed by defaults.",
        ),
        Key::empty("engine", Kind::Object(&engine::ENGINE), "The stream job."),
    ],
);

pub(crate) use experiments::ALLOCATION_EPOCH;
