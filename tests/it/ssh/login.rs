//! Host keys and logging in, against the embedded server.

use std::time::Duration;

use ferryline::demo::ssh_server::{HostCertificate, KeyPair, Question};
use ferryline::ssh::{Error, Identity, Settings, StrictHostKeyChecking};
use tokio::io::AsyncWriteExt;

use crate::ssh::support::{Script, World, echo_server, originator, ping, serve, until, within};

#[tokio::test]
async fn a_known_host_and_a_key_are_enough() {
    let world = World::new().await;
    let script = Script::new([]);
    let session = world.try_connect(script.clone()).await.unwrap();
    let address = world.server.address();
    assert_eq!(
        session.destination(),
        format!("anna@127.0.0.1:{}", address.port())
    );
    assert!(session.stats().control_is_up);
    assert!(script.asked().is_empty(), "nobody is asked");
    within("close", session.close()).await;
    until("the server sees it", || world.server.connections() == 0).await;
    assert!(!session.stats().control_is_up);
    let error = session.lane().await.unwrap_err();
    assert!(matches!(error, Error::Closed { .. }), "{error}");
}

#[tokio::test]
async fn an_unknown_host_is_refused_with_its_fingerprint_and_the_files_searched() {
    let mut world = World::new().await;
    let empty = world.write("empty", "");
    world.settings.known_hosts = vec![empty.clone()];
    world.settings.global_known_hosts = vec!["/nowhere/ssh_known_hosts".into()];
    let error = world.try_connect(Script::new([])).await.unwrap_err();
    assert!(matches!(error, Error::HostKeyUnknown { .. }), "{error}");
    let text = error.to_string();
    assert!(text.contains(&empty.display().to_string()), "{text}");
    assert!(text.contains("/nowhere/ssh_known_hosts"), "{text}");
    assert!(text.contains("SHA256:"), "{text}");
    assert_eq!(world.server.logins(), 0, "nothing was given away");
}

#[tokio::test]
async fn accept_new_stores_the_key_and_knows_it_from_then_on() {
    let mut world = World::new().await;
    let file = world.dir.path().join("dot-ssh/known_hosts");
    world.settings.known_hosts = vec![file.clone()];
    world.settings.strict_host_key_checking = StrictHostKeyChecking::AcceptNew;
    drop(world.connect().await);
    assert_eq!(
        std::fs::read_to_string(&file).unwrap(),
        world.server.known_hosts()
    );
    world.settings.strict_host_key_checking = StrictHostKeyChecking::Yes;
    drop(world.connect().await);
}

#[tokio::test]
async fn asking_stores_the_key_after_a_yes_only() {
    let mut world = World::new().await;
    let file = world.write("fresh", "");
    world.settings.known_hosts = vec![file.clone()];
    world.settings.strict_host_key_checking = StrictHostKeyChecking::Ask;
    // A person may take longer than the network.
    let error = world.try_connect(Script::new(["no"])).await.unwrap_err();
    assert!(matches!(error, Error::HostKeyUnknown { .. }), "{error}");
    let script = Script::new(["yes"]);
    world.try_connect(script.clone()).await.unwrap();
    assert!(script.asked()[0].contains("SHA256:"));
    assert_eq!(
        std::fs::read_to_string(&file).unwrap(),
        world.server.known_hosts()
    );
}

#[tokio::test]
async fn a_changed_host_key_names_the_line() {
    let mut world = World::new().await;
    let other = KeyPair::generate(None).unwrap().public;
    let port = world.server.address().port();
    let text = format!("# one\nelsewhere {other}\n[127.0.0.1]:{port} {other}\n");
    let file = world.write("changed", &text);
    world.settings.known_hosts = vec![file.clone()];
    for policy in [
        StrictHostKeyChecking::Yes,
        StrictHostKeyChecking::Ask,
        StrictHostKeyChecking::AcceptNew,
        StrictHostKeyChecking::No,
    ] {
        world.settings.strict_host_key_checking = policy;
        let script = Script::new(["yes"]);
        let error = world.try_connect(script.clone()).await.unwrap_err();
        let at = format!("{}:3", file.display());
        assert!(error.to_string().contains(&at), "{error}");
        assert!(script.asked().is_empty());
    }
}

