//! Any JSON as the `auth` of a registration that takes a token: nobody comes in without it.
#![no_main]

use std::sync::{Arc, LazyLock};

use accounts::{Accounts, AfterRegistration, PasswordCost, Registration, RegistrationForm, Secret, Settings};
use libfuzzer_sys::fuzz_target;
use protocol::FixedClock;
use ruma::api::client::uiaa::AuthData;
use ruma::server_name;
use store::Store;
use tokio::runtime::{Builder, Runtime};

/// No input can hit on it by chance.
const TOKEN: &str = "0f9c1e6ad1b94a4f8c5ad6c7b0e3f1d2";

static SERVER: LazyLock<(Runtime, Accounts)> = LazyLock::new(|| {
    let runtime = Builder::new_current_thread().enable_all().build().expect("a runtime starts");
    let accounts = runtime.block_on(async {
        let settings = Settings {
            registration: Registration::WithToken,
            registration_tokens: vec![Secret::new(TOKEN)],
            password_cost: PasswordCost { memory_kib: 8, passes: 1 },
            ..Settings::default()
        };
        let clock = Arc::new(FixedClock::new(1_800_000_000_000));
        let name = server_name!("hearth.test").to_owned();
        Accounts::new(Store::in_memory().await, clock, name, settings).expect("threads start")
    });
    (runtime, accounts)
});

fuzz_target!(|json: &str| {
    let Ok(auth) = serde_json::from_str::<AuthData>(json) else { return };
    let (runtime, accounts) = &*SERVER;
    let form = RegistrationForm {
        username: None,
        password: None,
        auth: Some(auth),
        then: AfterRegistration::Nothing,
        guest_token: None,
    };
    let answer = runtime.block_on(accounts.register(form));
    assert!(answer.is_err() || json.contains(TOKEN), "registered without the token");
});
