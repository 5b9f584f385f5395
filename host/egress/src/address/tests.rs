//! The first and last address of each range, and what operators open.

use super::*;

fn class(address: &str) -> Option<Class> {
    classify(address.parse().unwrap())
}

#[test]
fn every_class_begins_and_ends_where_it_should() {
    for (inside, outside, expected) in [
        (["0.0.0.0", "0.255.255.255"], "1.0.0.0", Class::Unspecified),
        (["10.0.0.0", "10.255.255.255"], "11.0.0.0", Class::Private),
        (["100.64.0.0", "100.127.255.255"], "100.128.0.0", Class::CarrierNat),
        (["127.0.0.1", "127.255.255.255"], "128.0.0.0", Class::Loopback),
        (["169.254.0.0", "169.254.255.255"], "169.255.0.0", Class::LinkLocal),
        (["172.16.0.0", "172.31.255.255"], "172.32.0.0", Class::Private),
        (["192.0.0.0", "192.0.0.255"], "192.0.1.0", Class::Reserved),
        (["192.0.2.0", "192.0.2.255"], "192.0.3.0", Class::Documentation),
        (["192.168.0.0", "192.168.255.255"], "192.169.0.0", Class::Private),
        (["198.18.0.0", "198.19.255.255"], "198.20.0.0", Class::Benchmarking),
        (["198.51.100.0", "198.51.100.255"], "198.51.101.0", Class::Documentation),
        (["203.0.113.0", "203.0.113.255"], "203.0.114.0", Class::Documentation),
        (["224.0.0.0", "239.255.255.255"], "223.255.255.255", Class::Multicast),
        (["240.0.0.0", "255.255.255.254"], "223.255.255.255", Class::Reserved),
        (["fe80::", "febf:ffff::1"], "2606:4700::1", Class::LinkLocal),
        (["fec0::1", "feff::1"], "2606:4700::1", Class::SiteLocal),
        (["fc00::1", "fdff::1"], "2606:4700::1", Class::UniqueLocal),
        (["ff00::1", "ff02::1"], "2606:4700::1", Class::Multicast),
        (["2001:db8::1", "2001:db8:ffff::1"], "2001:db9::1", Class::Documentation),
        (["3fff::1", "3fff:fff::1"], "3ffe::1", Class::Documentation),
        (["64:ff9b:1::808:808", "64:ff9b:1:ffff::1"], "2606:4700::1", Class::LocalTranslation),
        (["4000::1", "100::1"], "2001:4860:4860::8888", Class::Reserved),
        (["2001:10::1", "2001:1ff::1"], "2001:200::1", Class::Reserved),
    ] {
        for address in inside {
            assert_eq!(class(address), Some(expected), "{address}");
        }
        assert_eq!(class(outside), None, "{outside}");
    }
    for (address, expected) in [
        ("255.255.255.255", Class::Broadcast),
        ("::", Class::Unspecified),
        ("::1", Class::Loopback),
        ("169.254.169.254", Class::Metadata),
        ("100.100.100.200", Class::Metadata),
        ("168.63.129.16", Class::Metadata),
        ("192.0.0.192", Class::Metadata),
        ("fd00:ec2::254", Class::Metadata),
        ("::ffff:169.254.169.254", Class::Metadata),
        ("::ffff:127.0.0.1", Class::Loopback),
        ("::ffff:10.0.0.1", Class::Private),
    ] {
        assert_eq!(class(address), Some(expected), "{address}");
    }
}

#[test]
fn an_address_is_judged_by_the_one_inside_it_as_well() {
    for (address, expected) in [
        ("::ffff:8.8.8.8", None),
        ("::127.0.0.1", Some(Class::Embedded)),
        ("::8.8.8.8", Some(Class::Reserved)),
        ("64:ff9b::127.0.0.1", Some(Class::Embedded)),
        ("64:ff9b::a9fe:a9fe", Some(Class::Embedded)),
        ("64:ff9b::8.8.8.8", None),
        ("2002:7f00:1::1", Some(Class::Embedded)),
        ("2002:c0a8:101::", Some(Class::Embedded)),
        ("2002:808:808::1", None),
        // Teredo: the server 10.0.0.1; then the client 127.0.0.1, turned over; then both public.
        ("2001:0:a00:1::f7f7:f7f7", Some(Class::Embedded)),
        ("2001:0:808:808::80ff:fffe", Some(Class::Embedded)),
        ("2001:0:808:808::f7f7:f7f7", None),
        ("2606:4700::5efe:a00:1", Some(Class::Embedded)),
        ("2606:4700::200:5efe:a00:1", Some(Class::Embedded)),
        ("2606:4700::5efe:808:808", None),
    ] {
        assert_eq!(class(address), expected, "{address}");
    }
}

fn refused(ranges: &[&str], address: &str) -> Option<Class> {
    let ranges = ranges.iter().map(|range| range.parse().unwrap());
    Private::new(ranges).unwrap().refuses(address.parse().unwrap())
}

#[test]
fn an_operator_opens_ranges_and_a_mapped_address_is_its_ipv4_address() {
    for (ranges, address, opened) in [
        (&["10.0.0.0/8"][..], "10.1.2.3", true),
        (&["10.0.0.0/8"], "::ffff:10.1.2.3", true),
        (&["10.0.0.0/8"], "192.168.0.1", false),
        (&["::ffff:0:0/96"], "10.1.2.3", false),
        (&["::ffff:0:0/96"], "::ffff:10.1.2.3", false),
        (&["10.0.0.0/8"], "64:ff9b::10.1.2.3", false),
        (&["64:ff9b::a00:0/104"], "64:ff9b::10.1.2.3", true),
        (&["10.0.0.0/8"], "2002:a01:203::1", false),
        (&["fd00::/8"], "fd12::1", true),
        (&["fd00::/8"], "fd00:ec2::254", false),
        (&["fd00:ec2::254/128"], "fd00:ec2::254", true),
        (&["0.0.0.0/0"], "169.254.169.254", false),
        (&["0.0.0.0/0"], "::ffff:169.254.169.254", false),
        (&["169.254.169.254/32"], "169.254.169.254", true),
        (&["0.0.0.0/0"], "0.0.0.0", false),
        (&["0.0.0.0/0"], "224.0.0.1", false),
        (&["0.0.0.0/0"], "255.255.255.255", false),
        (&["::/0"], "::", false),
        (&[], "8.8.8.8", true),
    ] {
        assert_eq!(refused(ranges, address).is_none(), opened, "{ranges:?} {address}");
    }
}

#[test]
fn loopback_is_all_of_127_and_one_address_of_ipv6() {
    let loopback = Private::loopback();
    for address in ["127.0.0.1", "127.9.9.9", "::1", "::ffff:127.0.0.1"] {
        assert_eq!(loopback.refuses(address.parse().unwrap()), None, "{address}");
    }
    assert_eq!(loopback.refuses("10.0.0.1".parse().unwrap()), Some(Class::Private));
}

#[test]
fn an_operator_opens_at_most_64_ranges() {
    for (count, fits) in [(63, true), (64, true), (65, false)] {
        let ranges = (0..count).map(|n| IpNet::from(IpAddr::from([10, 0, 0, n])));
        assert_eq!(Private::new(ranges).is_ok(), fits, "{count}");
    }
}
