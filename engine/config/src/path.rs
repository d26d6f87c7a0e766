//! Paths into a document: `engine.windows[0].size`, `metadata["a.b"]`.

use crate::tree::Step;

/// The steps of a path; the root key in front is left out.
pub(crate) fn parse(path: &str) -> Result<Vec<Step>, String> {
    let path = path.trim();
    let path = path.strip_prefix("experimentFramework.").unwrap_or(path);
    let mut steps = Vec::new();
    let mut rest = path;
    while !rest.is_empty() {
        rest = if let Some(inside) = rest.strip_prefix('[') {
            let (step, after) = bracket(inside)?;
            steps.push(step);
            after
        } else {
            let key = rest.strip_prefix('.').filter(|_| !steps.is_empty()).unwrap_or(rest);
            let end = key.find(['.', '[']).unwrap_or(key.len());
            let (key, after) = key.split_at(end);
            if key.is_empty() {
                return Err("a key is missing in the path; write it as in engine.windows[0].size".to_owned());
            }
            steps.push(Step::Key(key.to_owned()));
            after
        };
    }
    if steps.is_empty() {
        Err("a path is expected, such as engine.parallelism=2".to_owned())
    } else {
        Ok(steps)
    }
}

/// What follows an opening bracket: a number, or a key in double quotes.
fn bracket(inside: &str) -> Result<(Step, &str), String> {
    let wrong = || "in brackets a number or a key in double quotes is expected, as in engine.windows[0]".to_owned();
    if inside.starts_with('"') {
        let mut values = serde_json::Deserializer::from_str(inside).into_iter::<String>();
        let key = values.next().and_then(Result::ok).ok_or_else(wrong)?;
        let after = inside
            .get(values.byte_offset()..)
            .and_then(|rest| rest.strip_prefix(']'))
            .ok_or_else(wrong)?;
        return Ok((Step::Key(key), after));
    }
    let (number, after) = inside.split_once(']').ok_or_else(wrong)?;
    let index = number.parse().map_err(|_| wrong())?;
    Ok((Step::Index(index), after))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::diagnostic::{element, member};

    fn key(text: &str) -> Step {
        Step::Key(text.to_owned())
    }

    #[test]
    fn paths_have_keys_and_indexes() {
        assert_eq!(
            parse("engine.windows[0].size"),
            Ok(vec![key("engine"), key("windows"), Step::Index(0), key("size")])
        );
        assert_eq!(
            parse("experimentFramework.engine.job"),
            Ok(vec![key("engine"), key("job")])
        );
        assert_eq!(parse("metadata[\"a.b\"]"), Ok(vec![key("metadata"), key("a.b")]));
        for wrong in ["", "a..b", "a[", "a[x]", "a.", ".a..", "a[\"b\"", "a[-1]"] {
            assert!(parse(wrong).is_err(), "{wrong}");
        }
    }

    proptest! {
        #[test]
        fn a_path_that_was_made_is_read_again(names in proptest::collection::vec(".{0,6}", 1..4), index in 0usize..9) {
            let mut path = member("", "first");
            let mut steps = vec![key("first")];
            for name in names {
                path = element(&member(&path, &name), index);
                steps.extend([Step::Key(name), Step::Index(index)]);
            }
            prop_assert_eq!(parse(&path), Ok(steps));
        }
    }
}
