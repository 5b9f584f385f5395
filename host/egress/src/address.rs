//! Which addresses are public, and what the others are.
//!
//! A name is a claim, an address is where the bytes go. Whatever is not plainly the public internet is refused, with
//! the IPv4 address inside an IPv6 one judged as well: `64:ff9b::7f00:1` is a way to 127.0.0.1.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use ipnet::{IpNet, Ipv4Net, Ipv6Net};

/// An operator opens no more ranges than this.
pub const MAX_PRIVATE: usize = 64;

/// What an address that is not public is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Class {
    /// This machine.
    Loopback,
    /// No address: on many systems a connection to it goes to this machine.
    Unspecified,
    /// The network segment.
    LinkLocal,
    /// A group of machines.
    Multicast,
    /// All machines of a segment.
    Broadcast,
    /// A private network, RFC 1918.
    Private,
    /// A provider's own network, RFC 6598.
    CarrierNat,
    /// Private IPv6 networks, RFC 4193.
    UniqueLocal,
    /// Private IPv6 networks, as they were before.
    SiteLocal,
    /// A cloud's metadata service, which gives out the machine's credentials.
    Metadata,
    /// Networks for measurements, RFC 2544 and 5180.
    Benchmarking,
    /// Addresses for documents.
    Documentation,
    /// Set aside by the IETF.
    Reserved,
    /// A translation to IPv4 that a network makes up for itself, RFC 8215.
    LocalTranslation,
    /// A tunnel or translation to an IPv4 address that is not public.
    Embedded,
}

impl Class {
    /// In a message: `127.0.0.1 is …`.
    pub fn reason(self) -> &'static str {
        match self {
            Self::Loopback => "an address of this machine (loopback)",
            Self::Unspecified => "no address of a host (unspecified)",
            Self::LinkLocal => "an address of the local network segment (link-local)",
            Self::Multicast => "an address of a group (multicast)",
            Self::Broadcast => "an address of all hosts (broadcast)",
            Self::Private => "an address of a private network (RFC 1918)",
            Self::CarrierNat => "an address of a provider's own network (RFC 6598)",
            Self::UniqueLocal => "an address of a private network (RFC 4193)",
            Self::SiteLocal => "an address of a private network (site-local)",
            Self::Metadata => "the metadata service of a cloud",
            Self::Benchmarking => "an address for measurements (RFC 2544)",
            Self::Documentation => "an address for documents",
            Self::Reserved => "an address that is set aside",
            Self::LocalTranslation => "an address of a private translation to IPv4 (RFC 8215)",
            Self::Embedded => "a way to an IPv4 address that is not public",
        }
    }

    /// The name for programs.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Loopback => "loopback",
            Self::Unspecified => "unspecified",
            Self::LinkLocal => "linkLocal",
            Self::Multicast => "multicast",
            Self::Broadcast => "broadcast",
            Self::Private => "private",
            Self::CarrierNat => "carrierNat",
            Self::UniqueLocal => "uniqueLocal",
            Self::SiteLocal => "siteLocal",
            Self::Metadata => "metadata",
            Self::Benchmarking => "benchmarking",
            Self::Documentation => "documentation",
            Self::Reserved => "reserved",
            Self::LocalTranslation => "localTranslation",
            Self::Embedded => "embedded",
        }
    }

    /// Whether an operator can open it at all: nobody serves HTTP at the others.
    pub fn can_be_opened(self) -> bool {
        !matches!(self, Self::Unspecified | Self::Multicast | Self::Broadcast)
    }
}

const fn v4(a: u8, b: u8, c: u8, d: u8, bits: u8) -> Ipv4Net {
    Ipv4Net::new_assert(Ipv4Addr::new(a, b, c, d), bits)
}

const fn v6(a: u16, b: u16, c: u16, bits: u8) -> Ipv6Net {
    Ipv6Net::new_assert(Ipv6Addr::new(a, b, c, 0, 0, 0, 0, 0), bits)
}

/// The first that contains an address says what it is. Source: the IANA special-purpose registries, RFC 6890.
const V4: [(Ipv4Net, Class); 20] = [
    (v4(169, 254, 169, 254, 32), Class::Metadata),
    (v4(100, 100, 100, 200, 32), Class::Metadata),
    (v4(168, 63, 129, 16, 32), Class::Metadata),
    (v4(192, 0, 0, 192, 32), Class::Metadata),
    (v4(0, 0, 0, 0, 8), Class::Unspecified),
    (v4(10, 0, 0, 0, 8), Class::Private),
    (v4(100, 64, 0, 0, 10), Class::CarrierNat),
    (v4(127, 0, 0, 0, 8), Class::Loopback),
    (v4(169, 254, 0, 0, 16), Class::LinkLocal),
    (v4(172, 16, 0, 0, 12), Class::Private),
    (v4(192, 0, 0, 0, 24), Class::Reserved),
    (v4(192, 0, 2, 0, 24), Class::Documentation),
    (v4(192, 88, 99, 0, 24), Class::Reserved),
    (v4(192, 168, 0, 0, 16), Class::Private),
    (v4(198, 18, 0, 0, 15), Class::Benchmarking),
    (v4(198, 51, 100, 0, 24), Class::Documentation),
    (v4(203, 0, 113, 0, 24), Class::Documentation),
    (v4(224, 0, 0, 0, 4), Class::Multicast),
    (v4(255, 255, 255, 255, 32), Class::Broadcast),
    (v4(240, 0, 0, 0, 4), Class::Reserved),
];

