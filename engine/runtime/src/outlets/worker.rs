//! A sink on a thread of its own: the job hands rows over and goes on, and epochs are made durable and visible while it reads.

use std::sync::{Arc, Mutex, PoisonError};
use std::thread::{Builder, JoinHandle};

use backplane_connector_api::{ConnectorError, Effect, Epoch, Output, Sink};
use crossbeam_channel::{Receiver, Sender, bounded};

use crate::error::RuntimeError;

/// Outputs that wait for a sink; a job that is further ahead waits itself. A round hands over four for each of its blocks, and few would have the job
/// wait for a sink that is quick enough on the whole.
const WAITING: usize = 96;

/// What a sink answers, once it has come to it.
pub struct Answer<T> {
    sink: String,
    answer: Receiver<Result<T, ConnectorError>>,
}

impl<T> Answer<T> {
    /// Waits for it.
    ///
    /// # Errors
    /// The sink failed.
    pub fn wait(self) -> Result<T, ConnectorError> {
        let gone = |_| ConnectorError::internal(&self.sink, "the thread of the sink ended early");
        self.answer.recv().map_err(gone)?
    }
}

type Reply<T> = Sender<Result<T, ConnectorError>>;

enum Work {
    Accept(Output),
    Prepare(Epoch, Reply<Effect>),
    Publish(Epoch, Effect, Reply<()>),
    Recover(Effect, Reply<()>),
    Discard(Epoch, Effect, Reply<()>),
    Withdraw(Epoch, Effect, Reply<()>),
}

/// Tells a sink what to do, in the order of the calls. Clones tell the same sink.
#[derive(Clone)]
pub struct SinkHandle {
    name: String,
    work: Sender<Work>,
    failure: Failure,
}

/// Why rows could not be accepted, until somebody is told.
type Failure = Arc<Mutex<Option<ConnectorError>>>;

impl SinkHandle {
    /// Gives a sink its thread, which ends once all handles are gone.
    ///
    /// # Errors
    /// The system starts no thread.
    pub fn start(sink: Box<dyn Sink>) -> Result<(Self, JoinHandle<()>), RuntimeError> {
        let name = sink.name().to_owned();
        let (work, queue) = bounded(WAITING);
        let failure = Failure::default();
        let worker = Worker {
            sink,
            failure: Arc::clone(&failure),
            has_failed: false,
        };
        let thread = Builder::new()
            .name(format!("sink {name}"))
            .spawn(move || worker.carry_out(&queue))
            .map_err(|error| RuntimeError::Configuration(format!("cannot start the thread of sink {name}: {error}")))?;
        Ok((SinkHandle { name, work, failure }, thread))
    }

    /// The sink's name.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Hands rows over.
    ///
    /// # Errors
    /// The sink failed on these rows or on earlier ones.
    pub fn accept(&self, output: Output) -> Result<(), ConnectorError> {
        if let Some(error) = self.failure.lock().unwrap_or_else(PoisonError::into_inner).take() {
            return Err(error);
        }
        let gone = |_| ConnectorError::internal(&self.name, "the thread of the sink ended early");
        self.work.send(Work::Accept(output)).map_err(gone)
    }

    /// Has everything that was handed over made durable: see [`Sink::prepare`].
    #[must_use]
    pub fn prepare(&self, epoch: Epoch) -> Answer<Effect> {
        self.ask(|reply| Work::Prepare(epoch, reply))
    }

    /// See [`Sink::publish`].
    #[must_use]
    pub fn publish(&self, epoch: Epoch, effect: &Effect) -> Answer<()> {
        self.ask(|reply| Work::Publish(epoch, effect.clone(), reply))
    }

    /// See [`Sink::recover`].
    #[must_use]
    pub fn recover(&self, committed: &Effect) -> Answer<()> {
        self.ask(|reply| Work::Recover(committed.clone(), reply))
    }

    /// See [`Sink::discard`].
    #[must_use]
    pub fn discard(&self, epoch: Epoch, effect: &Effect) -> Answer<()> {
        self.ask(|reply| Work::Discard(epoch, effect.clone(), reply))
    }

    /// See [`Sink::withdraw`].
    #[must_use]
    pub fn withdraw(&self, epoch: Epoch, effect: &Effect) -> Answer<()> {
        self.ask(|reply| Work::Withdraw(epoch, effect.clone(), reply))
    }

    fn ask<T>(&self, work: impl FnOnce(Reply<T>) -> Work) -> Answer<T> {
        let (reply, answer) = bounded(1);
        // where the thread has ended, waiting for the answer says so
        drop(self.work.send(work(reply)));
        Answer {
            sink: self.name.clone(),
            answer,
        }
    }
}

struct Worker {
    sink: Box<dyn Sink>,
    failure: Failure,
    /// Rows were lost: the epoch cannot be completed.
    has_failed: bool,
}

impl Worker {
    /// Does the work in order. An answer that nobody waits for is dropped.
    fn carry_out(mut self, queue: &Receiver<Work>) {
        for work in queue {
            match work {
                Work::Accept(output) => self.accept(&output),
                Work::Prepare(epoch, reply) => drop(reply.send(self.prepare(epoch))),
                Work::Publish(epoch, effect, reply) => drop(reply.send(self.sink.publish(epoch, &effect))),
                Work::Withdraw(epoch, effect, reply) => drop(reply.send(self.sink.withdraw(epoch, &effect))),
                Work::Recover(effect, reply) => drop(reply.send(self.sink.recover(&effect))),
                Work::Discard(epoch, effect, reply) => {
                    self.sink.discard(epoch, &effect);
                    drop(reply.send(Ok(())));
                }
            }
        }
    }

    fn accept(&mut self, output: &Output) {
        if self.has_failed {
            return;
        }
        if let Err(error) = self.sink.accept(output) {
            self.has_failed = true;
            *self.failure.lock().unwrap_or_else(PoisonError::into_inner) = Some(error);
        }
    }

    fn prepare(&mut self, epoch: Epoch) -> Result<Effect, ConnectorError> {
        if !self.has_failed {
            return self.sink.prepare(epoch);
        }
        let failure = self.failure.lock().unwrap_or_else(PoisonError::into_inner).take();
        Err(failure.unwrap_or_else(|| {
            ConnectorError::internal(self.sink.name(), "an epoch was to be prepared after rows were lost")
        }))
    }
}
