//! Requests of ours in place of ruma's.

/// Gives a request type of ours method, paths and authentication of one of ruma's, for the few that must be parsed
/// or answered in another way.
macro_rules! stand_in {
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
