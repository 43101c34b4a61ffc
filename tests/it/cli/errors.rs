//! The program's output when it cannot do what it is told to: one line, with who, what and what to do, and
//! the exit code: 1 failed, 2 wrong usage.

use std::fs;

use ferryline::demo::ssh_server::KeyPair;
use tokio::io::AsyncWriteExt;
use tokio::net::TcpListener;

use crate::common::{Shore, nobody, run, write_private};

/// A machine reads standard output only.
#[tokio::test]
async fn wrong_usage_of_a_check_for_machines_is_a_json_document() {
    let home = tempfile::tempdir().unwrap();
    for (arguments, says) in [
        (&["-L", "2121", "me@host"][..], "such as 2121:localhost:21"),
        (
            &["-L", "0:*:21", "--allow-host", "x", "-F", "none", "me@host"],
            "one FTP server at a time",
        ),
        (&["-L", "0:h:21", "--no-such", "me@host"], "'--no-such'"),
        (&["me@host"], "required arguments"),
    ] {
        let words = [&["check", "--json"][..], arguments].concat();
        let ended = run(home.path(), &words).await;
        assert_eq!(ended.code, Some(2), "{ended:?}");
        let document: serde_json::Value = serde_json::from_str(&ended.stdout)
            .unwrap_or_else(|error| panic!("{error}: {ended:?}"));
        assert_eq!(document["ok"], false);
        assert_eq!(document["version"], env!("CARGO_PKG_VERSION"));
        let error = document["error"].as_str().unwrap();
        assert!(error.contains(says) && !error.contains("Usage"), "{error}");
        // A person reads the same as without it.
        assert!(ended.stderr.contains(says), "{ended:?}");
    }
    let help = run(home.path(), &["check", "--json", "--help"]).await;
    assert_eq!(help.code, Some(0));
    assert!(serde_json::from_str::<serde_json::Value>(&help.stdout).is_err());
}

#[tokio::test]
async fn wrong_usage_is_said_in_one_line() {
    let home = tempfile::tempdir().unwrap();
    for (arguments, says) in [
        (
            &["forward", "-L", "2121", "me@host"][..],
            &["-L", "2121", "1 field,", "such as 2121:localhost:21"][..],
        ),
        (
            &["forward", "-L", "x:localhost:21", "me@host"],
            &["'x' is no port"],
        ),
        (
            &["forward", "-L", "0:localhost:99999", "me@host"],
            &["'99999' is no port"],
        ),
        (
            &["forward", "-L", "2121:::1:21", "me@host"],
            &["brackets", "such as 2121:[2001:db8::5]:21"],
        ),
        (
            &[
                "forward",
                "-L",
                "2121:a:21",
                "-L",
                "tcp/localhost:2121:b:80",
                "me@host",
            ],
            &["-L 2121:a:21 and -L tcp/localhost:2121:b:80 both listen on port 2121"],
        ),
        (
            &[
                "forward",
                "-L",
                "0:h:21",
                "-o",
                "RemoteForward=1 h:1",
                "me@host",
            ],
            &["-o RemoteForward is not supported", "ssh -R"],
        ),
        (
            &["-L", "2121:localhost:21", "me@host"],
            &["did you mean 'ferryline forward -L 2121:localhost:21 me@host'?"],
        ),
        (
            &["forward", "-L", "sftp/0:localhost:22", "me@host"],
            &["sftp/", "ftp/", "tcp/"],
        ),
        (
            &[
                "forward",
                "-L",
                "0:h:21",
                "-o",
                "VerifyHostKeyDNS=yes",
                "me@host",
            ],
            &["VerifyHostKeyDNS", "not honoured", "UserKnownHostsFile"],
        ),
        (
            &[
                "forward",
                "-L",
                "0:h:21",
                "-o",
                "Ciphers=arcfour",
                "me@host",
            ],
            &["Ciphers", "none of arcfour", "aes128-gcm@openssh.com"],
        ),
        (
            &["forward", "-L", "0:h:21", "-J", "b:x", "me@host"],
            &["b:x"],
        ),
        (
            &["forward", "-L", "0:h:21", "-F", "no-such-file", "me@host"],
            &["no-such-file"],
        ),
        (
            &["forward", "-L", "0:h:21", "-o", "Nonsense=1", "me@host"],
            &["Nonsense", "not honoured"],
        ),
        (
            &["forward", "-L", "0:h:21", "-o", "Port", "me@host"],
            &["Port", "Keyword=value"],
        ),
        (
            &[
                "check",
                "-L",
                "0:*:21",
                "--allow-host",
                "x",
                "-F",
                "none",
                "me@host",
            ],
            &["check looks at one FTP server at a time"],
        ),
        (
            &[
                "check",
                "-L",
                "0:h:21",
                "--remote-bind",
                "::",
                "-F",
                "none",
                "me@host",
            ],
            &["--remote-bind ::"],
        ),
        (
            &["forward", "-L", "0:h:21", "@host"],
            &["destination", "'@host'"],
        ),
        (
            &["forward", "-L", "0:h:21", "ssh://host:x"],
            &["destination", "port"],
        ),
        (
            &["forward", "-L", "0:h:21", "me@host:x"],
            &["destination", "'me@host:x'", "port", "me@ssh.example:22"],
        ),
    ] {
        let ended = run(home.path(), arguments).await;
        let line = ended.one_line(2);
        for part in says {
            assert!(line.contains(part), "{arguments:?}: {line}");
        }
    }
}

