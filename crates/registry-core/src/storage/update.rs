//! Changing a document: callers queue up by key, and many changes share one conditional write.
//!
//! A batch of changes is tried like this: take the newest state, run the closures over it, write the result under
//! the condition that nothing changed. After any failure the document is read again. If it names one of the
//! batch's own operations, that write arrived although its answer did not; otherwise everything starts again.
//!
//! A batch runs in a task of its own: a caller that goes away neither stops nor tears anything.

use std::{
    any::{Any, TypeId},
    collections::{HashMap, hash_map::Entry},
    sync::Arc,
    time::Duration,
};

use parking_lot::Mutex;
use tokio::sync::oneshot;

use super::{
    Document, Draft, Key, PendingArtifact, StorageError, UpdateError, Versioned,
    cache::State,
    engine::{Engine, Trust, WriteError, unavailable},
    envelope::{OperationId, REMEMBERED_OPERATIONS},
};

/// How often a batch is tried when others keep changing the document.
const ATTEMPTS: u32 = 24;
/// How often it is tried when the store fails.
const FAILURES: u32 = 3;
const FIRST_BACK_OFF: Duration = Duration::from_millis(4);
const LONGEST_BACK_OFF: Duration = Duration::from_secs(2);

/// What a change came to: the closure's value and the state that the document has with it.
#[derive(Debug)]
pub(crate) struct Outcome<D, T> {
    pub(crate) value: T,
    pub(crate) document: Option<Arc<Versioned<D>>>,
}

/// The changes that wait, by key and type of document.
#[derive(Debug, Default)]
pub(crate) struct Queues(Mutex<HashMap<(Key, TypeId), Box<dyn Any + Send>>>);

type Waiting<D> = Vec<Box<dyn Change<D>>>;

/// One caller's change.
trait Change<D>: Send {
    /// Runs the closure once more.
    fn apply(&mut self, draft: &mut Draft<D>);
    /// Answers the caller with what its closure said in the given run.
    fn finish(self: Box<Self>, run: usize, document: Option<Arc<Versioned<D>>>);
    /// Answers the caller with a failure.
    fn fail(self: Box<Self>, error: StorageError);
}

struct Caller<T, E, F, A> {
    change: F,
    runs: Vec<(Result<T, E>, bool)>,
    answer: Option<oneshot::Sender<A>>,
    /// Bytes that the change names.
    attached: Vec<PendingArtifact>,
}

impl<T, E, F, A> Caller<T, E, F, A> {
    fn answer(&mut self, answer: A) {
        if let Some(sender) = self.answer.take() {
            // The caller may be gone.
            let _sent = sender.send(answer);
        }
    }
}

impl<T, E, F, A> Drop for Caller<T, E, F, A> {
    fn drop(&mut self) {
        // Neither written nor refused for sure: the bytes may be named, and must stay.
        self.attached.drain(..).for_each(|artifact| drop(artifact.keep()));
    }
}

impl<D, T, E, F> Change<D> for Caller<T, E, F, Result<Outcome<D, T>, UpdateError<E>>>
where
    D: Document,
    T: Send,
    E: Send,
    F: FnMut(&mut Draft<D>) -> Result<T, E> + Send,
{
    fn apply(&mut self, draft: &mut Draft<D>) {
        let before = std::mem::take(&mut draft.changed);
        let result = (self.change)(draft);
        self.runs.push((result, draft.changed));
        draft.changed |= before;
    }

    fn finish(mut self: Box<Self>, run: usize, document: Option<Arc<Versioned<D>>>) {
        if run < self.runs.len() {
            let (result, altered) = self.runs.swap_remove(run);
            if !altered || result.is_err() {
                self.attached.clear();
            }
            self.answer(match result {
                Ok(value) => Ok(Outcome { value, document }),
                Err(error) => Err(UpdateError::Refused(error)),
            });
        }
    }

    fn fail(mut self: Box<Self>, error: StorageError) {
        if error.is_certain() {
            self.attached.clear();
        }
        self.answer(Err(UpdateError::Storage(error)));
    }
}

impl Engine {
    /// Runs `change` on the document, together with the changes of others.
    pub(crate) async fn change<D, T, E, F>(
        self: &Arc<Self>,
        key: &Key,
        change: F,
        attached: Vec<PendingArtifact>,
    ) -> Result<Outcome<D, T>, UpdateError<E>>
    where
        D: Document,
        T: Send + 'static,
        E: Send + 'static,
        F: FnMut(&mut Draft<D>) -> Result<T, E> + Send + 'static,
    {
        let (answer, answered) = oneshot::channel();
        self.enqueue::<D>(key, Box::new(Caller { change, runs: Vec::new(), answer: Some(answer), attached }));
        answered.await.unwrap_or_else(|_| {
            Err(UpdateError::Storage(unavailable(
                key,
                "the change was given up because another one panicked",
            )))
        })
    }

