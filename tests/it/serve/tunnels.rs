//! Several tunnels at once, and the end of the service.

use std::fs;

use ferryline::demo::ftp_client::Mode;
use ferryline::demo::ftp_server::FtpServer;

use super::support::{Service, ssh_table, tunnel};
use crate::common::{
    Gate, ScriptedClient, ScriptedServer, Shore, answer, begins_file, logged_in, noise, read_to_end,
};

#[tokio::test]
async fn two_tunnels_over_one_ssh_connection_carry_files_in_all_modes() {
    let shore = Shore::new().await;
    let files = [tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap()];
    let contents = [noise(300_000), noise(70_001)];
    let mut servers = Vec::new();
    for (folder, content) in files.iter().zip(&contents) {
        fs::write(folder.path().join("file"), content).unwrap();
        servers.push(FtpServer::start(folder.path()).unwrap());
    }
    let text = [
        // All data over the one connection: each log-in is counted.
        ssh_table("dc1", &shore) + "lanes = 0\n",
        tunnel("erp", servers[0].address()),
        tunnel("plant", servers[1].address()),
    ]
    .concat();
    let mut service = Service::start(shore.home(), &text);
    let addresses = [
        service.announced("erp").await,
        service.announced("plant").await,
    ];
    service.ready().await;
    for (address, content) in addresses.into_iter().zip(&contents) {
        let mut client = logged_in(address).await;
        for mode in Mode::ALL {
            let fetched = client.retrieve(mode, "file").await.unwrap();
            assert!(fetched == *content, "{address} {mode}");
        }
        client.quit().await.unwrap();
    }
    assert_eq!(shore.ssh_server.logins(), 1);
    let ended = service.stop().await;
    assert_eq!(ended.code, Some(0), "{ended:?}");
    // The log tells the tunnels apart, and a session's number is unique.
    for (tunnel, number) in [("erp", "#1 "), ("plant", "#2 ")] {
        let name = format!("tunnel{{name={tunnel}}}");
        let lines = ended.stderr.lines().filter(|line| line.contains(&name));
        let lines: Vec<&str> = lines.collect();
        assert!(lines.len() >= 4, "{tunnel}: {ended:?}");
        assert!(lines.iter().all(|line| line.contains(number)), "{lines:#?}");
    }
}

#[tokio::test]
async fn all_tunnels_share_the_limit_of_clients() {
    let shore = Shore::new().await;
    let server = ScriptedServer::new().start().await;
    let text = [
        ssh_table("dc1", &shore),
        tunnel("a", server.address()),
        tunnel("b", server.address()),
        "[limits]\nmax-sessions = 1\n".to_owned(),
    ]
    .concat();
    let mut service = Service::start(shore.home(), &text);
    let (a, b) = (service.announced("a").await, service.announced("b").await);
    let first = ScriptedClient::logged_in(a).await;
    let mut second = ScriptedClient::connect(b).await;
    let word = second.line().await;
    assert!(word.starts_with("421 "), "{word}");
    assert!(word.contains("max-sessions of [limits]"), "{word}");
    drop(first);
    // The place is free once the first session is over.
    loop {
        let mut third = ScriptedClient::connect(b).await;
        if third.line().await.starts_with("220 ") {
            break;
        }
    }
}

#[tokio::test]
async fn at_the_end_a_running_transfer_is_finished_and_every_client_is_told() {
    let shore = Shore::new().await;
    let gate = Gate::new();
    let content = noise(200_000);
    let server = ScriptedServer::new()
        .on("PASV", answer().listen().send("227 ={hostport}\n"))
        .on(
            "RETR",
            begins_file(&content[..100_000])
                .wait(&gate)
                .data(&content[100_000..])
                .send("226 done\r\n"),
        )
        .start()
        .await;
    let text = ssh_table("dc1", &shore) + &tunnel("erp", server.address());
    let mut service = Service::start(shore.home(), &text);
    let address = service.announced("erp").await;
    let mut client = ScriptedClient::logged_in(address).await;
    let data = client.passive().await;
    client.ask("RETR file", "150 ").await;
    service.running.signal("TERM").await;
    service.manager.says("STOPPING=1").await;
    gate.open();
    let fetched = read_to_end(data).await.unwrap();
    assert!(fetched == content);
    client.expect("226 ").await;
    client.expect("421 ").await;
    client.expect_end().await;
    assert_eq!(service.running.ended().await.code, Some(0));
}
