//! One set of features for the dependencies that the larger crates share; see the manifest.
