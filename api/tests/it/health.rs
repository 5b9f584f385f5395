//! What the API says of its own health, and of the system's.

use serde_json::{Value, json};

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

fn check<'a>(health: &'a Value, name: &str) -> &'a Value {
    let checks = health["checks"].as_array().unwrap();
    checks.iter().find(|it| it["name"] == name).unwrap_or_else(|| panic!("no {name} in {health}"))
}

#[tokio::test]
async fn work_without_a_worker_is_an_alert_and_503() {
    let server = Server::start().await;
    let idle = server.get("/api/admin/health").await;
    assert_eq!((idle.status, &idle.body["status"]), (200, &json!("degraded")));
    assert_eq!(idle.body["alerts"][0]["severity"], "warning");
    server.publish("w", json!([{ "id": "a", "type": "log", "config": { "message": "hi" } }])).await;
    server.begin("w", json!({})).await;
    let stuck = server.get("/api/admin/health").await;
    assert_eq!((stuck.status, &stuck.body["status"]), (503, &json!("unhealthy")));
    assert_eq!(check(&stuck.body, "worker_pool")["status"], "unhealthy");
    assert_eq!(check(&stuck.body, "database")["status"], "healthy");
    assert!(check(&stuck.body, "database")["latency_ms"].is_number());
    assert_eq!(stuck.body["metrics"]["queue_depth"], 1);
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_last_hour_is_told_by_what_ended_in_it() {
    let server = Server::working().await;
    server
        .publish("good", json!([{ "id": "a", "type": "log", "config": { "message": "hi" } }]))
        .await;
    server
        .publish(
            "bad",
            json!([{ "id": "a", "type": "fail", "config": { "code": "NO", "message": "no" } }]),
        )
        .await;
    for name in ["good", "good", "good", "bad"] {
        server.run(name, json!({})).await;
    }
    // What ended is added up a moment later.
    let sum = "select coalesce(sum(executions), 0)::bigint from stateflow.finished_minutes";
    let mut look = tokio::time::interval(std::time::Duration::from_millis(20));
    while server.number(sum).await < 4 {
        look.tick().await;
    }
    let health = server.get("/api/admin/health").await;
    assert_eq!((health.status, &health.body["status"]), (200, &json!("healthy")), "{health:?}");
    let metrics = &health.body["metrics"];
    assert_eq!(
        (&metrics["success_rate_1h"], &metrics["failure_rate_by_type"], &metrics["workers_active"]),
        (&json!(0.75), &json!({ "STEP_FAILED": 0.25 }), &json!(1))
    );
    let detailed = server.get("/api/admin/health/detailed").await.body;
    assert_eq!(detailed["details"]["workers"].as_array().unwrap().len(), 1);
    assert_eq!(detailed["details"]["schema"]["version"], detailed["details"]["schema"]["latest"]);

    let numbers = server.get("/api/metrics").await.body;
    let hour = &numbers["lastHour"];
    assert_eq!((&hour["succeeded"], &hour["failed"]), (&json!(3), &json!(1)));
    assert_eq!((&numbers["deadLetters"], &numbers["queue"]["due"]), (&json!(1), &json!(0)));
    let families = numbers["families"].as_array().unwrap();
    let finished = families.iter().find(|it| it["name"] == "stateflow_executions_finished_total");
    let failed = json!({ "labels": { "status": "failed" }, "value": 1.0 });
    assert!(finished.unwrap()["series"].as_array().unwrap().contains(&failed), "{finished:?}");
    server.stop().await;
}
