//! What is reported of transfers, for the log.

use std::time::Duration;

use super::bench::{Bench, id};
use crate::control::{
    DataCommand, DataCommands, Ending, FileParameters, ForwardEvent, TransferReport,
};

/// A client whose download the server has begun.
fn downloading() -> Bench {
    let mut bench = Bench::local();
    bench.passive_connected(1);
    bench.wait(3, &[]);
    bench.client("RETR out/a.csv", &["S> RETR out/a.csv"]);
    bench.server("150 here", &["C< 150 here"]);
    bench
}

fn reports(bench: &mut Bench) -> Vec<TransferReport> {
    bench.reports.drain(..).collect()
}

#[test]
fn a_transfer_is_reported_when_its_client_has_the_final_reply() {
    let mut bench = downloading();
    bench.server("226 done", &[]);
    assert_eq!(reports(&mut bench), []);
    bench.event(1, ForwardEvent::Drained, &["C< 226 done"]);
    assert_eq!(
        reports(&mut bench),
        [TransferReport {
            command: "RETR out/a.csv".into(),
            forward: Some(id(1)),
            asked_by: Some(DataCommands {
                client: DataCommand::Pasv,
                server: DataCommand::Pasv,
            }),
            begun: true,
            parameters: Some(FileParameters {
                directory: Some("".into()),
                representation: b'A',
                offset: 0,
                plain: true,
            }),
            sent_at: Duration::from_secs(3),
            answer: Some("226 done\r\n".into()),
        }]
    );
    bench.client("NOOP", &["S> NOOP"]);
    bench.server("200 ok", &["C< 200 ok"]);
    assert_eq!(reports(&mut bench), []);
}

#[test]
fn a_refused_transfer_is_reported_with_its_refusal() {
    let mut bench = Bench::local();
    bench.client("RETR nothing", &["S> RETR nothing"]);
    bench.server("550 no such file", &["C< 550 no such file"]);
    let reports = reports(&mut bench);
    assert_eq!(reports.len(), 1);
    assert_eq!(reports[0].forward, None);
    assert_eq!(
        reports[0].answer.as_deref(),
        Some(&b"550 no such file\r\n"[..])
    );
}

#[test]
fn what_ferryline_answers_is_reported_once() {
    let mut bench = Bench::local();
    bench.passive_connected(1);
    bench.client("STOR f", &["S> STOR f"]);
    bench.server("150 go ahead", &["C< 150 go ahead"]);
    bench.event(1, ForwardEvent::Cut, &[]);
    bench.wait(5, &["C< 426 ferryline: the data connection was cut on its way through SSH; not all of the data has come"]);
    let told = reports(&mut bench);
    assert_eq!(told.len(), 1);
    assert!(
        told[0]
            .answer
            .as_ref()
            .unwrap()
            .starts_with(b"426 ferryline: ")
    );
    bench.server("226 done", &[]);
    assert_eq!(reports(&mut bench), []);
}

#[test]
fn a_transfer_that_is_not_sent_is_reported_too() {
    let mut bench = Bench::local();
    bench.passive_connected(1);
    bench.event(1, ForwardEvent::Cut, &[]);
    bench.client(
        "RETR f",
        &["C< 425 ferryline: the data connection was cut on its way through SSH; not all of the data has come"],
    );
    let told = reports(&mut bench);
    assert_eq!(told.len(), 1);
    assert!(
        told[0]
            .answer
            .as_ref()
            .unwrap()
            .starts_with(b"425 ferryline: ")
    );
}

#[test]
fn what_runs_at_the_end_of_a_session_has_no_reply() {
    let mut bench = downloading();
    bench.client_ended(Ending::Lost, &["! end, abort, then close 1"]);
    let told = reports(&mut bench);
    assert_eq!(told.len(), 1);
    assert_eq!(told[0].answer, None);
}

#[test]
fn what_runs_when_the_server_goes_has_no_reply() {
    let mut bench = Bench::local();
    bench.passive_connected(1);
    bench.client("RETR f", &["S> RETR f"]);
    bench.server("150 here", &["C< 150 here"]);
    bench.server_ended(Ending::Eof, &["! end"]);
    let told = reports(&mut bench);
    assert_eq!(told.len(), 1);
    assert_eq!((told[0].answer.clone(), told[0].begun), (None, true));
}

#[test]
fn a_report_says_how_the_data_connection_was_asked_for_on_both_sides() {
    // A server without EPSV, and a client that asks for it.
    let mut bench = Bench::local();
    bench.client("EPSV", &["S> EPSV"]);
    bench.server("500 what?", &["S> PASV"]);
    bench.server("227 ok (10,0,0,9,156,64)", &["! local 1 localhost:40000"]);
    bench.ready(
        1,
        "127.0.0.1:51213",
        &["C< 229 Entering Extended Passive Mode (|||51213|)"],
    );
    bench.client("RETR f", &["S> RETR f"]);
    bench.server("550 no", &["C< 550 no"]);
    let told = reports(&mut bench);
    let asked = told[0].asked_by.unwrap();
    assert_eq!(
        (asked.client, asked.server),
        (DataCommand::Epsv, DataCommand::Pasv)
    );
}
