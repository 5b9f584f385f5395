//! The ways to a host that nobody meant: each against something that listens there.

use std::net::IpAddr;

use engine::failure::{ErrorCode, Failure, RetryAdvice};
use stateflow_egress::EgressError;
use tokio::net::TcpListener;
use tokio::process::Command;

use crate::{egress, egress_with, get, loopback, opened, server, text};

fn denied(error: EgressError) -> Failure {
    let failure = Failure::from(error);
    assert_eq!(
        (failure.code, failure.advice),
        (ErrorCode::EgressDenied, RetryAdvice::Permanent),
        "{failure}"
    );
    failure
}

#[tokio::test]
async fn this_machine_is_not_reached_however_it_is_written() {
    let server = server::start_at("0.0.0.0:0").await;
    let (egress, grant, port) = (egress(), opened(&[]), server.port());
    for host in [
        "127.0.0.1",
        "127.1",
        "127.8.8.8",
        "2130706433",
        "0x7f000001",
        "0x7f.0.0.1",
        "0177.0.0.1",
        "017700000001",
        "127.0.0.1.",
        "①②⑦.0.0.1",
        "%31%32%37.0.0.1",
        "0.0.0.0",
        "0",
        "localhost",
        "LOCALHOST.",
        "[::1]",
        "[::]",
        "[::ffff:127.0.0.1]",
        "[::ffff:7f00:1]",
        "[0:0:0:0:0:ffff:127.0.0.1]",
        "[::127.0.0.1]",
        "[64:ff9b::127.0.0.1]",
        "[64:ff9b:1::127.0.0.1]",
        "[2002:7f00:1::1]",
        "[2001:0:808:808::80ff:fffe]",
    ] {
        // Hosts with other letters than a URI's come from definitions through the URL's own parser.
        let url = url::Url::parse(&format!("http://{host}:{port}/")).unwrap();
        denied(get(&egress, &grant, url.as_str()).await.unwrap_err());
    }
    assert_eq!(server.connections(), 0);
}

#[tokio::test]
async fn a_denied_address_comes_with_its_class_and_the_range_that_opens_it() {
    for (address, class, cidr) in [
        ("127.0.0.1", "loopback", Some("127.0.0.1/32")),
        ("0.0.0.0", "unspecified", None),
        ("10.1.2.3", "private", Some("10.1.2.3/32")),
        ("172.16.0.1", "private", Some("172.16.0.1/32")),
        ("192.168.1.1", "private", Some("192.168.1.1/32")),
        ("100.64.0.1", "carrierNat", Some("100.64.0.1/32")),
        ("169.254.1.1", "linkLocal", Some("169.254.1.1/32")),
        ("169.254.169.254", "metadata", Some("169.254.169.254/32")),
        ("100.100.100.200", "metadata", Some("100.100.100.200/32")),
        ("168.63.129.16", "metadata", Some("168.63.129.16/32")),
        ("192.0.0.192", "metadata", Some("192.0.0.192/32")),
        ("192.0.0.1", "reserved", Some("192.0.0.1/32")),
        ("198.18.0.1", "benchmarking", Some("198.18.0.1/32")),
        ("203.0.113.1", "documentation", Some("203.0.113.1/32")),
        ("224.0.0.1", "multicast", None),
        ("240.0.0.1", "reserved", Some("240.0.0.1/32")),
        ("255.255.255.255", "broadcast", None),
        ("fe80::1", "linkLocal", Some("fe80::1/128")),
        ("fec0::1", "siteLocal", Some("fec0::1/128")),
        ("fc00::1", "uniqueLocal", Some("fc00::1/128")),
        ("fd00:ec2::254", "metadata", Some("fd00:ec2::254/128")),
        ("::ffff:10.1.2.3", "private", Some("10.1.2.3/32")),
        ("64:ff9b::a01:203", "embedded", Some("64:ff9b::a01:203/128")),
        ("64:ff9b:1::808:808", "localTranslation", Some("64:ff9b:1::808:808/128")),
        ("2002:a01:203::1", "embedded", Some("2002:a01:203::1/128")),
        ("2001:0:a01:203::1", "embedded", Some("2001:0:a01:203::1/128")),
    ] {
        let literal = match address.parse().unwrap() {
            IpAddr::V4(address) => address.to_string(),
            IpAddr::V6(address) => format!("[{address}]"),
        };
        let (egress, _) = egress_with(&[&[address]]);
        // The address in the URL, and a name that resolves to it.
        for url in [format!("http://{literal}/?hush"), "http://name.example/?hush".to_owned()] {
            let failure = denied(get(&egress, &opened(&[]), &url).await.unwrap_err());
            let details = failure.details.unwrap();
            assert_eq!(details["class"], class, "{url} {address}");
            assert_eq!(details.get("cidr").and_then(|cidr| cidr.as_str()), cidr, "{address}");
            assert!(cidr.is_none_or(|cidr| failure.message.contains(cidr)), "{}", failure.message);
            assert!(!format!("{}{details}", failure.message).contains("hush"));
        }
    }
}

#[tokio::test]
async fn the_range_that_a_denial_names_does_open_the_address() {
    let server = server::start().await;
    let url = server.url("/echo");
    let failure = denied(get(&egress(), &opened(&[]), &url).await.unwrap_err());
    let cidr = failure.details.unwrap()["cidr"].as_str().unwrap().to_owned();
    assert_eq!(get(&egress(), &opened(&[&cidr]), &url).await.unwrap().status, 200);
}

