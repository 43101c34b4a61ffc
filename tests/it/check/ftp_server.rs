//! `ferryline check`: its output about FTP servers, with the real program.

use std::fs;

use ferryline::demo::ftp_server::FtpServer;

use super::support::{Check, lists, lists_once, remedy, step, summary};
use crate::common::{Gate, ScriptedServer, answer, begins_file, nobody};

#[tokio::test]
async fn all_is_well_with_the_demos_servers() {
    let folder = tempfile::tempdir().unwrap();
    fs::write(folder.path().join("file"), "content").unwrap();
    let server = FtpServer::start(folder.path()).unwrap();
    let check = Check::of(server.address()).await;
    let ended = check.with_user(&[]).await;
    assert_eq!((ended.code, ended.stderr.as_str()), (Some(0), ""));
    assert!(!ended.stdout.contains('✗'), "{}", ended.stdout);
    assert_eq!(step(&ended, '✓', "resolve"), "127.0.0.1 is an address");
    assert_eq!(step(&ended, '✓', "ssh version"), "SSH-2.0-russh_0.65.1");
    let known = format!("(known: {}:1)", check.shore.known_hosts.display());
    let host_key = step(&ended, '✓', "host key");
    assert!(host_key.starts_with("ssh-ed25519 SHA256:"), "{host_key}");
    assert!(host_key.ends_with(&known), "{host_key}");
    let login = step(&ended, '✓', "authentication");
    assert!(
        login.starts_with("tester by publickey, ssh-ed25519 SHA256:"),
        "{login}"
    );
    assert!(step(&ended, '✓', "lane").starts_with("a second connection works"));
    assert!(step(&ended, '✓', "greeting").contains("220 ferryline demo FTP server"));
    assert!(step(&ended, '✓', "features").contains("MDTM"));
    assert!(step(&ended, '✓', "log in").starts_with("demo: 230 "));
    for mode in ["PASV", "EPSV", "PORT", "EPRT"] {
        assert!(step(&ended, '✓', mode).contains(" came"), "{mode}");
    }
    assert!(step(&ended, '✓', "PORT").contains("by a remote forward"));
    assert_eq!(
        summary(&ended),
        "clients can use: passive, extended passive, active, extended active (asked as PORT)"
    );
}

#[tokio::test]
async fn without_a_user_it_ends_before_the_log_in() {
    let server = lists()
        .on("FEAT", "211-Features:\r\n AUTH TLS\r\n MDTM\r\n211 End\r\n")
        .start()
        .await;
    let check = Check::of(server.address()).await;
    let ended = check.run(&[]).await;
    assert_eq!(ended.code, Some(0), "{ended:?}");
    assert_eq!(step(&ended, '✓', "greeting"), "220 scripted server");
    assert!(!ended.stdout.contains("215 "), "{}", ended.stdout);
    assert_eq!(step(&ended, '✓', "features"), "AUTH TLS, MDTM");
    assert!(step(&ended, '✓', "tls").starts_with("not required; offered"));
    for name in ["log in", "PASV", "data address", "EPSV", "PORT", "EPRT"] {
        assert!(step(&ended, '–', name).contains("--ftp-user"), "{name}");
    }
    assert!(summary(&ended).contains("--ftp-user NAME"));
    assert!(server.commands("PASS").is_empty());
}

#[tokio::test]
async fn a_wrong_address_in_the_227_is_told_with_the_one_that_is_used() {
    let pasv = || {
        answer()
            .listen()
            .send("227 Entering Passive Mode (192,0,2,7,{twoports})\r\n")
    };
    let server = lists().on("PASV", pasv()).start().await;
    let check = Check::of(server.address()).await;
    let ended = check.with_user(&[]).await;
    assert_eq!(ended.code, Some(0), "{ended:?}");
    let told = step(&ended, '✓', "data address");
    for part in [
        "227 names 192.0.2.7",
        "localhost is used and works",
        "--data-host control",
    ] {
        assert!(told.contains(part), "{part}: {told}");
    }

    let ended = check.with_user(&["--data-host", "reply"]).await;
    assert_eq!(ended.code, Some(1), "clients use PASV: {ended:?}");
    assert!(step(&ended, '✗', "PASV").contains("192.0.2.7"));
    assert!(step(&ended, '✗', "data address").contains("does not work"));
    assert!(remedy(&ended, "data address").contains("--data-host control"));
    assert!(summary(&ended).ends_with("they cannot use: passive"));
}

