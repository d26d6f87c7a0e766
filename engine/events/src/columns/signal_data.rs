//! The members of a signal's `data` that have columns of their own. Signals are few: here allocation does no harm.

use std::borrow::Cow;

use crate::decode::fields::instant_of;
use crate::decode::members_of;

/// What `data` tells of a signal; a member that is no text (or no instant) is left to `data` alone.
#[derive(Debug, Default)]
pub(super) struct SignalData<'a> {
    pub(super) signal: Option<Cow<'a, str>>,
    pub(super) state: Option<Cow<'a, str>>,
    pub(super) window_name: Option<Cow<'a, str>>,
    pub(super) window_start: Option<i64>,
    pub(super) window_end: Option<i64>,
}

impl<'a> SignalData<'a> {
    /// Reads the JSON text of an object.
    pub(super) fn of(data: &'a str) -> SignalData<'a> {
        let mut known = SignalData::default();
        for member in members_of(data).unwrap_or_default() {
            let text = member.text();
            match &*member.name {
                "signal" => known.signal = text,
                "state" => known.state = text,
                "windowName" => known.window_name = text,
                "windowStart" => known.window_start = text.and_then(|text| instant_of(&text)),
                "windowEnd" => known.window_end = text.and_then(|text| instant_of(&text)),
                _ => {}
            }
        }
        known
    }
}
