//! Attributes as the JSON object that the wire wants.

use crate::wire::MAX_ATTRIBUTES_BYTES;
use std::fmt::Write;

/// A value of an attribute.
#[derive(Clone, Copy, Debug)]
pub enum Attribute<'a> {
    /// A text.
    Text(&'a str),
    /// A whole number.
    Integer(i64),
    /// A number; one that is not finite becomes a text.
    Float(f64),
    /// True or false.
    Bool(bool),
}

impl<'a> From<&'a str> for Attribute<'a> {
    fn from(value: &'a str) -> Self {
        Self::Text(value)
    }
}

impl From<i64> for Attribute<'_> {
    fn from(value: i64) -> Self {
        Self::Integer(value)
    }
}

impl From<i32> for Attribute<'_> {
    fn from(value: i32) -> Self {
        Self::Integer(value.into())
    }
}

impl From<f64> for Attribute<'_> {
    fn from(value: f64) -> Self {
        Self::Float(value)
    }
}

impl From<bool> for Attribute<'_> {
    fn from(value: bool) -> Self {
        Self::Bool(value)
    }
}

/// One JSON object; "" where there are none, described where they are over 32,768 bytes.
pub fn attributes(pairs: &[(&str, Attribute)]) -> String {
    let mut text = String::new();
    for (key, value) in pairs {
        text.push(if text.is_empty() { '{' } else { ',' });
        put_text(&mut text, key);
        text.push(':');
        match value {
            Attribute::Text(one) => put_text(&mut text, one),
            Attribute::Integer(one) => text.push_str(&one.to_string()),
            Attribute::Float(one) if one.is_finite() => text.push_str(&one.to_string()),
            Attribute::Float(one) => put_text(&mut text, &one.to_string()),
            Attribute::Bool(one) => text.push_str(if *one { "true" } else { "false" }),
        }
        if text.len() >= MAX_ATTRIBUTES_BYTES {
            return String::from(r#"{"spanpipe.attributes":"over 32768 bytes"}"#);
        }
    }
    if !text.is_empty() {
        text.push('}');
    }
    text
}

fn put_text(text: &mut String, value: &str) {
    text.push('"');
    for character in value.chars() {
        match character {
            '"' | '\\' => text.extend(['\\', character]),
            '\0'..='\x1f' => {
                // A String takes all that is written to it.
                let _ = write!(text, "\\u{:04x}", character as u32);
            }
            _ => text.push(character),
        }
    }
    text.push('"');
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_value_is_json() {
        let given = attributes(&[
            ("a\"\\\n", "ä\t".into()),
            ("n", 3.into()),
            ("f", 0.5.into()),
            ("nan", f64::NAN.into()),
            ("yes", true.into()),
        ]);
        let expected = r#"{"a\"\\\u000a":"ä\u0009","n":3,"f":0.5,"nan":"NaN","yes":true}"#;
        assert_eq!(given, expected);
        assert_eq!(attributes(&[]), "");
    }

    #[test]
    fn too_many_are_described() {
        let long = "x".repeat(40_000);
        let given = attributes(&[("a", long.as_str().into())]);
        assert_eq!(given, r#"{"spanpipe.attributes":"over 32768 bytes"}"#);
    }
}
