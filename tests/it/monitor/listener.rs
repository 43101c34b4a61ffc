//! Who is answered, and what is in an answer.

use super::Watched;
use super::web_client::{ask, get, raw};
use crate::common::{ScriptedServer, Shore};

#[tokio::test]
async fn a_request_by_another_name_is_not_answered() {
    let server = ScriptedServer::new().start().await;
    let watched = Watched::start(&server, &["--metrics-host", "monitor.example"]).await;
    let door = &watched.door;
    for path in [
        "/",
        "/metrics",
        "/sessions",
        "/history",
        "/healthz",
        "/readyz",
        "/none",
    ] {
        let answer = ask(door, "GET", path, "evil.example:9121").await;
        assert_eq!(answer.status, 421, "{path}: {answer:?}");
        assert!(!answer.body.contains("ferryline_"), "{answer:?}");
    }
    let none = raw(door, "GET /metrics HTTP/1.0\r\n\r\n").await;
    assert_eq!(none.status, 400);
    let target = "GET http://evil.example/sessions HTTP/1.1\r\nHost: localhost\r\n\r\n";
    assert_eq!(raw(door, target).await.status, 421);
    for host in ["localhost:1", "127.0.0.1", "[::1]:9121", "monitor.example"] {
        assert_eq!(
            ask(door, "GET", "/healthz", host).await.status,
            200,
            "{host}"
        );
    }
}

#[tokio::test]
async fn every_answer_forbids_what_a_page_needs_not() {
    let server = ScriptedServer::new().start().await;
    let watched = Watched::start(&server, &[]).await;
    for (path, kind, status) in [
        ("/", "text/html; charset=utf-8", 200),
        ("/page.js", "text/javascript; charset=utf-8", 200),
        ("/page.css", "text/css; charset=utf-8", 200),
        ("/icon.svg", "image/svg+xml", 200),
        ("/metrics", "text/plain; version=0.0.4; charset=utf-8", 200),
        ("/sessions", "application/json", 200),
        ("/history", "application/json", 200),
        ("/healthz", "text/plain; charset=utf-8", 200),
        ("/readyz", "text/plain; charset=utf-8", 200),
        ("/../etc/passwd", "text/plain; charset=utf-8", 404),
        ("/sessions/", "text/plain; charset=utf-8", 404),
    ] {
        let answer = get(&watched.door, path).await;
        assert_eq!(
            (answer.status, answer.header("content-type")),
            (status, Some(kind)),
            "{path}"
        );
        let policy = answer.header("content-security-policy").unwrap();
        for part in [
            "default-src 'none'",
            "script-src 'self'",
            "style-src 'self'",
            "connect-src 'self'",
            "frame-ancestors 'none'",
        ] {
            assert!(policy.contains(part), "{path}: {policy}");
        }
        assert!(!policy.contains("unsafe"), "{policy}");
        assert_eq!(answer.header("x-content-type-options"), Some("nosniff"));
        assert_eq!(answer.header("cache-control"), Some("no-store"));
        assert_eq!(answer.header("access-control-allow-origin"), None);
    }
}

#[tokio::test]
async fn only_reading_is_answered_and_only_so_much() {
    let server = ScriptedServer::new().start().await;
    let watched = Watched::start(&server, &[]).await;
    let door = &watched.door;
    for method in ["POST", "PUT", "DELETE", "OPTIONS", "TRACE", "PATCH"] {
        let answer = ask(door, method, "/metrics", "localhost").await;
        assert_eq!(
            (answer.status, answer.header("allow")),
            (405, Some("GET, HEAD")),
            "{method}"
        );
    }
    let head = ask(door, "HEAD", "/metrics", "localhost").await;
    assert_eq!((head.status, head.body.as_str()), (200, ""));
    let long = format!(
        "GET /healthz HTTP/1.1\r\nHost: localhost\r\nX: {}\r\n\r\n",
        "x".repeat(20_000)
    );
    assert_eq!(raw(door, &long).await.status, 431);
    let many = "X: x\r\n".repeat(100);
    let many = format!("GET /healthz HTTP/1.1\r\nHost: localhost\r\n{many}\r\n");
    assert_eq!(raw(door, &many).await.status, 431);
    assert_eq!(raw(door, "USER demo\r\n\r\n").await.status, 400);
    // Each connection has one request.
    let two = "GET /healthz HTTP/1.1\r\nHost: localhost\r\n\r\n".repeat(2);
    let answer = raw(door, &two).await;
    assert_eq!((answer.status, answer.body.as_str()), (200, "ok\n"));
}

#[tokio::test]
async fn other_hosts_are_not_shown_anything() {
    let shore = Shore::new().await;
    for (listen, said) in [
        ("0.0.0.0:9121", "names users and files"),
        ("192.0.2.1:9121", "names users and files"),
        ("9121", "expected 127.0.0.1:PORT"),
    ] {
        let ended = shore
            .run(&["-L", "0:localhost:21", "--metrics", listen])
            .await;
        assert_eq!(ended.code, Some(2), "{ended:?}");
        assert!(ended.stderr.contains(said), "{ended:?}");
    }
}

#[cfg(unix)]
#[tokio::test]
async fn a_unix_socket_is_gone_with_the_program() {
    use std::os::unix::fs::PermissionsExt;

    let server = ScriptedServer::new().start().await;
    let home = tempfile::tempdir().unwrap();
    let path = home.path().join("socket");
    let listen = format!("unix:{}", path.display());
    let watched = Watched::start_at(&server, &listen, &[]).await;
    assert_eq!(get(&watched.door, "/healthz").await.body, "ok\n");
    let mode = std::fs::symlink_metadata(&path)
        .unwrap()
        .permissions()
        .mode();
    assert_eq!(mode & 0o777, 0o660);
    // A second program does not take it away.
    let second = watched
        .shore
        .run(&["-L", "0:localhost:21", "--metrics", &listen])
        .await;
    assert!(
        second.one_line(1).contains("another program listens there"),
        "{second:?}"
    );
    watched.ferry.signal("TERM").await;
    assert_eq!(watched.ferry.ended().await.code, Some(0));
    assert!(!path.exists());
}
