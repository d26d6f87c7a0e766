//! What a document may hold, said once: the tables of `tables/` are made of these, and checking, defaults, masking of secrets and the
//! JSON Schema all follow them.

/// What one key or list entry may hold.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Kind {
    /// Any text, not empty.
    Text,
    /// Text that is never shown.
    Secret,
    /// `true` or `false`.
    Flag,
    /// A whole number within bounds, both included.
    Integer { least: i64, greatest: i64 },
    /// A finite number within bounds, included unless `open`.
    Real { least: f64, greatest: f64, open: bool },
    /// `30s`, `1h30m`; positive unless zero is allowed.
    Duration { zero: bool },
    /// `64MiB`.
    Size,
    /// `2026-01-05T00:00:00Z`.
    Instant,
    /// A length of time as .NET writes it: `[d.]hh:mm[:ss[.fff]]`.
    TimeSpan,
    /// `09:00`.
    TimeOfDay,
    /// One of these, in any case.
    Choice(&'static [Choice]),
    /// A path or URL of a folder, where `remote` also of an object store.
    Storage { remote: bool },
    /// `127.0.0.1:8080`.
    Address,
    /// `tenantId`, `subjectType` or `attributes.NAME`.
    Segment,
    /// One of the types of the shape that the key stands in.
    TypeName,
    /// The options of that type.
    TypeOptions,
    /// A list.
    List { of: &'static Kind, empty: bool },
    /// A list, or one entry by itself.
    ListOrOne(&'static Kind),
    /// A mapping of this shape.
    Object(&'static Shape),
    /// Shares by variant, or a list of dated ones.
    Allocation,
    /// Numbers by variant, none negative.
    Shares,
    /// A mapping with keys of the user's own.
    FreeMap,
    /// A mapping with keys of the user's own and text as values.
    TextMap,
}

/// A value of [`Kind::Choice`]: its name, or several spellings of it, the first the canonical one.
pub(crate) type Choice = &'static str;

impl Kind {
    pub const COUNT: Kind = Kind::Integer {
        least: 1,
        greatest: i64::MAX,
    };
    pub const NOT_NEGATIVE: Kind = Kind::Real {
        least: 0.0,
        greatest: f64::MAX,
        open: false,
    };
    pub const POSITIVE: Kind = Kind::Real {
        least: 0.0,
        greatest: f64::MAX,
        open: true,
    };
    pub const NUMBER: Kind = Kind::Real {
        least: f64::MIN,
        greatest: f64::MAX,
        open: false,
    };
    /// Strictly between 0 and 1.
    pub const PROBABILITY: Kind = Kind::Real {
        least: 0.0,
        greatest: 1.0,
        open: true,
    };
    /// From 0 to 1.
    pub const SHARE: Kind = Kind::Real {
        least: 0.0,
        greatest: 1.0,
        open: false,
    };
    pub const LENGTH: Kind = Kind::Duration { zero: false };
    pub const LENGTH_OR_ZERO: Kind = Kind::Duration { zero: true };
}

/// Whether a key must be there, and what holds where it is not.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Presence {
    Required,
    Optional,
    /// This scalar.
    Default(&'static str),
    /// An empty mapping or list, in which the defaults below hold.
    Empty,
}

/// A key of a mapping.
#[derive(Debug)]
pub(crate) struct Key {
    pub name: &'static str,
    pub kind: Kind,
    pub presence: Presence,
    /// One line for the JSON Schema.
    pub doc: &'static str,
    /// Whether the value is checked and then has no effect in this version.
    pub without_effect: bool,
}

impl Key {
    pub const fn required(name: &'static str, kind: Kind, doc: &'static str) -> Self {
        Self {
            name,
            kind,
            presence: Presence::Required,
            doc,
            without_effect: false,
        }
    }

    pub const fn optional(name: &'static str, kind: Kind, doc: &'static str) -> Self {
        Self {
            name,
            kind,
            presence: Presence::Optional,
            doc,
            without_effect: false,
        }
    }

    pub const fn default(name: &'static str, kind: Kind, default: &'static str, doc: &'static str) -> Self {
        Self {
            name,
            kind,
            presence: Presence::Default(default),
            doc,
            without_effect: false,
        }
    }

    pub const fn empty(name: &'static str, kind: Kind, doc: &'static str) -> Self {
        Self {
            name,
            kind,
            presence: Presence::Empty,
            doc,
            without_effect: false,
        }
    }

    /// The same key, checked and then without effect.
    pub const fn without_effect(mut self) -> Self {
        self.without_effect = true;
        self
    }
}

/// A mapping with known keys; all others are errors.
#[derive(Debug)]
pub(crate) struct Shape {
    /// The name in the JSON Schema.
    pub name: &'static str,
    pub doc: &'static str,
    pub keys: &'static [Key],
    /// Where the shape has a key `type`: what it may be.
    pub types: &'static [Type],
}

impl Shape {
    pub const fn new(name: &'static str, doc: &'static str, keys: &'static [Key]) -> Self {
        Self {
            name,
            doc,
            keys,
            types: &[],
        }
    }

    pub const fn of_types(name: &'static str, doc: &'static str, keys: &'static [Key], types: &'static [Type]) -> Self {
        Self { name, doc, keys, types }
    }
}

/// A type that `type` names.
#[derive(Debug)]
pub(crate) struct Type {
    pub name: &'static str,
    pub options: Options,
    /// Whether this version has it.
    pub available: bool,
}

/// What stands under `options`.
#[derive(Debug)]
pub(crate) enum Options {
    Known(&'static Shape),
    Free,
}

impl Type {
    pub const fn new(name: &'static str, options: &'static Shape) -> Self {
        Self {
            name,
            options: Options::Known(options),
            available: true,
        }
    }

    pub const fn free(name: &'static str) -> Self {
        Self {
            name,
            options: Options::Free,
            available: true,
        }
    }

    pub const fn unavailable(name: &'static str) -> Self {
        Self {
            name,
            options: Options::Free,
            available: false,
        }
    }
}
