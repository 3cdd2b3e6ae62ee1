//! Measurements and how they are shown.

use std::fmt::Write as _;
use std::path::PathBuf;
use std::time::{Duration, Instant};

use hdrhistogram::Histogram;
use serde::Serialize;

use crate::Outcome;
use crate::process::{Process, bytes_under};

/// Measures stretches of load on one server.
pub(crate) struct Meter {
    server: Option<Process>,
    data_dir: Option<PathBuf>,
}

/// A stretch under way.
pub(crate) struct Stretch {
    started: Instant,
    server_cpu: Option<Duration>,
    own_cpu: Duration,
}

/// What one stretch of load took.
#[derive(Debug, Serialize)]
pub(crate) struct Row {
    pub(crate) scenario: String,
    pub(crate) requests: u64,
    pub(crate) requests_per_second: f64,
    pub(crate) p50_ms: f64,
    pub(crate) p90_ms: f64,
    pub(crate) p99_ms: f64,
    pub(crate) max_ms: f64,
    pub(crate) server_cpu_ms_per_request: Option<f64>,
    pub(crate) own_cpu_ms_per_request: f64,
    pub(crate) server_rss_mib: Option<f64>,
    pub(crate) server_peak_rss_mib: Option<f64>,
    pub(crate) disk_mib: Option<f64>,
}

/// Latencies, in microseconds up to a quarter of an hour.
pub(crate) struct Latencies(Histogram<u64>);

impl Latencies {
    pub(crate) fn new() -> Self {
        let highest = 900_000_000;
        Self(Histogram::new_with_max(highest, 3).expect("the bounds are in range"))
    }

    pub(crate) fn record(&mut self, latency: Duration) {
        self.0.saturating_record(u64::try_from(latency.as_micros()).unwrap_or(u64::MAX));
    }

    pub(crate) fn merge(&mut self, other: &Self) {
        self.0.add(&other.0).expect("both have the same bounds");
    }

    fn ms_at(&self, quantile: f64) -> f64 {
        ms(Duration::from_micros(self.0.value_at_quantile(quantile)))
    }
}

impl Meter {
    pub(crate) fn new(server: Option<Process>, data_dir: Option<PathBuf>) -> Self {
        Self { server, data_dir }
    }

    pub(crate) fn start(&self) -> Outcome<Stretch> {
        let server_cpu = self.server.map(Process::cpu_time).transpose()?;
        let own_cpu = Process(std::process::id()).cpu_time()?;
        Ok(Stretch { started: Instant::now(), server_cpu, own_cpu })
    }

    /// The row of a stretch that just ended.
    pub(crate) fn end(
        &self,
        scenario: &str,
        stretch: &Stretch,
        latencies: &Latencies,
    ) -> Outcome<Row> {
        let elapsed = stretch.started.elapsed();
        let requests = latencies.0.len();
        let each = |spent: Duration| ms(spent) / count(requests);
        let server_cpu = match (self.server, stretch.server_cpu) {
            (Some(server), Some(before)) => Some(each(server.cpu_time()?.saturating_sub(before))),
            _ => None,
        };
        let memory = self.server.map(Process::memory_kib).transpose()?;
        Ok(Row {
            scenario: scenario.to_owned(),
            requests,
            requests_per_second: count(requests) / elapsed.as_secs_f64(),
            p50_ms: latencies.ms_at(0.5),
            p90_ms: latencies.ms_at(0.9),
            p99_ms: latencies.ms_at(0.99),
            max_ms: latencies.ms_at(1.0),
            server_cpu_ms_per_request: server_cpu,
            own_cpu_ms_per_request: each(
                Process(std::process::id()).cpu_time()?.saturating_sub(stretch.own_cpu),
            ),
            server_rss_mib: memory.map(|(now, _)| count(now) / 1024.0),
            server_peak_rss_mib: memory.map(|(_, peak)| count(peak) / 1024.0),
            disk_mib: self.data_dir.as_deref().map(|dir| count(bytes_under(dir)) / 1_048_576.0),
        })
    }
}

/// The rows as a Markdown table.
pub(crate) fn markdown(rows: &[Row]) -> String {
    let mut table = String::from(
        "| scenario | requests | per second | p50 ms | p90 ms | p99 ms | max ms | server CPU ms each \
         | load CPU ms each | RSS MiB | peak RSS MiB | disk MiB |\n\
         | --- | --: | --: | --: | --: | --: | --: | --: | --: | --: | --: | --: |\n",
    );
    for row in rows {
        let _ = writeln!(
            table,
            "| {} | {} | {:.0} | {:.2} | {:.2} | {:.2} | {:.2} | {} | {:.3} | {} | {} | {} |",
            row.scenario,
            row.requests,
            row.requests_per_second,
            row.p50_ms,
            row.p90_ms,
            row.p99_ms,
            row.max_ms,
            optional(row.server_cpu_ms_per_request, 3),
            row.own_cpu_ms_per_request,
            optional(row.server_rss_mib, 1),
            optional(row.server_peak_rss_mib, 1),
            optional(row.disk_mib, 1),
        );
    }
    table
}

fn optional(value: Option<f64>, digits: usize) -> String {
    value.map_or_else(|| "-".to_owned(), |value| format!("{value:.digits$}"))
}

fn ms(time: Duration) -> f64 {
    time.as_secs_f64() * 1000.0
}

/// A count as a floating-point number; at least 1, since it divides. Exact up to 2^32, and no load here
/// reaches that.
fn count(number: u64) -> f64 {
    f64::from(u32::try_from(number.max(1)).unwrap_or(u32::MAX))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_row_has_percentiles_and_what_it_cannot_know_is_a_dash() {
        let meter = Meter::new(None, None);
        let mut latencies = Latencies::new();
        for ms in 1..=100 {
            latencies.record(Duration::from_millis(ms));
        }

        let row = meter.end("steps", &meter.start().unwrap(), &latencies).unwrap();

        assert_eq!(row.requests, 100);
        assert!((row.p50_ms - 50.0).abs() < 0.1, "{}", row.p50_ms);
        assert!((row.p99_ms - 99.0).abs() < 0.1, "{}", row.p99_ms);
        assert!(markdown(&[row]).ends_with("| - | - | - |\n"));
    }
}
