//! What the engine relies on in a sink.

use std::collections::BTreeMap;

use backplane_events::Table;

use super::{During, Violation, hold, sample};
use crate::{ConnectorError, Effect, Epoch, Output, Sink};

/// When rows that a sink has been given can be seen.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Visibility {
    /// Only once they are published.
    AtPublish,
    /// Once they are prepared; [`Sink::recover`] takes back what was never decided.
    AtPrepare,
}

/// Checks a sink. `make` gives a fresh one over the same place each time, as a restarted process would; `visible` counts the rows of each
/// table that a reader of that place sees now.
///
/// - Nothing that was only accepted is seen, and nothing of it is left when the process ends.
/// - A published epoch is seen, all of it; publishing it again, also from another process, changes nothing.
/// - What was prepared can be published by another process from the written-down effect alone.
/// - What was prepared and never decided is not seen by readers (at the latest after [`Sink::recover`]), and its epoch can be prepared anew.
/// - An epoch without rows works.
///
/// # Errors
/// The first rule that is broken.
pub fn sink(
    make: impl Fn() -> Result<Box<dyn Sink>, ConnectorError>,
    visible: impl Fn() -> Result<BTreeMap<Table, u64>, ConnectorError>,
    visibility: Visibility,
) -> Result<(), Violation> {
    let case = Case {
        make: &make,
        visible: &visible,
        visibility,
    };
    let (first, mut sink) = case.an_empty_epoch()?;
    let second = case.an_epoch_with_rows(sink.as_mut(), &first)?;
    drop(sink);
    case.publishing_again_from_another_process(Epoch(2), &second)?;
    let third = case.rolling_forward(Epoch(3))?;
    case.giving_up_before_preparing()?;
    case.giving_up_before_deciding(Epoch(4), &third)
}

/// Checks that a sink takes epochs back, which not every sink can: those that can pass this too. `make` and `visible` are as for [`sink`], over
/// a place of its own.
///
/// - A withdrawn epoch is not seen any more, those before it are, all of them; withdrawing it again changes nothing.
/// - An epoch can be withdrawn by another process from the written-down effect alone, whether or not it was published.
/// - After that, epochs can be published, under new numbers and under those of withdrawn ones.
///
/// # Errors
/// The first rule that is broken.
pub fn withdrawal(
    make: impl Fn() -> Result<Box<dyn Sink>, ConnectorError>,
    visible: impl Fn() -> Result<BTreeMap<Table, u64>, ConnectorError>,
) -> Result<(), Violation> {
    let case = Case {
        make: &make,
        visible: &visible,
        visibility: Visibility::AtPublish,
    };
    let first = case.withdrawing_from_another_process()?;
    case.going_on_after_withdrawing(&first)
}

struct Case<'a, M, V> {
    make: &'a M,
    visible: &'a V,
    visibility: Visibility,
}

/// Rows of an event table, a table of results, and the dead letters.
const TABLES: [(Table, usize); 3] = [
    (Table::Outcomes, 90),
    (Table::AssignmentCounts, 7),
    (Table::DeadLetters, 3),
];

