//! `GET /versions`, built from what is routed. Spec: client-server API, "API Versions".

use std::collections::{BTreeMap, BTreeSet};

use http::Method;
use ruma::api::{
    Metadata,
    client::{
        account::register,
        admin::{is_user_locked, is_user_suspended, lock_user, suspend_user},
        discovery::get_supported_versions,
        membership::{get_mutual_rooms, join_room_by_id},
        message::send_message_event,
        profile::set_profile_field,
        relations::get_relating_events,
        reporting::report_user,
        room::{create_room, get_event_by_timestamp, get_summary, report_room},
        session::login,
        sync::sync_events,
        threads::get_threads,
    },
};

use crate::{
    Endpoints, MatrixError, Requester,
    endpoints::{Route, paths_of},
};

/// The methods and paths that lead somewhere.
struct RoutingTable(BTreeSet<(String, &'static str)>);

impl RoutingTable {
    fn new(routes: &[Route]) -> Self {
        let paths = |route: &Route| {
            let method = route.method.to_string();
            route.paths.clone().into_iter().map(move |path| (method.clone(), path))
        };
        Self(routes.iter().flat_map(paths).collect())
    }

    fn serves<R: Metadata>(&self) -> bool {
        let method: Method = R::METHOD;
        paths_of::<R>().into_iter().all(|path| self.0.contains(&(method.to_string(), path)))
    }
}

/// One promise of a version: an endpoint that clients use when, and only when, they see the version.
type Promise = fn(&RoutingTable) -> bool;

/// The versions we may announce, oldest first, each with what it promises beyond the one before. A version that
/// brought nothing clients decide about by its name stands here with no promise: clients compare names, so none
/// may be left out.
const VERSIONS: &[(&str, &[Promise])] = &[
    (
        "r0.6.1",
        &[
            RoutingTable::serves::<register::v3::Request>,
            RoutingTable::serves::<login::v3::Request>,
            RoutingTable::serves::<create_room::v3::Request>,
            RoutingTable::serves::<join_room_by_id::v3::Request>,
            RoutingTable::serves::<send_message_event::v3::Request>,
            RoutingTable::serves::<sync_events::v3::Request>,
        ],
    ),
    ("v1.1", &[]),
    ("v1.2", &[]),
    ("v1.3", &[RoutingTable::serves::<get_relating_events::v1::Request>]),
    ("v1.4", &[RoutingTable::serves::<get_threads::v1::Request>]),
    ("v1.5", &[]),
    ("v1.6", &[RoutingTable::serves::<get_event_by_timestamp::v1::Request>]),
    ("v1.7", &[]),
    ("v1.8", &[]),
    ("v1.9", &[]),
    ("v1.10", &[]),
    (
        "v1.11",
        &[RoutingTable::serves::<ruma::api::client::authenticated_media::get_content::v1::Request>],
    ),
    ("v1.12", &[]),
    ("v1.13", &[RoutingTable::serves::<report_room::v3::Request>]),
    ("v1.14", &[RoutingTable::serves::<report_user::v3::Request>]),
    ("v1.15", &[RoutingTable::serves::<get_summary::v1::Request>]),
    ("v1.16", &[RoutingTable::serves::<set_profile_field::v3::Request>]),
    // Masquerading and device management of application services, and logins by OAuth, are asked for by their owners.
    ("v1.17", &[]),
    // The capabilities say whether users are moderated, rooms forgotten and accounts managed by OAuth.
    (
        "v1.18",
        &[
            RoutingTable::serves::<lock_user::v1::Request>,
            RoutingTable::serves::<is_user_locked::v1::Request>,
            RoutingTable::serves::<suspend_user::v1::Request>,
            RoutingTable::serves::<is_user_suspended::v1::Request>,
        ],
    ),
    // What is new of image packs, key backups and shared history is account data, state and messages of clients.
    ("v1.19", &[RoutingTable::serves::<get_mutual_rooms::v1::Request>]),
];

fn supported(table: &RoutingTable) -> Vec<String> {
    VERSIONS
        .iter()
        .take_while(|(_, promises)| promises.iter().all(|promise| promise(table)))
        .map(|(version, _)| (*version).to_owned())
        .collect()
}

/// The answer, the same for everybody.
#[derive(Clone)]
pub(crate) struct Versions {
    versions: Vec<String>,
    features: BTreeMap<String, bool>,
}

impl Versions {
    async fn versions(
        self,
        _: Option<Requester>,
        _: get_supported_versions::Request,
    ) -> Result<get_supported_versions::Response, MatrixError> {
        let mut response = get_supported_versions::Response::new(self.versions);
        response.unstable_features = self.features;
        Ok(response)
    }
}

/// The endpoint, with the versions and features of `routes`.
pub(crate) fn endpoints(routes: &[Route], features: &[&'static str]) -> Endpoints<Versions> {
    let versions = supported(&RoutingTable::new(routes));
    let features = features.iter().map(|feature| ((*feature).to_owned(), true)).collect();
    Endpoints::new(Versions { versions, features }).at(Versions::versions)
}

#[cfg(test)]
mod tests {
    use super::*;

    impl RoutingTable {
        fn with<R: Metadata>(mut self) -> Self {
            let method: Method = R::METHOD;
            self.0.extend(paths_of::<R>().into_iter().map(|path| (method.to_string(), path)));
            self
        }
    }

    fn oldest() -> RoutingTable {
        RoutingTable(BTreeSet::new())
            .with::<register::v3::Request>()
            .with::<login::v3::Request>()
            .with::<create_room::v3::Request>()
            .with::<join_room_by_id::v3::Request>()
            .with::<send_message_event::v3::Request>()
            .with::<sync_events::v3::Request>()
    }

    #[test]
    fn a_version_is_announced_when_its_promises_and_all_before_it_are_kept() {
        let versions = supported(&oldest());
        assert_eq!(versions, ["r0.6.1", "v1.1", "v1.2"]);

        let table = oldest().with::<get_threads::v1::Request>();
        assert_eq!(supported(&table), versions, "v1.3 is missing");

        let table = table.with::<get_relating_events::v1::Request>();
        assert_eq!(supported(&table).last().unwrap(), "v1.5");
    }

    #[test]
    fn no_version_is_left_out() {
        let minor = |version: &str| version.strip_prefix("v1.").unwrap().parse::<usize>().unwrap();
        for (at, (version, _)) in VERSIONS.iter().enumerate().skip(1) {
            assert_eq!(minor(version), at);
        }
    }
}
