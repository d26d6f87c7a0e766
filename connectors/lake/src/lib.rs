//! The Parquet lake as Delta tables: sink, source, reader.