    fn enqueue<D: Document>(self: &Arc<Self>, key: &Key, change: Box<dyn Change<D>>) {
        let mut queues = self.queues.0.lock();
        match queues.entry((key.clone(), TypeId::of::<D>())) {
            Entry::Occupied(mut waiting) => match waiting.get_mut().downcast_mut::<Waiting<D>>() {
                Some(waiting) => waiting.push(change),
                // The type is part of the map's key.
                None => change.fail(unavailable(key, "the queue is of another type")),
            },
            Entry::Vacant(none) => {
                none.insert(Box::new(Waiting::<D>::new()));
                drop(queues);
                let turn =
                    Turn { engine: Arc::clone(self), key: key.clone(), of: TypeId::of::<D>(), over: false };
                self.tasks.spawn(turn.run(vec![change]));
            }
        }
    }

    /// Tries a batch to its end and answers everybody in it.
    async fn run_batch<D: Document>(&self, key: &Key, mut batch: Waiting<D>) {
        let tried = self.try_batch(key, &mut batch).await;
        for change in batch {
            match &tried {
                Ok((run, document)) => change.finish(*run, document.clone()),
                Err(error) => change.fail(error.for_another()),
            }
        }
    }

    async fn try_batch<D: Document>(
        &self,
        key: &Key,
        batch: &mut Waiting<D>,
    ) -> Result<(usize, Option<Arc<Versioned<D>>>), StorageError> {
        let mut operations: Vec<OperationId> = Vec::new();
        let mut failures = 0;
        let mut base: Option<Arc<State<D>>> = self.load(key, Trust::Newest).await?;
        for attempt in 0..ATTEMPTS {
            let mut draft = Draft::new(base.as_ref().map(|state| Arc::clone(&state.decoded.document)));
            for change in batch.iter_mut() {
                change.apply(&mut draft);
            }
            let run = operations.len();
            let Some(value) = draft.into_changed() else {
                return Ok((run, base.map(|state| Arc::clone(&state.decoded.document))));
            };
            let operation = OperationId::random();
            operations.push(operation);
            let error = match self.write(key, value, operation, base.as_deref()).await {
                Ok(state) => return Ok((run, Some(Arc::clone(&state.decoded.document)))),
                Err(error) => error,
            };
            if let WriteError::Final(error) = error {
                return Err(error);
            }
            let now: Option<Arc<State<D>>> = self.load(key, Trust::Nothing).await?;
            if let Some(state) = &now {
                let known = &state.decoded.operations;
                if let Some(run) = operations.iter().position(|operation| known.contains(operation)) {
                    return Ok((run, Some(Arc::clone(&state.decoded.document))));
                }
                let base_is_forgotten = |base: &State<D>| {
                    base.decoded.operations.last().is_some_and(|last| !known.contains(last))
                };
                if known.len() >= REMEMBERED_OPERATIONS && base.as_deref().is_some_and(base_is_forgotten) {
                    // So many others wrote meanwhile that the own operation may be among the forgotten.
                    return Err(unavailable(key, "whether a change was written cannot be found out"));
                }
            }
            if let WriteError::Failed(error) = error {
                failures += 1;
                if failures >= FAILURES {
                    return Err(error);
                }
            }
            base = now;
            back_off(attempt).await;
        }
        metrics::counter!("storage_contended_total").increment(1);
        Err(StorageError::Contended { key: key.to_string(), attempts: ATTEMPTS })
    }
}

/// The one who runs the batches of a key. However it ends, the queue is given up.
struct Turn {
    engine: Arc<Engine>,
    key: Key,
    of: TypeId,
    over: bool,
}

impl Turn {
    async fn run<D: Document>(mut self, first: Waiting<D>) {
        let mut batch = first;
        while !batch.is_empty() {
            self.engine.run_batch(&self.key, batch).await;
            batch = self.next::<D>();
        }
    }

    /// What waits now; with nothing there the queue is closed.
    fn next<D: Document>(&mut self) -> Waiting<D> {
        let mut queues = self.engine.queues.0.lock();
        match queues.entry((self.key.clone(), self.of)) {
            Entry::Occupied(mut waiting) => {
                let batch =
                    waiting.get_mut().downcast_mut::<Waiting<D>>().map(std::mem::take).unwrap_or_default();
                if batch.is_empty() {
                    waiting.remove();
                    self.over = true;
                }
                batch
            }
            Entry::Vacant(_) => Waiting::new(),
        }
    }
}

impl Drop for Turn {
    fn drop(&mut self) {
        if !self.over {
            // A closure panicked, or the runtime ends: those who wait get an error.
            self.engine.queues.0.lock().remove(&(self.key.clone(), self.of));
        }
    }
}

/// Waits for a random part of a time that doubles with every attempt.
pub(crate) async fn back_off(attempt: u32) {
    let most =
        FIRST_BACK_OFF.saturating_mul(1_u32.checked_shl(attempt).unwrap_or(u32::MAX)).min(LONGEST_BACK_OFF);
    let [a, b, ..] = *uuid::Uuid::new_v4().as_bytes();
    tokio::time::sleep(most.mul_f64(f64::from(u16::from_le_bytes([a, b])) / f64::from(u16::MAX))).await;
}
