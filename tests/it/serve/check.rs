//! Looking at the file without serving it.

use std::fs;

use super::support::{ssh_table, tunnel};
use crate::common::{ScriptedServer, Shore, answer, run};

#[tokio::test]
async fn check_config_says_what_is_wrong_and_what_is_not() {
    let shore = Shore::new().await;
    let server = ScriptedServer::new().start().await;
    let text = ssh_table("dc1", &shore) + &tunnel("erp", server.address());
    let file = shore.home().join("f.toml");
    let path = file.to_str().unwrap();
    let arguments = ["serve", "-c", path, "--check-config"];
    fs::write(&file, &text).unwrap();
    let right = run(shore.home(), &arguments).await;
    assert_eq!(
        (right.code, right.stderr.as_str()),
        (Some(0), ""),
        "{right:?}"
    );
    fs::write(&file, text.clone() + "idle = 1.5\nrecord-limit = 5\n").unwrap();
    let wrong = run(shore.home(), &arguments).await;
    assert_eq!(wrong.code, Some(2), "{wrong:?}");
    let lines: Vec<&str> = wrong.stderr.lines().collect();
    assert_eq!(lines.len(), 2, "{wrong:?}");
    for (line, number) in lines.iter().zip([10, 11]) {
        assert!(
            line.starts_with(&format!("ferryline: {path}:{number}: [tunnel.erp] ")),
            "{line}"
        );
    }
    // Without the option it does not start, either.
    let refused = run(shore.home(), &["serve", "-c", path]).await;
    assert_eq!((refused.code, refused.stderr), (Some(2), wrong.stderr));
    let missing = run(
        shore.home(),
        &["serve", "-c", "none.toml", "--check-config"],
    )
    .await;
    assert!(missing.one_line(2).starts_with("cannot read none.toml: "));
}

#[tokio::test]
async fn check_takes_a_tunnel_of_the_file() {
    let shore = Shore::new().await;
    let server = ScriptedServer::new()
        .on("FEAT", answer().send("211 none\r\n"))
        .start()
        .await;
    let text = ssh_table("dc1", &shore) + &tunnel("erp", server.address());
    let file = shore.home().join("f.toml");
    fs::write(&file, text).unwrap();
    let path = file.to_str().unwrap();
    for config in [["-c", path], ["--config", path]] {
        let arguments = [&["check"][..], &config, &["--tunnel", "erp"]].concat();
        let checked = run(shore.home(), &arguments).await;
        assert_eq!(checked.code, Some(0), "{checked:?}");
        let target = format!("127.0.0.1:{}", server.address().port());
        assert!(checked.stdout.contains(&target), "{checked:?}");
    }
    let unknown = run(shore.home(), &["check", "-c", path, "--tunnel", "crm"]).await;
    assert_eq!(
        unknown.one_line(2),
        format!("{path} has no [tunnel.crm]; it has erp")
    );
    // It is the file that says the rest.
    let both = run(
        shore.home(),
        &["check", "-c", path, "--tunnel", "erp", "--idle", "1h"],
    )
    .await;
    assert_eq!(both.code, Some(2), "{both:?}");
    assert!(both.stderr.contains("cannot be used with"), "{both:?}");
}
