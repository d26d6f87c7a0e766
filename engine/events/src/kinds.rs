//! The enumerations of the envelope, with their names and ordinals on the wire.

/// What all wire enumerations have in common.
pub(crate) trait WireEnum: Copy + 'static {
    /// Every value, in ordinal order.
    fn all() -> &'static [Self];
    /// The name on the wire.
    fn wire_name(self) -> &'static str;
    /// The position among all values.
    fn ordinal(self) -> u8;
    /// The value of this ordinal.
    fn of_ordinal(ordinal: u64) -> Option<Self>;
    /// The value of this name, in any case.
    fn of_name(name: &[u8]) -> Option<Self>;
}

/// Declares a wire enumeration: its variants in ordinal order, each written as its name.
macro_rules! wire_enum {
    ($(#[$doc:meta])* $name:ident { $($(#[$vdoc:meta])* $variant:ident),+ $(,)? }) => {
        $(#[$doc])*
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, serde::Serialize, serde::Deserialize)]
        #[repr(u8)]
        pub enum $name { $($(#[$vdoc])* $variant),+ }

        impl $name {
            /// Every value, in ordinal order.
            pub const ALL: &'static [$name] = &[$($name::$variant),+];

            /// The name on the wire.
            #[must_use]
            pub fn name(self) -> &'static str {
                match self { $($name::$variant => stringify!($variant)),+ }
            }

            /// The value of this ordinal (0-based), if there is one.
            #[must_use]
            pub fn from_ordinal(ordinal: u64) -> Option<Self> {
                usize::try_from(ordinal).ok().and_then(|index| Self::ALL.get(index).copied())
            }

            /// The value of this name, in any case.
            #[must_use]
            pub fn from_name(name: &[u8]) -> Option<Self> {
                // Mostly it is spelled as we spell it; that is compared at once.
                $(if name == stringify!($variant).as_bytes() {
                    return Some($name::$variant);
                })+
                Self::ALL.iter().copied().find(|value| value.name().as_bytes().eq_ignore_ascii_case(name))
            }
        }

        impl WireEnum for $name {
            fn all() -> &'static [Self] {
                Self::ALL
            }
            fn wire_name(self) -> &'static str {
                self.name()
            }
            fn ordinal(self) -> u8 {
                self as u8
            }
            fn of_ordinal(ordinal: u64) -> Option<Self> {
                Self::from_ordinal(ordinal)
            }
            fn of_name(name: &[u8]) -> Option<Self> {
                Self::from_name(name)
            }
        }
    };
}

wire_enum! {
    /// What an envelope carries.
    EventType {
        /// A subject was shown a variant.
        Exposure,
        /// A subject was assigned, or assigned anew, to a variant.
        Assignment,
        /// A measured value of a metric for a subject.
        Outcome,
        /// A finding of an analysis.
        AnalysisSignal,
        /// A failure of a variant.
        Error,
    }
}
wire_enum! {
    /// How firmly an assignment holds.
    AssignmentPolicy {
        /// No promise.
        BestEffort,
        /// Within a session.
        SessionSticky,
        /// For a subject.
        SubjectSticky,
        /// Everywhere.
        GloballySticky,
    }
}
wire_enum! {
    /// What kind of value an outcome has.
    OutcomeType {
        /// Zero or one.
        Binary,
        /// Any finite number.
        Continuous,
        /// A number of things.
        Count,
        /// A length of time.
        Duration,
    }
}
wire_enum! {
    /// How grave a signal is.
    Severity {
        /// To know.
        Info,
        /// To look into.
        Warning,
        /// To act on.
        Error,
    }
}
wire_enum! {
    /// The wire kind of a signal.
    SignalType {
        /// Subjects are not split as allocated.
        SampleRatioMismatch,
        /// A sequential test crossed its boundary.
        SequentialCheckpoint,
        /// An experiment is read too early.
        PeekingWarning,
        /// The planned sample is reached.
        MinimumSampleReached,
        /// The planned power is reached.
        PowerThresholdMet,
        /// Anything else; `data.signal` names it.
        Custom,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_found_in_any_case_and_ordinals_in_order() {
        assert_eq!(EventType::from_name(b"analysissignal"), Some(EventType::AnalysisSignal));
        assert_eq!(EventType::from_ordinal(4), Some(EventType::Error));
        assert_eq!(EventType::from_ordinal(5), None);
        assert_eq!(OutcomeType::from_name(b"binar"), None);
    }
}
