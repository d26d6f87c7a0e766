//! The accepted spellings of one and the same JSON record, and the bytes of its parts.

use crate::random::mix;

/// How a record is spelt. The default is canonical with nulls: camelCase, names, `Z`, microseconds.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Spelling {
    pub pascal: bool,
    pub enums: Enums,
    pub zone: Zone,
    /// Fractional digits: 6, or more (which are cut off on reading).
    pub more_digits: bool,
    /// Members in another order, the payload before what explains it.
    pub shuffled: bool,
    /// Letters of texts as `\u` escapes.
    pub escapes: bool,
    pub spaces: bool,
    /// Members that no reader knows.
    pub unknown: bool,
    /// Absent members are left out, not written as null.
    pub sparse: bool,
    /// The payload has no timestamp of its own.
    pub envelope_time_only: bool,
    /// `trialKey` for `variantKey`.
    pub trial_key: bool,
    /// Values that are the default are left out.
    pub defaults: bool,
}

/// How enumeration values are written.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) enum Enums {
    #[default]
    Name,
    LowerCase,
    Ordinal,
}

/// In which zone instants are written.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) enum Zone {
    #[default]
    Z,
    PlusZero,
    India,
    Pacific,
}

impl Spelling {
    /// camelCase, names, `Z`, microseconds, nothing that is absent.
    pub(crate) const CANONICAL: Self = Self {
        pascal: false,
        enums: Enums::Name,
        zone: Zone::Z,
        more_digits: false,
        shuffled: false,
        escapes: false,
        spaces: false,
        unknown: false,
        sparse: true,
        envelope_time_only: false,
        trial_key: false,
        defaults: false,
    };

    /// The spelling of one record among all that are accepted; half of them are canonical, with nulls or without.
    pub(crate) fn of(seed: u64, id: u32) -> Self {
        let bits = mix(mix(seed, 0x7370_656C_6C73), u64::from(id));
        let one_in = |nth: u32, of: u64| (bits >> (nth * 5)).is_multiple_of(of);
        if one_in(0, 4) {
            return Self::CANONICAL;
        }
        if one_in(0, 2) {
            return Self::default();
        }
        Self {
            pascal: one_in(1, 3),
            enums: [Enums::Name, Enums::LowerCase, Enums::Ordinal, Enums::Ordinal][(bits >> 12) as usize & 3],
            zone: [Zone::Z, Zone::PlusZero, Zone::India, Zone::Pacific][(bits >> 17) as usize & 3],
            more_digits: one_in(4, 3),
            shuffled: one_in(5, 2),
            escapes: one_in(6, 4),
            spaces: one_in(7, 5),
            unknown: one_in(8, 4),
            sparse: one_in(9, 2),
            envelope_time_only: one_in(10, 4),
            trial_key: one_in(11, 2),
            defaults: one_in(11, 4),
        }
    }
}

/// A JSON object under construction at the end of a buffer.
pub(crate) struct Object {
    start: usize,
    spelling: Spelling,
    /// Where each member begins.
    members: [u32; Object::MOST],
    count: usize,
}

impl Object {
    const MOST: usize = 20;

    pub(crate) fn begin(out: &mut Vec<u8>, spelling: Spelling) -> Self {
        let start = out.len();
        out.push(b'{');
        Self {
            start,
            spelling,
            members: [0; Self::MOST],
            count: 0,
        }
    }

    /// Begins a member: its name and the colon.
    pub(crate) fn member(&mut self, out: &mut Vec<u8>, name: &str) {
        if self.count > 0 {
            out.push(b',');
        }
        if let Some(place) = self.members.get_mut(self.count) {
            *place = u32::try_from(out.len()).unwrap_or(0);
        }
        self.count += 1;
        if self.spelling.spaces {
            out.extend_from_slice(b" \t");
        }
        out.push(b'"');
        let begin = out.len();
        out.extend_from_slice(name.as_bytes());
        if self.spelling.pascal
            && let Some(first) = out.get_mut(begin)
        {
            first.make_ascii_uppercase();
        }
        out.extend_from_slice(if self.spelling.spaces { b"\" : " } else { b"\":" });
    }

    /// A member whose value is a text; an empty one is absent.
    pub(crate) fn text(&mut self, out: &mut Vec<u8>, name: &str, value: &str) {
        if value.is_empty() {
            return self.absent(out, name);
        }
        self.member(out, name);
        quote(out, value, self.spelling.escapes);
    }

