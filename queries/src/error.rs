//! What can go wrong with a query, in one sentence that says what to do.

use std::fmt;

use datafusion::common::{Column, DataFusionError, SchemaError};

/// Whose fault an error is: decides the exit status and the words.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fault {
    /// The query must change.
    User,
    /// The storage failed; trying again may help.
    Outside,
    /// A defect of the engine.
    Ours,
}

/// Where in the query: both from 1.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Position {
    /// The line.
    pub line: u64,
    /// The character in the line.
    pub column: u64,
}

impl fmt::Display for Position {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "line {}, column {}", self.line, self.column)
    }
}

/// An error of a query. Its text is one sentence that says what is wrong and what to do.
#[derive(Debug, thiserror::Error)]
pub enum QueryError {
    /// The query is not SQL, or names what is not there: correct it.
    #[error("{}{message}{}", at(*position), hint(suggestion.as_deref()))]
    Invalid {
        /// What is wrong.
        message: String,
        /// Where, if that is known.
        position: Option<Position>,
        /// The name that was probably meant.
        suggestion: Option<String>,
    },
    /// The query met data that it cannot work on, a division by zero or a text that is no number: correct it.
    #[error("the query failed on its data: {0}")]
    Failed(String),
    /// The query needs more memory or disk than it may have: narrow it, or allow it more.
    #[error("the query needs more than it may use, narrow it or allow it more memory: {0}")]
    Exhausted(String),
    /// A table could not be read: look at the storage, then try again.
    #[error("a table could not be read: {0}")]
    Unreadable(String),
    /// The engine cannot do this, or broke a rule of its own.
    #[error("{0} (this is a defect of backplane, please report it with the query)")]
    Internal(String),
}

fn at(position: Option<Position>) -> String {
    position.map(|position| format!("{position}: ")).unwrap_or_default()
}

fn hint(suggestion: Option<&str>) -> String {
    suggestion
        .map(|name| format!(", did you mean {name}?"))
        .unwrap_or_default()
}

impl QueryError {
    /// Whose fault it is.
    #[must_use]
    pub fn fault(&self) -> Fault {
        match self {
            QueryError::Invalid { .. } | QueryError::Failed(_) | QueryError::Exhausted(_) => Fault::User,
            QueryError::Unreadable(_) => Fault::Outside,
            QueryError::Internal(_) => Fault::Ours,
        }
    }

    /// Whether the same query may succeed later.
    #[must_use]
    pub fn is_retryable(&self) -> bool {
        matches!(self, QueryError::Unreadable(_))
    }

    /// The error in our words; `tables` are the names that a misspelt table may have meant.
    #[must_use]
    pub fn explain(error: &DataFusionError, tables: &[String]) -> Self {
        let position = error
            .diagnostic()
            .and_then(|diagnostic| diagnostic.span)
            .map(|span| Position {
                line: span.start.line,
                column: span.start.column,
            });
        explain(error, position, tables)
    }
}

impl From<DataFusionError> for QueryError {
    fn from(error: DataFusionError) -> Self {
        QueryError::explain(&error, &[])
    }
}

fn explain(error: &DataFusionError, position: Option<Position>, tables: &[String]) -> QueryError {
    let deeper = |inner: &DataFusionError| explain(inner, position, tables);
    match error {
        DataFusionError::Diagnostic(_, inner) | DataFusionError::Context(_, inner) => deeper(inner),
        DataFusionError::Shared(inner) => deeper(inner),
        DataFusionError::Collection(errors) => match errors.first() {
            Some(first) => QueryError::explain(first, tables),
            None => QueryError::Internal("the query failed without an error".to_owned()),
        },
        DataFusionError::SQL(error, _) => syntax(&error.to_string()),
        DataFusionError::SchemaError(error, _) => schema(error, position),
        DataFusionError::Plan(message) => plan(message, position, tables),
        DataFusionError::NotImplemented(message) if message.contains("single SQL statement") => QueryError::Invalid {
            message: "only one query can be run at a time; leave out what follows its semicolon".to_owned(),
            position: None,
            suggestion: None,
        },
        DataFusionError::NotImplemented(message) | DataFusionError::Configuration(message) => QueryError::Invalid {
            message: sentence(message),
            position,
            suggestion: None,
        },
        DataFusionError::Execution(message) => QueryError::Failed(sentence(message)),
        DataFusionError::ArrowError(error, _) => QueryError::Failed(sentence(&error.to_string())),
        DataFusionError::ResourcesExhausted(message) => QueryError::Exhausted(sentence(message)),
        DataFusionError::ParquetError(error) => QueryError::Unreadable(sentence(&error.to_string())),
        DataFusionError::ObjectStore(error) => QueryError::Unreadable(sentence(&error.to_string())),
        DataFusionError::IoError(error) => QueryError::Unreadable(sentence(&error.to_string())),
        DataFusionError::External(error) => match error.downcast_ref::<DataFusionError>() {
            Some(inner) => deeper(inner),
            None => QueryError::Unreadable(sentence(&error.to_string())),
        },
        other => QueryError::Internal(sentence(&other.strip_backtrace())),
    }
}

