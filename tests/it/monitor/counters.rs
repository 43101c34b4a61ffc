//! Each counter is what the test did.

use std::collections::BTreeSet;

use tokio::io::AsyncReadExt;

use super::Watched;
use super::web_client::{ask, get};
use crate::common::{
    ScriptedClient, ScriptedServer, begins_file, noise, read_to_end, sends_file, stores_file,
    upload,
};

const CUT: usize = 70_000;

/// A server of one download, one that it cuts, uploads, a listing, and a download that goes on without end.
async fn server() -> ScriptedServer {
    let cut = begins_file(noise(CUT)).finish_data().send("426 cut\r\n");
    ScriptedServer::new()
        .on("RETR a", sends_file("hello world"))
        .on("RETR cut", cut)
        .on("RETR big", begins_file(noise(CUT)))
        .on("RETR", "550 no such file\r\n")
        .on("SIZE big", "213 1000000\r\n")
        .on("STOR", stores_file())
        .on("LIST", sends_file("a b c\r\n"))
        .on("PASS wrong", "530 no\r\n")
        .start()
        .await
}

async fn download(client: &mut ScriptedClient, command: &str) -> Vec<u8> {
    let data = client.passive().await;
    client.ask(command, "150 ").await;
    read_to_end(data).await.unwrap()
}

/// What a session does that moves 11 + 7 + 70,000 bytes down and 6 up, and asks for two files that are not there.
async fn session(watched: &Watched) -> ScriptedClient {
    let mut client = ScriptedClient::logged_in(watched.ftp).await;
    assert_eq!(download(&mut client, "RETR a").await, b"hello world");
    client.expect("226 ").await;
    assert_eq!(download(&mut client, "LIST").await, b"a b c\r\n");
    client.expect("226 ").await;
    assert_eq!(download(&mut client, "RETR cut").await.len(), CUT);
    client.expect("426 ").await;
    let data = client.extended_passive().await;
    client.ask("STOR b", "150 ").await;
    upload(data, b"upload").await.unwrap();
    client.expect("226 ").await;
    for _ in 0..2 {
        client.ask("RETR missing", "550 ").await;
    }
    client
}

#[tokio::test]
async fn every_number_is_what_happened() {
    let server = server().await;
    let watched = Watched::start(&server, &["--max-sessions", "2"]).await;
    let none = watched.metrics().await;
    for name in [
        "ferryline_sessions",
        "ferryline_sessions_total",
        "ferryline_session_ends_total",
        "ferryline_clients_refused_total",
        "ferryline_logins_total",
        "ferryline_transfers_total",
        "ferryline_transfer_bytes_total",
        "ferryline_transfer_seconds_count",
        "ferryline_ssh_reconnects_total",
    ] {
        assert_eq!(none.sum(name), 0.0, "{name}");
    }

    let mut client = session(&watched).await;
    // One whose log-in is refused, and a third client, which is one too many.
    let mut refused = ScriptedClient::connect(watched.ftp).await;
    refused.expect("220 ").await;
    refused.ask("USER demo", "331 ").await;
    refused.ask("PASS wrong", "530 ").await;
    ScriptedClient::connect(watched.ftp)
        .await
        .expect("421 ")
        .await;
    let during = watched.metrics().await;
    assert_eq!(watched.of(&during, "ferryline_sessions", ""), 2.0);
    client.ask("QUIT", "221 ").await;
    client.expect_end().await;
    drop(refused);

    let end = watched
        .metrics_when(|metrics| watched.of(metrics, "ferryline_sessions", "") == 0.0)
        .await;
    for (name, labels, value) in [
        ("sessions_total", "", 2.0),
        ("session_ends_total", "end=\"quit\"", 1.0),
        ("session_ends_total", "end=\"client_closed\"", 1.0),
        ("clients_refused_total", "", 1.0),
        ("logins_total", "result=\"accepted\"", 1.0),
        ("logins_total", "result=\"refused\"", 1.0),
        (
            "transfers_total",
            "direction=\"download\",result=\"complete\"",
            1.0,
        ),
        (
            "transfers_total",
            "direction=\"download\",result=\"cut\"",
            1.0,
        ),
        (
            "transfers_total",
            "direction=\"download\",result=\"refused\"",
            2.0,
        ),
        (
            "transfers_total",
            "direction=\"upload\",result=\"complete\"",
            1.0,
        ),
        (
            "transfers_total",
            "direction=\"listing\",result=\"complete\"",
            1.0,
        ),
        ("transfer_bytes_total", "direction=\"download\"", 70_011.0),
        ("transfer_bytes_total", "direction=\"upload\"", 6.0),
        ("transfer_bytes_total", "direction=\"listing\"", 7.0),
        ("transfer_seconds_count", "direction=\"download\"", 1.0),
        ("transfer_seconds_count", "direction=\"upload\"", 1.0),
        ("transfer_seconds_count", "direction=\"listing\"", 1.0),
    ] {
        let shown = watched.of(&end, &format!("ferryline_{name}"), labels);
        assert_eq!(shown, value, "{name} {labels}");
    }
    // And nothing besides.
    for (name, sum) in [
        ("session_ends_total", 2.0),
        ("logins_total", 2.0),
        ("transfers_total", 6.0),
        ("transfer_bytes_total", 70_024.0),
        ("transfer_seconds_count", 3.0),
    ] {
        assert_eq!(end.sum(&format!("ferryline_{name}")), sum, "{name}");
    }
    assert_eq!(end.value("ferryline_ssh_up{ssh=\"127.0.0.1\"}"), 1.0);
    assert_eq!(
        end.value("ferryline_lanes{ssh=\"127.0.0.1\",state=\"busy\"}"),
        0.0
    );
    assert!(end.value("ferryline_lanes{ssh=\"127.0.0.1\",state=\"idle\"}") >= 1.0);
    let version = env!("CARGO_PKG_VERSION");
    let build = format!("ferryline_build_info{{version=\"{version}\"}}");
    assert_eq!(end.value(&build), 1.0);
}

