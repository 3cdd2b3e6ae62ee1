//! Reading the configuration and naming what is wrong with it.

use std::{fmt, path::Path};

use api::RateLimits;
use figment::{
    Figment,
    error::Kind,
    providers::{Env, Format, Serialized, Toml},
    value::{Dict, Value},
};
use protocol::room_version;
use tracing_subscriber::EnvFilter;

use super::{Config, Contact};
use crate::{cli::ConfigFile, failure::Failure};

/// The file that is read when it exists and no other is named.
const DEFAULT_FILE: &str = "hearth.toml";

/// Something wrong in the configuration.
#[derive(Debug, PartialEq)]
pub(crate) struct Problem {
    /// Such as `server.name`.
    key: String,
    message: String,
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.key, self.message)
    }
}

/// The configuration in force; fails with all its problems.
pub(crate) fn load(options: &ConfigFile) -> Result<Config, Failure> {
    read(&sources(options)?).map_err(|problems| {
        let lines: Vec<String> = problems.iter().map(|problem| format!("  {problem}")).collect();
        Failure::new(format!("the configuration cannot be used\n{}", lines.join("\n")))
    })
}

/// `hearth config check`.
pub(crate) fn check(options: &ConfigFile) -> Result<(), Failure> {
    load(options)?;
    println!("the configuration is valid");
    Ok(())
}

fn sources(options: &ConfigFile) -> Result<Figment, Failure> {
    let file = match &options.config {
        Some(file) => Some(file.as_path()),
        None => Some(Path::new(DEFAULT_FILE)).filter(|file| file.exists()),
    };
    let text = match file {
        Some(file) => std::fs::read_to_string(file)
            .map_err(Failure::because(format!("cannot read {}", file.display())))?,
        None => String::new(),
    };
    Ok(given(&text))
}

/// What was set, without defaults.
fn given(text: &str) -> Figment {
    // Other programs' and scripts' variables start with HEARTH_ as well; a key of ours has a section.
    let environment = Env::prefixed("HEARTH_")
        .filter(|name| name.as_str().contains("__") || name == "listeners")
        .split("__");
    Figment::from(Toml::string(text)).merge(environment)
}

/// The configuration, or everything that is wrong with it, in the order of the keys.
fn read(given: &Figment) -> Result<Config, Vec<Problem>> {
    let values: Dict = given.extract().map_err(|error| problems_of(error, ""))?;
    let mut problems = Vec::new();
    for (key, value) in leaves(&values) {
        if let Err(error) = with_defaults().merge((key.as_str(), value)).extract::<Config>() {
            problems.extend(problems_of(error, &key));
        }
    }
    if !problems.is_empty() {
        return Err(problems);
    }
    let config = with_defaults().merge(given).extract().map_err(|error| problems_of(error, ""))?;
    let problems = contradictions(&config);
    if problems.is_empty() { Ok(config) } else { Err(problems) }
}

fn with_defaults() -> Figment {
    Figment::from(Serialized::defaults(Config::default()))
}

/// Every key that was set, with its value; an array is one value.
fn leaves(values: &Dict) -> Vec<(String, Value)> {
    let mut found = Vec::new();
    for (key, value) in values {
        match value.as_dict() {
            Some(inner) => {
                let inner = leaves(inner).into_iter();
                found.extend(inner.map(|(rest, value)| (format!("{key}.{rest}"), value)));
            }
            None => found.push((key.clone(), value.clone())),
        }
    }
    found
}

fn problems_of(error: figment::Error, key: &str) -> Vec<Problem> {
    let problem = |error: figment::Error| {
        let key = if error.path.is_empty() { key.to_owned() } else { error.path.join(".") };
        let message = match &error.kind {
            Kind::UnknownField(field, known) => {
                format!("unknown key {field:?}, expected one of {}", known.join(", "))
            }
            kind => kind.to_string(),
        };
        Problem { key: if key.is_empty() { "file".to_owned() } else { key }, message }
    };
    error.into_iter().map(problem).collect()
}

/// Values that are well-formed and still make no sense.
fn contradictions(config: &Config) -> Vec<Problem> {
    let mut problems = Vec::new();
    let mut refuse = |key: &str, message: String| {
        problems.push(Problem { key: key.to_owned(), message });
    };
    if config.listeners.0.is_empty() {
        refuse("listeners", "at least one is needed".to_owned());
    }
    if let Err(error) = RateLimits::new(&config.rate_limits) {
        refuse("rate_limits", error.to_string());
    }
    if let Err(error) = EnvFilter::try_new(&config.logging.filter) {
        refuse("logging.filter", error.to_string());
    }
    let version = &config.rooms.default_version;
    if room_version::rules(version).is_none() {
        refuse("rooms.default_version", format!("room version {version} is not known"));
    }
    let nameless =
        |contact: &Contact| contact.matrix_id.is_none() && contact.email_address.is_none();
    if config.well_known.contacts.iter().any(nameless) {
        refuse("well_known.contacts", "one has neither matrix_id nor email_address".to_owned());
    }
    let url = config.server.client_base_url.as_deref().unwrap_or("https://");
    if !(url.starts_with("https://") || url.starts_with("http://")) {
        refuse("server.client_base_url", "is no http or https URL".to_owned());
    }
    for problem in config.single_sign_on.problems(config.server.client_base_url.as_deref()) {
        refuse("single_sign_on", problem);
    }
    problems
}

