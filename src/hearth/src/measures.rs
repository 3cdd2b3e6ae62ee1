//! Metrics of the whole process.

use std::time::Duration;

use metrics_exporter_prometheus::{Matcher, PrometheusBuilder, PrometheusHandle};

use crate::failure::Failure;

/// Bounds of histograms in seconds: from what a read from memory takes to a long-poll.
const SECONDS: [f64; 14] =
    [0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 10.0, 30.0];

/// How often recorded values are folded into their histograms; between two times they take memory each.
const UPKEEP: Duration = Duration::from_secs(5);

/// Starts recording. To be called before anything is measured.
pub(crate) fn start() -> Result<PrometheusHandle, Failure> {
    let refused = "cannot start recording metrics";
    let recorder = PrometheusBuilder::new()
        .set_buckets_for_metric(Matcher::Suffix("_seconds".to_owned()), &SECONDS)
        .map_err(Failure::because(refused))?
        .install_recorder()
        .map_err(Failure::because(refused))?;
    metrics::gauge!("hearth_build_info", "version" => env!("CARGO_PKG_VERSION")).set(1.0);
    Ok(recorder)
}

/// Keeps the recorder's memory small, as long as the process runs.
pub(crate) async fn keep(recorder: PrometheusHandle) {
    loop {
        tokio::time::sleep(UPKEEP).await;
        recorder.run_upkeep();
    }
}