#[tokio::test]
async fn a_revoked_host_key_is_refused() {
    let mut world = World::new().await;
    let key = world.server.host_public_key();
    let known = world.server.known_hosts();
    let file = world.write("revoked", &format!("{known}@revoked * {key}\n"));
    world.settings.known_hosts = vec![file.clone()];
    let error = world.try_connect(Script::new([])).await.unwrap_err();
    assert!(
        error.to_string().contains(&format!("{}:2", file.display())),
        "{error}"
    );
}

#[tokio::test]
async fn of_several_host_keys_the_known_one_is_asked_for() {
    let mut world = World::with(|o| o.ecdsa_host_key = true).await;
    let lines = world.server.known_hosts();
    let ecdsa = lines.lines().find(|l| l.contains("ecdsa")).unwrap();
    let file = world.write("ecdsa only", ecdsa);
    world.settings.known_hosts = vec![file];
    drop(world.connect().await);
}

#[tokio::test]
async fn a_wrong_key_is_refused_with_what_was_tried_and_what_would_do() {
    let mut world = World::new().await;
    let wrong = KeyPair::generate(None).unwrap();
    let path = world.write("wrong", &wrong.private);
    world.settings.identities = vec![
        Identity {
            path: "/nowhere/id_rsa".into(),
            explicit: false,
        },
        Identity {
            path: path.clone(),
            explicit: true,
        },
    ];
    let error = world.try_connect(Script::new([])).await.unwrap_err();
    let text = error.to_string();
    assert!(matches!(error, Error::LoginRefused { .. }), "{text}");
    assert!(text.contains(&path.display().to_string()), "{text}");
    assert!(text.contains("accepts publickey"), "{text}");
    assert!(
        !text.contains("/nowhere"),
        "default keys are skipped silently: {text}"
    );
}

#[tokio::test]
async fn an_encrypted_key_asks_for_its_passphrase_once() {
    let mut world = World::new().await;
    let key = KeyPair::generate(Some("open sesame")).unwrap();
    let locked_only = World::with(|o| o.authorized_keys = vec![key.public.clone()]).await;
    world.server = locked_only.server;
    world.settings.port = world.server.address().port();
    world.settings.known_hosts = vec![world.write("kh", &world.server.known_hosts())];
    let path = world.write("locked", &key.private);
    world.settings.identities = vec![Identity {
        path: path.clone(),
        explicit: true,
    }];
    let script = Script::new(["wrong", "open sesame"]);
    let session = world.try_connect(script.clone()).await.unwrap();
    assert_eq!(script.asked().len(), 2);
    assert!(script.asked()[0].contains(&path.display().to_string()));
    let lane = session.lane().await.unwrap();
    assert!(
        !lane.is_shared_control(),
        "a lane logs in with the key already open"
    );
    assert_eq!(script.asked().len(), 2, "and asks nobody");

    world.settings.batch_mode = true;
    let script = Script::new(["open sesame"]);
    let error = world.try_connect(script.clone()).await.unwrap_err();
    assert!(error.to_string().contains("passphrase"), "{error}");
    assert!(script.asked().is_empty());
}

#[tokio::test]
async fn a_refused_encrypted_key_asks_for_no_passphrase() {
    let mut world = World::new().await;
    let key = KeyPair::generate(Some("pass")).unwrap();
    world.settings.identities = vec![Identity {
        path: world.write("locked", &key.private),
        explicit: true,
    }];
    let script = Script::new(["pass"]);
    world.try_connect(script.clone()).await.unwrap_err();
    assert!(script.asked().is_empty());
}

#[tokio::test]
async fn passwords() {
    for keyboard_interactive in [false, true] {
        let mut world = World::with(|o| {
            o.password = Some("sesame".into());
            o.keyboard_interactive = keyboard_interactive;
            o.authorized_keys.clear();
        })
        .await;
        let script = Script::new(["wrong", "sesame"]);
        let session = world.try_connect(script.clone()).await.unwrap();
        assert_eq!(script.asked().len(), 2);
        let lane = session.lane().await.unwrap();
        assert!(!lane.is_shared_control());
        assert_eq!(script.asked().len(), 2, "lanes ask nobody");

        let script = Script::new(["a", "b", "c", "sesame"]);
        let error = world.try_connect(script.clone()).await.unwrap_err();
        assert!(matches!(error, Error::LoginRefused { .. }), "{error}");
        assert_eq!(script.asked().len(), 3);
        assert!(!error.to_string().contains("sesame"));

        world.settings.password_authentication = false;
        world.settings.kbd_interactive_authentication = false;
        let script = Script::new(["sesame"]);
        world.try_connect(script.clone()).await.unwrap_err();
        assert!(script.asked().is_empty());
    }
}