/// Some of these errors are the argument parser's own, in its own form.
#[tokio::test]
async fn missing_and_unknown_arguments_are_wrong_usage() {
    let home = tempfile::tempdir().unwrap();
    for (arguments, says) in [
        (&["forward", "-L", "2121:localhost:21"][..], "DESTINATION"),
        (&["forward", "me@host"], "-L"),
        (&["forward", "--nonsense", "me@host"], "--nonsense"),
        (
            &["forward", "-p", "0", "-L", "0:h:21", "me@host"],
            "--port|-p|0",
        ),
        (
            &["forward", "-N", "-f", "-L", "0:h:21", "me@host"],
            "systemd",
        ),
        (&["forward", "-D", "1080", "me@host"], "SOCKS"),
        (
            &["forward", "--idle", "soon", "-L", "0:h:21", "me@host"],
            "10m, 2h or 1d",
        ),
        (&["nonsense"], "nonsense"),
        (&[], "Usage"),
    ] {
        let ended = run(home.path(), arguments).await;
        assert_eq!(ended.code, Some(2), "{arguments:?}: {ended:?}");
        assert_eq!(ended.stdout, "", "{arguments:?}");
        let said = says.split('|').any(|part| ended.stderr.contains(part));
        assert!(said, "{arguments:?}: {}", ended.stderr);
    }
}

#[tokio::test]
async fn a_port_that_is_in_use_is_named_before_anybody_logs_in() {
    let shore = Shore::new().await;
    let taken = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = taken.local_addr().unwrap();
    let forward = format!("{}:localhost:21", address.port());
    let ended = shore.run(&["-L", &forward]).await;
    let line = ended.one_line(1);
    assert!(line.contains(&address.to_string()), "{line}");
    assert!(line.contains("in use"), "{line}");
    assert!(line.contains("choose another port"), "{line}");
    assert_eq!(shore.ssh_server.logins(), 0);
}

#[tokio::test]
async fn an_address_of_another_host_cannot_be_listened_on() {
    let shore = Shore::new().await;
    // An address of TEST-NET-1, which no host here has (RFC 5737).
    let ended = shore
        .run(&[
            "-L",
            "192.0.2.1:0:localhost:21",
            "--allow-from",
            "192.0.2.0/24",
        ])
        .await;
    let line = ended.one_line(1);
    assert!(line.contains("192.0.2.1"), "{line}");
    assert!(line.contains("not one of this host"), "{line}");
}

#[tokio::test]
async fn an_unknown_host_key_names_the_files_and_the_fingerprint() {
    let shore = Shore::new().await;
    fs::write(&shore.known_hosts, "").unwrap();
    let ended = shore.run(&["-L", "0:localhost:21"]).await;
    let line = ended.one_line(1);
    for part in [
        shore.known_hosts.to_str().unwrap(),
        "ssh-ed25519 SHA256:",
        "not known",
        "StrictHostKeyChecking=accept-new",
    ] {
        assert!(line.contains(part), "{part}: {line}");
    }
    assert_eq!(shore.ssh_server.logins(), 0);
    assert_eq!(fs::read_to_string(&shore.known_hosts).unwrap(), "");
}

#[tokio::test]
async fn a_changed_host_key_names_the_file_and_the_line() {
    let shore = Shore::new().await;
    let other = KeyPair::generate(None).unwrap();
    let address = shore.ssh_server.address();
    let name = format!("[{}]:{}", address.ip(), address.port());
    let content = format!("# comment\nother.example {0}\n{name} {0}\n", other.public);
    fs::write(&shore.known_hosts, content).unwrap();
    for policy in ["yes", "ask", "accept-new", "no"] {
        let option = format!("StrictHostKeyChecking={policy}");
        let ended = shore.run(&["-o", &option, "-L", "0:localhost:21"]).await;
        let line = ended.one_line(1);
        let place = format!("{}:3", shore.known_hosts.display());
        for part in [place.as_str(), "CHANGED", "ssh-ed25519", "SHA256:"] {
            assert!(line.contains(part), "{policy}: {part}: {line}");
        }
    }
    assert_eq!(shore.ssh_server.logins(), 0);
}

