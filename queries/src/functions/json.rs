//! Reading JSON text columns: `json_text` and `json_texts`.

use std::borrow::Cow;
use std::collections::HashMap;
use std::sync::Arc;

use arrow::array::{ArrayRef, AsArray, ListBuilder, StringBuilder};
use arrow::datatypes::{DataType, Field};
use datafusion::common::{DataFusionError, Result, exec_datafusion_err, plan_err};
use datafusion::logical_expr::{ColumnarValue, ScalarFunctionArgs, ScalarUDFImpl, Signature, Volatility};
use serde_json::value::RawValue;

use super::arguments::{argument, arrays, check_count, is_text};

const JSON_TEXT: &str = "json_text(json, name)";
const JSON_TEXTS: &str = "json_texts(json)";

/// `json_text(json, name)`: the member of that name in a JSON object. A text is given as it is, any other value as its JSON text
/// without white space; null where the member is absent or null, or the JSON is no object.
#[derive(Debug, PartialEq, Eq, Hash)]
pub(super) struct JsonText {
    signature: Signature,
}

impl JsonText {
    pub(super) fn new() -> Self {
        JsonText {
            signature: Signature::user_defined(Volatility::Immutable),
        }
    }
}

impl ScalarUDFImpl for JsonText {
    fn name(&self) -> &str {
        "json_text"
    }

    fn signature(&self) -> &Signature {
        &self.signature
    }

    fn coerce_types(&self, given: &[DataType]) -> Result<Vec<DataType>> {
        check_count(JSON_TEXT, given, 2, 2)?;
        texts(JSON_TEXT, given)
    }

    fn return_type(&self, _: &[DataType]) -> Result<DataType> {
        Ok(DataType::Utf8)
    }

    fn invoke_with_args(&self, arguments: ScalarFunctionArgs) -> Result<ColumnarValue> {
        let arguments = arrays(arguments.args, arguments.number_rows)?;
        let documents = argument(&arguments, 0)?.as_string::<i32>();
        let names = argument(&arguments, 1)?.as_string::<i32>();
        let mut members = StringBuilder::with_capacity(documents.iter().len(), 0);
        for (document, name) in documents.iter().zip(names) {
            let member = match (document, name) {
                (Some(document), Some(name)) => member(document, name)?,
                _ => None,
            };
            members.append_option(member);
        }
        let members: ArrayRef = Arc::new(members.finish());
        Ok(ColumnarValue::Array(members))
    }
}

/// `json_texts(json)`: the elements of a JSON array, each as `json_text` gives it; null where the JSON is no array.
#[derive(Debug, PartialEq, Eq, Hash)]
pub(super) struct JsonTexts {
    signature: Signature,
}

impl JsonTexts {
    pub(super) fn new() -> Self {
        JsonTexts {
            signature: Signature::user_defined(Volatility::Immutable),
        }
    }
}

impl ScalarUDFImpl for JsonTexts {
    fn name(&self) -> &str {
        "json_texts"
    }

    fn signature(&self) -> &Signature {
        &self.signature
    }

    fn coerce_types(&self, given: &[DataType]) -> Result<Vec<DataType>> {
        check_count(JSON_TEXTS, given, 1, 1)?;
        texts(JSON_TEXTS, given)
    }

    fn return_type(&self, _: &[DataType]) -> Result<DataType> {
        Ok(DataType::List(Arc::new(Field::new_list_field(DataType::Utf8, true))))
    }

    fn invoke_with_args(&self, arguments: ScalarFunctionArgs) -> Result<ColumnarValue> {
        let arguments = arrays(arguments.args, arguments.number_rows)?;
        let mut lists = ListBuilder::new(StringBuilder::new());
        for document in argument(&arguments, 0)?.as_string::<i32>() {
            let elements = document.map(elements).transpose()?.flatten();
            let is_array = elements.is_some();
            for element in elements.unwrap_or_default() {
                lists.values().append_option(element);
            }
            lists.append(is_array);
        }
        let lists: ArrayRef = Arc::new(lists.finish());
        Ok(ColumnarValue::Array(lists))
    }
}

fn texts(usage: &str, given: &[DataType]) -> Result<Vec<DataType>> {
    if let Some(other) = given.iter().find(|given| !is_text(given) && !given.is_null()) {
        return plan_err!("{usage} takes text, not {other}");
    }
    Ok(vec![DataType::Utf8; given.len()])
}

fn member(document: &str, name: &str) -> Result<Option<String>> {
    if !document.trim_start().starts_with('{') {
        check(document)?;
        return Ok(None);
    }
    let members: HashMap<Cow<'_, str>, &RawValue> =
        serde_json::from_str(document).map_err(|error| invalid(document, &error))?;
    members.get(name).map_or(Ok(None), |value| text(value))
}

fn elements(document: &str) -> Result<Option<Vec<Option<String>>>> {
    if !document.trim_start().starts_with('[') {
        check(document)?;
        return Ok(None);
    }
    let elements: Vec<&RawValue> = serde_json::from_str(document).map_err(|error| invalid(document, &error))?;
    elements.into_iter().map(text).collect::<Result<_>>().map(Some)
}

/// A text as it is, null as none, anything else as its JSON text without white space.
fn text(value: &RawValue) -> Result<Option<String>> {
    let raw = value.get();
    match raw.as_bytes().first() {
        Some(b'"') => serde_json::from_str(raw)
            .map(Some)
            .map_err(|error| invalid(raw, &error)),
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

fn check(document: &str) -> Result<()> {
    serde_json::from_str::<&RawValue>(document)
        .map(|_| ())
        .map_err(|error| invalid(document, &error))
}

fn invalid(document: &str, error: &serde_json::Error) -> DataFusionError {
    let start: String = document.chars().take(40).collect();
    exec_datafusion_err!("'{start}' is not JSON: {error}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_member_is_its_text_or_its_json() {
        let json = r#"{"a": "x\ny", "b": 1.50, "c": [1, "two  \" ,", {"d": null}], "e": null, "b": 2.0, "ä": true}"#;
        let of = |name| member(json, name).unwrap();
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
        assert_eq!(member("[1]", "a").unwrap(), None);
        assert_eq!(elements(r#"{"a": 1}"#).unwrap(), None);
        assert_eq!(
            elements(r#" ["a", 1, null]"#).unwrap(),
            Some(vec![Some("a".into()), Some("1".into()), None])
        );
    }

    #[test]
    fn what_is_not_json_is_an_error() {
        assert!(member("{", "a").unwrap_err().to_string().contains("is not JSON"));
        assert!(elements("oops").is_err());
    }
}
