//! One fetch a key, however many wait for it.

use std::{collections::HashMap, fmt, hash::Hash, sync::Arc};

use parking_lot::Mutex;
use tokio::sync::watch;

/// Fetches under way. The one that asks first owns nothing: the fetch is a task of its own, and all watch it.
pub(crate) struct Flights<K, T> {
    map: Mutex<HashMap<K, watch::Receiver<Option<T>>>>,
}

impl<K, T> Default for Flights<K, T> {
    fn default() -> Self {
        Self { map: Mutex::new(HashMap::new()) }
    }
}

impl<K, T> fmt::Debug for Flights<K, T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Flights").field("under_way", &self.map.lock().len()).finish()
    }
}

/// Somebody who waits for a fetch.
#[derive(Debug)]
pub(crate) struct Watcher<T> {
    watched: watch::Receiver<Option<T>>,
    /// Whether this one began it.
    pub(crate) first: bool,
}

impl<T: Clone> Watcher<T> {
    /// What the fetch came to; `None` where its task panicked.
    pub(crate) async fn end(&mut self) -> Option<T> {
        let ended = self.watched.wait_for(Option::is_some).await.is_ok();
        ended.then(|| self.watched.borrow().clone())?
    }
}

impl<K, T> Flights<K, T>
where
    K: Clone + Eq + Hash + Send + Sync + 'static,
    T: Clone + Send + Sync + 'static,
{
    /// Joins the fetch of a key, or begins it.
    pub(crate) fn join<F>(self: &Arc<Self>, key: &K, fetch: impl FnOnce() -> F) -> Watcher<T>
    where
        F: Future<Output = T> + Send + 'static,
    {
        let mut map = self.map.lock();
        if let Some(watched) = map.get(key) {
            return Watcher { watched: watched.clone(), first: false };
        }
        let (sender, watched) = watch::channel(None);
        map.insert(key.clone(), watched.clone());
        drop(map);
        let landing = Landing { flights: Arc::clone(self), key: key.clone() };
        let fetch = fetch();
        tokio::spawn(async move {
            // Dropped last, also when the fetch panics: the place is always given free.
            let landing = landing;
            let value = fetch.await;
            drop(landing);
            let _nobody = sender.send(Some(value));
        });
        Watcher { watched, first: true }
    }
}

struct Landing<K: Eq + Hash, T> {
    flights: Arc<Flights<K, T>>,
    key: K,
}

impl<K: Eq + Hash, T> Drop for Landing<K, T> {
    fn drop(&mut self) {
        self.flights.map.lock().remove(&self.key);
    }
}

#[cfg(test)]
mod tests {
    use std::{
        sync::atomic::{AtomicUsize, Ordering},
        time::Duration,
    };

    use super::*;

    #[tokio::test]
    async fn many_wait_for_one_and_nobody_for_what_is_over() {
        let flights = Arc::new(Flights::<&str, usize>::default());
        let count = Arc::new(AtomicUsize::new(0));
        let join = || {
            let count = Arc::clone(&count);
            flights.join(&"a", move || async move {
                tokio::time::sleep(Duration::from_millis(20)).await;
                count.fetch_add(1, Ordering::Relaxed) + 1
            })
        };
        let mut watchers: Vec<_> = (0..50).map(|_| join()).collect();
        assert_eq!(watchers.iter().filter(|watcher| watcher.first).count(), 1);
        // The first goes away; the others are served all the same.
        watchers.remove(0);
        for mut watcher in watchers {
            assert_eq!(watcher.end().await, Some(1));
        }
        assert_eq!(join().end().await, Some(2));
    }

    #[tokio::test]
    async fn checklist_8_a_panic_frees_the_place() {
        let flights = Arc::new(Flights::<&str, usize>::default());
        let mut watcher = flights.join(&"a", || async { panic!("on purpose") });
        assert_eq!(watcher.end().await, None);
        assert_eq!(flights.join(&"a", || async { 7 }).end().await, Some(7));
    }
}
