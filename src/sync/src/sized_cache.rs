//! A cache bounded by bytes: what a client writes may be a thousand times as large as what is typical.

use std::hash::Hash;
use std::sync::Arc;

use quick_cache::Weighter;
use quick_cache::sync::Cache;

/// Holds about so many bytes, whatever the number of entries.
#[derive(Debug)]
pub(crate) struct SizedCache<K, V>(Cache<K, Measured<V>, BySize>);

#[derive(Debug)]
struct Measured<V> {
    value: Arc<V>,
    bytes: usize,
}

impl<V> Clone for Measured<V> {
    fn clone(&self) -> Self {
        Self { value: Arc::clone(&self.value), bytes: self.bytes }
    }
}

#[derive(Debug, Clone)]
struct BySize;

impl<K, V> Weighter<K, Measured<V>> for BySize {
    fn weight(&self, _: &K, entry: &Measured<V>) -> u64 {
        entry.bytes as u64
    }
}

impl<K: Eq + Hash, V> SizedCache<K, V> {
    /// Holds up to `bytes`; an entry has about `typical` of them, which only sets the cache up.
    pub(crate) fn new(bytes: usize, typical: usize) -> Self {
        Self(Cache::with_weighter(bytes / typical, bytes as u64, BySize))
    }

    pub(crate) fn get(&self, key: &K) -> Option<Arc<V>> {
        self.0.get(key).map(|entry| entry.value)
    }

    /// Keeps a value that takes about `bytes`.
    pub(crate) fn insert(&self, key: K, value: Arc<V>, bytes: usize) {
        self.0.insert(key, Measured { value, bytes });
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn large_entries_take_the_place_of_many_small_ones() {
        let cache = SizedCache::new(1_000_000, 1_000);
        let held = |cache: &SizedCache<u32, u32>| {
            (0..10_000).filter(|key| cache.get(key).is_some()).count()
        };
        for key in 0..500 {
            cache.insert(key, Arc::new(key), 1_000);
        }
        assert!(held(&cache) > 300, "{}", held(&cache));
        for key in 1_000..2_000 {
            cache.insert(key, Arc::new(key), 20_000);
        }
        let large = (1_000..2_000).filter(|key| cache.get(key).is_some()).count();
        assert!(large <= 50, "{large}");
    }
}