fn question(text: &str, shown: bool, answer: &str) -> Question {
    Question {
        text: text.to_owned(),
        shown,
        answer: answer.into(),
    }
}

#[tokio::test]
async fn several_questions_in_several_rounds() {
    let world = World::with(|o| {
        o.authorized_keys.clear();
        let first = vec![
            question("Password:", false, "sesame"),
            question("Name:", true, "Anna"),
        ];
        o.rounds = vec![first, vec![question("Code:", true, "123456")]];
    })
    .await;
    let script = Script::new(["sesame", "Anna", "123456"]);
    let session = world.try_connect(script.clone()).await.unwrap();
    let asked = script.asked();
    assert_eq!(asked.len(), 3, "{asked:?}");
    assert!(
        asked[0].starts_with("Round 1\n(anna@127.0.0.1:"),
        "{asked:?}"
    );
    assert!(asked[0].ends_with(") Password: "), "{asked:?}");
    assert!(!asked[1].contains("Round"), "said once: {asked:?}");
    assert!(asked[2].starts_with("Round 2\n"), "{asked:?}");
    // One-time answers cannot be used for a second connection: data shares the first.
    assert!(session.lane().await.unwrap().is_shared_control());
    assert_eq!(script.asked().len(), 3, "and nobody is asked for it");

    // A wrong answer begins anew. Where no person is there, the log-in ends at once.
    let script = Script::new(["sesame", "Hanna", "sesame", "Anna", "123456"]);
    world.try_connect(script.clone()).await.unwrap();
    assert_eq!(script.asked().len(), 5);
    let error = within("the refusal", world.try_connect(Script::new(["sesame"]))).await;
    let error = error.unwrap_err().to_string();
    assert!(
        error.contains("keyboard-interactive (no answer given)"),
        "{error}"
    );
}

#[tokio::test]
async fn a_key_and_then_a_password_or_answers() {
    for interactive in [false, true] {
        let mut world = World::with(|o| {
            o.key_first = true;
            o.password = Some("sesame".into());
            if interactive {
                o.rounds = vec![vec![question("Password:", false, "sesame")]];
            }
        })
        .await;
        let script = Script::new(["wrong", "sesame"]);
        let session = world.try_connect(script.clone()).await.unwrap();
        assert_eq!(script.asked().len(), 2, "{:?}", script.asked());
        let lane = session.lane().await.unwrap();
        assert!(!lane.is_shared_control(), "both are done again for a lane");
        assert_eq!(script.asked().len(), 2);
        // Without the key there is no passphrase to ask for.
        world.settings.pubkey_authentication = false;
        let script = Script::new(["sesame"]);
        world.try_connect(script.clone()).await.unwrap_err();
        assert!(script.asked().is_empty());
    }
}

#[tokio::test]
async fn the_order_of_methods_can_be_chosen() {
    let mut world = World::with(|o| o.password = Some("sesame".into())).await;
    world.settings.preferred_authentications = Some(vec!["password".into(), "publickey".into()]);
    let script = Script::new(["sesame"]);
    world.try_connect(script.clone()).await.unwrap();
    assert_eq!(script.asked().len(), 1);
    world.settings.password_prompts = 1;
    let script = Script::new(["wrong", "wrong"]);
    world.try_connect(script.clone()).await.unwrap();
    assert_eq!(script.asked().len(), 1, "then the key");
}

