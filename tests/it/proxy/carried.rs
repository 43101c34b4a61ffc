//! Active mode carried as passive: where there is no remote forward, the client still sees active mode.

use ferryline::{
    control::ActiveMode,
    demo::{
        ftp_client::{FtpClient, Mode},
        ftp_server::FtpServer,
    },
};

use crate::common::{Ferry, ScriptedClient, ScriptedServer, answer, noise};

#[tokio::test]
async fn every_transfer_of_an_active_client_works_without_remote_forwards() {
    let root = tempfile::tempdir().unwrap();
    let server = FtpServer::start(root.path()).unwrap();
    let ferry = Ferry::to(server.address()).await;
    ferry
        .ssh_server
        .update(|faults| faults.refuse_forward = true);
    for address in [ferry.v4, ferry.v6] {
        let modes: &[Mode] = if address.is_ipv4() {
            &[Mode::Active, Mode::ExtendedActive]
        } else {
            &[Mode::ExtendedActive]
        };
        for &mode in modes {
            let mut client = FtpClient::connect(address).await.unwrap();
            client.login("demo", "demo").await.unwrap();
            for size in [0, 1, 300_000] {
                let file = noise(size);
                client.store(mode, "up.bin", &file).await.unwrap();
                let back = client.retrieve(mode, "up.bin").await.unwrap();
                assert!(back == file, "{mode:?} {size}");
            }
            let list = client.list(mode).await.unwrap();
            assert!(String::from_utf8_lossy(&list).contains("up.bin"));
            client.quit().await.unwrap();
        }
    }
    ferry.at_rest().await;
    ferry.stop().await;
    server.shutdown().await;
}

#[tokio::test]
async fn a_transfer_that_fails_shows_the_client_no_connection() {
    let server = ScriptedServer::new()
        .on("EPSV", answer().listen().send("229 ok (|||{port}|)\r\n"))
        .on("RETR", answer().send("550 no such file\r\n"))
        .start()
        .await;
    let ferry = Ferry::plan(server.address())
        .options(|options| options.active = ActiveMode::Passive)
        .start()
        .await;
    let mut client = ScriptedClient::logged_in(ferry.v4).await;
    let listener = client.active().await;
    client.ask("RETR nofile", "550 ").await;
    client.ask("NOOP", "200 ").await;
    // All that was sent to the client has been read by now: a connection would have been there before.
    let listener = listener.into_std().unwrap();
    assert!(listener.accept().is_err(), "the client was connected to");
    assert!(server.commands("PORT").is_empty());
}
