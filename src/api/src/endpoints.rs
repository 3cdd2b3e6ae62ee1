//! The one adapter between poem and ruma.

use std::sync::Arc;

use futures_util::{FutureExt, future::BoxFuture};
use http::Method;
use poem::Response;
use ruma::api::{
    IncomingRequest, Metadata,
    path_builder::{PathBuilder, SinglePath, VersionHistory},
};

use crate::{
    Authentication, MatrixError, RateClass,
    incoming::{self, Incoming},
    standing::Standing,
};

/// The endpoints of a service: `Endpoints::new(service).at(Service::handler)`.
///
/// Method, paths (stable and unstable), authentication and whether requests are rate limited come from the
/// request type's [`Metadata`], so a handler is a function from a typed request to a typed response.
#[must_use]
pub struct Endpoints<S> {
    service: S,
    pub(crate) routes: Vec<Route>,
    pub(crate) features: Vec<&'static str>,
}

/// One endpoint.
#[derive(Clone)]
pub(crate) struct Route {
    pub(crate) method: Method,
    pub(crate) paths: Vec<&'static str>,
    pub(crate) settings: Settings,
    pub(crate) call: Call,
}

/// Authenticates, limits, parses, handles and answers a request.
pub(crate) type Call =
    Arc<dyn Fn(Incoming) -> BoxFuture<'static, Result<Response, MatrixError>> + Send + Sync>;

/// What an endpoint does differently from others.
#[derive(Clone, Copy, Debug, Default)]
#[must_use]
pub struct Settings {
    pub(crate) class: Option<RateClass>,
    pub(crate) body: BodyKind,
    pub(crate) body_limit: Option<usize>,
    pub(crate) empty_body: EmptyBody,
    pub(crate) wait: Wait,
    pub(crate) standing: Standing,
}

/// What a body holds.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) enum BodyKind {
    /// A JSON object, or nothing.
    #[default]
    Json,
    Raw,
}

/// Whether a request may come without a body where it should bring an object with no required key.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub(crate) enum EmptyBody {
    /// Many clients log out, join and leave without one.
    #[default]
    IsEmptyObject,
    IsNotJson,
}

/// How long a handler may take.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) enum Wait {
    #[default]
    Bounded,
    LongPoll,
}

impl Settings {
    /// Counts requests against the limit of `class`. Without it, an endpoint that the specification calls rate
    /// limited, or that changes something, counts against [`RateClass::Default`].
    pub fn class(self, class: RateClass) -> Self {
        Self { class: Some(class), ..self }
    }

    /// The body is not JSON.
    pub fn raw_body(self) -> Self {
        Self { body: BodyKind::Raw, ..self }
    }

    /// The most bytes a body may have, instead of the configured limit.
    pub fn body_limit(self, bytes: usize) -> Self {
        Self { body_limit: Some(bytes), ..self }
    }

    /// A request without a body is not taken for one with an empty object.
    pub fn required_body(self) -> Self {
        Self { empty_body: EmptyBody::IsNotJson, ..self }
    }

    /// The handler waits for news and ends by itself; it is dropped when the client hangs up.
    pub fn long_poll(self) -> Self {
        Self { wait: Wait::LongPoll, ..self }
    }
}

