//! Keys, certificates, passwords and answers that the server does not accept.

use std::fs;

use ferryline::demo::ssh_server::Question;

use crate::program::Shore;
use crate::{Row, row};

pub(super) fn rows() -> Vec<Row> {
    let party = "SSH server";
    vec![
        row(
            "key of somebody else",
            party,
            "check the user name",
            &["/key", "publickey"],
            async {
                let shore = Shore::new().await;
                shore.wrong_key();
                shore.refusal(&[]).await
            },
        ),
        row(
            "user unknown",
            party,
            "check the user name",
            &["somebody@127.0.0.1"],
            async { Shore::new().await.refusal(&["-l", "somebody"]).await },
        ),
        row(
            "password wrong",
            party,
            "check the user name and the password",
            &["password, password, password"],
            async {
                let shore = Shore::with(|o| o.password = Some("right".into())).await;
                shore.wrong_key();
                shore.asking("wrong");
                shore.refusal(&[]).await
            },
        ),
        row(
            "answers of keyboard-interactive wrong",
            party,
            "check the user name and the password",
            &["keyboard-interactive"],
            async {
                let shore = Shore::with(|o| {
                    let question = |text: &str, answer| Question {
                        text: text.to_owned(),
                        shown: false,
                        answer,
                    };
                    let first = vec![question("Password:", "both".into())];
                    o.rounds = vec![first, vec![question("Code:", "another".into())]];
                })
                .await;
                shore.wrong_key();
                shore.asking("both");
                shore.refusal(&[]).await
            },
        ),
        row(
            "password wanted, nobody to ask",
            party,
            "SSH_ASKPASS",
            &["password (none given)"],
            async {
                let shore = Shore::with(|o| o.password = Some("right".into())).await;
                shore.wrong_key();
                shore.refusal(&[]).await
            },
        ),
        row(
            "password wanted, in batch mode",
            party,
            "name a key",
            &["batch mode"],
            async {
                let shore = Shore::with(|o| o.password = Some("right".into())).await;
                shore.wrong_key();
                shore.asking("right");
                shore.refusal(&["-o", "BatchMode=yes"]).await
            },
        ),
        row(
            "password wanted besides the key",
            party,
            "check the user name and the password",
            &["password"],
            async {
                let shore = Shore::with(|o| {
                    o.password = Some("right".into());
                    o.key_first = true;
                })
                .await;
                shore.asking("wrong");
                shore.refusal(&[]).await
            },
        ),
        row(
            "more tries than the server allows",
            party,
            "check the user name and the password",
            &["no more attempts", "Too many"],
            async {
                let shore = Shore::with(|o| {
                    o.password = Some("right".into());
                    o.max_attempts = Some(2);
                })
                .await;
                shore.wrong_key();
                shore.asking("wrong");
                shore.refusal(&[]).await
            },
        ),
        row(
            "key file missing",
            party,
            "-i",
            &["/key (not usable", "No such file"],
            async {
                let shore = Shore::new().await;
                fs::remove_file(shore.file("key")).unwrap();
                shore.refusal(&[]).await
            },
        ),
        row(
            "key file that others may read",
            party,
            "chmod 600",
            &["/key", "0644"],
            async {
                use std::os::unix::fs::PermissionsExt;
                let shore = Shore::new().await;
                fs::set_permissions(shore.file("key"), fs::Permissions::from_mode(0o644)).unwrap();
                let said = shore.refusal(&[]).await;
                said.lines().last().unwrap().to_owned()
            },
        ),
        row(
            "key file that is none",
            party,
            "-i",
            &["/key", "no private key"],
            async {
                let shore = Shore::new().await;
                shore.key_file("garbage\n");
                shore.refusal(&[]).await
            },
        ),
        row(
            "key file encrypted, nobody to ask",
            party,
            "add the key to an agent with ssh-add ",
            &["/key", "passphrase"],
            async {
                let shore = Shore::encrypted("right").await;
                shore.refusal(&[]).await
            },
        ),
        row(
            "key file encrypted, passphrase wrong",
            party,
            "-i",
            &["/key (wrong passphrase)"],
            async {
                let shore = Shore::encrypted("right").await;
                shore.asking("wrong");
                shore.refusal(&[]).await
            },
        ),
        row(
            "certificate without its key",
            party,
            "name it with -i",
            &["key-cert.pub", "no private key for it"],
            async {
                let shore = Shore::new().await;
                // The key beside it is another one.
                shore.certificate_of_another_key();
                shore.wrong_key();
                shore.refusal(&[]).await
            },
        ),
        row(
            "agent not there",
            party,
            "add one to the agent",
            &["/nowhere/agent", "No such file"],
            async {
                let shore = Shore::new().await;
                shore.wrong_key();
                shore.refusal(&["-o", "IdentityAgent=/nowhere/agent"]).await
            },
        ),
    ]
}