/// No label has what peers say: their values would be without number.
#[tokio::test]
async fn labels_are_names_of_the_configuration() {
    let server = server().await;
    let watched = Watched::start(&server, &[]).await;
    session(&watched).await;
    let metrics = watched.metrics().await;
    let labels: BTreeSet<&str> = [
        "direction",
        "end",
        "le",
        "result",
        "ssh",
        "state",
        "tunnel",
        "version",
    ]
    .into();
    let found = metrics.labels();
    assert_eq!(
        found.iter().map(String::as_str).collect::<BTreeSet<_>>(),
        labels
    );
    let text = get(&watched.door, "/metrics").await.body;
    for said in ["demo", "missing", "/a", "tester"] {
        assert!(!text.contains(said), "{said}");
    }
}

/// The bytes of a transfer count while it runs, and once.
#[tokio::test]
async fn a_transfer_counts_while_it_runs() {
    let server = server().await;
    let watched = Watched::start(&server, &[]).await;
    let mut client = ScriptedClient::logged_in(watched.ftp).await;
    client.ask("SIZE big", "213 ").await;
    let mut data = client.passive().await;
    client.ask("RETR big", "150 ").await;
    let mut part = vec![0; CUT];
    data.read_exact(&mut part).await.unwrap();
    let labels = "direction=\"download\"";
    let bytes =
        |metrics: &super::Metrics| watched.of(metrics, "ferryline_transfer_bytes_total", labels);
    #[expect(clippy::cast_precision_loss)]
    let running = watched.metrics_when(|now| bytes(now) == CUT as f64).await;
    assert_eq!(running.sum("ferryline_transfers_total"), 0.0);
    assert_eq!(
        running.value("ferryline_lanes{ssh=\"127.0.0.1\",state=\"busy\"}"),
        1.0
    );

    let now = get(&watched.door, "/sessions").await;
    assert_eq!(now.header("content-type"), Some("application/json"));
    let now: serde_json::Value = serde_json::from_str(&now.body).unwrap();
    let session = &now["sessions"][0];
    assert_eq!(session["user"], "demo");
    assert_eq!(session["tunnel"], watched.tunnel);
    let transfer = &session["transfer"];
    for (key, value) in [
        ("command", "RETR big"),
        ("direction", "download"),
        ("asked_as", "PASV"),
    ] {
        assert_eq!(transfer[key], value, "{transfer}");
    }
    assert_eq!(
        (&transfer["size"], &transfer["bytes"]),
        (&1_000_000.into(), &CUT.into())
    );
    assert_eq!(now["tunnels"][0]["name"], watched.tunnel);
    assert_eq!(now["ssh"][0]["up"], true);

    // The client goes in the middle of it.
    drop((data, client));
    let over = watched
        .metrics_when(|now| watched.of(now, "ferryline_sessions", "") == 0.0)
        .await;
    #[expect(clippy::cast_precision_loss)]
    let cut = CUT as f64;
    assert_eq!(bytes(&over), cut);
    let cut = "direction=\"download\",result=\"cut\"";
    let cut = watched.of(&over, "ferryline_transfers_total", cut);
    assert_eq!(cut, 1.0, "{over:#?}");
}

