//! Real servers: data kept, adopted after the handle is gone, nothing left behind.

use tempfile::TempDir;

use super::*;

fn binaries() -> Binaries {
    Binaries::find(None).expect("the tests need a Postgres server: run `make setup`")
}

fn options(home: &TempDir) -> ServerOptions {
    ServerOptions { durable: false, ..ServerOptions::new(home.path()) }
}

/// Something that only survives if the data does.
fn checkpoint_identity(server: &Server) -> Vec<u8> {
    fs::read(server.directory().join("data/global/pg_control")).unwrap()[..8].to_vec()
}

#[test]
fn a_stopped_server_starts_again_on_the_same_data() {
    let home = tempfile::tempdir().unwrap();
    let first = Server::start(&binaries(), options(&home)).unwrap();
    let (identity, url) = (checkpoint_identity(&first), first.url());
    first.stop(StopMode::Fast).unwrap();
    assert_eq!(Postmaster::on(&home.path().join("data")), None);

    let second = Server::start(&binaries(), options(&home)).unwrap();
    assert_eq!(checkpoint_identity(&second), identity);
    let credentials = |url: &str| url.split('@').next().map(str::to_owned);
    assert_eq!(credentials(&second.url()), credentials(&url));
}

#[test]
fn a_server_whose_parent_is_gone_is_adopted_and_then_stopped() {
    let home = tempfile::tempdir().unwrap();
    let first = Server::start(&binaries(), options(&home)).unwrap();
    let (pid, url) = (first.pid(), first.url());
    first.detach();

    let second = Server::start(&binaries(), options(&home)).unwrap();
    assert_eq!((second.pid(), second.url()), (pid, url));
    second.stop(StopMode::Fast).unwrap();
    assert_eq!(Postmaster::on(&home.path().join("data")), None);
}

#[test]
fn a_running_server_on_another_port_than_the_wanted_one_is_replaced() {
    let home = tempfile::tempdir().unwrap();
    let first = Server::start(&binaries(), options(&home)).unwrap();
    let pid = first.pid();
    first.detach();

    let port = free_port().unwrap();
    let second =
        Server::start(&binaries(), ServerOptions { port: Some(port), ..options(&home) }).unwrap();
    assert_ne!(second.pid(), pid);
    assert!(second.url().contains(&format!(":{port}/")), "{}", second.url());
}

#[test]
fn a_dropped_server_leaves_no_process() {
    let home = tempfile::tempdir().unwrap();
    drop(Server::start(&binaries(), options(&home)).unwrap());
    assert_eq!(Postmaster::on(&home.path().join("data")), None);
    assert!(!home.path().join("data/postmaster.pid").exists());
}

#[test]
fn what_is_not_to_be_kept_goes_with_the_server() {
    for stops in [true, false] {
        let home = tempfile::tempdir().unwrap();
        let wanted = ServerOptions { keep: false, ..options(&home) };
        let server = Server::start(&binaries(), wanted).unwrap();
        let directory = server.directory().to_owned();
        if stops {
            server.stop(StopMode::Fast).unwrap();
        } else {
            drop(server);
        }
        assert!(!directory.exists());
    }
}

#[test]
fn a_restart_like_a_crash_keeps_the_address() {
    let home = tempfile::tempdir().unwrap();
    let mut server = Server::start(&binaries(), options(&home)).unwrap();
    let (url, pid) = (server.url(), server.pid());
    server.restart(StopMode::Immediate).unwrap();
    assert_eq!(server.url(), url);
    assert_ne!(server.pid(), pid);
}

#[test]
fn a_taken_port_fails_with_the_servers_own_words() {
    let home = tempfile::tempdir().unwrap();
    let taken = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
    let port = Some(taken.local_addr().unwrap().port());
    let error = Server::start(&binaries(), ServerOptions { port, ..options(&home) }).unwrap_err();
    assert!(error.to_string().contains("in use"), "{error:#}");
}

#[test]
fn data_of_another_major_version_is_refused_with_both_numbers() {
    let home = tempfile::tempdir().unwrap();
    Server::start(&binaries(), options(&home)).unwrap().stop(StopMode::Fast).unwrap();
    fs::write(home.path().join("data/PG_VERSION"), "9\n").unwrap();
    let error = Server::start(&binaries(), options(&home)).unwrap_err().to_string();
    assert!(error.contains("Postgres 9,"), "{error}");
    assert!(error.contains(&binaries().major().to_string()), "{error}");
}

#[test]
fn the_password_is_for_nobody_else_to_read() {
    use std::os::unix::fs::PermissionsExt;

    let home = tempfile::tempdir().unwrap();
    let _server = Server::start(&binaries(), options(&home)).unwrap();
    let mode = fs::metadata(home.path().join("password")).unwrap().permissions().mode();
    assert_eq!(mode & 0o777, 0o600);
}

#[test]
fn attaching_finds_a_running_server_and_only_that() {
    let home = tempfile::tempdir().unwrap();
    assert!(Server::attach(&binaries(), options(&home)).unwrap().is_none());
    let server = Server::start(&binaries(), options(&home)).unwrap();
    let attached = Server::attach(&binaries(), options(&home)).unwrap().unwrap();
    assert_eq!(attached.url(), server.url());
    drop(attached);
    assert!(server.pid().is_some());
    server.stop(StopMode::Fast).unwrap();
    assert!(Server::attach(&binaries(), options(&home)).unwrap().is_none());
}