    /// A member that has no value.
    pub(crate) fn absent(&mut self, out: &mut Vec<u8>, name: &str) {
        if !self.spelling.sparse {
            self.member(out, name);
            out.extend_from_slice(b"null");
        }
    }

    /// A member whose value is one of an enumeration.
    pub(crate) fn one_of(&mut self, out: &mut Vec<u8>, name: &str, value: &str, ordinal: u8) {
        self.member(out, name);
        match self.spelling.enums {
            Enums::Ordinal => out.push(b'0' + ordinal),
            Enums::Name => quote(out, value, false),
            Enums::LowerCase => {
                let begin = out.len();
                quote(out, value, false);
                out.get_mut(begin..).unwrap_or_default().make_ascii_lowercase();
            }
        }
    }

    /// A member whose value is an instant in microseconds since 1970.
    pub(crate) fn instant(&mut self, out: &mut Vec<u8>, name: &str, micros: i64) {
        self.member(out, name);
        instant(out, micros, self.spelling.zone, self.spelling.more_digits);
    }

    pub(crate) fn end(self, out: &mut Vec<u8>) {
        if self.spelling.shuffled && self.count > 1 && self.count <= Self::MOST {
            self.rotate(out);
        }
        out.push(b'}');
    }

    /// Moves the second half of the members before the first.
    fn rotate(&self, out: &mut Vec<u8>) {
        let first = self.start + 1;
        let Some(middle) = self
            .members
            .get(self.count / 2)
            .and_then(|place| usize::try_from(*place).ok())
        else {
            return;
        };
        let Some(members) = out.get_mut(first..) else { return };
        // ..., "b": 1,|"c": 2  becomes  "c": 2|..., "b": 1,  and the comma moves between them
        members.rotate_left(middle - first);
        let second = out.len() - (middle - first);
        out.pop();
        out.insert(second, b',');
    }
}

/// A JSON string; `escapes` writes every third letter as a `\u` escape.
pub(crate) fn quote(out: &mut Vec<u8>, text: &str, escapes: bool) {
    out.push(b'"');
    // without an early end, so that it is done many bytes at a time
    let needs_escape = text.bytes().fold(false, |found, byte| {
        found | (byte < b' ') | (byte == b'"') | (byte == b'\\')
    });
    if !escapes && !needs_escape {
        out.extend_from_slice(text.as_bytes());
    } else {
        for (index, letter) in text.chars().enumerate() {
            quote_letter(out, letter, escapes && index % 3 == 0);
        }
    }
    out.push(b'"');
}

fn quote_letter(out: &mut Vec<u8>, letter: char, escape: bool) {
    let mut units = [0u16; 2];
    match letter {
        '"' | '\\' if !escape => out.extend_from_slice(&[b'\\', letter as u8]),
        _ if escape || letter < ' ' => {
            for unit in letter.encode_utf16(&mut units) {
                out.extend_from_slice(b"\\u");
                hex(out, u64::from(*unit), 4);
            }
        }
        _ => {
            let mut bytes = [0u8; 4];
            out.extend_from_slice(letter.encode_utf8(&mut bytes).as_bytes());
        }
    }
}

/// The lowest `digits` hexadecimal digits.
pub(crate) fn hex(out: &mut Vec<u8>, value: u64, digits: u32) {
    let mut text = [0u8; 16];
    for (place, digit) in text.iter_mut().zip((0..digits.min(16)).rev()) {
        let nibble = (value >> (digit * 4)) as u8 & 15;
        *place = if nibble < 10 { b'0' + nibble } else { b'a' - 10 + nibble };
    }
    out.extend_from_slice(text.get(..digits.min(16) as usize).unwrap_or_default());
}

/// A whole number with at least `width` digits.
pub(crate) fn decimal(out: &mut Vec<u8>, mut value: u64, width: usize) {
    let mut digits = [b'0'; 20];
    let mut used = 0;
    for place in digits.iter_mut().rev() {
        if value == 0 && used >= width.max(1) {
            break;
        }
        *place = b'0' + (value % 10) as u8;
        value /= 10;
        used += 1;
    }
    out.extend_from_slice(digits.get(digits.len() - used..).unwrap_or_default());
}

