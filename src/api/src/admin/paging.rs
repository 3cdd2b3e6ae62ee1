//! Pages of long lists, by offsets.

use ruma::{UInt, uint};

/// The most entries of one page.
const MAX_LIMIT: usize = 1_000;

/// The part of a list that is asked for.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Page {
    /// How many entries come before it.
    pub(crate) from: usize,
    /// How many entries it has at most.
    pub(crate) limit: usize,
}

impl Page {
    /// The page that the parameters `from` and `limit` name: the first hundred entries if they are missing.
    pub(crate) fn new(from: Option<UInt>, limit: Option<UInt>) -> Self {
        let number = |number: UInt| usize::try_from(number).unwrap_or(usize::MAX);
        let limit = number(limit.unwrap_or(uint!(100))).min(MAX_LIMIT);
        Self { from: number(from.unwrap_or_default()), limit }
    }

    /// Where the next page begins, of a list with `total` entries; `None` after the last.
    pub(crate) fn next(self, total: usize) -> Option<usize> {
        let next = self.from.saturating_add(self.limit);
        (next < total).then_some(next)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_last_page_has_no_next() {
        let page = Page::new(Some(uint!(2)), Some(uint!(3)));
        assert_eq!(page.next(6), Some(5));
        assert_eq!(page.next(5), None);
        assert_eq!(Page::new(None, None).next(101), Some(100));
        assert_eq!(Page::new(Some(UInt::MAX), Some(UInt::MAX)).limit, MAX_LIMIT);
    }
}
