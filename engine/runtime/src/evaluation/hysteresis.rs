//! When a finding becomes a signal, and when the signal is closed.
//!
//! A signal is raised once, raised again only when its severity rises, and closed after two clean evaluations, the first of them not before
//! `resolveAfter` of event time after the raising. An experiment in which nothing moves is judged as it was: its verdict stands at every
//! multiple of `evaluateEvery` until another one is given.

use backplane_events::Severity;

/// What an evaluation says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Verdict {
    /// Nothing is wrong.
    Clean,
    /// Not so wrong that it would be raised anew, but an open signal is not over yet.
    Holds,
    /// Something is wrong, until another verdict is given, or until an instant.
    Raised {
        /// How grave it is.
        severity: Severity,
        /// From then on it is clean, microseconds of event time.
        holds_until: Option<i64>,
    },
}

/// What becomes of a signal.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Turn {
    /// It is raised, for the `onset`th time.
    Raised {
        /// When, microseconds of event time.
        at: i64,
        /// How often it was raised so far, this time included.
        onset: u32,
        /// How grave it is.
        severity: Severity,
    },
    /// It is closed.
    Resolved {
        /// When, microseconds of event time.
        at: i64,
        /// The number of the raising that is over.
        onset: u32,
        /// How grave it was.
        severity: Severity,
        /// When it was raised.
        raised_at: i64,
    },
}

/// How signals open and close.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Rules {
    /// Event time between evaluations, microseconds.
    pub every: i64,
    /// How long after its raising a clean evaluation first counts, microseconds.
    pub resolve_after: i64,
    /// Whether it is ever closed: a milestone that was reached stays reached.
    pub closes: bool,
}

/// How one signal stands.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct SignalState {
    onsets: u32,
    open: Option<Open>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
struct Open {
    raised_at: i64,
    severity: Severity,
    /// The instant from which on it is clean, if it is.
    clean_from: Option<i64>,
}

impl SignalState {
    /// Whether it is raised and not closed.
    #[must_use]
    pub fn is_open(&self) -> bool {
        self.open.is_some()
    }

    /// Takes the verdict of the evaluation at `at`; verdicts come in order. Gives what becomes of the signal, in order.
    pub fn judge(&mut self, at: i64, verdict: Verdict, rules: &Rules) -> Vec<Turn> {
        let mut turns = Vec::new();
        turns.extend(self.advance(at.saturating_sub(rules.every), rules));
        match verdict {
            Verdict::Clean => {
                // what was clean before it was raised says nothing
                if let Some(open) = self.open.as_mut().filter(|open| at >= open.raised_at) {
                    open.clean_from.get_or_insert(at);
                }
            }
            Verdict::Holds => {
                if let Some(open) = self.open.as_mut() {
                    open.clean_from = None;
                }
            }
            Verdict::Raised { severity, holds_until } => {
                let is_news = self.open.is_none_or(|open| severity > open.severity);
                if is_news {
                    self.onsets += 1;
                    let onset = self.onsets;
                    turns.push(Turn::Raised { at, onset, severity });
                }
                let before = self.open.filter(|_| !is_news);
                self.open = Some(Open {
                    raised_at: before.map_or(at, |open| open.raised_at),
                    severity: before.map_or(severity, |open| open.severity),
                    clean_from: holds_until,
                });
            }
        }
        turns.extend(self.advance(at, rules));
        turns
    }

