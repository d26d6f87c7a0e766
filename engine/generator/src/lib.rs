//! Streams of envelopes whose truth is known, for the demo, the tests and the benches.
