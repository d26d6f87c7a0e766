//! The members of a JSON object that is kept as text.

use std::borrow::Cow;

use crate::decode::scan::{Scan, SyntaxKind, byte_at, colon_end, fail, skip_space, string_end, unescape, value_end};

/// A member of an object.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct JsonMember<'a> {
    /// The name, its escapes resolved.
    pub(crate) name: Cow<'a, str>,
    /// The value's JSON text.
    pub(crate) value: &'a str,
}

impl<'a> JsonMember<'a> {
    /// The value, if it is a text.
    pub(crate) fn text(&self) -> Option<Cow<'a, str>> {
        self.value.strip_prefix('"')?.strip_suffix('"').map(unescaped)
    }
}

/// The members of the object that is all of `text`, in one line, in their order. Duplicates are kept.
pub(crate) fn members_of(text: &str) -> Scan<Vec<JsonMember<'_>>> {
    let bytes = text.as_bytes();
    let part = |start: usize, end: usize| text.get(start..end).unwrap_or_default();
    let mut members = Vec::new();
    let mut pos = skip_space(bytes, 0);
    let mut opening = b'{';
    loop {
        if byte_at(bytes, pos) != opening {
            return fail(SyntaxKind::Expected("an object"), pos);
        }
        pos = skip_space(bytes, pos + 1);
        if byte_at(bytes, pos) == b'}' && opening == b'{' {
            break;
        }
        if byte_at(bytes, pos) != b'"' {
            return fail(SyntaxKind::Expected("a member name"), pos);
        }
        let (name_end, _) = string_end(bytes, pos + 1)?;
        let value = colon_end(bytes, name_end + 1)?;
        let end = value_end(bytes, value, 1)?;
        members.push(JsonMember {
            name: unescaped(part(pos + 1, name_end)),
            value: part(value, end),
        });
        pos = skip_space(bytes, end);
        if byte_at(bytes, pos) == b'}' {
            break;
        }
        opening = b',';
    }
    match skip_space(bytes, pos + 1) {
        end if end == bytes.len() => Ok(members),
        end => fail(SyntaxKind::Expected("the end of the text"), end),
    }
}

/// Whether `text` is one JSON object in one line.
pub(crate) fn is_object(text: &str) -> bool {
    let bytes = text.as_bytes();
    let start = skip_space(bytes, 0);
    byte_at(bytes, start) == b'{' && value_end(bytes, start, 0).is_ok_and(|end| skip_space(bytes, end) == bytes.len())
}

fn unescaped(content: &str) -> Cow<'_, str> {
    if !content.contains('\\') {
        return Cow::Borrowed(content);
    }
    let mut text = String::with_capacity(content.len());
    unescape(content, &mut text);
    Cow::Owned(text)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn members_come_in_order_with_their_json_text() {
        let members = members_of(r#" {"a":1.50, "b\n" : {"c":[1, 2]} ,"d":"\u00e9"} "#).unwrap();
        let seen: Vec<(&str, &str)> = members.iter().map(|member| (&*member.name, member.value)).collect();
        assert_eq!(seen, [("a", "1.50"), ("b\n", r#"{"c":[1, 2]}"#), ("d", r#""\u00e9""#)]);
        let texts: Vec<Option<Cow<'_, str>>> = members.iter().map(JsonMember::text).collect();
        assert_eq!(texts, [None, None, Some(Cow::Borrowed("é"))]);
        assert_eq!(members_of("{ }"), Ok(Vec::new()));
    }

    #[test]
    fn what_is_not_one_object_in_one_line_is_refused() {
        for wrong in [
            "",
            "[]",
            "{",
            "{}x",
            "{\"a\"}",
            "{\"a\":1,}",
            "{,}",
            "{\"a\":1\n}",
            "{\"a\":1]",
            "{\"a\":1{",
        ] {
            assert!(members_of(wrong).is_err(), "{wrong}");
            assert!(!is_object(wrong), "{wrong}");
        }
        assert!(is_object(" {\"a\":[{}]} "));
    }
}
