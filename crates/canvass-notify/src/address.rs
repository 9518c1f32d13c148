//! Which addresses are anybody's: a server that fetches what it is told to must not be a way into its own network.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

/// Whether an address is one of the public internet, by the registries of special addresses (RFC 6890, and RFC 6052 and
/// 3056 for those that hold an IPv4 address).
pub fn is_public(address: IpAddr) -> bool {
    match address.to_canonical() {
        IpAddr::V4(address) => is_public_v4(address),
        IpAddr::V6(address) => is_public_v6(address),
    }
}

fn is_public_v4(address: Ipv4Addr) -> bool {
    let [first, second, third, _] = address.octets();
    let is_special = address.is_private()
        || address.is_loopback()
        || address.is_link_local()
        || address.is_documentation()
        || address.is_multicast()
        // This network, and what is reserved with the broadcast.
        || first == 0
        || first >= 240
        // Carriers' own, protocols, and benchmarks.
        || (first == 100 && second & 0xc0 == 64)
        || (first == 192 && second == 0 && third == 0)
        || (first == 192 && second == 88 && third == 99)
        || (first == 198 && second & 0xfe == 18);
    !is_special
}

fn is_public_v6(address: Ipv6Addr) -> bool {
    let [first, second, third, fourth, fifth, sixth, seventh, eighth] = address.segments();
    let embedded = |high: u16, low: u16| {
        let [[a, b], [c, d]] = [high.to_be_bytes(), low.to_be_bytes()];
        is_public_v4(Ipv4Addr::new(a, b, c, d))
    };
    match (first, second) {
        // NAT64: the IPv4 address is what is reached.
        (0x64, 0xff9b) => (third, fourth, fifth, sixth) == (0, 0, 0, 0) && embedded(seventh, eighth),
        // 6to4.
        (0x2002, _) => embedded(second, third),
        // Teredo, ORCHID and other protocols' own, and documentation.
        (0x2001, 0..0x200 | 0xdb8) | (0x3fff, _) => false,
        // Only this eighth of all addresses is given out.
        _ => first & 0xe000 == 0x2000,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(addresses: &[&str], expected: bool) {
        for address in addresses {
            assert_eq!(is_public(address.parse().unwrap()), expected, "{address}");
        }
    }

    #[test]
    fn addresses_of_the_internet_are_public() {
        check(&["1.1.1.1", "8.8.8.8", "100.128.0.1", "198.20.0.1", "172.32.0.1"], true);
        check(&["2606:4700:4700::1111", "::ffff:1.1.1.1", "64:ff9b::808:808", "2002:808:808::1"], true);
    }

    #[test]
    fn all_others_are_not() {
        check(&["127.0.0.1", "127.8.8.8", "10.0.0.1", "172.16.0.1", "172.31.255.255", "192.168.1.1"], false);
        check(&["0.0.0.0", "0.1.2.3", "169.254.169.254", "100.64.0.1", "100.127.255.255"], false);
        check(&["192.0.0.8", "192.0.2.1", "198.18.0.1", "198.19.1.1", "203.0.113.1"], false);
        check(&["224.0.0.1", "240.0.0.1", "255.255.255.255"], false);
        check(&["::", "::1", "fe80::1", "fc00::1", "fd12::1", "ff02::1", "fec0::1"], false);
        check(&["::ffff:127.0.0.1", "::ffff:10.0.0.1", "::127.0.0.1", "64:ff9b::a00:1"], false);
        check(&["2002:7f00:1::", "2002:a00:1::", "2001:db8::1", "2001::1", "3fff::1"], false);
    }
}