#[tokio::test]
async fn of_a_mixed_answer_only_the_allowed_addresses_are_connected_to() {
    let forbidden =
        server::raw("127.0.0.1:0", "HTTP/1.1 500 No\r\ncontent-length: 0\r\n\r\n").await;
    let allowed = server::start_at(&format!("127.0.0.2:{}", forbidden.port())).await;
    let (egress, _) = egress_with(&[&["127.0.0.1", "169.254.169.254", "127.0.0.2"]]);
    let url = format!("http://mixed.example:{}/echo", forbidden.port());
    let response = get(&egress, &opened(&["127.0.0.2/32"]), &url).await.unwrap();
    assert_eq!(response.status, 200);
    assert!(text(response).await.contains("host: mixed.example"));
    assert_eq!((forbidden.connections(), allowed.connections()), (0, 1));
}

#[tokio::test]
async fn a_name_is_resolved_once_for_each_connection_and_every_answer_is_judged() {
    const ANSWER: &str = "HTTP/1.1 200 OK\r\nconnection: close\r\ncontent-length: 0\r\n\r\n";
    let forbidden = server::raw("127.0.0.1:0", ANSWER).await;
    let allowed = server::raw(&format!("127.0.0.2:{}", forbidden.port()), ANSWER).await;
    // Whoever looked twice for one connection would check the first and connect to the second.
    let (egress, script) = egress_with(&[&["127.0.0.2"], &["127.0.0.1"], &["127.0.0.2"]]);
    let (grant, url) =
        (opened(&["127.0.0.2/32"]), format!("http://rebinding.example:{}/", forbidden.port()));
    assert_eq!(get(&egress, &grant, &url).await.unwrap().status, 200);
    assert_eq!(script.left(), 2);
    denied(get(&egress, &grant, &url).await.unwrap_err());
    assert_eq!(script.left(), 1);
    assert_eq!(get(&egress, &grant, &url).await.unwrap().status, 200);
    assert_eq!((forbidden.connections(), allowed.connections()), (0, 2));
}

#[tokio::test]
async fn a_mapped_answer_is_judged_and_connected_to_as_its_ipv4_address() {
    let server = server::start().await;
    let (egress, _) = egress_with(&[&["::ffff:127.0.0.1"], &["::ffff:127.0.0.1"]]);
    let url = format!("http://mapped.example:{}/", server.port());
    denied(get(&egress, &opened(&["::ffff:0:0/96"]), &url).await.unwrap_err());
    assert_eq!(get(&egress, &opened(&["127.0.0.0/8"]), &url).await.unwrap().status, 200);
}

#[tokio::test]
async fn a_name_without_an_address_is_a_connection_failure() {
    let (egress, _) = egress_with(&[&[]]);
    for url in ["http://empty.example/?hush", "http://unknown.example/?hush"] {
        let failure = Failure::from(get(&egress, &opened(&[]), url).await.unwrap_err());
        assert_eq!(failure.code, ErrorCode::HttpConnect);
        assert!(!failure.message.contains("hush"), "{}", failure.message);
    }
}

#[tokio::test]
async fn what_hides_a_host_or_frames_a_message_is_invalid() {
    let server = server::start().await;
    let (egress, grant) = (egress(), loopback());
    let userinfo = format!("http://example.com@127.0.0.1:{}/", server.port());
    let request = |name: &str, value: &str| {
        let request = http::Request::post(server.url("/echo")).header(name, value);
        request.body(bytes::Bytes::from_static(b"12345")).unwrap()
    };
    let mut requests = vec![crate::get_request(&userinfo)];
    for (name, value) in [
        ("host", "internal.example"),
        ("content-length", "4"),
        ("transfer-encoding", "chunked"),
        ("connection", "upgrade"),
        ("upgrade", "websocket"),
        ("te", "trailers"),
        ("expect", "100-continue"),
    ] {
        requests.push(request(name, value));
    }
    for method in ["CONNECT", "TRACE"] {
        let mut request = crate::get_request(&server.url("/echo"));
        *request.method_mut() = method.parse().unwrap();
        requests.push(request);
    }
    for request in requests {
        let shown = format!("{request:?}");
        let error = egress.send("t", &grant, request, crate::how(&grant)).await.unwrap_err();
        assert_eq!(Failure::from(error).code, ErrorCode::ConfigInvalid, "{shown}");
    }
    assert_eq!(server.connections(), 0);
    for (name, value) in [("host", server.address.to_string()), ("content-length", "5".to_owned())]
    {
        let sent = egress.send("t", &grant, request(name, &value), crate::how(&grant)).await;
        let seen = text(sent.unwrap()).await;
        assert_eq!(seen.matches(&format!("{name}: ")).count(), 1, "{seen}");
    }
}

/// The test calls itself as a process of its own, since an environment belongs to one; the URL is one more name of a
/// test to the inner one, which no test has.
#[tokio::test]
async fn a_proxy_in_the_environment_is_ignored() {
    if let Some(url) = std::env::args().find(|argument| argument.starts_with("http://")) {
        assert_eq!(get(&egress(), &loopback(), &url).await.unwrap().status, 200);
        return;
    }
    let (server, proxy) = (server::start().await, TcpListener::bind("127.0.0.1:0").await.unwrap());
    let proxy_url = format!("http://{}", proxy.local_addr().unwrap());
    let proxies = ["HTTP_PROXY", "http_proxy", "ALL_PROXY", "all_proxy"];
    let inner = Command::new(std::env::current_exe().unwrap())
        .args(["--exact", "ssrf::a_proxy_in_the_environment_is_ignored"])
        .arg(server.url("/echo"))
        .envs(proxies.map(|name| (name, &proxy_url)))
        .env_remove("NO_PROXY")
        .env_remove("no_proxy")
        .output();
    tokio::select! {
        inner = inner => assert!(inner.unwrap().status.success()),
        asked = proxy.accept() => panic!("the proxy was asked: {asked:?}"),
    }
    assert_eq!(server.connections(), 1);
}
