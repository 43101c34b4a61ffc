//! What those who keep books are told of sessions and transfers, and what a view of the running ones shows.

use std::sync::Arc;

use ferryline::control::{ActiveMode, DataCommand};
use ferryline::proxy::{Books, Entry, LiveSessions};

use crate::common::{
    Ferry, Gate, Record, ScriptedClient, ScriptedServer, answer, begins_file, noise, read_to_end,
    sends_file, stores_file, upload,
};

/// Keeps a line for each entry.
#[derive(Default)]
struct Keeper(Record<String>);

impl Books for Keeper {
    fn wants_hashes(&self) -> bool {
        true
    }

    fn enter(&self, entry: &Entry<'_>) {
        let line = match entry {
            Entry::SessionBegan(session) => format!("#{} began", session.number),
            Entry::LoggedIn { session, user } => format!("#{} in as {user}", session.number),
            Entry::LogInRefused { user, reply, .. } => format!("refused {user}: {reply}"),
            Entry::Transferred { transfer, .. } => {
                let report = transfer.report;
                let command = String::from_utf8_lossy(&report.command);
                let asked = report
                    .asked_by
                    .map(|asked| format!("{} by {}", asked.client, asked.server));
                let (file, hash) = (report.parameters.as_ref().unwrap(), transfer.sha256);
                let hash = hash.map(|hash| format!("{:02x}{:02x}", hash[0], hash[1]));
                format!(
                    "{command} in {} type {} from {}: {:?} {} bytes {} {}",
                    String::from_utf8_lossy(file.directory.as_ref().unwrap()),
                    char::from(file.representation),
                    file.offset,
                    transfer.outcome,
                    transfer.moved.bytes(),
                    hash.unwrap_or_default(),
                    asked.unwrap_or_default(),
                )
            }
            Entry::SessionEnded { session, end } => format!(
                "#{} ended: {}, {} transfers, {} failed, {} bytes",
                session.number,
                end.reason,
                end.transfers,
                end.failed,
                end.moved.bytes()
            ),
            Entry::ClientRefused { peer, reason, .. } => {
                format!("{} turned away: {reason}", peer.ip())
            }
        };
        self.0.push(line);
    }
}

/// A ferry with books, and where its sessions are shown.
async fn kept(server: &ScriptedServer) -> (Ferry, Arc<Keeper>, LiveSessions) {
    let (keeper, live) = (Arc::<Keeper>::default(), LiveSessions::default());
    let (books, shown) = (keeper.clone(), live.clone());
    let ferry = Ferry::plan(server.address()).options(|options| {
        options.books.push(books);
        options.live = shown;
    });
    (ferry.start().await, keeper, live)
}

#[tokio::test]
async fn a_session_is_booked_from_its_first_to_its_last() {
    let server = ScriptedServer::new()
        .on("TYPE I", "200 binary\r\n")
        .on("CWD /in", "250 there\r\n")
        .on("REST 100", "350 from there\r\n")
        .on("RETR", sends_file("hello world"))
        .on("STOR", stores_file())
        .on("LIST", "550 no\r\n")
        .start()
        .await;
    let (ferry, keeper, live) = kept(&server).await;
    let mut client = ScriptedClient::logged_in(ferry.v4).await;
    client.ask("TYPE I", "200 ").await;
    client.ask("CWD /in", "250 ").await;
    let data = client.passive().await;
    client.ask("REST 100", "350 ").await;
    client.ask("RETR a", "150 ").await;
    assert_eq!(read_to_end(data).await.unwrap(), b"hello world");
    client.expect("226 ").await;
    let data = client.extended_passive().await;
    client.ask("STOR b", "150 ").await;
    upload(data, b"hello world").await.unwrap();
    client.expect("226 ").await;
    client.ask("LIST", "550 ").await;
    assert_eq!(live.list()[0].transfers, 3);
    client.ask("QUIT", "221 ").await;
    client.expect_end().await;
    keeper
        .0
        .wait("the end", |line| line.contains("ended"))
        .await;
    assert_eq!(
        keeper.0.all(),
        [
            "#1 began",
            "#1 in as demo",
            "RETR a in /in type I from 100: Complete 11 bytes b94d PASV by PASV",
            "STOR b in /in type I from 0: Complete 11 bytes b94d EPSV by EPSV",
            "LIST in /in type I from 0: Refused 0 bytes  ",
            "#1 ended: QUIT, 3 transfers, 1 failed, 22 bytes",
        ]
    );
    ferry.stop().await;
    assert_eq!(live.count(), 0);
}