#[tokio::test]
async fn a_host_certificate_is_as_good_as_a_known_key() {
    let authority = KeyPair::generate(None).unwrap();
    let mut world = World::with(|o| {
        o.host_certificate = Some(HostCertificate {
            authority: authority.private.clone(),
            principal: "127.0.0.1".into(),
            valid_before: u64::MAX,
        });
    })
    .await;
    let authority = authority.public;
    let other = KeyPair::generate(None).unwrap().public;
    let port = world.server.address().port();
    // An entry for all ports, as ssh takes it; and one beside a plain key that is another one.
    for known in [
        format!("@cert-authority 127.0.0.* {authority}\n"),
        format!("[127.0.0.1]:{port} {other}\n@cert-authority [127.0.0.1]:{port} {authority}\n"),
    ] {
        world.settings.known_hosts = vec![world.write("authority", &known)];
        let session = world.connect().await;
        assert!(!session.lane().await.unwrap().is_shared_control());
    }
    // Another authority's certificate counts no more than the key in it.
    let known = format!("@cert-authority * {other}\n");
    world.settings.known_hosts = vec![world.write("authority", &known)];
    let error = world.try_connect(Script::new([])).await.unwrap_err();
    assert!(matches!(error, Error::HostKeyUnknown { .. }), "{error}");
}

#[tokio::test]
async fn the_fingerprint_is_an_answer_too() {
    let mut world = World::new().await;
    world.settings.known_hosts = vec![world.write("fresh", "")];
    let error = world.try_connect(Script::new([])).await.unwrap_err();
    let text = error.to_string();
    let at = text.find("SHA256:").unwrap();
    let fingerprint = text[at..].split(' ').next().unwrap();
    world.settings.strict_host_key_checking = StrictHostKeyChecking::Ask;
    let script = Script::new(["perhaps", fingerprint]);
    world.try_connect(script.clone()).await.unwrap();
    assert!(script.asked()[1].starts_with("Please type 'yes', 'no' or the fingerprint"));
}

#[tokio::test]
async fn an_agent_that_is_not_there_is_no_obstacle() {
    let mut world = World::new().await;
    world.settings.agent = Some("/nowhere/agent.sock".into());
    drop(world.connect().await);
}

#[tokio::test]
async fn what_is_no_ssh_server_is_named() {
    let http = serve(|mut tcp| async move {
        let _ = tcp.write_all(b"HTTP/1.0 400 Bad Request\r\n\r\n").await;
    })
    .await;
    let settings = Settings::new("127.0.0.1", http.port(), "anna");
    let script = Script::new([]);
    let error = ferryline::ssh::Session::connect(settings, script)
        .await
        .unwrap_err();
    assert!(
        matches!(error, Error::NotSsh { .. } | Error::Handshake { .. }),
        "{error:?}"
    );
    assert!(
        error.to_string().contains(&http.port().to_string()),
        "{error}"
    );
}

#[tokio::test]
async fn refused_unresolved_and_silent_servers_are_told_apart() {
    let closed = {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        listener.local_addr().unwrap().port()
    };
    let connect = |host: &str, port| {
        let mut settings = Settings::new(host, port, "anna");
        settings.connect_timeout = Duration::from_millis(300);
        ferryline::ssh::Session::connect(settings, Script::new([]))
    };
    let error = connect("127.0.0.1", closed).await.unwrap_err();
    assert!(matches!(error, Error::Connect { .. }), "{error}");
    let error = connect("no-such-host.invalid", 22).await.unwrap_err();
    assert!(matches!(error, Error::Resolve { .. }), "{error}");
    let silent = serve(|tcp| async move {
        let _tcp = tcp;
        std::future::pending().await
    })
    .await;
    let error = connect("127.0.0.1", silent.port()).await.unwrap_err();
    assert!(matches!(error, Error::Timeout { .. }), "{error}");
}

#[tokio::test]
async fn time_limits_leave_a_person_time_to_answer() {
    struct Slow;
    impl ferryline::ssh::Prompt for Slow {
        fn secret(&self, _: &str) -> Option<ferryline::ssh::Secret> {
            std::thread::sleep(Duration::from_millis(2500));
            Some(ferryline::ssh::Secret::new("sesame"))
        }
    }
    let mut world = World::with(|o| {
        o.password = Some("sesame".into());
        o.authorized_keys.clear();
    })
    .await;
    world.settings.connect_timeout = Duration::from_secs(2);
    let session =
        ferryline::ssh::Session::connect(world.settings.clone(), std::sync::Arc::new(Slow))
            .await
            .unwrap();
    let echo = echo_server().await;
    let mut channel = session
        .open_control("127.0.0.1", echo.port(), originator())
        .await
        .unwrap();
    ping(&mut channel).await;
}
