//! Memory, processor time and open files of this process, named as Prometheus' client libraries name them.

use std::fs;

use metrics::gauge;

/// Clock ticks per second in `/proc/self/stat`: part of Linux's ABI towards programs, not the kernel's own tick.
const TICKS_PER_SECOND: f64 = 100.0;

/// Brings the gauges up to date; where there is no `/proc` they stay away.
pub(super) fn measure() {
    if let Some(bytes) =
        fs::read_to_string("/proc/self/status").ok().and_then(|text| resident(&text))
    {
        gauge!("process_resident_memory_bytes").set(bytes);
    }
    if let Some(seconds) = fs::read_to_string("/proc/self/stat").ok().and_then(|text| cpu(&text)) {
        gauge!("process_cpu_seconds_total").set(seconds);
    }
    if let Ok(files) = fs::read_dir("/proc/self/fd") {
        let open = u32::try_from(files.count()).unwrap_or(u32::MAX);
        gauge!("process_open_fds").set(f64::from(open));
    }
}

/// The line `VmRSS:  1234 kB` in bytes.
fn resident(status: &str) -> Option<f64> {
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"))?;
    let kilobytes: f64 = line.trim().strip_suffix("kB")?.trim().parse().ok()?;
    Some(kilobytes * 1024.0)
}

/// User and system time: fields 14 and 15, counted after the program's name, which may hold spaces.
fn cpu(stat: &str) -> Option<f64> {
    let (_, fields) = stat.rsplit_once(')')?;
    let mut ticks = fields.split_whitespace().skip(11).map(str::parse::<f64>);
    Some((ticks.next()?.ok()? + ticks.next()?.ok()?) / TICKS_PER_SECOND)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn memory_and_processor_time_are_read_from_proc() {
        let stat = "7 (a) b) S 1 7 7 0 -1 4194304 11 12 13 14 250 50 0 0 20 0 4 0 100 200 300";

        assert_eq!(cpu(stat), Some(3.0));
        assert_eq!(resident("Name:\thearth\nVmRSS:\t    2048 kB\n"), Some(2_097_152.0));
        assert_eq!(cpu("nonsense"), None);
        assert_eq!(resident("VmRSS: many"), None);
    }
}
