//! `hearth serve`: from the configuration to a running server and back.

mod services;
mod welcome;

use std::{io, sync::Arc, time::Duration};

use api::{Edge, Network, Proxies, RateLimits, Shutdown, ShutdownTrigger};
use poem::Server;
use tokio::{net::TcpListener, sync::Semaphore, task::JoinSet};

use self::services::Services;
pub(crate) use self::services::open_store;
use crate::{
    cli::ConfigFile,
    config::{self, Config, Listener},
    connections::{Bounds, Connections, Neighbours},
    data_dir::DataDir,
    failure::Failure,
    logging, measures,
    signals::Signals,
};

/// Runs the server until it is asked to stop.
pub(crate) fn run(options: &ConfigFile) -> Result<(), Failure> {
    let config = config::load(options)?;
    logging::start(&config.logging)?;
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()
        .map_err(Failure::because("cannot start the runtime"))?;
    runtime.block_on(serve(&config))
}

async fn serve(config: &Config) -> Result<(), Failure> {
    let recorder = measures::start()?;
    let mut signals = Signals::listen()?;
    let listeners = bind(&config.listeners.0).await?;
    let data = DataDir::open(&config.server.data_dir)?;
    let (trigger, shutdown) = Shutdown::new();
    let services = Services::open(config, &data).await?;
    let edges = edges(config, &services, recorder.clone(), &shutdown)?;

    let mut background = JoinSet::new();
    background.spawn(measures::keep(recorder));
    background.spawn(services.background());
    let limits = &config.limits;
    let bounds = Bounds {
        room: Arc::new(Semaphore::new(limits.connections.get())),
        neighbours: Arc::new(Neighbours::new(limits.connections_per_address.get())),
        idle: limits.idle_seconds,
    };
    let mut servers = JoinSet::new();
    for ((socket, edge), listener) in listeners.into_iter().zip(edges).zip(&config.listeners.0) {
        let proxies = Proxies::new(proxies(listener)?);
        let connections = Connections::new(socket, bounds.clone(), proxies)
            .map_err(Failure::because("cannot listen"))?;
        let shutdown = shutdown.clone();
        servers.spawn(accept(connections, edge, shutdown, config.limits.shutdown_seconds));
    }
    welcome::print(config, &data);

    let signal = signals.next().await;
    tracing::info!(signal, "stopping");
    stop(&mut signals, &trigger, &mut servers, &services).await;
    tracing::info!("stopped");
    Ok(())
}

async fn bind(listeners: &[Listener]) -> Result<Vec<TcpListener>, Failure> {
    let mut bound = Vec::new();
    for listener in listeners {
        let address = listener.bind;
        let socket = TcpListener::bind(address).await.map_err(|error| {
            let hint = match error.kind() {
                io::ErrorKind::AddrInUse => " (does another server run there?)",
                io::ErrorKind::PermissionDenied => " (ports below 1024 take privileges)",
                _ => "",
            };
            Failure::because(format!("cannot listen on {address}{hint}"))(error)
        })?;
        bound.push(socket);
    }
    Ok(bound)
}

/// Through whom many clients connect to a listener: proxies, and whatever runs on this machine.
fn proxies(listener: &Listener) -> Result<Vec<Network>, Failure> {
    let loopback = ["127.0.0.0/8", "::1"].map(str::parse);
    let loopback = loopback.into_iter().collect::<Result<Vec<Network>, _>>();
    let loopback = loopback.map_err(Failure::because("cannot listen"))?;
    Ok([loopback, listener.trusted_proxies.clone()].concat())
}

/// What each listener serves, in their order.
fn edges(
    config: &Config,
    services: &Services,
    recorder: metrics_exporter_prometheus::PrometheusHandle,
    shutdown: &Shutdown,
) -> Result<Vec<Edge>, Failure> {
    let rate_limits = RateLimits::new(&config.rate_limits)
        .map_err(Failure::because("cannot use the configured limits"))?;
    let all = services.endpoints(config, rate_limits, shutdown);
    let all = all.with(api::metrics::endpoints(recorder));
    let edge = |listener: &Listener| {
        let proxies = Proxies::new(listener.trusted_proxies.clone());
        all.edge(&listener.resources, proxies)
    };
    let edges = config.listeners.0.iter().map(edge).collect::<Result<_, _>>();
    edges.map_err(Failure::because("cannot build the routes"))
}

/// Serves one listener until the shutdown, and then what has begun for as long as `grace`.
async fn accept(connections: Connections, edge: Edge, mut shutdown: Shutdown, grace: Duration) {
    let signal = async move { shutdown.started().await };
    let server = Server::new_with_acceptor(connections);
    if let Err(error) = server.run_with_graceful_shutdown(edge, signal, Some(grace)).await {
        tracing::error!(%error, "a listener failed");
    }
}

/// Lets running requests end and the store write what it has, unless a second signal comes.
async fn stop(
    signals: &mut Signals,
    trigger: &ShutdownTrigger,
    servers: &mut JoinSet<()>,
    services: &Services,
) {
    trigger.start();
    let orderly = async {
        while servers.join_next().await.is_some() {}
        services.close().await;
    };
    tokio::select! {
        () = orderly => {}
        signal = signals.next() => {
            tracing::warn!(signal, "stopping at once");
            std::process::exit(1);
        }
    }
}
