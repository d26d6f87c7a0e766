//! The threads on which lakes are written and read.

use std::future::Future;
use std::sync::OnceLock;

use tokio::runtime::{Builder, Runtime};

use crate::LakeError;

/// The one runtime of all lakes of the process; it lives as long as the process.
///
/// Delta's storage needs a runtime with several threads, and the engine's threads have none: calls of the sink and the source hand their work
/// over and wait.
pub(crate) fn runtime() -> Result<&'static Runtime, LakeError> {
    static RUNTIME: OnceLock<Result<Runtime, String>> = OnceLock::new();
    let runtime = RUNTIME.get_or_init(|| {
        let threads = std::thread::available_parallelism().map_or(2, usize::from).clamp(2, 8);
        let built = Builder::new_multi_thread()
            .worker_threads(threads)
            .thread_name("lake")
            .enable_all()
            .build();
        built.map_err(|error| error.to_string())
    });
    runtime
        .as_ref()
        .map_err(|error| LakeError::storage("starting the threads of the lake", error))
}

/// Carries out a piece of work on the lake's threads and waits for it. May be called on any thread.
pub(crate) fn wait_for<T: Send + 'static>(
    work: impl Future<Output = Result<T, LakeError>> + Send + 'static,
) -> Result<T, LakeError> {
    let task = runtime()?.spawn(work);
    futures::executor::block_on(task)
        .map_err(|error| LakeError::internal(format!("work on the lake ended early: {error}")))?
}
