//! JSON text that is passed on as it came.

use serde_json::{Value, value::RawValue};

/// Valid JSON without the spaces between its parts; what stands in texts stays as it is.
pub(crate) fn compact(raw: &RawValue) -> Box<RawValue> {
    let text = raw.get();
    let mut out = String::with_capacity(text.len());
    let (mut in_text, mut escaped) = (false, false);
    for c in text.chars() {
        if in_text {
            in_text = escaped || c != '"';
            escaped = !escaped && c == '\\';
            out.push(c);
        } else if !matches!(c, ' ' | '\t' | '\r' | '\n') {
            in_text = c == '"';
            out.push(c);
        }
    }
    RawValue::from_string(out).unwrap_or_else(|_| raw.to_owned())
}

/// A text as JSON.
pub(crate) fn quoted(text: &str) -> String {
    Value::from(text).to_string()
}

/// A value as raw JSON.
pub(crate) fn raw(value: &Value) -> Result<Box<RawValue>, serde_json::Error> {
    RawValue::from_string(value.to_string())
}

/// How deep a value is nested; one that is no list or object is 0.
pub(crate) fn depth(value: &Value) -> usize {
    match value {
        Value::Array(list) => 1 + list.iter().map(depth).max().unwrap_or(0),
        Value::Object(map) => 1 + map.values().map(depth).max().unwrap_or(0),
        _ => 0,
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn texts_and_order_stay() {
        let raw =
            RawValue::from_string(" { \"b\" : [ 1 , \"x \\\" y\\\\\" ] ,\n \"a\" : 1.50 } ".into()).unwrap();
        assert_eq!(compact(&raw).get(), r#"{"b":[1,"x \" y\\"],"a":1.50}"#);
    }

    #[test]
    fn depths() {
        for (text, want) in [("1", 0), ("[]", 1), ("{}", 1), ("{\"a\":[{}]}", 3)] {
            assert_eq!(depth(&serde_json::from_str(text).unwrap()), want, "{text}");
        }
    }

    proptest! {
        #[test]
        fn compacting_keeps_the_value(texts in proptest::collection::vec("\\PC{0,8}[\"\\\\ \n]?", 0..5)) {
            let value = serde_json::json!({"a": texts, "b ": {"c": null}});
            let raw = RawValue::from_string(serde_json::to_string_pretty(&value).unwrap()).unwrap();
            let packed = compact(&raw);
            prop_assert_eq!(serde_json::from_str::<Value>(packed.get()).unwrap(), value.clone());
            prop_assert_eq!(packed.get().len(), value.to_string().len());
        }
    }
}
