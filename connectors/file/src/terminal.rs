//! What a person at a terminal wants to see of a job.

mod render;
mod tally;

use std::io::Write;

use backplane_connector_api::{ConnectorError, Effect, Epoch, Output, Sink};
use serde_json::json;

use crate::TerminalOptions;
use tally::Tally;

/// Writes an aligned table for each experiment to date that has changed and for each window that has closed, each signal as a line, and how
/// many records were late or could not be read. Rows of events and of segments are not shown.
///
/// Everything of an epoch appears when it is published, and once in a process: a terminal cannot be asked what it has shown before.
pub struct TerminalSink<W> {
    name: String,
    terminal: W,
    tally: Tally,
    shown: Option<Epoch>,
}

impl<W: Write + Send> TerminalSink<W> {
    /// A sink that writes to `terminal`.
    pub fn new(name: impl Into<String>, options: TerminalOptions, terminal: W) -> Self {
        Self {
            name: name.into(),
            terminal,
            tally: Tally::new(options.provisional),
            shown: None,
        }
    }

    /// What it writes to.
    pub fn into_inner(self) -> W {
        self.terminal
    }
}

impl<W: Write + Send> Sink for TerminalSink<W> {
    fn name(&self) -> &str {
        &self.name
    }

    fn accept(&mut self, output: &Output) -> Result<(), ConnectorError> {
        self.tally
            .add(output)
            .map_err(|error| ConnectorError::internal(&self.name, error))
    }

    fn prepare(&mut self, _epoch: Epoch) -> Result<Effect, ConnectorError> {
        Ok(json!({ "text": self.tally.take_text() }))
    }

    fn publish(&mut self, epoch: Epoch, effect: &Effect) -> Result<(), ConnectorError> {
        if self.shown.is_some_and(|shown| shown >= epoch) {
            return Ok(());
        }
        let text = effect.get("text").and_then(Effect::as_str).unwrap_or_default();
        let written = self
            .terminal
            .write_all(text.as_bytes())
            .and_then(|()| self.terminal.flush());
        written.map_err(|error| ConnectorError::Unavailable {
            connector: self.name.clone(),
            message: format!("the terminal cannot be written: {error}"),
            retry: false,
        })?;
        self.shown = Some(epoch);
        Ok(())
    }

    /// What a person has seen cannot be unseen, and nobody reads it back.
    fn withdraw(&mut self, _epoch: Epoch, _effect: &Effect) -> Result<(), ConnectorError> {
        Ok(())
    }
}