impl<M, V> Case<'_, M, V>
where
    M: Fn() -> Result<Box<dyn Sink>, ConnectorError>,
    V: Fn() -> Result<BTreeMap<Table, u64>, ConnectorError>,
{
    fn an_empty_epoch(&self) -> Result<(Effect, Box<dyn Sink>), Violation> {
        let mut sink = self.made()?;
        sink.check().during(|| "checking the place".to_owned())?;
        self.sees("a check leaves nothing behind", 0)?;
        let effect = sink
            .prepare(Epoch(1))
            .during(|| "preparing an epoch without rows".to_owned())?;
        sink.publish(Epoch(1), &effect)
            .during(|| "publishing an epoch without rows".to_owned())?;
        self.sees("an epoch without rows shows nothing", 0)?;
        Ok((effect, sink))
    }

    fn an_epoch_with_rows(&self, sink: &mut dyn Sink, empty: &Effect) -> Result<Effect, Violation> {
        accept(sink, 2)?;
        self.sees("nothing is seen that was only accepted", 0)?;
        let effect = sink.prepare(Epoch(2)).during(|| "preparing".to_owned())?;
        if self.visibility == Visibility::AtPublish {
            self.sees("nothing is seen before it is published", 0)?;
        }
        sink.publish(Epoch(2), &effect).during(|| "publishing".to_owned())?;
        self.sees("what is published is seen", 2)?;
        sink.publish(Epoch(2), &effect)
            .during(|| "publishing again".to_owned())?;
        self.sees("publishing again changes nothing", 2)?;
        sink.publish(Epoch(1), empty)
            .during(|| "publishing an earlier epoch again".to_owned())?;
        self.sees("publishing an earlier epoch again changes nothing", 2)?;
        Ok(effect)
    }

    fn publishing_again_from_another_process(&self, epoch: Epoch, effect: &Effect) -> Result<(), Violation> {
        let mut sink = self.made()?;
        sink.publish(epoch, &written_down(effect)?)
            .during(|| "publishing again after a restart".to_owned())?;
        self.sees("publishing again after a restart changes nothing", 2)
    }

    fn rolling_forward(&self, epoch: Epoch) -> Result<Effect, Violation> {
        let mut sink = self.made()?;
        accept(sink.as_mut(), 1)?;
        let effect = sink.prepare(epoch).during(|| "preparing".to_owned())?;
        drop(sink);
        let mut sink = self.made()?;
        let effect = written_down(&effect)?;
        sink.recover(&effect).during(|| "recovering".to_owned())?;
        sink.publish(epoch, &effect)
            .during(|| "publishing what another process prepared".to_owned())?;
        self.sees("what another process prepared can be published", 3)?;
        Ok(effect)
    }

    fn giving_up_before_preparing(&self) -> Result<(), Violation> {
        let mut sink = self.made()?;
        accept(sink.as_mut(), 1)?;
        drop(sink);
        self.sees("what was only accepted is gone with its process", 3)
    }

    fn giving_up_before_deciding(&self, epoch: Epoch, committed: &Effect) -> Result<(), Violation> {
        let mut sink = self.made()?;
        accept(sink.as_mut(), 1)?;
        sink.prepare(epoch)
            .during(|| "preparing what is never decided".to_owned())?;
        drop(sink);
        let mut sink = self.made()?;
        sink.recover(&written_down(committed)?)
            .during(|| "recovering".to_owned())?;
        self.sees("what was never decided is not seen", 3)?;
        accept(sink.as_mut(), 2)?;
        let effect = sink.prepare(epoch).during(|| "preparing an epoch anew".to_owned())?;
        sink.publish(epoch, &effect)
            .during(|| "publishing an epoch that was prepared anew".to_owned())?;
        self.sees("an epoch that was never decided can be prepared anew", 5)
    }

    /// Gives the effect of the first epoch, which is left.
    fn withdrawing_from_another_process(&self) -> Result<Effect, Violation> {
        let mut sink = self.made()?;
        let first = publish(sink.as_mut(), Epoch(1), 2)?;
        let second = publish(sink.as_mut(), Epoch(2), 1)?;
        let empty = publish(sink.as_mut(), Epoch(3), 0)?;
        self.sees("what is published is seen", 3)?;
        drop(sink);
        withdraw(self.made()?.as_mut(), Epoch(3), &empty)?;
        self.sees("withdrawing an epoch without rows changes nothing", 3)?;
        withdraw(self.made()?.as_mut(), Epoch(2), &second)?;
        self.sees("a withdrawn epoch is not seen, and those before it are", 2)?;
        withdraw(self.made()?.as_mut(), Epoch(2), &second)?;
        self.sees("withdrawing again changes nothing", 2)?;
        Ok(first)
    }

    fn going_on_after_withdrawing(&self, first: &Effect) -> Result<(), Violation> {
        let mut sink = self.made()?;
        let third = publish(sink.as_mut(), Epoch(3), 1)?;
        self.sees("an epoch can be published after another was withdrawn", 3)?;
        withdraw(sink.as_mut(), Epoch(3), &third)?;
        self.sees("the process that published can withdraw", 2)?;
        let second = publish(sink.as_mut(), Epoch(2), 3)?;
        self.sees("the number of a withdrawn epoch can come again", 5)?;
        accept(sink.as_mut(), 1)?;
        let unpublished = sink.prepare(Epoch(3)).during(|| "preparing".to_owned())?;
        drop(sink);
        let mut sink = self.made()?;
        withdraw(sink.as_mut(), Epoch(3), &unpublished)?;
        self.sees("withdrawing what was never published changes nothing", 5)?;
        withdraw(sink.as_mut(), Epoch(2), &second)?;
        self.sees("of two epochs of one number the later one is withdrawn", 2)?;
        withdraw(sink.as_mut(), Epoch(1), first)?;
        self.sees("every epoch can be withdrawn", 0)
    }

    fn made(&self) -> Result<Box<dyn Sink>, Violation> {
        (self.make)().during(|| "making the sink".to_owned())
    }

    /// Holds the rule if each table shows its sample rows `times` times.
    fn sees(&self, rule: &'static str, times: u64) -> Result<(), Violation> {
        let mut counts = (self.visible)().during(|| format!("reading to see that {rule}"))?;
        counts.retain(|_, rows| *rows > 0);
        let expected: BTreeMap<Table, u64> = TABLES
            .iter()
            .map(|(table, rows)| (*table, *rows as u64 * times))
            .filter(|(_, rows)| *rows > 0)
            .collect();
        hold(rule, counts == expected, || {
            format!("{counts:?} instead of {expected:?}")
        })
    }
}

