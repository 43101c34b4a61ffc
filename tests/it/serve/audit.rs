//! `[audit]`: one record for all tunnels, over reloads.

use std::fs;
use std::path::Path;

use super::support::{Service, ssh_table, tunnel};
use crate::common::{ScriptedClient, ScriptedServer, Shore, noise, read_to_end, run, sends_file};

async fn carry(address: std::net::SocketAddr) {
    let mut client = ScriptedClient::logged_in(address).await;
    let data = client.passive().await;
    client.ask("RETR a", "150 ").await;
    read_to_end(data).await.unwrap();
    client.expect("226 ").await;
}

/// The tunnels of the transfers in a record.
fn tunnels(file: &Path) -> Vec<String> {
    let text = fs::read_to_string(file).unwrap_or_default();
    let lines = text.lines().map(|line| serde_json::from_str(line).unwrap());
    let transfers = lines.filter(|line: &serde_json::Value| line["event"] == "transfer");
    transfers
        .map(|line| line["tunnel"].as_str().unwrap().to_owned())
        .collect()
}

#[tokio::test]
async fn a_record_that_was_moved_away_goes_on_in_a_new_file_at_a_reload() {
    let shore = Shore::new().await;
    let server = ScriptedServer::new()
        .on("RETR", sends_file(noise(100)))
        .start()
        .await;
    let (file, moved) = (
        shore.home().join("audit.jsonl"),
        shore.home().join("audit.jsonl.1"),
    );
    let text = [
        ssh_table("dc1", &shore),
        tunnel("erp", server.address()),
        tunnel("plant", server.address()),
        format!("[audit]\nfile = \"{}\"\n", file.display()),
    ]
    .concat();
    let mut service = Service::start(shore.home(), &text);
    let erp = service.announced("erp").await;
    let plant = service.announced("plant").await;
    service.ready().await;
    carry(erp).await;
    carry(plant).await;
    // Each line is in the file a moment after the transfer.
    let written = async {
        while tunnels(&file).len() < 2 {
            tokio::task::yield_now().await;
        }
    };
    tokio::time::timeout(crate::common::PATIENCE, written)
        .await
        .unwrap();
    fs::rename(&file, &moved).unwrap();
    service.reload(&text).await;
    carry(erp).await;
    let ended = service.stop().await;
    assert_eq!(ended.code, Some(0), "{ended:?}");
    assert_eq!(tunnels(&moved), ["erp", "plant"]);
    assert_eq!(tunnels(&file), ["erp"]);
    let files = [moved.to_str().unwrap(), file.to_str().unwrap()];
    let whole = run(shore.home(), &[&["audit", "verify"], &files[..]].concat()).await;
    assert_eq!(
        (whole.code, whole.stdout.contains(", 3 transfers\n")),
        (Some(0), true),
        "{whole:?}"
    );
    assert!(!whole.stdout.contains("no end"), "{whole:?}");
}
