//! After a power cut everything acknowledged is whole, and nothing else is half there.

use std::collections::BTreeMap;
use std::process::Command;
use std::time::Duration;

use store::EngineKind;

use crate::disk::Disk;
use crate::torture::{Load, SIZES, Said, Torture, check, random_below, rounds};

const ROUNDS_PER_DISK: u32 = 4;

/// When the power is cut.
#[derive(Clone, Copy)]
enum Moment {
    /// Under load.
    Load,
    /// While the database is made, opened or recovered.
    Opening,
    /// While a database is recovered whose last process was killed, so that its last writes are only in memory.
    OpeningAfterKill,
}

/// Stops the process, so that no acknowledgement is on its way, and cuts the power under it.
fn cut(disk: &Disk, torture: Torture) -> Said {
    let process = torture.process.id();
    // The shell's own kill: a program of that name is not on every system.
    let stop = format!("kill -STOP {process}");
    assert!(Command::new("sh").args(["-c", &stop]).status().unwrap().success());
    let stopped = || {
        let tasks = std::fs::read_dir(format!("/proc/{process}/task")).unwrap();
        tasks.flatten().all(|task| {
            let status = std::fs::read_to_string(task.path().join("status")).unwrap_or_default();
            status.is_empty() || status.contains("State:\tT") || status.contains("State:\tZ")
        })
    };
    while !stopped() {
        std::thread::sleep(Duration::from_millis(1));
    }
    disk.cut();
    torture.kill()
}

fn round(load: Load, disk: &Disk, moment: Moment) -> BTreeMap<u64, u64> {
    let folder = disk.files();
    let mut torture = Torture::start(load, &folder);
    let mut acknowledged = BTreeMap::new();
    match moment {
        Moment::Load => {
            torture.wait_until_ready();
            std::thread::sleep(random_below(Duration::from_millis(800)));
        }
        Moment::Opening => std::thread::sleep(random_below(Duration::from_millis(80))),
        Moment::OpeningAfterKill => {
            torture.wait_until_ready();
            std::thread::sleep(random_below(Duration::from_millis(400)));
            acknowledged = torture.kill().acknowledged;
            torture = Torture::start(load, &folder);
            std::thread::sleep(random_below(Duration::from_millis(80)));
        }
    }
    acknowledged.extend(cut(disk, torture).acknowledged);
    acknowledged
}

fn survives_power_cuts(kind: EngineKind) {
    let rounds = rounds("HEARTH_POWER_CUTS", 4);
    for size in SIZES {
        let load = Load::new(kind, size);
        let (mut done, mut commits) = (0, 0);
        while done < rounds {
            let mut disk = match Disk::new(1_024) {
                Ok(disk) => disk,
                Err(reason) => return println!("power cut: {kind}: skipped: {reason}"),
            };
            let mut acknowledged = BTreeMap::new();
            let mut stored = 0;
            for _ in 0..ROUNDS_PER_DISK.min(rounds - done) {
                let moment = match done % 4 {
                    0 | 2 => Moment::Load,
                    1 => Moment::OpeningAfterKill,
                    _ => Moment::Opening,
                };
                acknowledged.extend(round(load, &disk, moment));
                disk.unmount();
                disk.mount().unwrap();
                stored = check(load, &disk.files(), &mut acknowledged, 2);
                done += 1;
            }
            commits += stored;
            disk.unmount();
        }
        println!(
            "power cut: {kind}: {done} rounds with values of {size} bytes, {commits} commits: nothing lost, \
             nothing half there"
        );
    }
}

#[test]
fn sled_loses_nothing_in_a_power_cut() {
    survives_power_cuts(EngineKind::Sled);
}

#[test]
fn fjall_loses_nothing_in_a_power_cut() {
    survives_power_cuts(EngineKind::Fjall);
}