/// Gives each table its sample rows, `times` times.
fn accept(sink: &mut dyn Sink, times: usize) -> Result<(), Violation> {
    for turn in 0..times {
        for (table, rows) in TABLES {
            let batch = sample(table, turn * rows, rows).map_err(|error| Violation::Broken {
                rule: "every table has samples",
                found: error.to_string(),
            })?;
            sink.accept(&Output::Rows { table, batch })
                .during(|| format!("accepting rows of {}", table.name()))?;
        }
    }
    Ok(())
}

/// Publishes an epoch that has the sample rows `times` times.
fn publish(sink: &mut dyn Sink, epoch: Epoch, times: usize) -> Result<Effect, Violation> {
    accept(sink, times)?;
    let effect = sink.prepare(epoch).during(|| "preparing".to_owned())?;
    sink.publish(epoch, &effect).during(|| "publishing".to_owned())?;
    Ok(effect)
}

/// Withdraws an epoch whose effect was written down.
fn withdraw(sink: &mut dyn Sink, epoch: Epoch, effect: &Effect) -> Result<(), Violation> {
    sink.withdraw(epoch, &written_down(effect)?)
        .during(|| format!("withdrawing epoch {}", epoch.0))
}

fn written_down(effect: &Effect) -> Result<Effect, Violation> {
    let again = serde_json::from_str(&effect.to_string()).ok();
    again.ok_or_else(|| Violation::Broken {
        rule: "an effect survives being written down",
        found: effect.to_string(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::memory::{MemorySink, MemoryStore};

    /// Breaks one rule: publishes whatever it is told to, however often.
    struct Eager(MemorySink, u64);

    impl Sink for Eager {
        fn name(&self) -> &str {
            "eager"
        }
        fn accept(&mut self, output: &Output) -> Result<(), ConnectorError> {
            self.0.accept(output)
        }
        fn prepare(&mut self, epoch: Epoch) -> Result<Effect, ConnectorError> {
            self.1 += 1;
            let effect = self.0.prepare(Epoch(epoch.0 * 100 + self.1))?;
            self.0.publish(Epoch(epoch.0 * 100 + self.1), &effect)?;
            Ok(effect)
        }
        fn publish(&mut self, _: Epoch, _: &Effect) -> Result<(), ConnectorError> {
            Ok(())
        }
    }

    #[test]
    fn a_sink_that_cannot_take_rows_back_says_so() {
        let store = MemoryStore::new();
        let mut sink = Eager(MemorySink::new("eager", store), 0);
        let error = sink.withdraw(Epoch(7), &Effect::Null).unwrap_err();
        assert_eq!(error.fault(), crate::Fault::User);
        let message = error.to_string();
        assert!(
            message.starts_with("eager: the rows of epoch 7 cannot be taken back"),
            "{message}"
        );
    }

    #[test]
    fn a_sink_that_shows_rows_too_early_is_found_out() {
        let store = MemoryStore::new();
        let make = || -> Result<Box<dyn Sink>, ConnectorError> {
            Ok(Box::new(Eager(MemorySink::new("eager", store.clone()), 0)))
        };
        let found = sink(make, || Ok(store.row_counts()), Visibility::AtPublish);
        assert!(matches!(
            found,
            Err(Violation::Broken {
                rule: "nothing is seen before it is published",
                ..
            })
        ));
    }
}
