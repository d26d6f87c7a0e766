//! The analysis in SQL: canonical queries, functions, catalogue.
