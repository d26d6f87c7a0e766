//! The JSON Schema of a document, made from the tables.

use std::collections::BTreeSet;

use serde_json::{Map, Value, json};

use crate::{
    document::ROOT_KEY,
    shape::{Key, Kind, Options, Presence, Shape},
    tables::{ALLOCATION_EPOCH, ROOT},
};

/// The JSON Schema (draft 2020-12) of a configuration document, with or without its root key.
///
/// It is made from the tables that documents are checked against. It knows nothing of the rules between values (unique names,
/// references), and spells names in one case only.
#[must_use]
pub fn schema() -> Value {
    let mut definitions = Definitions::default();
    let root = definitions.reference(&ROOT);
    json!({
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": ROOT.doc,
        "type": "object",
        "if": { "required": [ROOT_KEY] },
        "then": { "properties": { ROOT_KEY: root.clone() }, "additionalProperties": false },
        "else": root,
        "$defs": definitions.made,
    })
}

#[derive(Default)]
struct Definitions {
    made: Map<String, Value>,
    begun: BTreeSet<&'static str>,
}

impl Definitions {
    /// A reference to the definition of a shape, which is made if it is not there.
    fn reference(&mut self, shape: &'static Shape) -> Value {
        if self.begun.insert(shape.name) {
            let definition = self.object(shape);
            self.made.insert(shape.name.to_owned(), definition);
        }
        json!({ "$ref": format!("#/$defs/{}", shape.name) })
    }

    fn object(&mut self, shape: &'static Shape) -> Value {
        let mut properties = Map::new();
        for key in shape.keys {
            properties.insert(key.name.to_owned(), self.property(key, shape));
        }
        let required: Vec<&str> = shape
            .keys
            .iter()
            .filter(|key| key.presence == Presence::Required)
            .map(|key| key.name)
            .collect();
        let mut object = json!({
            "description": shape.doc,
            "type": "object",
            "properties": properties,
            "additionalProperties": false,
        });
        if !required.is_empty() {
            object["required"] = json!(required);
        }
        if !shape.types.is_empty() {
            object["allOf"] = Value::Array(self.options_by_type(shape));
        }
        object
    }

    fn options_by_type(&mut self, shape: &'static Shape) -> Vec<Value> {
        let mut conditions = Vec::new();
        for known in shape.types {
            let Options::Known(options) = known.options else {
                continue;
            };
            let options_schema = self.reference(options);
            let is_required = options.keys.iter().any(|key| key.presence == Presence::Required);
            let mut then = json!({ "properties": { "options": options_schema } });
            if is_required {
                then["required"] = json!(["options"]);
            }
            let of_type = json!({ "properties": { "type": { "const": known.name } }, "required": ["type"] });
            conditions.push(json!({ "if": of_type, "then": then }));
        }
        conditions
    }

    fn property(&mut self, key: &Key, shape: &'static Shape) -> Value {
        let mut property = self.kind(key.kind, shape);
        let effect = if key.without_effect {
            " Without effect in this version."
        } else {
            ""
        };
        property["description"] = json!(format!("{}{effect}", key.doc));
        if let Presence::Default(text) = key.presence {
            property["default"] = serde_json::from_str(text).unwrap_or_else(|_| json!(text));
        }
        property
    }

    fn kind(&mut self, kind: Kind, shape: &'static Shape) -> Value {
        match kind {
            Kind::Text | Kind::Secret | Kind::Storage { .. } => {
                json!({ "type": ["string", "number", "boolean"], "minLength": 1 })
            }
            Kind::Flag => or_variable(json!({ "type": "boolean" })),
            Kind::Integer { least, greatest } => {
                let mut integer = json!({ "type": "integer", "minimum": least });
                if greatest < i64::MAX {
                    integer["maximum"] = json!(greatest);
                }
                or_variable(integer)
            }
            Kind::Real { least, greatest, open } => or_variable(real(least, greatest, open)),
            Kind::Duration { .. } => or_variable(pattern(
                r"^(\d+(\.\d+)?(d|h|m|s|ms|us))+$|^0$",
                "duration such as 30s or 1h30m",
            )),
            Kind::Size => or_variable(pattern(r"^\d+(\.\d+)?\s*([KMGT]i?)?[Bb]$", "size such as 64MiB")),
            Kind::Instant => or_variable(pattern(r"^\d{4}-\d{2}-\d{2}", "instant of RFC 3339")),
            Kind::TimeSpan => json!({ "type": ["string", "integer"] }),
            Kind::TimeOfDay | Kind::Address => json!({ "type": "string" }),
            Kind::Segment => or_variable(pattern(r"^(tenantId|subjectType|attributes\..+)$", "segment")),
            Kind::Choice(names) => or_variable(json!({ "enum": names })),
            Kind::TypeName => {
                let names: Vec<&str> = shape
                    .types
                    .iter()
                    .filter(|known| known.available)
                    .map(|known| known.name)
                    .collect();
                json!({ "enum": names })
            }
            Kind::TypeOptions | Kind::FreeMap => json!({ "type": "object" }),
            Kind::TextMap => {
                json!({ "type": "object", "additionalProperties": { "type": ["string", "number", "boolean"] } })
            }
            Kind::List { of, empty } => self.list(*of, empty, shape),
            Kind::ListOrOne(of) => {
                let one = self.kind(*of, shape);
                let list = self.list(*of, false, shape);
                json!({ "anyOf": [one, list] })
            }
            Kind::Object(object) => self.reference(object),
            Kind::Shares => shares(),
            Kind::Allocation => {
                let epoch = self.reference(&ALLOCATION_EPOCH);
                json!({ "anyOf": [shares(), { "type": "array", "minItems": 1, "items": epoch }] })
            }
        }
    }

    fn list(&mut self, of: Kind, may_be_empty: bool, shape: &'static Shape) -> Value {
        let items = self.kind(of, shape);
        let least = u8::from(!may_be_empty);
        json!({ "type": "array", "items": items, "minItems": least })
    }
}

fn shares() -> Value {
    json!({ "type": "object", "additionalProperties": or_variable(real(0.0, f64::MAX, false)), "minProperties": 1 })
}

fn real(least: f64, greatest: f64, open: bool) -> Value {
    let mut number = json!({ "type": "number" });
    let (above, below) = if open {
        ("exclusiveMinimum", "exclusiveMaximum")
    } else {
        ("minimum", "maximum")
    };
    if least > f64::MIN {
        number[above] = json!(least);
    }
    if greatest < f64::MAX {
        number[below] = json!(greatest);
    }
    number
}

fn pattern(pattern: &str, description: &str) -> Value {
    json!({ "type": ["string", "integer"], "pattern": pattern, "title": description })
}

/// Any scalar may be a text with an environment variable in it.
fn or_variable(schema: Value) -> Value {
    json!({ "anyOf": [schema, { "type": "string", "pattern": r"\$\{" }] })
}
