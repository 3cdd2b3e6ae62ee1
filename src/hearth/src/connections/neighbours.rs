//! How many connections come from one place.

use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// Counts the connections of each address, so that one cannot take all there are. With IPv6 a whole network counts as one
/// address, as in rate limits.
#[derive(Debug)]
pub(crate) struct Neighbours {
    most: usize,
    open: Mutex<HashMap<IpAddr, usize>>,
}

/// A connection's place among those of its address. Free again when dropped.
#[derive(Debug)]
pub(crate) struct Place {
    neighbours: Arc<Neighbours>,
    network: IpAddr,
}

impl Neighbours {
    /// Nobody is connected; `most` may be from one address.
    pub(crate) fn new(most: usize) -> Self {
        Self { most, open: Mutex::default() }
    }

    /// A place for a connection from `address`; `None` when there are as many as there may be.
    pub(crate) fn place(self: &Arc<Self>, address: IpAddr) -> Option<Place> {
        let network = api::network_of(address);
        let mut open = self.lock();
        let count = open.entry(network).or_default();
        if *count >= self.most {
            return None;
        }
        *count += 1;
        Some(Place { neighbours: Arc::clone(self), network })
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<IpAddr, usize>> {
        self.open.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        let mut open = self.neighbours.lock();
        if let Some(count) = open.get_mut(&self.network) {
            *count -= 1;
            if *count == 0 {
                open.remove(&self.network);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_has_so_many_places_and_no_more() {
        let neighbours = Arc::new(Neighbours::new(2));
        let [one, other]: [IpAddr; 2] = ["192.0.2.1", "192.0.2.2"].map(|ip| ip.parse().unwrap());
        let first = neighbours.place(one).unwrap();
        let _second = neighbours.place(one).unwrap();

        assert!(neighbours.place(one).is_none());
        drop(neighbours.place(other).unwrap());
        drop(first);
        let _third = neighbours.place(one).unwrap();
        assert_eq!(neighbours.lock().len(), 1, "nothing is kept of who is gone");
    }

    #[test]
    fn an_ipv6_network_counts_as_one_address() {
        let neighbours = Arc::new(Neighbours::new(1));
        let _first = neighbours.place("2001:db8::1".parse().unwrap()).unwrap();
        assert!(neighbours.place("2001:db8::2".parse().unwrap()).is_none());
        assert!(neighbours.place("2001:db8:0:1::1".parse().unwrap()).is_some());
    }
}
