//! The JSON Schema against documents: it accepts what is accepted and refuses a misspelt key.

// helpers of tests may panic as tests do
#![allow(clippy::unwrap_used, clippy::panic)]

mod common;

use backplane_config::{Document, Syntax, schema};
use common::environment;
use serde_json::{Value, json};

/// Whether `value` fits `schema`; the part of JSON Schema that ours uses.
fn fits(root: &Value, schema: &Value, value: &Value) -> Result<(), String> {
    let Value::Object(rules) = schema else { return Ok(()) };
    for (rule, argument) in rules {
        let holds = match rule.as_str() {
            "$ref" => {
                let pointer = argument.as_str().unwrap().trim_start_matches('#');
                fits(
                    root,
                    root.pointer(pointer)
                        .unwrap_or_else(|| panic!("{pointer} is not defined")),
                    value,
                )?;
                true
            }
            "type" => types(argument).iter().any(|name| is_of_type(value, name)),
            "const" => value == argument,
            "enum" => argument.as_array().unwrap().contains(value),
            "required" => argument
                .as_array()
                .unwrap()
                .iter()
                .all(|key| value.get(key.as_str().unwrap()).is_some() || !value.is_object()),
            "minItems" => value
                .as_array()
                .is_none_or(|items| items.len() as u64 >= argument.as_u64().unwrap()),
            "minProperties" => value
                .as_object()
                .is_none_or(|members| members.len() as u64 >= argument.as_u64().unwrap()),
            "minLength" => value.as_str().is_none_or(|text| !text.is_empty()),
            "minimum" => value.as_f64().is_none_or(|number| number >= argument.as_f64().unwrap()),
            "maximum" => value.as_f64().is_none_or(|number| number <= argument.as_f64().unwrap()),
            "exclusiveMinimum" => value.as_f64().is_none_or(|number| number > argument.as_f64().unwrap()),
            "exclusiveMaximum" => value.as_f64().is_none_or(|number| number < argument.as_f64().unwrap()),
            "anyOf" => argument
                .as_array()
                .unwrap()
                .iter()
                .any(|one| fits(root, one, value).is_ok()),
            "allOf" => {
                for one in argument.as_array().unwrap() {
                    fits(root, one, value)?;
                }
                true
            }
            "if" => {
                let branch = if fits(root, argument, value).is_ok() {
                    "then"
                } else {
                    "else"
                };
                if let Some(branch) = rules.get(branch) {
                    fits(root, branch, value)?;
                }
                true
            }
            "items" => {
                for item in value.as_array().into_iter().flatten() {
                    fits(root, argument, item)?;
                }
                true
            }
            "properties" => {
                for (key, property) in argument.as_object().unwrap() {
                    if let Some(member) = value.get(key) {
                        fits(root, property, member).map_err(|error| format!("{key}: {error}"))?;
                    }
                }
                true
            }
            "additionalProperties" => match (argument, value.as_object()) {
                (Value::Bool(false), Some(members)) => {
                    let known = rules.get("properties").and_then(Value::as_object).unwrap();
                    members.keys().all(|key| known.contains_key(key))
                }
                (schema, Some(members)) => members.values().all(|member| fits(root, schema, member).is_ok()),
                (_, None) => true,
            },
            // not interpreted here: what a text looks like, and words for people
            "pattern" | "then" | "else" | "description" | "title" | "default" | "$schema" | "$defs" => true,
            other => panic!("the schema uses {other}, which this test does not know"),
        };
        if !holds {
            return Err(format!("{rule} {argument} does not hold of {value}"));
        }
    }
    Ok(())
}

fn types(argument: &Value) -> Vec<&str> {
    match argument {
        Value::String(name) => vec![name],
        names => names
            .as_array()
            .unwrap()
            .iter()
            .map(|name| name.as_str().unwrap())
            .collect(),
    }
}

fn is_of_type(value: &Value, name: &str) -> bool {
    match name {
        "object" => value.is_object(),
        "array" => value.is_array(),
        "string" => value.is_string(),
        "number" => value.is_number(),
        "integer" => value.is_i64() || value.is_u64(),
        "boolean" => value.is_boolean(),
        other => panic!("the schema uses the type {other}"),
    }
}

/// The effective document as plain JSON, which has every key that the tables know and the document uses.
fn as_json(text: &str) -> Value {
    let loaded = Document::parse("job.yaml", text, Syntax::Yaml)
        .unwrap()
        .load(&environment)
        .unwrap();
    serde_json::to_value(&loaded.config).unwrap()
}

const DOCUMENTS: [&str; 9] = [
    include_str!("../../../examples/config/checkout.yaml"),
    include_str!("../../../examples/config/minimal.yaml"),
    include_str!("../../../examples/config/replay.yaml"),
    include_str!("samples/10-governance-with-sql-persistence.yaml"),
    include_str!("samples/11-governance-with-redis-persistence.yaml"),
    include_str!("samples/azure-service-bus-backplane-example.yaml"),
    include_str!("samples/docs-governance-example.yaml"),
    include_str!("samples/kafka-backplane-example.yaml"),
    include_str!("samples/sql-server-backplane-example.yaml"),
];

#[test]
fn the_schema_accepts_what_is_accepted() {
    let schema = schema();
    for text in DOCUMENTS {
        let document = as_json(text);
        fits(&schema, &schema, &document).unwrap_or_else(|error| panic!("{error}"));
        let wrapped = json!({ "experimentFramework": document });
        fits(&schema, &schema, &wrapped).unwrap_or_else(|error| panic!("{error}"));
    }
}

#[test]
fn the_schema_refuses_an_unknown_key_wherever_a_document_has_a_mapping() {
    let schema = schema();
    for text in DOCUMENTS {
        let document = as_json(text);
        for pointer in mappings(&document, "") {
            let mut wrong = document.clone();
            wrong
                .pointer_mut(&pointer)
                .unwrap()
                .as_object_mut()
                .unwrap()
                .insert("unknownKey".to_owned(), json!({}));
            assert!(
                fits(&schema, &schema, &wrong).is_err(),
                "an unknown key at {pointer:?} is accepted"
            );
        }
    }
}

/// Pointers to all mappings with known keys.
fn mappings(value: &Value, pointer: &str) -> Vec<String> {
    match value {
        Value::Object(members) => {
            let below = members.iter().filter(|(key, _)| *key != "properties");
            let below = below.flat_map(|(key, member)| mappings(member, &format!("{pointer}/{key}")));
            std::iter::once(pointer.to_owned()).chain(below).collect()
        }
        Value::Array(items) => items
            .iter()
            .enumerate()
            .flat_map(|(index, item)| mappings(item, &format!("{pointer}/{index}")))
            .collect(),
        _ => Vec::new(),
    }
}
