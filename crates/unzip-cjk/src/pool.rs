//! Threads that extract entries while the main thread reads headers, asks and prints.

use std::num::NonZero;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{self, Receiver, Sender};
use std::sync::{Arc, Mutex};
use std::thread::{self, Scope};
use std::time::Duration;

use crate::archive::Archive;
use crate::decode::Scratch;
use crate::job::{Job, Outcome};

/// Jobs go in and outcomes come out, in another order.
#[derive(Debug)]
pub(crate) struct Pool {
    jobs: Sender<Vec<Numbered>>,
    outcomes: Receiver<Vec<(u64, Outcome)>>,
    cancelled: Arc<AtomicBool>,
    /// Jobs that are not yet handed over: small ones go together.
    batch: Vec<Numbered>,
    batch_bytes: u64,
}

type Numbered = (u64, Arc<Job>);

/// No more jobs than this go together, nor more bytes.
const BATCH: usize = 16;
const BATCH_BYTES: u64 = 256 << 10;

impl Pool {
    /// Starts the threads; `None` if none can be started.
    pub(crate) fn start<'scope, 'env>(
        scope: &'scope Scope<'scope, 'env>,
        archive: &'env Archive,
        threads: NonZero<usize>,
    ) -> Option<Pool> {
        let (jobs, queue) = mpsc::channel::<Vec<Numbered>>();
        let queue = Arc::new(Mutex::new(queue));
        let (done, outcomes) = mpsc::channel();
        let cancelled = Arc::new(AtomicBool::new(false));
        let mut started = 0;
        for _ in 0..threads.get() {
            let (queue, done, cancelled) = (queue.clone(), done.clone(), cancelled.clone());
            let work = move || {
                let mut scratch = Scratch::new();
                loop {
                    // A thread that panicked holding the lock had nothing half done.
                    let next = queue.lock().unwrap_or_else(|e| e.into_inner()).recv();
                    let Ok(batch) = next else { return };
                    let run = |(number, job): Numbered| {
                        let outcome = match cancelled.load(Ordering::Relaxed) {
                            true => Outcome::Stopped,
                            false => job.run(archive, &mut scratch),
                        };
                        (number, outcome)
                    };
                    if done.send(batch.into_iter().map(run).collect()).is_err() {
                        return;
                    }
                }
            };
            started += usize::from(thread::Builder::new().spawn_scoped(scope, work).is_ok());
        }
        (started > 0).then_some(Pool {
            jobs,
            outcomes,
            cancelled,
            batch: Vec::new(),
            batch_bytes: 0,
        })
    }

    pub(crate) fn send(&mut self, number: u64, job: Arc<Job>) {
        self.batch_bytes += job.local.size.saturating_add(4096);
        self.batch.push((number, job));
        if self.batch.len() >= BATCH || self.batch_bytes >= BATCH_BYTES {
            self.flush();
        }
    }

    /// Hands over what waits for company.
    pub(crate) fn flush(&mut self) {
        if !self.batch.is_empty() {
            self.batch_bytes = 0;
            // The threads end only when this is dropped.
            let _ = self.jobs.send(std::mem::take(&mut self.batch));
        }
    }

    /// Outcomes that are there.
    pub(crate) fn receive(&mut self) -> Vec<(u64, Outcome)> {
        self.outcomes.try_recv().unwrap_or_default()
    }

    /// Waits for outcomes, at most this long.
    pub(crate) fn wait(&mut self, most: Duration) -> Vec<(u64, Outcome)> {
        self.flush();
        // The threads cannot be gone: they end after their queue does.
        self.outcomes.recv_timeout(most).unwrap_or_default()
    }

    /// Jobs that have not begun do nothing.
    pub(crate) fn cancel(&self) {
        self.cancelled.store(true, Ordering::Relaxed);
    }
}
