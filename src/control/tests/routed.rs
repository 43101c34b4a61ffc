//! Sessions whose client named its FTP server in its user name.

use super::bench::{Bench, settings};
use crate::control::{Ending, Settings};

fn routed() -> Bench {
    Bench::new(Settings {
        server_host: "ftp.example".into(),
        server_on_ssh_host: false,
        routed: Some("FTP.example:2100".into()),
        ..settings()
    })
}

#[test]
fn the_servers_greeting_is_taken_off_and_it_gets_the_plain_name() {
    let mut bench = routed();
    bench.client("USER me@corp@ftp.example:2100", &[]);
    bench.server("220-welcome", &[]);
    bench.server("220-227 (1,2,3,4,100,1)", &[]);
    bench.server("220 ready", &["S> USER me@corp"]);
    bench.server("331 password", &["C< 331 password"]);
    bench.client("PASS secret", &["S> PASS secret"]);
    bench.server("230 in", &["C< 230 in"]);
}

#[test]
fn what_was_sent_ahead_waits_for_the_greeting() {
    let mut bench = routed();
    bench.client("USER me@ftp.example:2100", &[]);
    bench.client("PASS secret", &[]);
    bench.client("PORT 127,0,0,1,200,13", &[]);
    bench.server("120 soon", &[]);
    bench.server("220 ready", &["S> USER me", "S> PASS secret", "S> EPSV"]);
    bench.server("331 password", &["C< 331 password"]);
    bench.server("230 in", &["C< 230 in"]);
}

#[test]
fn a_server_that_sends_the_client_away_is_heard() {
    let mut bench = routed();
    bench.client("USER me@ftp.example:2100", &[]);
    bench.server(
        "421 too many users",
        &["S> USER me", "C< 421 too many users"],
    );
    bench.server_ended(Ending::Eof, &["! end"]);
}

#[test]
fn a_second_log_in_stays_with_the_server() {
    let mut bench = routed();
    bench.client("USER me@ftp.example:2100", &[]);
    bench.server("220 ready", &["S> USER me"]);
    bench.server("530 no", &["C< 530 no"]);
    bench.client("USER you@FTP.EXAMPLE:2100", &["S> USER you"]);
    bench.server("530 no", &["C< 530 no"]);
    bench.client("USER her", &["S> USER her"]);
    bench.server("530 no", &["C< 530 no"]);
    bench.client(
        "USER him@other.example",
        &["C< 530 ferryline: this connection is to FTP.example:2100; open another for another FTP server"],
    );
    bench.client("PASS a@b", &["S> PASS a@b"]);
}

#[test]
fn elsewhere_a_user_name_is_the_servers_affair() {
    let mut bench = Bench::local();
    bench.client("USER me@ftp.example", &["S> USER me@ftp.example"]);
}