#[tokio::test]
async fn a_revoked_host_key_names_the_file_and_the_line() {
    let shore = Shore::new().await;
    let known = fs::read_to_string(&shore.known_hosts).unwrap();
    fs::write(&shore.known_hosts, format!("{known}@revoked {known}")).unwrap();
    let ended = shore.run(&["-L", "0:localhost:21"]).await;
    let line = ended.one_line(1);
    let place = format!("{}:2", shore.known_hosts.display());
    assert!(line.contains(&place) && line.contains("revoked"), "{line}");
}

#[tokio::test]
async fn a_refused_log_in_says_what_was_tried_and_what_is_accepted() {
    let shore = Shore::new().await;
    fs::remove_file(&shore.key).unwrap();
    let other = KeyPair::generate(None).unwrap();
    write_private(&shore.key, &other.private);
    let ended = shore.run(&["-L", "0:localhost:21"]).await;
    let line = ended.one_line(1);
    for part in [
        "tester@127.0.0.1",
        "log-in refused",
        shore.key.to_str().unwrap(),
        "publickey",
    ] {
        assert!(line.contains(part), "{part}: {line}");
    }
}

#[tokio::test]
async fn a_key_that_cannot_be_used_is_named() {
    for content in [None, Some("no key at all\n")] {
        let shore = Shore::new().await;
        fs::remove_file(&shore.key).unwrap();
        if let Some(content) = content {
            write_private(&shore.key, content);
        }
        let ended = shore.run(&["-L", "0:localhost:21"]).await;
        let line = ended.one_line(1);
        let key = shore.key.to_str().unwrap();
        assert!(line.contains(key) && line.contains("not usable"), "{line}");
    }
}

#[tokio::test]
async fn an_ssh_server_that_is_not_there_is_named() {
    let shore = Shore::new().await;
    let (_nobody, address) = nobody();
    let port = address.port().to_string();
    let destination = format!("ssh://tester@{address}");
    let arguments = ["forward", "-L", "0:localhost:21", &destination];
    let ended = run(shore.home(), &arguments).await;
    let line = ended.one_line(1);
    for part in [
        "cannot connect to the SSH server",
        "127.0.0.1",
        &format!("port {port}"),
    ] {
        assert!(line.contains(part), "{part}: {line}");
    }
}

/// What a server at a wrong port sends, and whether it then stays.
const NO_SSH_SERVER: [(&[u8], bool); 4] = [
    (b"220 an FTP server\r\n", true),
    (b"220 an FTP server\r\n", false),
    (b"HTTP/1.1 400 Bad Request\r\n\r\n", false),
    (b"\x00\x01 no text at all \xff\xfe\r\n", true),
];

#[tokio::test]
async fn what_is_no_ssh_server_is_named() {
    for (greeting, stays) in NO_SSH_SERVER {
        let line = at_a_wrong_port(greeting, stays).await;
        assert!(line.contains("127.0.0.1 port "), "{line}");
    }
}

#[tokio::test]
async fn what_is_no_ssh_server_is_told_from_one() {
    for (greeting, stays) in NO_SSH_SERVER {
        let line = at_a_wrong_port(greeting, stays).await;
        assert!(line.contains("wrong port?"), "{line}");
    }
}

/// The one line with which `forward` ends where something else than an SSH server answers.
async fn at_a_wrong_port(greeting: &'static [u8], stays: bool) -> String {
    let home = tempfile::tempdir().unwrap();
    let other = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let destination = format!("ssh://tester@{}", other.local_addr().unwrap());
    let serving = tokio::spawn(async move {
        let mut kept = Vec::new();
        while let Ok((mut stream, _)) = other.accept().await {
            let _ = stream.write_all(greeting).await;
            if stays {
                kept.push(stream);
            }
        }
    });
    let arguments = [
        "forward",
        "-o",
        "ConnectTimeout=1",
        "-L",
        "0:localhost:21",
        &destination,
    ];
    let ended = run(home.path(), &arguments).await;
    serving.abort();
    ended.one_line(1).to_owned()
}

#[tokio::test]
async fn an_ssh_server_that_says_nothing_is_not_waited_for_for_ever() {
    let shore = Shore::new().await;
    let silent = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let destination = format!("ssh://tester@{}", silent.local_addr().unwrap());
    let arguments = [
        "forward",
        "-o",
        "ConnectTimeout=1",
        "-L",
        "0:localhost:21",
        &destination,
    ];
    let ended = run(shore.home(), &arguments).await;
    let line = ended.one_line(1);
    assert!(line.contains("within 1 s"), "{line}");
}
