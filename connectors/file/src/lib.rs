//! Files, standard input, NDJSON outputs, terminal lines.
