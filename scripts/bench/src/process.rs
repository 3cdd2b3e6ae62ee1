//! What a process has used so far, from `/proc`.

use std::fs;
use std::path::Path;
use std::time::Duration;

use crate::Outcome;

/// How long a tick of `/proc/PID/stat` is: Linux tells user space 100 a second on every architecture it
/// is built for today.
const TICK: Duration = Duration::from_millis(10);

/// A process that can be measured.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Process(pub(crate) u32);

impl Process {
    /// User and system time of all its threads since it began.
    pub(crate) fn cpu_time(self) -> Outcome<Duration> {
        let stat = fs::read_to_string(format!("/proc/{}/stat", self.0))?;
        Ok(TICK * cpu_ticks(&stat).ok_or("cannot read the process's stat")?)
    }

    /// Resident memory, now and at most so far, in KiB.
    pub(crate) fn memory_kib(self) -> Outcome<(u64, u64)> {
        let status = fs::read_to_string(format!("/proc/{}/status", self.0))?;
        let field = |name| status_kib(&status, name).ok_or("cannot read the process's status");
        Ok((field("VmRSS:")?, field("VmHWM:")?))
    }
}

/// Fields 14 and 15. The second field is the program's name in brackets and may hold blanks.
fn cpu_ticks(stat: &str) -> Option<u32> {
    let mut fields = stat.rsplit_once(')')?.1.split_whitespace().skip(11);
    let (user, system): (u32, u32) = (fields.next()?.parse().ok()?, fields.next()?.parse().ok()?);
    user.checked_add(system)
}

fn status_kib(status: &str, name: &str) -> Option<u64> {
    let line = status.lines().find_map(|line| line.strip_prefix(name))?;
    line.trim().strip_suffix(" kB")?.trim().parse().ok()
}

/// The bytes of all files under `folder`. A file that disappears while it is looked at counts as nothing.
pub(crate) fn bytes_under(folder: &Path) -> u64 {
    let Ok(entries) = fs::read_dir(folder) else { return 0 };
    entries
        .flatten()
        .map(|entry| match entry.metadata() {
            Ok(metadata) if metadata.is_dir() => bytes_under(&entry.path()),
            Ok(metadata) => metadata.len(),
            Err(_) => 0,
        })
        .sum()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cpu_time_is_user_and_system_time_whatever_the_name() {
        let stat = "7 (a b) c) S 1 7 7 0 -1 4194560 900 0 0 0 250 50 0 0 20 0 4 0 100 1 1";

        assert_eq!(cpu_ticks(stat), Some(300));
    }

    #[test]
    fn memory_is_read_in_kib() {
        assert_eq!(status_kib("VmHWM:\t   900 kB\nVmRSS:\t  800 kB\n", "VmRSS:"), Some(800));
    }
}