impl<S: Clone + Send + Sync + 'static> Endpoints<S> {
    /// No endpoints yet; `service` is what handlers get as `self`.
    pub fn new(service: S) -> Self {
        Self { service, routes: Vec::new(), features: Vec::new() }
    }

    /// Adds the endpoint of a handler's request type.
    pub fn at<R, F, H>(self, handler: F) -> Self
    where
        R: IncomingRequest<Authentication: Authentication, PathBuilder: Paths> + Send + 'static,
        R::OutgoingResponse: Send + 'static,
        F: Fn(S, <R::Authentication as Authentication>::Caller, R) -> H,
        F: Clone + Send + Sync + 'static,
        H: Future<Output = Result<R::OutgoingResponse, MatrixError>> + Send + 'static,
    {
        self.at_with(Settings::default(), handler)
    }

    /// Adds an endpoint that differs from others by `settings`.
    pub fn at_with<R, F, H>(mut self, mut settings: Settings, handler: F) -> Self
    where
        R: IncomingRequest<Authentication: Authentication, PathBuilder: Paths> + Send + 'static,
        R::OutgoingResponse: Send + 'static,
        F: Fn(S, <R::Authentication as Authentication>::Caller, R) -> H,
        F: Clone + Send + Sync + 'static,
        H: Future<Output = Result<R::OutgoingResponse, MatrixError>> + Send + 'static,
    {
        let changes = R::METHOD != Method::GET && !matches!(settings.wait, Wait::LongPoll);
        let is_limited = R::RATE_LIMITED || (changes && R::Authentication::CHANGES_ARE_LIMITED);
        if is_limited && settings.class.is_none() {
            settings.class = Some(RateClass::Default);
        }
        settings.standing = Standing::required_by::<R>();
        let service = self.service.clone();
        let call = move |incoming: Incoming| {
            let (service, handler) = (service.clone(), handler.clone());
            async move {
                let caller = match incoming.admit::<R::Authentication>().await {
                    Ok(caller) => caller,
                    Err(error) => {
                        incoming.discard().await;
                        return Err(error);
                    }
                };
                let timeout = incoming.timeout();
                let (request, settings) = incoming.parse::<R>().await?;
                let handler = handler(service, caller, request);
                let response = incoming::run(&R::METHOD, settings.wait, timeout, handler).await?;
                incoming::respond(response)
            }
            .boxed()
        };
        self.routes.push(Route {
            method: R::METHOD,
            paths: paths_of::<R>(),
            settings,
            call: Arc::new(call),
        });
        self.features.extend(R::PATH_BUILDER.features());
        self
    }

    /// Announces `feature` as an unstable feature in `/versions`: for behaviour that has no path of its own.
    /// Features of paths are announced by themselves.
    pub fn feature(mut self, feature: &'static str) -> Self {
        self.features.push(feature);
        self
    }
}

/// All paths of a request. A state key that is empty may be left out with its slash.
pub(crate) fn paths_of<R: Metadata>() -> Vec<&'static str> {
    let mut paths: Vec<_> = R::PATH_BUILDER.all_paths().collect();
    let short: Vec<_> = paths.iter().filter_map(|path| path.strip_suffix("/{state_key}")).collect();
    paths.extend(short);
    paths
}

/// What ruma's two ways to name paths have in common.
pub trait Paths: PathBuilder {
    /// The features of `/versions` that come with the paths.
    fn features(&self) -> Vec<&'static str>;
}

impl Paths for VersionHistory {
    fn features(&self) -> Vec<&'static str> {
        let unstable = self.unstable_paths().filter_map(|(feature, _)| feature);
        let stable = self.stable_paths().filter_map(|(selector, _)| selector.feature());
        unstable.chain(stable).collect()
    }
}

impl Paths for SinglePath {
    fn features(&self) -> Vec<&'static str> {
        Vec::new()
    }
}

#[cfg(test)]
mod tests {
    use ruma::api::client::{authenticated_media::get_content, state::send_state_event};

    use super::*;

    #[test]
    fn features_come_with_the_paths_they_name() {
        let features = get_content::v1::Request::PATH_BUILDER.features();
        assert!(features.contains(&"org.matrix.msc3916.stable"), "{features:?}");
    }

    #[test]
    fn a_state_key_may_be_left_out_of_the_path() {
        let paths = paths_of::<send_state_event::v3::Request>();

        assert!(
            paths.contains(&"/_matrix/client/v3/rooms/{room_id}/state/{event_type}/{state_key}")
        );
        assert!(paths.contains(&"/_matrix/client/v3/rooms/{room_id}/state/{event_type}"));
    }
}
