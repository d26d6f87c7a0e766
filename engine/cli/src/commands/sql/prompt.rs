//! A prompt for queries.

use std::fs;

use backplane_queries::QueryError;
use datafusion::arrow::datatypes::DataType;
use datafusion::common::TableReference;
use rustyline::error::ReadlineError;
use rustyline::{Config, DefaultEditor};

use super::{answer, history, statement};
use crate::args::RowFormat;
use crate::commands::Context;
use crate::exit::{CliError, say};
use crate::lakes::OpenLake;
use crate::table::TextTable;

const FIRST: &str = "backplane> ";
const NEXT: &str = "       ... ";
const WELCOME: &str = "Queries end with a semicolon. \\d lists the tables, \\d TABLE its columns, \\q ends.";
const HELP: &str = "QUERY;      answers the query\n\\d          lists the tables\n\\d TABLE    lists the columns of a table\n\\q          ends, as Ctrl-D does\nCtrl-C      \
                    clears what is typed, or stops a query\n";
/// Statements that are remembered.
const REMEMBERED: usize = 1_000;

/// Reads and answers queries until the end of the input. An error in one does not end it.
///
/// # Errors
/// The terminal cannot be read or written.
pub fn converse(lake: &OpenLake, format: RowFormat, context: &Context) -> Result<(), CliError> {
    let unusable = |error: ReadlineError| CliError::internal(format!("the prompt cannot be opened: {error}"));
    let config = Config::builder()
        .max_history_size(REMEMBERED)
        .map_err(unusable)?
        .auto_add_history(false)
        .build();
    let mut editor = DefaultEditor::with_config(config).map_err(unusable)?;
    let history = history::file();
    if let Some(file) = &history {
        // the first time there is none
        let _ = editor.load_history(file);
    }
    context.note(WELCOME);
    let mut typed = String::new();
    loop {
        match editor.readline(if typed.is_empty() { FIRST } else { NEXT }) {
            Ok(line) => {
                if typed.is_empty() && line.trim_start().starts_with('\\') {
                    let _ = editor.add_history_entry(line.trim());
                    if !carry_out(lake, line.trim(), context)? {
                        break;
                    }
                    continue;
                }
                typed.push_str(&line);
                typed.push('\n');
                if typed.trim().is_empty() {
                    typed.clear();
                } else if statement::is_complete(&typed) {
                    let _ = editor.add_history_entry(typed.trim());
                    interruptible(lake, statement::without_end(&typed), format, context)?;
                    typed.clear();
                }
            }
            Err(ReadlineError::Interrupted) => typed.clear(),
            Err(ReadlineError::Eof) => break,
            Err(error) => return Err(CliError::internal(format!("the prompt cannot be read: {error}"))),
        }
    }
    if let Some(file) = &history {
        let folder = file.parent().map(fs::create_dir_all);
        if let Err(error) = editor.save_history(file) {
            tracing::debug!(?folder, %error, "the history of the prompt is not kept");
        }
    }
    Ok(())
}

/// Answers a query; Ctrl-C stops it. What is wrong with it is told, and the prompt goes on.
fn interruptible(lake: &OpenLake, query: &str, format: RowFormat, context: &Context) -> Result<(), CliError> {
    let answered = lake.wait_for(async {
        tokio::select! {
            answered = answer(lake, query, format, context) => answered,
            _ = tokio::signal::ctrl_c() => {
                context.note("stopped");
                Ok(())
            }
        }
    });
    match answered {
        Err(error @ CliError::Output(_)) => Err(error),
        Err(error) => {
            say(&error);
            Ok(())
        }
        Ok(()) => Ok(()),
    }
}

/// Carries out a command that begins with a backslash. Whether the prompt goes on.
fn carry_out(lake: &OpenLake, command: &str, context: &Context) -> Result<bool, CliError> {
    let mut words = command.split_whitespace();
    match (words.next(), words.next()) {
        (Some("\\q" | "\\quit"), None) => return Ok(false),
        (Some("\\d"), None) => context.print(&tables(lake))?,
        (Some("\\d"), Some(table)) => match columns(lake, table.trim_end_matches(';')) {
            Ok(text) => context.print(&text)?,
            Err(error) => say(&error),
        },
        (Some("\\?" | "\\h" | "\\help"), None) => context.print(HELP)?,
        _ => context.note(&format!("there is no command {command}; \\? lists them")),
    }
    Ok(true)
}

fn tables(lake: &OpenLake) -> String {
    let mut names = lake.catalogue.table_names();
    names.sort();
    let analysis = backplane_queries::canonical::ALL
        .iter()
        .map(|query| format!("{}.{}", backplane_queries::canonical::SCHEMA, query.name));
    names.extend(analysis);
    names.join("\n") + "\n"
}

fn columns(lake: &OpenLake, table: &str) -> Result<String, CliError> {
    let name = TableReference::parse_str(table).to_quoted_string();
    let frame = lake.wait_for(lake.catalogue.query(&format!("select * from {name}")));
    let frame = frame.map_err(without_position)?;
    let mut shown = TextTable::new().left("column").left("type").left("null");
    for field in frame.schema().fields() {
        let nullable = if field.is_nullable() { "may be" } else { "never" };
        shown.row([field.name().clone(), type_name(field.data_type()), nullable.to_owned()]);
    }
    Ok(shown.cut(None).join("\n") + "\n")
}

/// An error of a query that nobody typed.
fn without_position(error: QueryError) -> QueryError {
    match error {
        QueryError::Invalid {
            message, suggestion, ..
        } => QueryError::Invalid {
            message,
            position: None,
            suggestion,
        },
        other => other,
    }
}

/// A type as SQL calls it.
fn type_name(data_type: &DataType) -> String {
    match data_type {
        DataType::Utf8 | DataType::LargeUtf8 | DataType::Utf8View => "text".to_owned(),
        DataType::Dictionary(_, of) => type_name(of),
        DataType::Int64 => "bigint".to_owned(),
        DataType::Float64 => "double".to_owned(),
        DataType::Boolean => "boolean".to_owned(),
        DataType::Binary | DataType::BinaryView | DataType::LargeBinary => "binary".to_owned(),
        DataType::Date32 => "date".to_owned(),
        DataType::Timestamp(_, _) => "timestamp".to_owned(),
        other => other.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use backplane_config::StorageUrl;
    use backplane_connector_api::conformance::sample;
    use backplane_connector_api::{Epoch, Output, Sink as _};
    use backplane_events::Table;
    use backplane_lake::{LakeOptions, LakeSink};

    use super::*;

    #[test]
    fn a_table_that_is_not_there_is_told_with_the_name_that_was_meant() {
        let dir = tempfile::tempdir().unwrap();
        let mut sink = LakeSink::new("lake", "test", &LakeOptions::at(dir.path().display().to_string())).unwrap();
        let batch = sample(Table::Windows, 0, 1).unwrap();
        sink.accept(&Output::Rows {
            table: Table::Windows,
            batch,
        })
        .unwrap();
        let effect = sink.prepare(Epoch(1)).unwrap();
        sink.publish(Epoch(1), &effect).unwrap();

        let lake = OpenLake::open(&StorageUrl::local(dir.path())).unwrap();
        let refused = columns(&lake, "window").unwrap_err().to_string();
        assert_eq!(refused, "there is no table window, did you mean windows?");
        assert!(columns(&lake, "windows").unwrap().contains("slide"));
        assert!(columns(&lake, "analysis.metric_stats").unwrap().contains("m2"));
    }
}
