//! A full disk stops the process; what it acknowledged before is there.

use std::os::unix::process::ExitStatusExt;
use std::process::Command;
use std::time::{Duration, Instant};

use store::EngineKind;

use crate::disk::Disk;
use crate::torture::{Load, Torture, check};

const SIGABRT: i32 = 6;

fn stops_on_a_full_disk(kind: EngineKind) {
    let mut disk = match Disk::new(96) {
        Ok(disk) => disk,
        Err(reason) => return println!("full disk: {kind}: skipped: {reason}"),
    };
    let load = Load::growing(kind, 20_000);
    let mut torture = Torture::start(load, &disk.files());
    torture.wait_until_ready();
    let started = Instant::now();
    let status = loop {
        if let Some(status) = torture.process.try_wait().unwrap() {
            break status;
        }
        assert!(started.elapsed() < Duration::from_mins(2), "{kind}: still running on a full disk");
        std::thread::sleep(Duration::from_millis(10));
    };
    let complaint = torture.complaint();
    assert_eq!(status.signal(), Some(SIGABRT), "{kind}: {status}: {complaint}");
    let mut acknowledged = torture.kill().acknowledged;

    // What an admin does: the same files on a larger disk.
    let larger = tempfile::tempdir().unwrap();
    let copied =
        Command::new("cp").arg("-a").arg(disk.files()).arg(larger.path()).status().unwrap();
    assert!(copied.success());
    let commits = check(load, &larger.path().join("mount"), &mut acknowledged, 1);
    assert!(commits > 100, "{kind}: only {commits} commits fitted");
    disk.unmount();
    println!("full disk: {kind}: stopped after {commits} commits, nothing lost");
}

#[test]
fn sled_stops_on_a_full_disk() {
    stops_on_a_full_disk(EngineKind::Sled);
}

#[test]
fn fjall_stops_on_a_full_disk() {
    stops_on_a_full_disk(EngineKind::Fjall);
}
