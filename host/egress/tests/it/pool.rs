//! Who shares a connection with whom.

use stateflow_egress::{Caps, Grant, Party, Private};

use crate::{egress, get_request, how, loopback, server, text};

fn narrowed(rule: &str) -> Grant {
    let party = Party { name: "the step".into(), rules: vec![rule.parse().unwrap()] };
    Grant::new(vec![party], Private::loopback(), Caps::default()).unwrap()
}

#[tokio::test]
async fn a_connection_is_reused_within_a_tenant_and_a_grant_and_nowhere_else() {
    let server = server::start().await;
    let (egress, narrow) = (egress(), narrowed("http://127.0.0.1:*/echo"));
    for (tenant, grant, connections) in [
        ("a", loopback(), 1),
        ("a", loopback(), 1),
        ("a", narrow.clone(), 2),
        ("b", loopback(), 3),
        ("a", narrow, 3),
        ("b", loopback(), 3),
    ] {
        let sent = egress.send(tenant, &grant, get_request(&server.url("/echo")), how(&grant));
        text(sent.await.unwrap()).await;
        assert_eq!(server.connections(), connections, "{tenant}");
    }
}

#[tokio::test]
async fn an_open_connection_of_another_grant_opens_nothing() {
    let server = server::start().await;
    let (egress, wide) = (egress(), loopback());
    let sent = egress.send("a", &wide, get_request(&server.url("/x")), how(&wide));
    text(sent.await.unwrap()).await;
    for grant in [narrowed("http://127.0.0.1:*/echo"), crate::opened(&[])] {
        let sent = egress.send("a", &grant, get_request(&server.url("/x")), how(&grant));
        assert!(sent.await.is_err(), "{grant:?}");
    }
    assert_eq!(server.connections(), 1);
}