#[tokio::test]
async fn a_server_without_epsv_is_asked_by_pasv() {
    let server = lists().on("EPSV", "500 EPSV?\r\n").start().await;
    let check = Check::of(server.address()).await;
    let ended = check.with_user(&[]).await;
    assert_eq!(ended.code, Some(0), "{ended:?}");
    let told = step(&ended, '✓', "EPSV");
    assert!(told.ends_with("(PASV to the server, which does not serve EPSV here)"));
    assert!(summary(&ended).contains("extended passive (asked as PASV)"));
}

#[tokio::test]
async fn active_mode_that_the_server_refuses_is_carried_as_passive() {
    let server = lists()
        .on("PORT", "500 Illegal PORT\r\n")
        .on("EPRT", "500 no EPRT\r\n")
        .start()
        .await;
    let check = Check::of(server.address()).await;
    let ended = check.with_user(&[]).await;
    assert_eq!(ended.code, Some(0), "{ended:?}");
    let told = step(&ended, '✓', "PORT");
    assert!(told.contains("carried as passive: the FTP server refuses active mode"));
    assert!(told.contains("500 Illegal PORT"), "{told}");
    assert!(step(&ended, '✓', "EPRT").ends_with("carried as passive: as for PORT"));
    assert!(
        summary(&ended)
            .ends_with("active (carried as passive), extended active (carried as passive)")
    );
}

#[tokio::test]
async fn a_remote_forward_that_the_ssh_server_refuses_is_told() {
    let server = lists().start().await;
    let check = Check::of(server.address()).await;
    check.shore.ssh_server.update(|f| f.refuse_forward = true);
    let ended = check.with_user(&[]).await;
    assert_eq!(ended.code, Some(0), "{ended:?}");
    let told = step(&ended, '✓', "PORT");
    assert!(told.contains("carried as passive: the SSH server refused the remote forward"));
    assert!(step(&ended, '✓', "EPRT").ends_with("carried as passive: as for PORT"));

    let ended = check.with_user(&["--active", "remote"]).await;
    assert_eq!(ended.code, Some(0), "passive works: {ended:?}");
    for mode in ["PORT", "EPRT"] {
        assert!(step(&ended, '!', mode).contains("refused the remote forward"));
        assert!(remedy(&ended, mode).contains("PermitListen"));
    }
    assert_eq!(
        summary(&ended),
        "clients can use: passive, extended passive; they cannot use: active, extended active"
    );

    let ended = check.with_user(&["--active", "passive"]).await;
    assert!(step(&ended, '✓', "PORT").ends_with("carried as passive: --active passive"));
}

#[tokio::test]
async fn a_server_that_insists_on_tls_is_told_by_its_words() {
    let insists = "530 Non-anonymous sessions must use encryption.\r\n";
    for verb in ["USER", "PASS"] {
        let server = lists().on(verb, insists).start().await;
        let check = Check::of(server.address()).await;
        let ended = check.with_user(&[]).await;
        assert_eq!(ended.code, Some(1), "{ended:?}");
        assert!(step(&ended, '✗', "tls").contains("must use encryption"));
        assert!(remedy(&ended, "tls").contains("force_local_logins_ssl=NO"));
        assert_eq!(step(&ended, '–', "EPRT"), "not reached");
    }
    // The check finds this out even without a user: no password is needed for it.
    let server = lists().on("USER", insists).start().await;
    let ended = Check::of(server.address()).await.run(&[]).await;
    assert_eq!(ended.code, Some(1), "{ended:?}");
    step(&ended, '✗', "tls");
}

#[tokio::test]
async fn a_refused_log_in_is_told() {
    let server = lists().on("PASS", "530 Login incorrect.\r\n").start().await;
    let check = Check::of(server.address()).await;
    let ended = check.with_user(&[]).await;
    assert_eq!(ended.code, Some(1), "{ended:?}");
    step(&ended, '✓', "tls");
    assert!(step(&ended, '✗', "log in").contains("530 Login incorrect."));
    assert!(remedy(&ended, "log in").contains("password"));
    assert_eq!(step(&ended, '–', "PASV"), "not reached");
    assert!(summary(&ended).starts_with("it cannot be used"));
}

