//! Requests of ours in place of ruma's.

/// Gives a request type of ours method, paths and authentication of one of ruma's, for the few that must be parsed
/// or answered in another way. With `=> Response`, it is a request that says nothing more, and is answered in that way.
macro_rules! stand_in {
    ($ours:ident, $rumas:ty => $response:ty) => {
        crate::stand_in::stand_in!($ours, $rumas);

        impl ruma::api::IncomingRequest for $ours {
            type EndpointError = ruma::api::error::Error;
            type OutgoingResponse = $response;

            fn try_from_http_request_inner(
                _: http::Request<&[u8]>,
                _: &[&str],
            ) -> Result<Self, ruma::api::error::DeserializationError> {
                Ok(Self(()))
            }
        }
    };
    ($ours:ty, $rumas:ty) => {
        impl ruma::api::Metadata for $ours {
            const METHOD: http::Method = <$rumas as ruma::api::Metadata>::METHOD;
            const RATE_LIMITED: bool = <$rumas as ruma::api::Metadata>::RATE_LIMITED;
            type Authentication = <$rumas as ruma::api::Metadata>::Authentication;
            type PathBuilder = <$rumas as ruma::api::Metadata>::PathBuilder;
            const PATH_BUILDER: Self::PathBuilder = <$rumas as ruma::api::Metadata>::PATH_BUILDER;
        }
    };
}

pub(crate) use stand_in;
