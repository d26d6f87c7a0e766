//! A text that is never shown.

use std::fmt;

use serde::{Serialize, Serializer};

/// What is shown in place of a secret.
pub const MASK: &str = "***";

/// A text that `Debug`, `Display` and `Serialize` show as `***`.
///
/// The only way to the text is [`Secret::expose`], so that every place that needs it can be found.
#[derive(Clone, PartialEq, Eq, Default)]
pub struct Secret(String);

impl Secret {
    /// Wraps a text.
    #[must_use]
    pub fn new(text: impl Into<String>) -> Self {
        Self(text.into())
    }

    /// The text itself, for the call that needs it and for nothing else.
    #[must_use]
    pub fn expose(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(MASK)
    }
}

impl fmt::Display for Secret {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(MASK)
    }
}

impl Serialize for Secret {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(MASK)
    }
}

/// Whether a key of a free-form map names a secret.
///
/// Known keys say in their table whether they are secret; this is for maps whose keys are the user's own. It is generous on
/// purpose: hiding one text too many costs nothing.
#[must_use]
pub(crate) fn names_a_secret(key: &str) -> bool {
    let letters: String = key
        .chars()
        .filter(|letter| letter.is_ascii_alphanumeric())
        .map(|letter| letter.to_ascii_lowercase())
        .collect();
    letters.starts_with("sasl")
        || letters.contains("password")
        || letters.contains("secret")
        || letters.contains("token")
        || letters.contains("passphrase")
        || letters.contains("credential")
        || letters.ends_with("connectionstring")
        || letters.ends_with("key")
        || letters.ends_with("keys")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_secret_is_never_shown() {
        let secret = Secret::new("hunter2");
        assert_eq!(format!("{secret} {secret:?}"), "*** ***");
        assert_eq!(serde_json::to_string(&secret).unwrap(), "\"***\"");
        assert_eq!(secret.expose(), "hunter2");
    }

    #[test]
    fn keys_of_free_maps_that_name_a_secret_are_told_by_their_words() {
        for key in [
            "password",
            "sasl.mechanism",
            "ssl.key.password",
            "apiKey",
            "access-token",
            "connectionString",
            "key",
        ] {
            assert!(names_a_secret(key), "{key}");
        }
        for key in ["owner", "keyboard", "team", "client.id"] {
            assert!(!names_a_secret(key), "{key}");
        }
    }
}
