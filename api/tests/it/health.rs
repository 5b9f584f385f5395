//! What the API says of its own health.

use serde_json::json;

use crate::server::Server;

#[tokio::test]
async fn health_tells_life_from_readiness() {
    let server = Server::start().await;
    assert_eq!(server.get("/api/health/live").await.status, 200);
    assert_eq!(server.get("/api/health/ready").await.status, 200);
    let health = server.get("/api/health").await.body;
    assert_eq!((&health["status"], &health["workers"]), (&json!("healthy"), &json!(0)));
    server.stop().await;
}
