//! Reverse proxies and the addresses behind them.

use std::{fmt, net::IpAddr, str::FromStr};

use http::HeaderMap;
use serde::{Deserialize, Serialize};

/// Networks of reverse proxies whose `X-Forwarded-For` is believed.
#[derive(Clone, Debug, Default)]
pub struct Proxies(Vec<Network>);

/// An address, or a network such as `10.0.0.0/8`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, Serialize)]
#[serde(try_from = "String", into = "String")]
pub struct Network {
    address: IpAddr,
    prefix: u8,
}

/// Whether the peer of a connection is one of ours.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Trust {
    Proxy,
    Nobody,
}

impl Proxies {
    /// Believes the given networks; none means that nobody is believed.
    pub fn new(networks: Vec<Network>) -> Self {
        Self(networks)
    }

    /// Whether the peer of a connection is one of them.
    pub fn include(&self, peer: IpAddr) -> bool {
        self.trust(peer) == Trust::Proxy
    }

    pub(crate) fn trust(&self, peer: IpAddr) -> Trust {
        let known = self.0.iter().any(|network| network.contains(peer));
        if known { Trust::Proxy } else { Trust::Nobody }
    }

    /// The address a request comes from: the last one that was not added by one of our proxies. What is further
    /// left in `X-Forwarded-For` was written by the client itself.
    pub(crate) fn client(&self, peer: IpAddr, headers: &HeaderMap) -> IpAddr {
        if self.trust(peer) == Trust::Nobody {
            return peer;
        }
        let hops = headers.get_all("x-forwarded-for").iter().rev();
        let hops = hops.filter_map(|value| value.to_str().ok()).flat_map(|hops| hops.rsplit(','));
        let mut client = peer;
        for hop in hops {
            let Ok(address) = hop.trim().parse() else { break };
            client = address;
            if self.trust(address) == Trust::Nobody {
                break;
            }
        }
        client
    }
}

impl Network {
    fn contains(&self, address: IpAddr) -> bool {
        match (self.address, address.to_canonical()) {
            (IpAddr::V4(network), IpAddr::V4(address)) => {
                let differing = network.to_bits() ^ address.to_bits();
                differing.leading_zeros() >= u32::from(self.prefix)
            }
            (IpAddr::V6(network), IpAddr::V6(address)) => {
                let differing = network.to_bits() ^ address.to_bits();
                differing.leading_zeros() >= u32::from(self.prefix)
            }
            _ => false,
        }
    }
}

/// Neither an address nor a network.
#[derive(Debug, thiserror::Error)]
#[error("{0:?} is neither an IP address nor a network like 10.0.0.0/8")]
pub struct InvalidNetwork(String);

impl FromStr for Network {
    type Err = InvalidNetwork;

    fn from_str(text: &str) -> Result<Self, InvalidNetwork> {
        let invalid = || InvalidNetwork(text.to_owned());
        let (address, prefix) = match text.split_once('/') {
            Some((address, prefix)) => (address, Some(prefix)),
            None => (text, None),
        };
        let address: IpAddr = address.parse().map_err(|_| invalid())?;
        let bits = if address.is_ipv4() { 32 } else { 128 };
        let prefix = prefix.map_or(Ok(bits), str::parse).map_err(|_| invalid())?;
        if prefix > bits { Err(invalid()) } else { Ok(Self { address, prefix }) }
    }
}

impl TryFrom<String> for Network {
    type Error = InvalidNetwork;

    fn try_from(text: String) -> Result<Self, InvalidNetwork> {
        text.parse()
    }
}

impl From<Network> for String {
    fn from(network: Network) -> Self {
        network.to_string()
    }
}

impl fmt::Display for Network {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.address, self.prefix)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn client(trusted: &[&str], peer: &str, forwarded: &[&'static str]) -> String {
        let networks = trusted.iter().map(|text| text.parse().unwrap()).collect();
        let mut headers = HeaderMap::new();
        for value in forwarded {
            headers.append("x-forwarded-for", http::HeaderValue::from_static(value));
        }
        Proxies::new(networks).client(peer.parse().unwrap(), &headers).to_string()
    }

    #[test]
    fn a_peer_that_is_no_proxy_is_not_believed() {
        assert_eq!(client(&[], "192.0.2.1", &["198.51.100.7"]), "192.0.2.1");
        assert_eq!(client(&["10.0.0.0/8"], "192.0.2.1", &["198.51.100.7"]), "192.0.2.1");
    }

    #[test]
    fn the_last_address_a_proxy_did_not_add_is_the_client() {
        let trusted = ["10.0.0.0/8", "::1"];

        assert_eq!(client(&trusted, "10.1.2.3", &["203.0.113.5, 198.51.100.7"]), "198.51.100.7");
        assert_eq!(client(&trusted, "::1", &["198.51.100.7, 10.9.9.9"]), "198.51.100.7");
        assert_eq!(client(&trusted, "::1", &["203.0.113.5", "198.51.100.7"]), "198.51.100.7");
        assert_eq!(client(&trusted, "::1", &["198.51.100.7, nonsense"]), "::1");
        assert_eq!(client(&trusted, "::ffff:10.0.0.1", &["198.51.100.7"]), "198.51.100.7");
    }

    #[test]
    fn a_network_that_is_none_is_refused() {
        for text in ["", "10.0.0.0/33", "::/129", "localhost", "10.0.0.0/-1", "10.0.0.0/"] {
            assert!(text.parse::<Network>().is_err(), "{text}");
        }
        assert_eq!("10.0.0.0/8".parse::<Network>().unwrap().to_string(), "10.0.0.0/8");
    }
}