/// The same for IPv6; what is outside `2000::/3` and not here is reserved.
const V6: [(Ipv6Net, Class); 11] = [
    (Ipv6Net::new_assert(Ipv6Addr::new(0xfd00, 0xec2, 0, 0, 0, 0, 0, 0x254), 128), Class::Metadata),
    (Ipv6Net::new_assert(Ipv6Addr::UNSPECIFIED, 128), Class::Unspecified),
    (Ipv6Net::new_assert(Ipv6Addr::LOCALHOST, 128), Class::Loopback),
    (v6(0xfe80, 0, 0, 10), Class::LinkLocal),
    (v6(0xfec0, 0, 0, 10), Class::SiteLocal),
    (v6(0xfc00, 0, 0, 7), Class::UniqueLocal),
    (v6(0xff00, 0, 0, 8), Class::Multicast),
    (v6(0x2001, 0x0db8, 0, 32), Class::Documentation),
    (v6(0x3fff, 0, 0, 20), Class::Documentation),
    (v6(0x2001, 0x0002, 0, 48), Class::Benchmarking),
    (v6(0x64, 0xff9b, 1, 48), Class::LocalTranslation),
];

const GLOBAL_UNICAST: Ipv6Net = v6(0x2000, 0, 0, 3);
const COMPATIBLE: Ipv6Net = v6(0, 0, 0, 96);
const NAT64: Ipv6Net = v6(0x64, 0xff9b, 0, 96);
const SIX_TO_FOUR: Ipv6Net = v6(0x2002, 0, 0, 16);
const TEREDO: Ipv6Net = v6(0x2001, 0, 0, 32);
const PROTOCOLS: Ipv6Net = v6(0x2001, 0, 0, 23);

/// What the address is; `None` if it is public.
pub fn classify(address: IpAddr) -> Option<Class> {
    match address.to_canonical() {
        IpAddr::V4(address) => classify_v4(address),
        IpAddr::V6(address) => classify_v6(address),
    }
}

fn classify_v4(address: Ipv4Addr) -> Option<Class> {
    V4.iter().find(|(range, _)| range.contains(&address)).map(|(_, class)| *class)
}

fn classify_v6(address: Ipv6Addr) -> Option<Class> {
    if let Some((_, class)) = V6.iter().find(|(range, _)| range.contains(&address)) {
        return Some(*class);
    }
    let embedded = embedded(address);
    if embedded.iter().flatten().any(|address| classify_v4(*address).is_some()) {
        return Some(Class::Embedded);
    }
    let known = NAT64.contains(&address) || TEREDO.contains(&address);
    let public = GLOBAL_UNICAST.contains(&address) && !PROTOCOLS.contains(&address);
    (!known && !public).then_some(Class::Reserved)
}

/// The IPv4 addresses that a packet to this one may end at.
fn embedded(address: Ipv6Addr) -> [Option<Ipv4Addr>; 2] {
    let segments = address.segments();
    let pair = |high: u16, low: u16| {
        let ([a, b], [c, d]) = (high.to_be_bytes(), low.to_be_bytes());
        Some(Ipv4Addr::new(a, b, c, d))
    };
    if COMPATIBLE.contains(&address) || NAT64.contains(&address) {
        return [pair(segments[6], segments[7]), None];
    }
    // An interface identifier of ISATAP, RFC 5214, with or without the bit for a unique address.
    let isatap = (segments[4] & 0xfdff == 0 && segments[5] == 0x5efe)
        .then(|| pair(segments[6], segments[7]))
        .flatten();
    if SIX_TO_FOUR.contains(&address) {
        return [pair(segments[1], segments[2]), isatap];
    }
    if TEREDO.contains(&address) {
        // The server, and the client with its bits turned over, RFC 4380.
        return [pair(segments[2], segments[3]), pair(!segments[6], !segments[7])];
    }
    [isatap, None]
}

/// Ranges that the operator opens beyond the public internet.
///
/// A mapped address (`::ffff:10.0.0.1`) is its IPv4 address: the system connects to that, so the ranges for IPv4 decide.
/// Tunnels and translations are opened by a range of their own form only, since the bytes take another way.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Private(Vec<IpNet>);

impl Private {
    /// At most [`MAX_PRIVATE`] of them; the rest is refused with its count.
    pub fn new(ranges: impl IntoIterator<Item = IpNet>) -> Result<Self, TooManyRanges> {
        let mut ranges: Vec<_> = ranges.into_iter().map(|range| range.trunc()).collect();
        ranges.sort();
        ranges.dedup();
        if ranges.len() > MAX_PRIVATE {
            return Err(TooManyRanges(ranges.len()));
        }
        Ok(Self(ranges))
    }

    /// This machine alone, for development and tests.
    pub fn loopback() -> Self {
        let v4 = IpNet::V4(Ipv4Net::new_assert(Ipv4Addr::new(127, 0, 0, 0), 8));
        Self(vec![v4, IpNet::V6(Ipv6Net::new_assert(Ipv6Addr::LOCALHOST, 128))])
    }

    /// The ranges, in order.
    pub fn ranges(&self) -> &[IpNet] {
        &self.0
    }

    /// What forbids a connection to the address; `None` if nothing does.
    ///
    /// Metadata services are opened by their exact address alone: whoever opens `169.254.0.0/16` or `fd00::/8` means
    /// something else.
    pub fn refuses(&self, address: IpAddr) -> Option<Class> {
        let address = address.to_canonical();
        let class = classify(address)?;
        let opened = match class {
            class if !class.can_be_opened() => false,
            Class::Metadata => self.0.contains(&IpNet::from(address)),
            _ => self.0.iter().any(|range| range.contains(&address)),
        };
        (!opened).then_some(class)
    }
}

/// More ranges than an operator may open.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0} private ranges are allowed; at most {MAX_PRIVATE} are possible")]
pub struct TooManyRanges(pub usize);

#[cfg(test)]
mod tests;
