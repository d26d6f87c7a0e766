//! Reading single members of the JSON texts that the columns keep, such as `attributes`.

use std::borrow::Cow;
use std::collections::HashMap;

use serde_json::value::RawValue;

/// The member of that name in a JSON object, or none where there is no such member, it is null, or the JSON is no object. Of several
/// members of the name the last counts. A text is given as it is, any other value as its JSON text without white space.
///
/// # Errors
/// The text is not JSON.
///
/// ```
/// let attributes = r#"{"plan": "pro", "seats": 5, "tags": ["a", "b"]}"#;
/// assert_eq!(backplane_events::json_member(attributes, "plan")?.as_deref(), Some("pro"));
/// assert_eq!(backplane_events::json_member(attributes, "tags")?.as_deref(), Some(r#"["a","b"]"#));
/// assert_eq!(backplane_events::json_member(attributes, "browser")?, None);
/// # Ok::<(), serde_json::Error>(())
/// ```
pub fn json_member(document: &str, name: &str) -> Result<Option<String>, serde_json::Error> {
    if !document.trim_start().starts_with('{') {
        check(document)?;
        return Ok(None);
    }
    let members: HashMap<Cow<'_, str>, &RawValue> = serde_json::from_str(document)?;
    members.get(name).map_or(Ok(None), |value| text(value))
}

/// The elements of a JSON array, each as [`json_member`] gives a member; none where the JSON is no array.
///
/// # Errors
/// The text is not JSON.
pub fn json_elements(document: &str) -> Result<Option<Vec<Option<String>>>, serde_json::Error> {
    if !document.trim_start().starts_with('[') {
        check(document)?;
        return Ok(None);
    }
    let elements: Vec<&RawValue> = serde_json::from_str(document)?;
    elements.into_iter().map(text).collect::<Result<_, _>>().map(Some)
}

/// A text as it is, null as none, anything else as its JSON text without white space.
fn text(value: &RawValue) -> Result<Option<String>, serde_json::Error> {
    let raw = value.get();
    match raw.as_bytes().first() {
        Some(b'"') => serde_json::from_str(raw).map(Some),
        Some(b'n') => Ok(None),
        Some(b'{' | b'[') => Ok(Some(without_white_space(raw))),
        _ => Ok(Some(raw.to_owned())),
    }
}

/// Valid JSON without the white space between its tokens.
fn without_white_space(json: &str) -> String {
    let mut compact = String::with_capacity(json.len());
    let (mut in_text, mut escaped) = (false, false);
    for character in json.chars() {
        if in_text || !matches!(character, ' ' | '\t' | '\n' | '\r') {
            compact.push(character);
        }
        if character == '"' && !escaped {
            in_text = !in_text;
        }
        escaped = in_text && character == '\\' && !escaped;
    }
    compact
}

fn check(document: &str) -> Result<(), serde_json::Error> {
    serde_json::from_str::<&RawValue>(document).map(|_| ())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_member_is_its_text_or_its_json() {
        let json = r#"{"a": "x\ny", "b": 1.50, "c": [1, "two  \" ,", {"d": null}], "e": null, "b": 2.0, "ä": true}"#;
        let of = |name| json_member(json, name).unwrap();
        assert_eq!(of("a").as_deref(), Some("x\ny"));
        assert_eq!(
            of("b").as_deref(),
            Some("2.0"),
            "of two members of the same name the last holds"
        );
        assert_eq!(of("c").as_deref(), Some(r#"[1,"two  \" ,",{"d":null}]"#));
        assert_eq!(of("ä").as_deref(), Some("true"));
        assert_eq!((of("e"), of("missing")), (None, None));
    }

    #[test]
    fn what_is_no_object_has_no_members() {
        assert_eq!(json_member("[1]", "a").unwrap(), None);
        assert_eq!(json_elements(r#"{"a": 1}"#).unwrap(), None);
        assert_eq!(
            json_elements(r#" ["a", 1, null]"#).unwrap(),
            Some(vec![Some("a".into()), Some("1".into()), None])
        );
    }

    #[test]
    fn what_is_not_json_is_an_error() {
        assert!(json_member("{", "a").is_err());
        assert!(json_elements("oops").is_err());
    }
}
