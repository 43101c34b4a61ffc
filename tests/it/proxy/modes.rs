//! The four ways to a data connection, through ferryline and SSH to the demo's FTP server: listing,
//! download and upload, over both of the client's address families, byte for byte.

use std::fs;
use std::net::{Ipv6Addr, SocketAddr};

use ferryline::demo::ftp_client::{FtpClient, Mode, Problem};
use ferryline::demo::ftp_server::FtpServer;
use ferryline::proxy::Direction;
use tempfile::TempDir;

use crate::common::{Ferry, logged_in, noise};

/// Sizes at limits: nothing, something, more than a packet, more than a window.
const SIZES: [usize; 4] = [0, 1, 300 * 1024, 5 * 1024 * 1024];

struct Site {
    folder: TempDir,
    server: FtpServer,
    ferry: Ferry,
}

impl Site {
    async fn new() -> Self {
        Self::with(|folder| FtpServer::start(folder.path()).unwrap()).await
    }

    async fn with(start: impl FnOnce(&TempDir) -> FtpServer) -> Self {
        let folder = tempfile::tempdir().unwrap();
        for size in SIZES {
            fs::write(folder.path().join(format!("{size}.bin")), noise(size)).unwrap();
        }
        let server = start(&folder);
        let ferry = Ferry::to(server.address()).await;
        Self {
            folder,
            server,
            ferry,
        }
    }

    /// Lists, fetches and stores in one mode, all on one control connection.
    async fn everything(&self, client: &mut FtpClient, mode: Mode) {
        for size in SIZES {
            let content = noise(size);
            let name = format!("{size}.bin");
            let listing = client.list(mode).await.unwrap();
            let listing = String::from_utf8(listing).unwrap();
            assert!(listing.contains(&name), "{mode}: {listing}");

            let fetched = client.retrieve(mode, &name).await.unwrap();
            assert!(fetched == content, "{mode}: fetched {size} B differ");

            let stored = format!("{size}-by-{mode}");
            client.store(mode, &stored, &content).await.unwrap();
            let arrived = fs::read(self.folder.path().join(&stored)).unwrap();
            assert!(arrived == content, "{mode}: stored {size} B differ");
            fs::remove_file(self.folder.path().join(&stored)).unwrap();
        }
    }

    async fn end(self) {
        self.ferry.at_rest().await;
        self.ferry.stop().await;
        self.server.shutdown().await;
    }
}

#[tokio::test]
async fn pasv_over_ipv4() {
    one_mode(Mode::Passive).await;
}

#[tokio::test]
async fn epsv_over_ipv4() {
    one_mode(Mode::ExtendedPassive).await;
}

#[tokio::test]
async fn port_over_ipv4() {
    one_mode(Mode::Active).await;
}

#[tokio::test]
async fn eprt_over_ipv4() {
    one_mode(Mode::ExtendedActive).await;
}

async fn one_mode(mode: Mode) {
    let site = Site::new().await;
    let mut client = logged_in(site.ferry.v4).await;
    site.everything(&mut client, mode).await;
    client.quit().await.unwrap();
    site.end().await;
}

#[tokio::test]
async fn epsv_over_ipv6() {
    let site = Site::new().await;
    let mut client = logged_in(site.ferry.v6).await;
    site.everything(&mut client, Mode::ExtendedPassive).await;
    client.quit().await.unwrap();
    site.end().await;
}

#[tokio::test]
async fn eprt_over_ipv6() {
    let site = Site::new().await;
    let mut client = logged_in(site.ferry.v6).await;
    site.everything(&mut client, Mode::ExtendedActive).await;
    client.quit().await.unwrap();
    site.end().await;
}

#[tokio::test]
async fn what_ipv6_cannot_say_is_refused_with_the_way_out() {
    let site = Site::new().await;
    let mut client = logged_in(site.ferry.v6).await;
    for (command, code) in [("PASV", 425), ("PORT 127,0,0,1,200,13", 501)] {
        let reply = client.command(command).await.unwrap();
        assert_eq!(reply.code.value(), code, "{command}: {reply}");
        assert!(reply.to_string().contains("ferryline"), "{reply}");
    }
    for verb in ["PASV", "PORT"] {
        let sent = site.ferry.lines.all(Direction::ToServer, verb);
        assert!(sent.is_empty(), "{sent:?}");
    }
    let mode = Mode::ExtendedPassive;
    assert_eq!(client.retrieve(mode, "1.bin").await.unwrap(), noise(1));
    client.quit().await.unwrap();
    site.end().await;
}

#[tokio::test]
async fn all_modes_take_turns_on_one_control_connection() {
    let site = Site::new().await;
    let mut client = logged_in(site.ferry.v4).await;
    let name = format!("{}.bin", SIZES[2]);
    let content = noise(SIZES[2]);
    for round in 0..5 {
        for mode in Mode::ALL {
            let fetched = client.retrieve(mode, &name).await.unwrap();
            assert!(fetched == content, "{mode}, round {round}");
            client.store(mode, "up", &content).await.unwrap();
            let arrived = fs::read(site.folder.path().join("up")).unwrap();
            assert!(arrived == content, "{mode}, round {round}");
        }
    }
    client.quit().await.unwrap();
    site.end().await;
}

#[tokio::test]
async fn a_failed_transfer_spoils_nothing_for_the_next() {
    let site = Site::new().await;
    let mut client = logged_in(site.ferry.v4).await;
    for mode in Mode::ALL {
        let error = client.retrieve(mode, "missing").await.unwrap_err();
        assert!(
            matches!(error.problem, Problem::Answer(ref reply) if reply.code.value() == 550),
            "{mode}: {error}"
        );
        assert_eq!(client.retrieve(mode, "1.bin").await.unwrap(), noise(1));
    }
    client.quit().await.unwrap();
    site.end().await;
}

#[tokio::test]
async fn an_ftp_server_that_is_reached_over_ipv6_serves_a_client_on_either_family() {
    let site = Site::with(|folder| {
        let here = SocketAddr::from((Ipv6Addr::LOCALHOST, 0));
        FtpServer::start_at(folder.path(), here).unwrap()
    })
    .await;
    for address in [site.ferry.v4, site.ferry.v6] {
        let mut client = logged_in(address).await;
        site.everything(&mut client, Mode::ExtendedPassive).await;
        client.quit().await.unwrap();
    }
    site.end().await;
}

#[tokio::test]
async fn several_clients_at_once_do_not_mix() {
    let site = Site::new().await;
    let mut clients = tokio::task::JoinSet::new();
    for number in 0..8_usize {
        let content = noise(100_000 + number);
        let name = format!("of-client-{number}");
        fs::write(site.folder.path().join(&name), &content).unwrap();
        let address = site.ferry.v4;
        clients.spawn(async move {
            let mut client = logged_in(address).await;
            let mode = Mode::ALL[number % Mode::ALL.len()];
            let fetched = client.retrieve(mode, &name).await.unwrap();
            assert!(fetched == content, "{name} by {mode}");
            client.quit().await.unwrap();
        });
    }
    while let Some(done) = clients.join_next().await {
        done.unwrap();
    }
    site.end().await;
}
