//! Requests over TLS, from a process as operators start it: whose certificates are believed, and that nothing is said to
//! a server whose certificate is not.

use std::net::SocketAddr;
use std::path::Path;
use std::sync::{Arc, Mutex};

use axum::extract::{Request, State};
use axum::serve::Listener;
use axum::{Router, serve};
use rcgen::{BasicConstraints, CertificateParams, DnType, IsCa, Issuer, KeyPair, date_time_ymd};
use serde_json::{Value, json};
use store::{Schema, Store, StoreSettings};
use tokio::net::{TcpListener, TcpStream};
use tokio_rustls::TlsAcceptor;
use tokio_rustls::rustls::ServerConfig;
use tokio_rustls::rustls::crypto::aws_lc_rs;
use tokio_rustls::rustls::pki_types::PrivateKeyDer;
use tokio_rustls::server::TlsStream;

use crate::processes::ServerProcess;

/// Not a key to anything.
const KEY: &str = "AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8=";

/// Somebody who signs certificates.
struct Authority(Issuer<'static, KeyPair>, String);

impl Authority {
    fn new(name: &str) -> Self {
        let mut params = CertificateParams::new(Vec::new()).unwrap();
        params.distinguished_name.push(DnType::CommonName, name);
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let key = KeyPair::generate().unwrap();
        let pem = params.self_signed(&key).unwrap().pem();
        Self(Issuer::new(params, key), pem)
    }

    /// A server's settings, with a certificate for `name` that is good to the end of the year before `expires`.
    fn server(&self, name: &str, expires: i32) -> ServerConfig {
        let mut params = CertificateParams::new([name.to_owned()]).unwrap();
        params.not_after = date_time_ymd(expires, 1, 1);
        let key = KeyPair::generate().unwrap();
        let certificate = params.signed_by(&key, &self.0).unwrap();
        let key = PrivateKeyDer::try_from(key.serialize_der()).unwrap();
        let mut config =
            ServerConfig::builder_with_provider(Arc::new(aws_lc_rs::default_provider()))
                .with_safe_default_protocol_versions()
                .unwrap()
                .with_no_client_auth()
                .with_single_cert(vec![certificate.der().clone()], key)
                .unwrap();
        config.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
        config
    }
}

/// A server that answers with what it was asked in, and keeps the keys that it was shown.
struct Upstream {
    url: String,
    shown: Arc<Mutex<Vec<String>>>,
}

impl Upstream {
    async fn start(config: ServerConfig) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("https://localhost:{}", listener.local_addr().unwrap().port());
        let shown = Arc::default();
        let router = Router::new().fallback(answer).with_state(Arc::clone(&shown));
        let listener = Encrypted { listener, acceptor: TlsAcceptor::from(Arc::new(config)) };
        tokio::spawn(async move { serve(listener, router).await.unwrap() });
        Self { url, shown }
    }
}

async fn answer(State(shown): State<Arc<Mutex<Vec<String>>>>, request: Request) -> String {
    let key = request.headers()["x-key"].to_str().unwrap().to_owned();
    shown.lock().unwrap().push(key);
    format!("{:?}", request.version())
}

struct Encrypted {
    listener: TcpListener,
    acceptor: TlsAcceptor,
}

impl Listener for Encrypted {
    type Io = TlsStream<TcpStream>;
    type Addr = SocketAddr;

    async fn accept(&mut self) -> (Self::Io, Self::Addr) {
        loop {
            let (stream, peer) = Listener::accept(&mut self.listener).await;
            // Whoever does not like the certificate leaves here.
            if let Ok(stream) = self.acceptor.accept(stream).await {
                return (stream, peer);
            }
        }
    }

    fn local_addr(&self) -> std::io::Result<Self::Addr> {
        self.listener.local_addr()
    }
}

/// A server that believes one authority, with one workflow: it shows a secret to who is in its input.
async fn calling(database_url: &str, data: &Path, authority: &Authority) -> ServerProcess {
    Store::migrate(&StoreSettings::new(database_url, Schema::default())).await.unwrap();
    let roots = data.join("roots.pem");
    std::fs::write(&roots, &authority.1).unwrap();
    let environment =
        [("SSL_CERT_FILE", roots.as_path()), ("STATEFLOW_SECRETS_KEY", Path::new(KEY))];
    let server = ServerProcess::with(database_url, data, &environment);
    let config = json!({ "url": "${input.url}", "headers": { "x-key": "${secret('api-key')}" } });
    let step = json!({ "id": "call", "type": "http", "config": config });
    let definition = json!({ "name": "call", "steps": [step] });
    let url = format!("{}/api/workflows", server.url);
    let answer = reqwest::Client::new().post(url).json(&definition).send().await.unwrap();
    assert_eq!(answer.status(), 201, "{}", answer.text().await.unwrap());
    server
}

/// Sets the secret, for all of them: workers look at it every few seconds.
async fn show_to(server: &ServerProcess, upstreams: &[&Upstream]) {
    let destinations: Vec<_> = upstreams.iter().map(|it| &it.url).collect();
    let secret = json!({ "value": "hush-hush", "destinations": destinations });
    let request = reqwest::Client::new().put(format!("{}/api/secrets/api-key", server.url));
    assert_eq!(request.json(&secret).send().await.unwrap().status(), 201);
}

async fn call(server: &ServerProcess, upstream: &Upstream) -> Value {
    let url = format!("{}/api/workflows/call/execute?wait=30000", server.url);
    let input = json!({ "input": { "url": upstream.url } });
    reqwest::Client::new().post(url).json(&input).send().await.unwrap().json().await.unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_secret_goes_over_tls_to_who_is_certified_and_to_nobody_else() {
    let (ours, theirs) = (Authority::new("ours"), Authority::new("theirs"));
    let mut without_h2 = ours.server("localhost", 4000);
    without_h2.alpn_protocols.clear();
    let modern = Upstream::start(ours.server("localhost", 4000)).await;
    let plain = Upstream::start(without_h2).await;
    let unknown = Upstream::start(theirs.server("localhost", 4000)).await;
    let elsewhere = Upstream::start(ours.server("elsewhere.example", 4000)).await;
    let expired = Upstream::start(ours.server("localhost", 2020)).await;
    let (database, data) = (testing::database().await, tempfile::tempdir().unwrap());
    let server = calling(database.url(), data.path(), &ours).await;
    show_to(&server, &[&modern, &plain, &unknown, &elsewhere, &expired]).await;

    for (upstream, version) in [(&modern, "HTTP/2.0"), (&plain, "HTTP/1.1")] {
        let ended = call(&server, upstream).await;
        assert_eq!(ended["output"]["body"], version, "{ended}");
        assert_eq!(*upstream.shown.lock().unwrap(), ["hush-hush"]);
    }
    for (upstream, why) in
        [(&unknown, "UnknownIssuer"), (&elsewhere, "not valid for name"), (&expired, "expired")]
    {
        let ended = call(&server, upstream).await;
        assert_eq!(ended["error"]["code"], "HTTP_TLS", "{why} {ended}");
        assert!(ended["error"]["message"].as_str().unwrap().contains(why), "{why} {ended}");
        assert_eq!(*upstream.shown.lock().unwrap(), [""; 0], "{why}");
    }
    server.stop();
}
