//! Which addresses are connected to.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

use ipnet::{IpNet, Ipv4Net, Ipv6Net};
use reqwest::dns::{Addrs, Name, Resolve, Resolving};

/// Looks names up, and finds only addresses that may be connected to.
#[derive(Debug, Clone)]
pub(super) struct Addresses {
    allowed: Vec<IpNet>,
    public: Public,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Public {
    Included,
    LeftOut,
}

/// A name has addresses, and none that may be connected to.
#[derive(Debug, thiserror::Error)]
#[error("no address of the server may be connected to")]
pub(super) struct Forbidden;

impl Addresses {
    /// Those of the public Internet, and those of some networks.
    pub(super) fn public_and(networks: &[IpNet]) -> Self {
        Self { allowed: networks.to_vec(), public: Public::Included }
    }

    /// Those of some networks.
    pub(super) fn only(networks: &[IpNet]) -> Self {
        Self { allowed: networks.to_vec(), public: Public::LeftOut }
    }

    /// Whether an address may be connected to.
    pub(super) fn include(&self, address: IpAddr) -> bool {
        let canonical = address.to_canonical();
        self.allowed.iter().any(|network| network.contains(&canonical))
            || self.public == Public::Included && is_public(address)
    }
}

impl Resolve for Addresses {
    fn resolve(&self, name: Name) -> Resolving {
        let addresses = self.clone();
        Box::pin(async move {
            let found = tokio::net::lookup_host((name.as_str(), 0)).await?;
            let may = |found: &SocketAddr| addresses.include(found.ip());
            let permitted: Vec<SocketAddr> = found.filter(may).collect();
            if permitted.is_empty() {
                return Err(Forbidden.into());
            }
            Ok(Box::new(permitted.into_iter()) as Addrs)
        })
    }
}

/// The networks of IPv4 that are not public: IANA's registry of special-purpose addresses, and multicast.
const SPECIAL_V4: [Ipv4Net; 16] = [
    v4([0, 0, 0, 0], 8),
    v4([10, 0, 0, 0], 8),
    v4([100, 64, 0, 0], 10),
    v4([127, 0, 0, 0], 8),
    v4([169, 254, 0, 0], 16),
    v4([172, 16, 0, 0], 12),
    v4([192, 0, 0, 0], 24),
    v4([192, 0, 2, 0], 24),
    v4([192, 31, 196, 0], 24),
    v4([192, 52, 193, 0], 24),
    v4([192, 88, 99, 0], 24),
    v4([192, 168, 0, 0], 16),
    v4([198, 18, 0, 0], 15),
    v4([198, 51, 100, 0], 24),
    v4([203, 0, 113, 0], 24),
    // Multicast, reserved, broadcast.
    v4([224, 0, 0, 0], 3),
];

/// All public addresses of IPv6 are in here.
const GLOBAL_V6: Ipv6Net = v6([0x2000, 0, 0], 3);

/// What of it is not public: IANA's registry of special-purpose addresses. Addresses that hold one of IPv4 (Teredo,
/// 6to4) are among it.
const SPECIAL_V6: [Ipv6Net; 5] = [
    v6([0x2001, 0, 0], 23),
    v6([0x2001, 0xdb8, 0], 32),
    v6([0x2002, 0, 0], 16),
    v6([0x2620, 0x4f, 0x8000], 48),
    v6([0x3fff, 0, 0], 20),
];

/// Where networks with IPv6 only have the addresses of IPv4 (RFC 6052).
const NAT64: Ipv6Net = v6([0x64, 0xff9b, 0], 96);

const fn v4([a, b, c, d]: [u8; 4], prefix: u8) -> Ipv4Net {
    Ipv4Net::new_assert(Ipv4Addr::new(a, b, c, d), prefix)
}

const fn v6([a, b, c]: [u16; 3], prefix: u8) -> Ipv6Net {
    Ipv6Net::new_assert(Ipv6Addr::new(a, b, c, 0, 0, 0, 0, 0), prefix)
}

/// Whether an address is one of the public Internet, where everybody reaches it.
fn is_public(address: IpAddr) -> bool {
    match address.to_canonical() {
        IpAddr::V4(address) => !SPECIAL_V4.iter().any(|network| network.contains(&address)),
        IpAddr::V6(address) if NAT64.contains(&address) => {
            let [.., a, b, c, d] = address.octets();
            is_public(IpAddr::from([a, b, c, d]))
        }
        IpAddr::V6(address) => {
            GLOBAL_V6.contains(&address)
                && !SPECIAL_V6.iter().any(|network| network.contains(&address))
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn public(address: &str) -> bool {
        is_public(address.parse().unwrap())
    }

    #[test]
    fn addresses_that_everybody_reaches_are_public() {
        for address in [
            "1.1.1.1",
            "9.255.255.255",
            "11.0.0.0",
            "100.63.255.255",
            "100.128.0.0",
            "172.15.255.255",
            "172.32.0.0",
            "192.0.1.0",
            "192.167.255.255",
            "198.20.0.0",
            "223.255.255.255",
            "2001:200::1",
            "2003::1",
            "2606:4700:4700::1111",
            "2a01:4f8::1",
            "64:ff9b::1.1.1.1",
            "::ffff:1.1.1.1",
        ] {
            assert!(public(address), "{address}");
        }
    }

    #[test]
    fn addresses_of_ones_own_and_special_ones_are_not_public() {
        for address in [
            "0.0.0.0",
            "10.1.2.3",
            "100.64.0.1",
            "127.0.0.1",
            "127.255.255.254",
            "169.254.169.254",
            "172.16.0.1",
            "172.31.255.255",
            "192.0.0.1",
            "192.0.2.1",
            "192.168.1.1",
            "198.19.0.1",
            "198.51.100.1",
            "203.0.113.1",
            "224.0.0.1",
            "240.0.0.1",
            "255.255.255.255",
            "::",
            "::1",
            "::127.0.0.1",
            "::ffff:127.0.0.1",
            "::ffff:10.0.0.1",
            "64:ff9b::127.0.0.1",
            "64:ff9b::192.168.0.1",
            "64:ff9b:1::1",
            "100::1",
            "2001::1",
            "2001:db8::1",
            "2002:7f00:1::1",
            "3fff::1",
            "5f00::1",
            "fc00::1",
            "fd12::1",
            "fe80::1",
            "fec0::1",
            "ff02::1",
        ] {
            assert!(!public(address), "{address}");
        }
    }

    #[test]
    fn allowed_networks_are_connected_to() {
        let networks = ["10.0.0.0/8".parse().unwrap(), "fd00::/64".parse().unwrap()];
        let (with_public, only) = (Addresses::public_and(&networks), Addresses::only(&networks));
        for inside in ["10.1.2.3", "::ffff:10.1.2.3", "fd00::7"] {
            let inside = inside.parse().unwrap();
            assert!(with_public.include(inside) && only.include(inside), "{inside}");
        }
        for outside in ["192.168.0.1", "127.0.0.1", "fd00:0:0:1::7"] {
            let outside = outside.parse().unwrap();
            assert!(!with_public.include(outside) && !only.include(outside), "{outside}");
        }
        let public = "1.1.1.1".parse().unwrap();
        assert!(with_public.include(public) && !only.include(public));
    }

    proptest! {
        #[test]
        fn an_address_of_ipv4_is_judged_alike_in_each_form(bits in any::<u32>()) {
            let address = Ipv4Addr::from_bits(bits);
            let judged = is_public(IpAddr::V4(address));
            prop_assert_eq!(judged, is_public(IpAddr::V6(address.to_ipv6_mapped())));
            prop_assert!(!is_public(IpAddr::V6(Ipv6Addr::from(u128::from(bits)))));
            if address.is_private() || address.is_loopback() || address.is_link_local() {
                prop_assert!(!judged);
            }
        }
    }
}
