//! Where a statement ends.

/// Whether a text has a semicolon at its end that is not in a quoted text, a quoted name or a comment.
pub fn is_complete(text: &str) -> bool {
    end_of(text).is_some()
}

/// The text without the semicolon at its end.
pub fn without_end(text: &str) -> &str {
    let end = end_of(text).unwrap_or(text.len());
    text.get(..end).unwrap_or(text)
}

/// Where the last semicolon is, if nothing but space and comments follows it.
fn end_of(text: &str) -> Option<usize> {
    let mut last = None;
    let mut characters = text.char_indices().peekable();
    while let Some((at, character)) = characters.next() {
        match character {
            ';' => last = Some(at),
            '\'' | '"' => {
                last = None;
                // a doubled quote is two quoted texts side by side, which end and begin at the same places
                if !characters.by_ref().any(|(_, next)| next == character) {
                    return None;
                }
            }
            '-' if characters.peek().is_some_and(|(_, next)| *next == '-') => {
                characters.by_ref().find(|(_, next)| *next == '\n');
            }
            '/' if characters.peek().is_some_and(|(_, next)| *next == '*') => {
                characters.next();
                let mut star = false;
                if !characters
                    .by_ref()
                    .any(|(_, next)| std::mem::replace(&mut star, next == '*') && next == '/')
                {
                    return None;
                }
            }
            _ if character.is_whitespace() => {}
            _ => last = None,
        }
    }
    last
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_semicolon_at_the_end_completes_a_statement() {
        for text in [
            "select 1;",
            "select ';';",
            "select 1; -- done",
            "select 1 /* ; */ ;\n",
            "select 'it''s';",
        ] {
            assert!(is_complete(text), "{text}");
        }
    }

    #[test]
    fn a_semicolon_in_a_text_a_name_or_a_comment_completes_nothing() {
        for text in [
            "select 1",
            "select ';",
            "select 1 -- ;",
            "select 1 /* ;",
            "select \";\"",
            "select 'it''s;",
            "select 1; select 2",
        ] {
            assert!(!is_complete(text), "{text}");
        }
    }

    #[test]
    fn the_end_is_cut_off() {
        assert_eq!(without_end("select 1 ; -- done"), "select 1 ");
        assert_eq!(without_end("select ';'"), "select ';'");
    }
}