#[tokio::test]
async fn greetings_that_are_none() {
    for (greeting, said, advice) in [
        (
            answer().send("421 Too many users.\r\n").close(),
            "421 Too many",
            "Perhaps it has as many clients",
        ),
        (answer().close(), "closed", "-L"),
        (answer(), "nothing happened for 1 s", "--timeout"),
    ] {
        let server = lists().greeting(greeting).start().await;
        let check = Check::of(server.address()).await;
        let ended = check.with_user(&["--timeout", "1"]).await;
        assert_eq!(ended.code, Some(1), "{ended:?}");
        let told = step(&ended, '✗', "greeting");
        assert!(told.contains(said), "{told}");
        assert!(remedy(&ended, "greeting").contains(advice), "{ended:?}");
        assert_eq!(step(&ended, '–', "log in"), "not reached");
    }
}

#[tokio::test]
async fn a_server_that_falls_silent_is_not_waited_for_for_ever() {
    // The server never says that the listing is over.
    let silent = || begins_file("a f");
    let server = ScriptedServer::new().on("LIST", silent()).start().await;
    let check = Check::of(server.address()).await;
    let ended = check.with_user(&["--timeout", "1"]).await;
    assert_eq!(ended.code, Some(1), "{ended:?}");
    for (mark, mode) in [('✗', "PASV"), ('✗', "EPSV"), ('!', "PORT"), ('!', "EPRT")] {
        assert!(step(&ended, mark, mode).contains("nothing happened for 1 s"));
    }
    assert!(summary(&ended).starts_with("clients can use no mode"));
}

#[tokio::test]
async fn data_ports_that_cannot_be_reached_are_told() {
    let (_nobody, dead) = nobody();
    let passive = format!("229 passive (|||{}|)\r\n", dead.port());
    // It waits for the data connection, as servers do.
    let never = Gate::new();
    let server = ScriptedServer::new()
        .on("EPSV", passive.as_str())
        .on("LIST", lists_once())
        .on("LIST", answer().send("150 here\r\n").wait(&never))
        .on("LIST", lists_once())
        .start()
        .await;
    let check = Check::of(server.address()).await;
    let ended = check.with_user(&[]).await;
    assert_eq!(ended.code, Some(0), "PASV works: {ended:?}");
    let told = step(&ended, '!', "EPSV");
    let target = format!("{}: the SSH server could not connect", dead.port());
    assert!(told.contains(&target), "{told}");
    let advice = remedy(&ended, "EPSV");
    assert!(
        advice.contains("passive ports") && advice.contains("--disable-epsv"),
        "{advice}"
    );
    assert!(summary(&ended).ends_with("they cannot use: extended passive"));
}

#[tokio::test]
async fn a_forward_that_is_prohibited_names_the_setting() {
    let server = lists().start().await;
    let check = Check::of(server.address()).await;
    check.shore.ssh_server.update(|f| f.refuse_direct = true);
    let ended = check.with_user(&[]).await;
    assert_eq!(ended.code, Some(1), "{ended:?}");
    assert!(step(&ended, '✗', "forward").contains("prohibited"));
    let advice = remedy(&ended, "forward");
    assert!(advice.contains("AllowTcpForwarding") && advice.contains("PermitOpen"));
    assert_eq!(step(&ended, '–', "greeting"), "not reached");
}

#[tokio::test]
async fn an_ftp_server_that_is_not_there_is_told() {
    let (_nobody, dead) = nobody();
    let ended = Check::of(dead).await.run(&[]).await;
    assert_eq!(ended.code, Some(1), "{ended:?}");
    let told = step(&ended, '✗', "forward");
    assert!(told.contains("could not connect"), "{told}");
    // The advice stands once, in the line for it.
    assert!(!told.contains("check host and port"), "{told}");
    assert!(remedy(&ended, "forward").contains("-L"));
}

/// The advice is followed to the letter: `-L` gets the FTP server's port.
#[tokio::test]
async fn a_port_of_another_service_is_not_put_down_to_the_servers_rules() {
    let server = lists().start().await;
    let other = ScriptedServer::new()
        .greeting(answer().send("SSH-2.0-OpenSSH_9.2p1 Debian\r\n"))
        .start()
        .await;
    let mut check = Check::of(other.address()).await;
    let ended = check.with_user(&[]).await;
    assert_eq!(ended.code, Some(1), "{ended:?}");
    let told = step(&ended, '✗', "greeting");
    assert!(
        told.starts_with("what answers is not an FTP server"),
        "{told}"
    );
    assert!(told.contains("'SSH-2.0-OpenSSH_9.2p1 Debian'"), "{told}");
    let advice = remedy(&ended, "greeting");
    assert!(
        advice.contains("host and port of the FTP server"),
        "{advice}"
    );
    check.target = format!("localhost:{}", server.address().port());
    let ended = check.with_user(&[]).await;
    assert_eq!(ended.code, Some(0), "{ended:?}");
}