#[tokio::test]
async fn an_ssh_connection_that_is_lost_is_seen() {
    let server = server().await;
    let watched = Watched::start(&server, &[]).await;
    assert_eq!(get(&watched.door, "/readyz").await.status, 200);
    let ssh_server = &watched.shore.ssh_server;
    ssh_server.update(|faults| faults.hang_up = true);
    ssh_server.kill();
    let up = "ferryline_ssh_up{ssh=\"127.0.0.1\"}";
    let lost = watched.metrics_when(|now| now.value(up) == 0.0).await;
    assert_eq!(lost.sum("ferryline_ssh_reconnects_total"), 0.0);
    let ready = get(&watched.door, "/readyz").await;
    assert_eq!(ready.status, 503);
    assert!(ready.body.contains("SSH 127.0.0.1 is not up"), "{ready:?}");
    assert_eq!(get(&watched.door, "/healthz").await.status, 200);
    ssh_server.update(|faults| faults.hang_up = false);
    let again = watched.metrics_when(|now| now.value(up) == 1.0).await;
    assert_eq!(again.sum("ferryline_ssh_reconnects_total"), 1.0);
    assert_eq!(get(&watched.door, "/readyz").await.status, 200);
}

#[tokio::test]
async fn what_failed_is_told() {
    let server = server().await;
    let watched = Watched::start(&server, &["--max-sessions", "1"]).await;
    let mut client = ScriptedClient::connect(watched.ftp).await;
    client.expect("220 ").await;
    client.ask("USER eve", "331 ").await;
    client.ask("PASS wrong", "530 ").await;
    client
        .ask("RETR <img src=x onerror=alert(1)>\x1b[2J", "550 ")
        .await;
    ScriptedClient::connect(watched.ftp)
        .await
        .expect("421 ")
        .await;
    let past = get(&watched.door, "/history").await;
    let past: serde_json::Value = serde_json::from_str(&past.body).unwrap();
    let failures = past["failures"].as_array().unwrap();
    let told: Vec<_> = failures
        .iter()
        .map(|failure| {
            let text = |key: &str| failure[key].as_str().unwrap_or("-");
            (failure["session"].as_u64(), text("command"), text("reply"))
        })
        .collect();
    assert_eq!(
        told[1],
        (
            Some(1),
            "RETR <img src=x onerror=alert(1)>\\x1b[2J",
            "550 no such file"
        )
    );
    assert_eq!(told[2], (Some(1), "log-in", "530 no"));
    assert_eq!((told[0].0, told[0].1), (None, "connection from 127.0.0.1"));
    assert!(told[0].2.starts_with("too many"), "{told:?}");
    let text = get(&watched.door, "/history").await.body;
    assert!(!text.contains("wrong"), "a password: {text}");
}

#[cfg(unix)]
#[tokio::test]
async fn a_session_is_ended_over_a_unix_socket_only() {
    let server = server().await;
    let home = tempfile::tempdir().unwrap();
    let socket = format!("unix:{}/socket", home.path().display());
    let mut watched = Watched::start_at(&server, &socket, &[]).await;
    let mut client = ScriptedClient::logged_in(watched.ftp).await;
    let answer = ask(&watched.door, "GET", "/sessions/1/end", "localhost").await;
    assert_eq!((answer.status, answer.header("allow")), (405, Some("POST")));
    for number in ["2", "", "x", "-1"] {
        let path = format!("/sessions/{number}/end");
        let answer = ask(&watched.door, "POST", &path, "localhost").await;
        assert_eq!(answer.status, 404, "{path}");
    }
    let answer = ask(&watched.door, "POST", "/sessions/1/end", "localhost").await;
    assert_eq!(answer.status, 200, "{answer:?}");
    client.expect("421 ").await;
    client.expect_end().await;
    watched.ferry.error_line("#1 is ended").await;

    let shown = Watched::start(&server, &[]).await;
    let mut client = ScriptedClient::logged_in(shown.ftp).await;
    let answer = ask(&shown.door, "POST", "/sessions/1/end", "localhost").await;
    assert_eq!(answer.status, 403, "{answer:?}");
    client.ask("NOOP", "200 ").await;
}