/// `sql parser error: Expected: …, found: … at Line: 1, Column: 8`
fn syntax(message: &str) -> QueryError {
    let message = message.trim_start_matches("sql parser error: ");
    let (message, position) = match message.rsplit_once(" at Line: ") {
        Some((message, place)) => (message, position_of(place)),
        None => (message, None),
    };
    QueryError::Invalid {
        message: format!("this is not SQL: {}", sentence(message)),
        position,
        suggestion: None,
    }
}

/// `1, Column: 8`
fn position_of(place: &str) -> Option<Position> {
    let (line, column) = place.split_once(", Column: ")?;
    Some(Position {
        line: line.trim().parse().ok()?,
        column: column.trim().parse().ok()?,
    })
}

fn schema(error: &SchemaError, position: Option<Position>) -> QueryError {
    let (message, suggestion) = match error {
        SchemaError::FieldNotFound { field, valid_fields } => {
            let names: Vec<&str> = valid_fields.iter().map(Column::name).collect();
            (
                format!("there is no column {}", field.flat_name()),
                nearest(field.name(), names),
            )
        }
        SchemaError::AmbiguousReference { field } => (
            format!(
                "more than one table has a column {}, write the table before it",
                field.name
            ),
            None,
        ),
        other => (sentence(&other.to_string()), None),
    };
    let position = position.or_else(|| match error {
        SchemaError::FieldNotFound { field, .. } | SchemaError::AmbiguousReference { field } => {
            field.spans().first().map(|span| Position {
                line: span.start.line,
                column: span.start.column,
            })
        }
        _ => None,
    });
    QueryError::Invalid {
        message,
        position,
        suggestion,
    }
}

fn plan(message: &str, position: Option<Position>, tables: &[String]) -> QueryError {
    if let Some(name) = quoted(message, "table '", "' not found") {
        let name = name.rsplit('.').next().unwrap_or(name);
        return QueryError::Invalid {
            message: format!("there is no table {name}"),
            position,
            suggestion: nearest(name, tables.iter().map(String::as_str)),
        };
    }
    if let Some(name) = quoted(message, "Invalid function '", "'") {
        let suggestion = quoted(message, "Did you mean '", "'").and_then(|similar| nearest(name, [similar]));
        return QueryError::Invalid {
            message: format!("there is no function {name}"),
            position,
            suggestion,
        };
    }
    QueryError::Invalid {
        message: sentence(message),
        position,
        suggestion: None,
    }
}

/// What stands between two texts.
fn quoted<'a>(message: &'a str, before: &str, after: &str) -> Option<&'a str> {
    let (_, rest) = message.split_once(before)?;
    rest.split_once(after).map(|(name, _)| name)
}

/// The most similar name, if it is similar enough to be what was meant.
fn nearest<'a>(name: &str, candidates: impl IntoIterator<Item = &'a str>) -> Option<String> {
    const SIMILAR: f64 = 0.6;
    let name = name.to_lowercase();
    let similarity = |candidate: &str| strsim::normalized_damerau_levenshtein(&name, &candidate.to_lowercase());
    candidates
        .into_iter()
        .map(|candidate| (similarity(candidate), candidate))
        .filter(|(similarity, _)| *similarity >= SIMILAR)
        .max_by(|(left, _), (right, _)| left.total_cmp(right))
        .map(|(_, candidate)| candidate.to_owned())
}

/// The first line without what DataFusion puts around it.
fn sentence(message: &str) -> String {
    let line = message.lines().next().unwrap_or_default();
    let mut line = line.trim();
    for prefix in [
        "Error during planning: ",
        "Execution error: ",
        "Arrow error: ",
        "External error: ",
    ] {
        line = line.strip_prefix(prefix).unwrap_or(line);
    }
    line.trim_end_matches('.').to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_syntax_error_tells_where() {
        let error = syntax("sql parser error: Expected: an expression, found: FROM at Line: 2, Column: 8");
        assert_eq!(
            error.to_string(),
            "line 2, column 8: this is not SQL: Expected: an expression, found: FROM"
        );
        assert_eq!(error.fault(), Fault::User);
    }

    #[test]
    fn a_misspelt_table_is_answered_with_the_one_that_was_meant() {
        let tables = ["exposures".to_owned(), "outcomes".to_owned()];
        let error = plan("table 'datafusion.public.exposure' not found", None, &tables);
        assert_eq!(error.to_string(), "there is no table exposure, did you mean exposures?");
        let error = plan("table 'datafusion.public.xyz' not found", None, &tables);
        assert_eq!(error.to_string(), "there is no table xyz");
    }

    #[test]
    fn the_error_inside_others_is_the_one_that_is_told() {
        let inner = DataFusionError::Execution("division by zero".to_owned());
        let outer = DataFusionError::Context("while".to_owned(), Box::new(inner));
        assert!(matches!(QueryError::from(outer), QueryError::Failed(message) if message == "division by zero"));
    }
}
