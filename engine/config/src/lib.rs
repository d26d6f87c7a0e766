//! The configuration document: typed model, validation with positions, secrets.
