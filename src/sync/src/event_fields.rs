//! The parts of events that a client asks for. Spec: client-server API, "Filtering", `event_fields`.

use serde_json::value::{RawValue, to_raw_value};
use serde_json::{Map, Value};

/// The wanted fields of events, each as the keys that lead to it.
#[derive(Debug)]
pub(crate) struct EventFields(Vec<Vec<String>>);

impl EventFields {
    /// The fields that a filter names: `.` leads into an object, `\` takes the meaning from a `.` or `\`.
    pub(crate) fn new(fields: &[String]) -> Self {
        Self(fields.iter().map(|field| keys(field)).collect())
    }

    /// An event with only these fields.
    pub(crate) fn of(&self, event: &RawValue) -> Result<Box<RawValue>, serde_json::Error> {
        let event: Map<String, Value> = serde_json::from_str(event.get())?;
        let mut wanted = Map::new();
        for keys in &self.0 {
            copy(&event, keys, &mut wanted);
        }
        to_raw_value(&wanted)
    }
}

fn keys(field: &str) -> Vec<String> {
    let mut keys = vec![String::new()];
    let mut characters = field.chars().peekable();
    while let Some(character) = characters.next() {
        let key = match character {
            '.' => {
                keys.push(String::new());
                continue;
            }
            '\\' => characters.next_if(|next| matches!(next, '.' | '\\')).unwrap_or('\\'),
            other => other,
        };
        if let Some(last) = keys.last_mut() {
            last.push(key);
        }
    }
    keys
}

fn copy(from: &Map<String, Value>, keys: &[String], to: &mut Map<String, Value>) {
    let Some((key, rest)) = keys.split_first() else { return };
    let Some(value) = from.get(key) else { return };
    if rest.is_empty() {
        to.insert(key.clone(), value.clone());
    } else if let Value::Object(inner) = value {
        let place = to.entry(key.clone()).or_insert_with(|| Value::Object(Map::new()));
        if let Value::Object(place) = place {
            copy(inner, rest, place);
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn shown(fields: &[&str], event: &Value) -> Value {
        let fields: Vec<_> = fields.iter().map(|field| (*field).to_owned()).collect();
        let event = EventFields::new(&fields).of(&to_raw_value(event).unwrap()).unwrap();
        serde_json::from_str(event.get()).unwrap()
    }

    #[test]
    fn only_the_named_fields_stay() {
        let event = json!({
            "type": "m.room.message", "sender": "@ada:hearth.test",
            "content": { "body": "tea", "msgtype": "m.text", "m.relates_to": { "rel_type": "x" } },
        });
        for (fields, expected) in [
            (&["type"][..], json!({ "type": "m.room.message" })),
            (&["content.body"], json!({ "content": { "body": "tea" } })),
            (&["content.body", "content"], json!({ "content": event["content"] })),
            (&["content.m\\.relates_to.rel_type"], {
                json!({ "content": { "m.relates_to": { "rel_type": "x" } } })
            }),
            (&["content.m.relates_to", "type.x", ""], json!({ "content": {} })),
            (&[], json!({})),
        ] {
            assert_eq!(shown(fields, &event), expected, "{fields:?}");
        }
    }

    #[test]
    fn a_backslash_is_written_with_another() {
        assert_eq!(keys(r"a\\b\.c.d\e"), [r"a\b.c", r"d\e"]);
    }
}
