//! The `backplane` command.

fn main() {}
