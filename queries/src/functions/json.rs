//! Reading JSON text columns: `json_text` and `json_texts`.

use std::sync::Arc;

use arrow::array::{ArrayRef, AsArray, ListBuilder, StringBuilder};
use arrow::datatypes::{DataType, Field};
use backplane_events::{json_elements, json_member};
use datafusion::common::{DataFusionError, Result, exec_datafusion_err, plan_err};
use datafusion::logical_expr::{ColumnarValue, ScalarFunctionArgs, ScalarUDFImpl, Signature, Volatility};

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
                (Some(document), Some(name)) => {
                    json_member(document, name).map_err(|error| invalid(document, &error))?
                }
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
            let elements = match document {
                Some(document) => json_elements(document).map_err(|error| invalid(document, &error))?,
                None => None,
            };
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

fn invalid(document: &str, error: &serde_json::Error) -> DataFusionError {
    let start: String = document.chars().take(40).collect();
    exec_datafusion_err!("'{start}' is not JSON: {error}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_not_json_is_an_error_that_shows_it() {
        let error = json_member("{", "a").map_err(|error| invalid("{", &error)).unwrap_err();
        assert!(error.to_string().contains("'{' is not JSON"), "{error}");
    }
}
