//! `hearth user create`: by the store while the server is down, by the server while it runs.

mod http;
mod password;

use std::{
    net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr},
    sync::Arc,
};

use accounts::{Accounts, NewUser, Role, Secret, Settings, SharedSecretForm};
use api::Resource;
use protocol::SystemClock;
use serde_json::{Value, json};
use store::{EngineError, Store, StoreError};

use crate::{
    cli::NewUserOptions,
    config::{self, Config},
    data_dir::DataDir,
    failure::Failure,
    serve::open_store,
};

const REGISTER: &str = "/_synapse/admin/v1/register";

/// Makes an account and says its id.
pub(crate) fn create(options: &NewUserOptions) -> Result<(), Failure> {
    let config = config::load(&options.config)?;
    let data = DataDir::open(&config.server.data_dir)?;
    let password =
        if options.password_stdin { password::line()? } else { password::ask(&options.name)? };
    let role = if options.admin { Role::Admin } else { Role::User };
    let user = User { name: &options.name, password, role };
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()
        .map_err(Failure::because("cannot start the runtime"))?;
    let user_id = match runtime.block_on(open_store(&config, &data)) {
        Ok(store) => runtime.block_on(create_in(store, &config, user))?,
        Err(StoreError::Engine(EngineError::Locked(_))) => create_by_server(&config, &data, user)?,
        Err(error) => return Err(Failure::because("cannot open the store")(error)),
    };
    println!("{user_id} can log in");
    Ok(())
}

struct User<'a> {
    name: &'a str,
    password: String,
    role: Role,
}

async fn create_in(store: Store, config: &Config, user: User<'_>) -> Result<String, Failure> {
    let name = config.server.name.clone();
    let accounts = Accounts::new(store.clone(), Arc::new(SystemClock), name, Settings::default())
        .map_err(Failure::because("cannot start the threads that hash passwords"))?;
    let new_user = NewUser::new(user.name).password(user.password).role(user.role);
    let created = accounts.create_user(new_user).await;
    store.close().await;
    let refused = Failure::because(format!("cannot create {}", user.name));
    Ok(created.map_err(refused)?.user_id.to_string())
}

fn create_by_server(config: &Config, data: &DataDir, user: User<'_>) -> Result<String, Failure> {
    let address = admin_address(config).ok_or_else(|| {
        Failure::new(
            "the server is running and none of its listeners has the resource \"admin\": stop it first",
        )
    })?;
    let refused = || format!("the server is running, but does not answer at {address}");
    let (status, answer) =
        http::call(address, "GET", REGISTER, None).map_err(Failure::because(refused()))?;
    let Some(nonce) = answer["nonce"].as_str().filter(|_| status == 200) else {
        return Err(refusal(&answer));
    };
    let form = SharedSecretForm {
        nonce: nonce.to_owned(),
        username: user.name.to_owned(),
        password: Secret::new(user.password),
        role: user.role,
        user_type: None,
        display_name: None,
        mac: String::new(),
    };
    let secret = data.shared_secret(config)?;
    let form = form.signed(&secret).map_err(Failure::because("cannot use the shared secret"))?;
    let body = json!({
        "nonce": form.nonce,
        "username": form.username,
        "password": form.password.expose(),
        "admin": form.role == Role::Admin,
        "mac": form.mac,
    });
    let (status, answer) =
        http::call(address, "POST", REGISTER, Some(&body)).map_err(Failure::because(refused()))?;
    match answer["user_id"].as_str().filter(|_| status == 200) {
        Some(user_id) => Ok(user_id.to_owned()),
        None => Err(refusal(&answer)),
    }
}

fn refusal(answer: &Value) -> Failure {
    let reason = answer["error"].as_str().unwrap_or("it does not say why");
    Failure::new(format!("the running server refuses: {reason}"))
}

/// Where a listener serves the admin API, from this machine's view.
fn admin_address(config: &Config) -> Option<SocketAddr> {
    let mut listeners = config.listeners.0.iter();
    let listener = listeners.find(|one| one.resources.contains(&Resource::Admin))?;
    let mut address = listener.bind;
    if address.ip().is_unspecified() {
        address.set_ip(match address.ip() {
            IpAddr::V4(_) => Ipv4Addr::LOCALHOST.into(),
            IpAddr::V6(_) => Ipv6Addr::LOCALHOST.into(),
        });
    }
    Some(address)
}
