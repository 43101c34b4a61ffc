//! Commands of no known verb that move data, and transfers that begin late.

use super::bench::{Bench, settings};
use crate::control::{ActiveMode, ForwardEvent, Settings};

const CUT: &str = "426 ferryline: the data connection was cut on its way through SSH; not all of the data has come";

/// A session with a listener that the client knows of.
fn passive(bench: &mut Bench) {
    bench.client("PASV", &["S> PASV"]);
    bench.server("227 =10,0,0,9,156,64", &["! local 1 localhost:40000"]);
    let told = "C< 227 Entering Passive Mode (127,0,0,1,200,13).";
    bench.ready(1, "127.0.0.1:51213", &[told]);
}

#[test]
fn q104_a_port_stays_while_its_transfer_waits_for_its_answer() {
    for verb in ["RETR tape", "ERET P 0 100 tape"] {
        let mut bench = Bench::local();
        passive(&mut bench);
        bench.client(verb, &[&format!("S> {verb}")]);
        // A file is fetched from a tape.
        bench.wait(75, &[]);
        bench.server("150 here it comes", &["C< 150 here it comes"]);
        bench.wait(75, &[]);
        bench.connected(1);
        bench.server("226 done", &[]);
        bench.event(1, ForwardEvent::Drained, &["C< 226 done"]);
    }
}

#[test]
fn q104_a_port_goes_where_nothing_waits_for_it() {
    let mut bench = Bench::local();
    passive(&mut bench);
    bench.wait(60, &["! close 1"]);

    // The transfer was refused, and the client may ask for another within the time that is left.
    let mut bench = Bench::local();
    passive(&mut bench);
    bench.client("RETR tape", &["S> RETR tape"]);
    bench.wait(75, &[]);
    bench.server("550 no such tape", &["C< 550 no such tape"]);
    bench.wait(60, &["! close 1"]);

    // Nor without limit.
    let mut bench = Bench::local();
    passive(&mut bench);
    bench.client("RETR tape", &["S> RETR tape"]);
    for _ in 0..59 {
        bench.wait(60, &[]);
    }
    bench.wait(60, &["! close 1"]);
}

#[test]
fn q105_a_1xx_makes_a_transfer_of_any_command() {
    for verb in ["ERET P 0 100 f", "THMB png 10 10 f", "XYZZY"] {
        let mut bench = Bench::local();
        bench.passive_connected(1);
        bench.client(verb, &[&format!("S> {verb}")]);
        bench.server("150 here it comes", &["C< 150 here it comes"]);
        // The EOF overtakes the data.
        bench.server("226 done", &[]);
        bench.event(1, ForwardEvent::Drained, &["C< 226 done"]);
        bench.event(1, ForwardEvent::Ended, &[]);
    }
}

#[test]
fn q105_active_mode_carried_as_passive_calls_the_client_for_any_command() {
    let mut bench = Bench::greeted(Settings {
        active: ActiveMode::Passive,
        ..settings()
    });
    bench.client("PORT 127,0,0,1,200,1", &["S> EPSV"]);
    bench.server(
        "229 ok (|||40000|)",
        &["! joined 1 localhost:40000 to 127.0.0.1:51201"],
    );
    bench.ready(
        1,
        "127.0.0.1:51201",
        &["C< 200 ferryline: active mode, carried as passive"],
    );
    bench.client("ESTO A 0 f", &["S> ESTO A 0 f"]);
    bench.server("150 send it", &["! join 1", "C< 150 send it"]);
    bench.connected(1);
    bench.server("226 stored", &[]);
    bench.event(1, ForwardEvent::Ended, &["C< 226 stored"]);
}

#[test]
fn q105_an_upload_by_an_unknown_verb_that_was_cut_is_no_success() {
    // Behind its 1xx, and before.
    for late in [false, true] {
        let mut bench = Bench::local();
        bench.passive_connected(1);
        bench.client("ESTO A 0 f", &["S> ESTO A 0 f"]);
        if late {
            bench.event(1, ForwardEvent::Cut, &[]);
            bench.server("150 send it", &[]);
            bench.server(
                "226 stored",
                &[&format!("C< {}", CUT.replace("426", "425"))],
            );
        } else {
            bench.server("150 send it", &["C< 150 send it"]);
            bench.event(1, ForwardEvent::Cut, &[]);
            bench.server("226 stored", &[&format!("C< {CUT}")]);
        }
    }
}

/// The server must not take what it has for the whole file.
#[test]
fn q105_an_upload_by_an_unknown_verb_that_its_client_breaks_off_ends_the_session() {
    let mut bench = Bench::local();
    bench.passive_connected(1);
    bench.client("ESTO A 0 f", &["S> ESTO A 0 f"]);
    bench.server("150 send it", &["C< 150 send it"]);
    bench.event(
        1,
        ForwardEvent::Broken,
        &[
            "C< 421 ferryline: the data connection of an upload broke; the session ends, so that the FTP \
             server does not take what it has for the whole file",
            "! end, abort, then close 1",
        ],
    );
}

#[test]
fn q105_small_data_may_come_before_the_1xx() {
    let mut bench = Bench::local();
    bench.passive_connected(1);
    bench.client("ERET P 0 1 f", &["S> ERET P 0 1 f"]);
    bench.event(1, ForwardEvent::Drained, &[]);
    bench.server("150 here it comes", &["C< 150 here it comes"]);
    bench.server("226 done", &["C< 226 done"]);
    bench.event(1, ForwardEvent::Ended, &[]);
}

#[test]
fn q105_a_1xx_without_a_data_connection_changes_nothing() {
    let mut bench = Bench::local();
    bench.client("SITE UTIME", &["S> SITE UTIME"]);
    bench.server("150 thinking", &["C< 150 thinking"]);
    bench.server("200 done", &["C< 200 done"]);
    bench.client("REST 1", &["S> REST 1"]);
    bench.server("350 ok", &["C< 350 ok"]);
}

/// 120 says that the service will be ready later, and nothing about a data connection.
#[test]
fn q105_a_120_makes_no_transfer() {
    let mut bench = Bench::local();
    bench.passive_connected(1);
    bench.client("XYZZY", &["S> XYZZY"]);
    bench.server("120 in a minute", &["C< 120 in a minute"]);
    bench.server("220 ready", &["C< 220 ready"]);
}

/// A data connection that ended early was the unknown command's: the next command is not refused for it.
#[test]
fn q105_data_that_ends_before_the_1xx_spoils_no_later_transfer() {
    let mut bench = Bench::local();
    bench.passive_connected(1);
    bench.client("ERET P 0 1 f", &["S> ERET P 0 1 f"]);
    bench.event(1, ForwardEvent::Drained, &[]);
    bench.server("150 here it comes", &["C< 150 here it comes"]);
    bench.server("226 done", &["C< 226 done"]);
    bench.event(1, ForwardEvent::Ended, &[]);
    bench.client("RETR g", &["S> RETR g"]);
}