#[cfg(test)]
mod tests {
    use super::*;

    const EXAMPLE: &str = include_str!("../../../../config.example.toml");

    fn problems(text: &str) -> Vec<String> {
        let problems = read(&Figment::from(Toml::string(text))).unwrap_err();
        problems.iter().map(ToString::to_string).collect()
    }

    #[test]
    fn the_example_holds_the_defaults() {
        let example = read(&Figment::from(Toml::string(EXAMPLE))).unwrap();
        assert_eq!(example, Config::default());
    }

    /// Keys without a default stand in the example as a comment.
    #[test]
    fn the_example_holds_every_key() {
        let mut section = String::new();
        let mut shown = Vec::new();
        for line in EXAMPLE.lines() {
            let line = line.trim_start_matches("# ");
            if let Some(name) = line.strip_prefix('[') {
                section = name.trim_matches(['[', ']']).to_owned();
            } else if let Some((key, _)) = line.split_once(" = ") {
                shown.push(format!("{section}.{key}"));
            }
        }
        let Ok(Value::Dict(_, defaults)) = Value::serialize(Config::default()) else {
            panic!("the configuration is a table");
        };
        for (key, value) in leaves(&defaults) {
            // Rates stand as inline tables, listeners as a table of their own.
            let Some(items) = value.as_array() else {
                let inline = key.rsplit_once('.').map(|(table, _)| table.to_owned());
                assert!(shown.contains(&key) || shown.contains(&inline.unwrap()), "{key}");
                continue;
            };
            for inner in items.iter().filter_map(Value::as_dict).flat_map(|item| item.keys()) {
                assert!(shown.contains(&format!("{key}.{inner}")), "{key}.{inner}");
            }
        }
    }

    #[test]
    fn every_problem_is_named_with_its_key() {
        let text = r#"
            [server]
            name = "not a name"
            colour = "red"
            [rate_limits]
            joins = { per_second = 1.0, burst = 0 }
            [limits]
            body_bytes = "much"
            [telemetry]
            enabled = true
        "#;
        let problems = problems(text);

        for key in ["server.name: ", "server.colour: unknown", "rate_limits.joins.burst: "] {
            assert!(problems.iter().any(|problem| problem.starts_with(key)), "{key} {problems:#?}");
        }
        for key in ["limits.body_bytes: ", "telemetry: unknown key"] {
            assert!(problems.iter().any(|problem| problem.starts_with(key)), "{key} {problems:#?}");
        }
        assert_eq!(problems.len(), 5, "{problems:#?}");
    }

    #[test]
    fn values_that_make_no_sense_are_named() {
        let text = r#"
            listeners = []
            [server]
            client_base_url = "matrix.example.org"
            [rate_limits]
            login = { per_second = 0.0, burst = 1 }
            [logging]
            filter = "hearth=loud"
            [rooms]
            default_version = "1000"
            [[well_known.contacts]]
            role = "m.role.admin"
        "#;
        assert_eq!(problems(text).len(), 6, "{:#?}", problems(text));
    }

    #[test]
    fn every_problem_of_a_provider_is_named() {
        let text = r#"
            [single_sign_on]
            trusted_clients = ["javascript:alert(1)"]
            [[single_sign_on.providers]]
            id = "a club"
            name = ""
            icon = "https://example.org/icon.png"
            brand = "The Club"
            issuer = "club.example"
            client_id = ""
            scopes = ["profile"]
            [[single_sign_on.providers]]
            id = "club"
            name = "Club"
            issuer = "https://club.example"
            client_id = "hearth"
            [[single_sign_on.providers]]
            id = "club"
            name = "Club"
            issuer = "https://club.example"
            client_id = "hearth"
        "#;
        assert_eq!(problems(text).len(), 10, "{:#?}", problems(text));
    }

    #[test]
    fn a_broken_file_is_a_problem() {
        assert_eq!(problems("[server").len(), 1);
    }

    #[test]
    #[expect(clippy::result_large_err, reason = "figment's test harness wants its error")]
    fn the_environment_wins_over_the_file() {
        figment::Jail::expect_with(|jail| {
            jail.set_env("HEARTH_SERVER__NAME", "hearth.test");
            jail.set_env("HEARTH_LISTENERS", r#"[{bind="127.0.0.1:1", resources=["client"]}]"#);
            jail.set_env("HEARTH_RATE_LIMITS__JOINS__BURST", "7");
            jail.set_env("HEARTH_BIN", "/usr/bin/hearth");
            let config = read(&given("[server]\nname = \"localhost\"")).unwrap();

            assert_eq!(config.server.name, "hearth.test");
            assert_eq!(config.listeners.0[0].bind.port(), 1);
            assert_eq!(config.rate_limits.joins.burst.get(), 7);
            Ok(())
        });
    }
}
