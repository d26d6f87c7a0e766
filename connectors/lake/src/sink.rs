//! The lake as a sink.

use std::sync::{Arc, Mutex, PoisonError};

use backplane_connector_api::{ConnectorError, Effect, Epoch, Output, Sink};
use futures::executor::block_on;
use tokio::sync::{mpsc, oneshot};

use crate::location::Location;
use crate::runtime::{runtime, wait_for};
use crate::writer::LakeWriter;
use crate::{LakeError, LakeOptions, health};

/// Batches that wait to be encoded; a sink that is given more waits itself.
const WAITING: usize = 8;

/// Writes the engine's tables to a lake.
///
/// Rows are encoded in the background as they are accepted. Preparing an epoch completes its Parquet files under unique names, which no Delta
/// reader looks at; publishing it makes one Delta commit for each table that has rows. The commit carries the epoch as an application
/// transaction, so that publishing again, also from another process, does nothing; withdrawing it makes a commit that takes its files out of
/// the table. A failure of the background work surfaces at the next call,
/// and again when the epoch is prepared. The files of an epoch that fails, or that is not prepared when the sink goes, are removed.
pub struct LakeSink {
    name: String,
    location: Location,
    work: mpsc::Sender<Work>,
    failure: Failure,
}

/// Where the background work leaves its failure until the next call.
type Failure = Arc<Mutex<Option<Arc<LakeError>>>>;

enum Work {
    Write(Output),
    Prepare(oneshot::Sender<Result<Effect, Arc<LakeError>>>),
    Publish(Epoch, Effect, oneshot::Sender<Result<(), LakeError>>),
    Discard(Epoch, Effect, oneshot::Sender<Result<(), LakeError>>),
    Withdraw(Effect, oneshot::Sender<Result<(), LakeError>>),
    GiveUp(oneshot::Sender<()>),
}

impl LakeSink {
    /// A sink into a lake, which need not exist. `name` is what errors call it; `job` is part of the transactions' names in the Delta logs.
    ///
    /// # Errors
    /// The URL is not one of a lake.
    pub fn new(name: impl Into<String>, job: &str, options: &LakeOptions) -> Result<Self, ConnectorError> {
        let name = name.into();
        let location = Location::parse(&options.url).map_err(|error| error.of(&name))?;
        let failure = Failure::default();
        let (work, queue) = mpsc::channel(WAITING);
        let writer = LakeWriter::new(location.clone(), job);
        let runtime = runtime().map_err(|error| error.of(&name))?;
        runtime.spawn(carry_out(writer, queue, Arc::clone(&failure)));
        Ok(Self {
            name,
            location,
            work,
            failure,
        })
    }

    fn hand_over(&self, work: Work) -> Result<(), ConnectorError> {
        block_on(self.work.send(work)).map_err(|_| self.stopped())
    }

    fn stopped(&self) -> ConnectorError {
        ConnectorError::internal(&self.name, "the lake's background work ended early")
    }
}

impl Drop for LakeSink {
    fn drop(&mut self) {
        let (answer, answered) = oneshot::channel();
        if self.hand_over(Work::GiveUp(answer)).is_ok() {
            // the process may end with the sink
            drop(block_on(answered));
        }
    }
}

/// Does the work in the order in which it was handed over, until the sink is gone.
async fn carry_out(mut writer: LakeWriter, mut queue: mpsc::Receiver<Work>, failure: Failure) {
    while let Some(work) = queue.recv().await {
        match work {
            Work::Write(output) => {
                if let Err(error) = writer.write(&output).await {
                    *failure.lock().unwrap_or_else(PoisonError::into_inner) = Some(error);
                }
            }
            // a sink that no longer listens needs no answer
            Work::Prepare(answer) => drop(answer.send(writer.prepare().await)),
            Work::Publish(epoch, effect, answer) => drop(answer.send(writer.publish(epoch, effect).await)),
            Work::Discard(epoch, effect, answer) => drop(answer.send(writer.discard(epoch, effect).await)),
            Work::Withdraw(effect, answer) => drop(answer.send(writer.withdraw(effect).await)),
            Work::GiveUp(answer) => {
                writer.give_up().await;
                let _ = answer.send(());
            }
        }
    }
}

impl Sink for LakeSink {
    fn name(&self) -> &str {
        &self.name
    }

    fn check(&mut self) -> Result<(), ConnectorError> {
        let location = self.location.clone();
        wait_for(async move { health::check_target(&location).await }).map_err(|error| error.of(&self.name))
    }

    fn accept(&mut self, output: &Output) -> Result<(), ConnectorError> {
        if let Some(error) = self.failure.lock().unwrap_or_else(PoisonError::into_inner).take() {
            return Err(error.of(&self.name));
        }
        self.hand_over(Work::Write(output.clone()))
    }

    fn prepare(&mut self, _epoch: Epoch) -> Result<Effect, ConnectorError> {
        let (answer, answered) = oneshot::channel();
        self.hand_over(Work::Prepare(answer))?;
        let prepared = block_on(answered).map_err(|_| self.stopped())?;
        self.failure.lock().unwrap_or_else(PoisonError::into_inner).take();
        prepared.map_err(|error| error.of(&self.name))
    }

    fn publish(&mut self, epoch: Epoch, effect: &Effect) -> Result<(), ConnectorError> {
        let (answer, answered) = oneshot::channel();
        self.hand_over(Work::Publish(epoch, effect.clone(), answer))?;
        let published = block_on(answered).map_err(|_| self.stopped())?;
        published.map_err(|error| error.of(&self.name))
    }

    fn discard(&mut self, epoch: Epoch, effect: &Effect) {
        let (answer, answered) = oneshot::channel();
        if self.hand_over(Work::Discard(epoch, effect.clone(), answer)).is_ok() {
            // what cannot be removed stays, and no Delta reader sees it
            drop(block_on(answered));
        }
    }

    fn withdraw(&mut self, _epoch: Epoch, effect: &Effect) -> Result<(), ConnectorError> {
        let (answer, answered) = oneshot::channel();
        self.hand_over(Work::Withdraw(effect.clone(), answer))?;
        let withdrawn = block_on(answered).map_err(|_| self.stopped())?;
        withdrawn.map_err(|error| error.of(&self.name))
    }
}