    /// Lets the evaluations up to `until` pass, which say what the last one said.
    pub fn advance(&mut self, until: i64, rules: &Rules) -> Option<Turn> {
        let open = self.open.filter(|_| rules.closes)?;
        let may_count = open.clean_from?.max(open.raised_at.saturating_add(rules.resolve_after));
        let first = may_count.saturating_add((-may_count).rem_euclid(rules.every));
        let second = first.saturating_add(rules.every);
        (second <= until).then(|| {
            self.open = None;
            Turn::Resolved {
                at: second,
                onset: self.onsets,
                severity: open.severity,
                raised_at: open.raised_at,
            }
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const RULES: Rules = Rules {
        every: 10,
        resolve_after: 100,
        closes: true,
    };

    fn raised(severity: Severity) -> Verdict {
        Verdict::Raised {
            severity,
            holds_until: None,
        }
    }

    fn warning() -> Verdict {
        raised(Severity::Warning)
    }

    #[test]
    fn it_is_raised_once_and_again_only_when_it_gets_worse() {
        let mut state = SignalState::default();
        let mut turns = Vec::new();
        for (at, severity) in [
            (10, Severity::Warning),
            (20, Severity::Warning),
            (30, Severity::Error),
            (40, Severity::Info),
        ] {
            turns.extend(state.judge(at, raised(severity), &RULES));
        }
        let wanted = [(10, 1, Severity::Warning), (30, 2, Severity::Error)];
        assert_eq!(
            turns,
            wanted.map(|(at, onset, severity)| Turn::Raised { at, onset, severity })
        );
    }

    #[test]
    fn what_only_holds_on_keeps_an_open_signal_and_raises_none() {
        let mut state = SignalState::default();
        state.judge(10, warning(), &RULES);
        state.judge(110, Verdict::Clean, &RULES);
        assert!(state.judge(120, Verdict::Holds, &RULES).is_empty(), "it came in time");
        assert_eq!(state.advance(500, &RULES), None);
        state.judge(510, Verdict::Clean, &RULES);
        // two evaluations pass before this one, of which nothing was heard
        let turns = state.judge(540, Verdict::Holds, &RULES);
        assert!(matches!(turns[..], [Turn::Resolved { at: 520, .. }]), "{turns:?}");
        assert!(!state.is_open());
    }

    #[test]
    fn it_is_closed_by_the_second_clean_evaluation_after_its_time() {
        let mut state = SignalState::default();
        state.judge(10, warning(), &RULES);
        assert!(state.judge(20, Verdict::Clean, &RULES).is_empty());
        // the first that counts is at 110, though nothing is heard of the experiment
        assert_eq!(state.advance(119, &RULES), None);
        let closed = Turn::Resolved {
            at: 120,
            onset: 1,
            severity: Severity::Warning,
            raised_at: 10,
        };
        assert_eq!(state.advance(500, &RULES), Some(closed));
        assert_eq!(state.advance(500, &RULES), None);
    }

    #[test]
    fn when_it_is_closed_does_not_depend_on_how_often_one_looks() {
        let verdicts = [
            (10, warning()),
            (20, Verdict::Clean),
            (150, warning()),
            (160, Verdict::Clean),
            (300, warning()),
        ];
        let all_at_once = |steps: &[i64]| {
            let mut state = SignalState::default();
            let mut turns = Vec::new();
            for (at, verdict) in verdicts {
                for step in steps.iter().filter(|step| **step < at) {
                    turns.extend(state.advance(*step, &RULES));
                }
                turns.extend(state.judge(at, verdict, &RULES));
            }
            turns
        };
        let seldom = all_at_once(&[]);
        assert_eq!(seldom, all_at_once(&(0..300).step_by(10).collect::<Vec<_>>()));
        assert_eq!(
            seldom.len(),
            5,
            "raised, closed at 120, raised at 150, closed at 260, raised at 300"
        );
    }

    #[test]
    fn a_relapse_between_two_clean_evaluations_keeps_it_open() {
        let mut state = SignalState::default();
        state.judge(10, warning(), &RULES);
        for at in (20..=400).step_by(20) {
            assert!(state.judge(at, Verdict::Clean, &RULES).is_empty() || at > 100);
            if at <= 100 {
                assert!(state.judge(at + 10, warning(), &RULES).is_empty());
            }
        }
        assert!(!state.is_open());
    }

    #[test]
    fn a_finding_that_holds_until_an_instant_is_clean_from_then_on() {
        let mut state = SignalState::default();
        let verdict = Verdict::Raised {
            severity: Severity::Info,
            holds_until: Some(205),
        };
        assert_eq!(state.judge(10, verdict, &RULES).len(), 1);
        assert_eq!(state.advance(219, &RULES), None);
        assert!(matches!(
            state.advance(220, &RULES),
            Some(Turn::Resolved { at: 220, .. })
        ));
    }

    #[test]
    fn a_milestone_stays() {
        let rules = Rules { closes: false, ..RULES };
        let mut state = SignalState::default();
        assert_eq!(state.judge(10, raised(Severity::Info), &rules).len(), 1);
        assert!(state.judge(20, Verdict::Clean, &rules).is_empty());
        assert_eq!(state.advance(i64::MAX, &rules), None);
        assert!(state.judge(30, raised(Severity::Info), &rules).is_empty());
    }
}
