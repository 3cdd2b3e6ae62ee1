//! What every engine must do, held against each of them.

#![expect(clippy::unwrap_used, reason = "tests, helpers included")]

mod conformance;
mod disk;
mod folder;
mod full_disk;
mod kill;
mod on;
mod pipeline;
mod power_cut;
mod torture;
mod transfer;
