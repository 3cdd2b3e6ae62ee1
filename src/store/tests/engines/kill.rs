//! Killed at any instant, a process has lost nothing that it acknowledged and left nothing half done.

use std::collections::BTreeMap;
use std::time::Duration;

use store::EngineKind;

use crate::torture::{Load, SIZES, Torture, check, random_below, rounds};

/// A folder is used for this many rounds, so that openings of new and of grown databases are both interrupted.
const ROUNDS_PER_FOLDER: u32 = 5;

fn survives_kills(kind: EngineKind) {
    let rounds = rounds("HEARTH_KILL_ROUNDS", 10);
    let (mut done, mut before_ready, mut commits) = (0, 0, 0);
    for size in SIZES.into_iter().cycle() {
        let load = Load::new(kind, size);
        let folder = tempfile::tempdir().unwrap();
        let mut acknowledged = BTreeMap::new();
        let mut stored = 0;
        for _ in 0..ROUNDS_PER_FOLDER.min(rounds - done) {
            let mut torture = Torture::start(load, folder.path());
            if done % 2 == 0 {
                std::thread::sleep(random_below(Duration::from_millis(60)));
            } else {
                torture.wait_until_ready();
                std::thread::sleep(random_below(Duration::from_millis(400)));
            }
            let said = torture.kill();
            before_ready += u32::from(!said.ready);
            acknowledged.extend(said.acknowledged);
            stored = check(load, folder.path(), &mut acknowledged, 1);
            done += 1;
        }
        commits += stored;
        if done == rounds {
            break;
        }
    }
    println!(
        "kill: {kind}: {done} rounds, {before_ready} of them before the store was open, {commits} commits: \
         nothing lost, nothing half there"
    );
}

#[test]
fn sled_loses_nothing_when_killed() {
    survives_kills(EngineKind::Sled);
}

#[test]
fn fjall_loses_nothing_when_killed() {
    survives_kills(EngineKind::Fjall);
}
