//! Standard output and standard error, shared with the line of progress.

use std::io::{self, IsTerminal as _, Write};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};

/// The least width that pages are laid out for.
const NARROWEST: usize = 60;
/// The width of pages where there is no terminal to ask.
const USUAL: usize = 100;
/// Lines longer than this are hard to read, however wide the terminal is.
const WIDEST: usize = 140;

/// The process's outputs. What is written through it goes above the line of progress, if there is one.
#[derive(Debug, Clone, Default)]
pub struct Terminal {
    line: Arc<Mutex<Option<ProgressBar>>>,
}

impl Terminal {
    /// Without a line of progress.
    pub fn new() -> Self {
        Self::default()
    }

    /// Whether a person sees standard output.
    pub fn shows_output(&self) -> bool {
        io::stdout().is_terminal()
    }

    /// Whether a person sees standard error.
    pub fn shows_errors(&self) -> bool {
        io::stderr().is_terminal()
    }

    /// Whether a person types standard input.
    pub fn takes_input(&self) -> bool {
        io::stdin().is_terminal()
    }

    /// How many characters a line of standard output should have at most.
    pub fn page_width(&self) -> usize {
        let asked = console::Term::stdout().size_checked().filter(|_| self.shows_output());
        asked.map_or(USUAL, |(_, columns)| usize::from(columns).clamp(NARROWEST, WIDEST))
    }

    /// How many characters a line may have without wrapping; none where standard output is no terminal.
    pub fn line_width(&self) -> Option<usize> {
        let size = console::Term::stdout().size_checked().filter(|_| self.shows_output());
        size.map(|(_, columns)| usize::from(columns).max(NARROWEST))
    }

    /// Begins a line of progress on standard error, which stays below everything that is written through this.
    pub fn start_line(&self) -> ProgressBar {
        let bar = ProgressBar::with_draw_target(None, ProgressDrawTarget::stderr_with_hz(10));
        if let Ok(style) = ProgressStyle::with_template("{spinner:.cyan} {wide_msg}") {
            bar.set_style(style);
        }
        bar.enable_steady_tick(Duration::from_millis(100));
        *self.line.lock().unwrap_or_else(PoisonError::into_inner) = Some(bar.clone());
        bar
    }

    /// Takes the line of progress away.
    pub fn end_line(&self) {
        let line = self.line.lock().unwrap_or_else(PoisonError::into_inner).take();
        if let Some(bar) = line {
            bar.finish_and_clear();
        }
    }

    /// Does something while the line of progress is out of the way.
    fn above_line<R>(&self, write: impl FnOnce() -> R) -> R {
        let line = self.line.lock().unwrap_or_else(PoisonError::into_inner).clone();
        match line {
            Some(bar) => bar.suspend(write),
            None => write(),
        }
    }

    /// Standard output.
    pub fn output(&self) -> Output {
        Output { terminal: self.clone() }
    }

    /// Standard error.
    pub fn errors(&self) -> Errors {
        Errors { terminal: self.clone() }
    }
}

/// Standard output, above the line of progress.
#[derive(Debug, Clone)]
pub struct Output {
    terminal: Terminal,
}

impl Write for Output {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.terminal.above_line(|| io::stdout().lock().write_all(bytes))?;
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        io::stdout().lock().flush()
    }
}

/// Standard error, above the line of progress.
#[derive(Debug, Clone)]
pub struct Errors {
    terminal: Terminal,
}

impl Write for Errors {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.terminal.above_line(|| io::stderr().lock().write_all(bytes))?;
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}
