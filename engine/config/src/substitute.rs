//! `${NAME}` and `${NAME:-default}` in scalars.

use crate::{
    diagnostic::{Findings, element, member},
    tree::{Node, Substituted, Value},
};

/// Asks the environment for a variable.
pub type Environment<'a> = dyn Fn(&str) -> Option<String> + 'a;

/// The environment of this process; a variable that is no Unicode counts as not set.
#[must_use]
pub fn process_environment(name: &str) -> Option<String> {
    std::env::var(name).ok()
}

/// Puts the environment into every scalar below, and reports what cannot be put in.
pub(crate) fn substitute(node: &mut Node, environment: &Environment<'_>, path: &str, findings: &mut Findings) {
    match &mut node.value {
        Value::Null => {}
        Value::Scalar { text, .. } => {
            if !text.contains('$') {
                return;
            }
            let Filled {
                text: filled,
                variables,
                problems,
            } = fill(text, environment);
            for problem in &problems {
                findings.error(&node.origin, path, problem.clone());
            }
            if !variables.is_empty() || !problems.is_empty() {
                node.substituted = Some(Substituted {
                    written: text.clone(),
                    variables,
                    failed: !problems.is_empty(),
                });
            }
            *text = filled;
        }
        Value::List(items) => {
            for (index, item) in items.iter_mut().enumerate() {
                substitute(item, environment, &element(path, index), findings);
            }
        }
        Value::Map(entries) => {
            for entry in entries {
                substitute(&mut entry.node, environment, &member(path, &entry.key), findings);
            }
        }
    }
}

#[derive(Debug, PartialEq, Eq, Default)]
struct Filled {
    text: String,
    variables: Vec<String>,
    problems: Vec<String>,
}

fn fill(text: &str, environment: &Environment<'_>) -> Filled {
    let mut filled = Filled::default();
    let mut rest = text;
    while let Some((before, after)) = rest.split_once('$') {
        filled.text.push_str(before);
        if let Some(after_dollar) = after.strip_prefix('$') {
            filled.text.push('$');
            rest = after_dollar;
        } else if let Some(reference) = after.strip_prefix('{') {
            let Some((inside, after_brace)) = reference.split_once('}') else {
                filled
                    .problems
                    .push("a ${ has no closing brace; write $$ for a dollar sign".to_owned());
                return filled;
            };
            resolve(inside, environment, &mut filled);
            rest = after_brace;
        } else {
            filled.text.push('$');
            rest = after;
        }
    }
    filled.text.push_str(rest);
    filled
}

/// One reference: `NAME` or `NAME:-default`, the default also where the variable is empty.
fn resolve(reference: &str, environment: &Environment<'_>, filled: &mut Filled) {
    let (name, default) = match reference.split_once(":-") {
        Some((name, default)) => (name, Some(default)),
        None => (reference, None),
    };
    let is_name = name.starts_with(|letter: char| letter.is_ascii_alphabetic() || letter == '_')
        && name
            .chars()
            .all(|letter| letter.is_ascii_alphanumeric() || letter == '_');
    if !is_name {
        filled
            .problems
            .push("what stands in ${ } is no name of an environment variable; write $$ for a dollar sign".to_owned());
        return;
    }
    filled.variables.push(name.to_owned());
    match (environment(name), default) {
        (Some(value), None) => filled.text.push_str(&value),
        (Some(value), Some(_)) if !value.is_empty() => filled.text.push_str(&value),
        (_, Some(default)) => filled.text.push_str(default),
        (None, None) => filled.problems.push(format!(
            "the environment variable {name} is not set; set it, or give a default: ${{{name}:-...}}"
        )),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn environment(name: &str) -> Option<String> {
        match name {
            "HOST" => Some("db.local".to_owned()),
            "EMPTY" => Some(String::new()),
            "TRICK" => Some("${HOST}: [a, b]".to_owned()),
            _ => None,
        }
    }

    fn text(input: &str) -> String {
        let filled = fill(input, &environment);
        assert_eq!(filled.problems, Vec::<String>::new(), "{input}");
        filled.text
    }

    #[test]
    fn variables_and_defaults_are_put_in() {
        assert_eq!(text("tcp://${HOST}:${PORT:-5432}/x"), "tcp://db.local:5432/x");
        assert_eq!(text("[${EMPTY}][${EMPTY:-e}][${NONE:-}]"), "[][e][]");
        assert_eq!(text("$$5, $6, $${HOST}"), "$5, $6, ${HOST}");
    }

    #[test]
    fn what_was_put_in_is_not_looked_at_again() {
        assert_eq!(text("${TRICK}"), "${HOST}: [a, b]");
    }

    #[test]
    fn a_missing_variable_is_named() {
        let problems = fill("${NONE} ${1x} ${OPEN", &environment).problems;
        assert_eq!(problems.len(), 3);
        assert!(problems[0].contains("NONE is not set"));
        assert!(problems[1].contains("no name of an environment variable"));
        assert!(problems[2].contains("no closing brace"));
    }
}