#[tokio::test]
async fn a_running_transfer_is_shown_and_can_be_ended() {
    let server = ScriptedServer::new()
        .on("SIZE", "213 1000000\r\n")
        .on("RETR", begins_file(noise(70_000)))
        .start()
        .await;
    let (ferry, keeper, live) = kept(&server).await;
    let mut client = ScriptedClient::logged_in(ferry.v4).await;
    client.ask("SIZE big", "213 ").await;
    let mut data = client.passive().await;
    client.ask("RETR big", "150 ").await;
    let mut part = vec![0; 70_000];
    tokio::io::AsyncReadExt::read_exact(&mut data, &mut part)
        .await
        .unwrap();
    let view = live.list().remove(0);
    assert_eq!((view.facts.number, view.user.as_deref()), (1, Some("demo")));
    let transfer = view.transfer.unwrap();
    assert_eq!(transfer.command, "RETR big");
    assert_eq!(
        (transfer.size, transfer.moved.to_client),
        (Some(1_000_000), 70_000)
    );
    assert_eq!(transfer.asked_by.unwrap().server, DataCommand::Pasv);

    assert!(live.end(1));
    client.expect("421 ").await;
    assert!(read_to_end(data).await.is_err());
    keeper
        .0
        .wait("the transfer", |line| line.starts_with("RETR big"))
        .await;
    let cut = keeper.0.wait("the cut", |line| line.contains("Cut")).await;
    assert!(cut.contains(": Cut 70000 bytes"), "{cut}");
    ferry.at_rest().await;
    ferry.stop().await;
    assert_eq!(live.count(), 0);
}

#[tokio::test]
async fn active_transfers_are_booked_as_they_were_carried() {
    let server = ScriptedServer::new()
        .on("RETR", sends_file("x"))
        .start()
        .await;
    let keeper = Arc::<Keeper>::default();
    let books = keeper.clone();
    let ferry = Ferry::plan(server.address())
        .options(|options| {
            options.books.push(books);
            options.active = ActiveMode::Passive;
        })
        .start()
        .await;
    let mut client = ScriptedClient::logged_in(ferry.v4).await;
    let listener = client.active().await;
    client.ask("RETR a", "150 ").await;
    let data = client.accept(listener).await;
    assert_eq!(read_to_end(data).await.unwrap(), b"x");
    client.expect("226 ").await;
    let line = keeper
        .0
        .wait("the transfer", |line| line.starts_with("RETR"))
        .await;
    assert!(line.ends_with("PORT by EPSV"), "{line}");
}

#[tokio::test]
async fn clients_that_are_not_served_and_log_ins_that_are_refused_are_booked() {
    let held = Gate::new();
    let server = ScriptedServer::new()
        .on("PASS", answer().wait(&held).send("530 no\r\n"))
        .start()
        .await;
    let keeper = Arc::<Keeper>::default();
    let books = keeper.clone();
    let ferry = Ferry::plan(server.address())
        .options(|options| {
            options.books.push(books);
            options.max_sessions = 1;
        })
        .start()
        .await;
    let mut client = ScriptedClient::connect(ferry.v4).await;
    client.expect("220 ").await;
    client.ask("USER demo", "331 ").await;
    client.send("PASS wrong").await;
    let mut second = ScriptedClient::connect(ferry.v4).await;
    second.expect("421 ").await;
    held.open();
    client.expect("530 ").await;
    keeper
        .0
        .wait("the refusal", |line| {
            line.starts_with("refused demo: 530 no")
        })
        .await;
    keeper
        .0
        .wait("the other", |line| {
            line.starts_with("127.0.0.1 turned away: too many")
        })
        .await;
}
