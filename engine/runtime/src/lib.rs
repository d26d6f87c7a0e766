//! The stream job: sources, decode, dedup, join, windows, sinks, epochs.
