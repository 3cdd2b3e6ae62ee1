//! Which way a list goes: what clients call `dir`.

use ruma::api::Direction;

/// The direction in which the store goes through what a client asks for.
pub(crate) fn direction_of(dir: Direction) -> store::Direction {
    match dir {
        Direction::Forward => store::Direction::Ascending,
        Direction::Backward => store::Direction::Descending,
    }
}
