//! Benchmarks of whole processes live in the scripts of this folder; those of the pieces stand beside their crates.