/// Fills the place with the last digits of a number.
fn put_digits(place: &mut [u8], mut value: u64) {
    for digit in place.iter_mut().rev() {
        *digit = b'0' + (value % 10) as u8;
        value /= 10;
    }
}

/// An RFC 3339 instant, quoted.
pub(crate) fn instant(out: &mut Vec<u8>, micros: i64, zone: Zone, more_digits: bool) {
    let (shift_minutes, suffix): (i64, &[u8]) = match zone {
        Zone::Z => (0, b"Z\""),
        Zone::PlusZero => (0, b"+00:00\""),
        Zone::India => (330, b"+05:30\""),
        Zone::Pacific => (-480, b"-08:00\""),
    };
    let local = micros + shift_minutes * 60_000_000;
    let (seconds, fraction) = (local.div_euclid(1_000_000), local.rem_euclid(1_000_000).unsigned_abs());
    let (days, second_of_day) = (seconds.div_euclid(86_400), seconds.rem_euclid(86_400).unsigned_abs());
    let (year, month, day) = civil(days);
    let mut text = *b"\"0000-00-00T00:00:00.000000";
    let parts = [
        (1..5, year),
        (6..8, month),
        (9..11, day),
        (12..14, second_of_day / 3600),
        (15..17, second_of_day / 60 % 60),
        (18..20, second_of_day % 60),
        (21..27, fraction),
    ];
    for (place, value) in parts {
        put_digits(text.get_mut(place).unwrap_or_default(), value);
    }
    out.extend_from_slice(&text);
    if more_digits {
        out.extend_from_slice(b"987");
    }
    out.extend_from_slice(suffix);
}

/// Year, month and day of a number of days since 1970 (Hinnant, "chrono-compatible low-level date algorithms").
fn civil(days: i64) -> (u64, u64, u64) {
    let shifted = days + 719_468;
    let era = shifted.div_euclid(146_097);
    let day_of_era = shifted.rem_euclid(146_097);
    let year_of_era = (day_of_era - day_of_era / 1460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
    let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let month_from_march = (5 * day_of_year + 2) / 153;
    let day = day_of_year - (153 * month_from_march + 2) / 5 + 1;
    let month = if month_from_march < 10 {
        month_from_march + 3
    } else {
        month_from_march - 9
    };
    let year = year_of_era + era * 400 + i64::from(month <= 2);
    (year.unsigned_abs(), month.unsigned_abs(), day.unsigned_abs())
}

#[cfg(test)]
mod tests {
    use chrono::{DateTime, Utc};

    use super::*;

    #[test]
    fn an_instant_is_the_same_in_every_zone() {
        for micros in [
            1_767_571_200_000_000,
            1_772_323_199_999_999,
            951_782_400_000_001,
            4_107_542_400_000_000,
        ] {
            for zone in [Zone::Z, Zone::PlusZero, Zone::India, Zone::Pacific] {
                let mut out = Vec::new();
                instant(&mut out, micros, zone, true);
                let text = String::from_utf8(out).unwrap();
                let read: DateTime<Utc> = text.trim_matches('"').parse().unwrap();
                assert_eq!(read.timestamp_micros(), micros, "{text}");
            }
        }
    }

    #[test]
    fn a_shuffled_object_has_the_same_members() {
        for shuffled in [false, true] {
            let mut out = Vec::new();
            let mut object = Object::begin(
                &mut out,
                Spelling {
                    shuffled,
                    pascal: true,
                    ..Spelling::default()
                },
            );
            for name in ["alpha", "beta", "gamma"] {
                object.text(&mut out, name, "1");
            }
            object.end(&mut out);
            let read: serde_json::Value = serde_json::from_slice(&out).unwrap();
            assert_eq!(read, serde_json::json!({"Alpha": "1", "Beta": "1", "Gamma": "1"}));
            assert_eq!(out.starts_with(b"{\"Beta"), shuffled);
        }
    }

    #[test]
    fn a_text_reads_back_however_it_is_escaped() {
        for text in [
            "plain",
            "he said \"no\"\\",
            "prix d\u{e9}t\u{e9} \u{1F680}",
            "tab\there",
        ] {
            for escapes in [false, true] {
                let mut out = Vec::new();
                quote(&mut out, text, escapes);
                assert_eq!(serde_json::from_slice::<String>(&out).unwrap(), text);
            }
        }
    }
}
