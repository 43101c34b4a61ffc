//! Which data connection a transfer uses, and when its final reply may pass.

use super::bench::Bench;
use crate::control::{Ending, ForwardEvent};

const CUT: &str = "C< 426 ferryline: the data connection was cut on its way through SSH; not all of the data has come";

#[test]
fn q43_a_226_waits_for_the_data() {
    let mut bench = Bench::local();
    bench.passive_connected(1);
    bench.client("RETR f", &["S> RETR f"]);
    bench.server("150 here it comes", &["C< 150 here it comes"]);
    bench.server("226 done", &[]);
    bench.event(1, ForwardEvent::Drained, &["C< 226 done"]);
    bench.event(1, ForwardEvent::Ended, &[]);
}

#[test]
fn q43_what_comes_behind_a_waiting_226_waits_too() {
    let mut bench = Bench::local();
    bench.passive_connected(1);
    bench.client("RETR f", &["S> RETR f"]);
    bench.client("NOOP", &["S> NOOP"]);
    bench.server("150 here it comes", &["C< 150 here it comes"]);
    bench.server("226-Options: -l", &[]);
    bench.server("226 done", &[]);
    bench.server("200 ok", &[]);
    bench.event(
        1,
        ForwardEvent::Drained,
        &["C< 226-Options: -l", "C< 226 done", "C< 200 ok"],
    );
}

#[test]
fn a_226_after_the_data_passes_at_once() {
    let mut bench = Bench::local();
    bench.passive_connected(1);
    bench.client("RETR f", &["S> RETR f"]);
    bench.server("150 here it comes", &["C< 150 here it comes"]);
    bench.event(1, ForwardEvent::Drained, &[]);
    bench.event(1, ForwardEvent::Ended, &[]);
    bench.server("226 done", &["C< 226 done"]);
}

#[test]
fn the_success_of_an_upload_waits_for_the_end_of_its_data_connection() {
    for verb in ["STOR f", "APPE f", "STOU"] {
        let mut bench = Bench::local();
        bench.passive_connected(1);
        bench.client(verb, &[&format!("S> {verb}")]);
        bench.server("150 go on", &["C< 150 go on"]);
        bench.server("226 stored", &[]);
        // The server sends no data, and says so; the client's data may still be on its way.
        bench.event(1, ForwardEvent::Drained, &[]);
        bench.event(1, ForwardEvent::Ended, &["C< 226 stored"]);
    }
}

#[test]
fn a_small_upload_may_end_before_its_reply_comes() {
    let mut bench = Bench::local();
    bench.passive_connected(1);
    bench.client("STOR f", &["S> STOR f"]);
    bench.server("150 go on", &["C< 150 go on"]);
    bench.event(1, ForwardEvent::Drained, &[]);
    bench.event(1, ForwardEvent::Ended, &[]);
    bench.server("226 stored", &["C< 226 stored"]);
}

#[test]
fn an_upload_that_was_cut_is_no_success() {
    let mut bench = Bench::local();
    bench.passive_connected(1);
    bench.client("STOR f", &["S> STOR f"]);
    bench.server("150 go on", &["C< 150 go on"]);
    bench.server("226-stored", &[]);
    bench.server("226 all of it", &[]);
    bench.event(1, ForwardEvent::Cut, &[CUT]);

    bench.passive_connected(2);
    bench.client("STOR f", &["S> STOR f"]);
    bench.server("150 go on", &["C< 150 go on"]);
    bench.event(2, ForwardEvent::Drained, &[]);
    bench.event(2, ForwardEvent::Cut, &[]);
    bench.server("226 stored", &[CUT]);

    bench.passive_connected(3);
    bench.client("STOR f", &["S> STOR f"]);
    bench.event(3, ForwardEvent::Cut, &[]);
    bench.server("451 local error", &["C< 451 local error"]);
}

#[test]
fn an_upload_whose_end_is_not_seen_is_no_success() {
    let mut bench = Bench::local();
    bench.passive_connected(1);
    bench.client("STOR f", &["S> STOR f"]);
    bench.server("150 go on", &["C< 150 go on"]);
    bench.server("226 stored", &[]);
    bench.wait(29, &["! ask 1"]);
    bench.wait(1, &[CUT]);
}

#[test]
fn a_transfer_that_was_cut_is_told_even_where_the_server_says_nothing() {
    for verb in ["RETR f", "STOR f"] {
        let mut bench = Bench::local();
        bench.passive_connected(1);
        bench.client(verb, &[&format!("S> {verb}")]);
        bench.server("150 now", &["C< 150 now"]);
        bench.event(1, ForwardEvent::Cut, &[]);
        bench.wait(4, &[]);
        bench.wait(1, &[CUT]);
        bench.client("NOOP", &["S> NOOP"]);
        // The server has noticed; the client knows already.
        bench.server("426 it broke", &[]);
        bench.server("200 ok", &["C< 200 ok"]);
    }
}

/// The SSH server has made the connection, but its message about that was lost with the SSH connection.
#[test]
fn a_success_over_a_data_connection_that_cannot_be_made_is_none() {
    for verb in ["RETR f", "STOR f"] {
        let mut bench = Bench::local();
        bench.client("PASV", &["S> PASV"]);
        bench.server("227 =10,0,0,9,156,64", &["! local 1 localhost:40000"]);
        bench.ready(
            1,
            "127.0.0.1:51213",
            &["C< 227 Entering Passive Mode (127,0,0,1,200,13)."],
        );
        bench.client(verb, &[&format!("S> {verb}")]);
        bench.event(1, ForwardEvent::Claimed, &[]);
        bench.server("150 now", &["C< 150 now"]);
        bench.server("226 done", &[]);
        bench.event(1, ForwardEvent::Unreachable("no way".into()), &[CUT]);
    }
}

#[test]
fn a_data_connection_that_was_cut_is_not_used() {
    let mut bench = Bench::local();
    bench.passive_connected(1);
    bench.event(1, ForwardEvent::Cut, &[]);
    bench.client(
        "STOR f",
        &["C< 425 ferryline: the data connection was cut on its way through SSH; not all of the data has come"],
    );
    bench.passive_connected(2);
    bench.client("STOR f", &["S> STOR f"]);
}

#[test]
fn a_transfer_that_never_began_is_answered_at_once() {
    let mut bench = Bench::local();
    bench.passive_connected(1);
    bench.client("RETR nofile", &["S> RETR nofile"]);
    bench.server("550 no such file", &["C< 550 no such file"]);
}

#[test]
fn q45_a_listener_goes_with_its_failed_transfer() {
    let mut bench = Bench::local();
    bench.client("PASV", &["S> PASV"]);
    bench.server("227 =10,0,0,9,156,64", &["! local 1 localhost:40000"]);
    bench.ready(
        1,
        "127.0.0.1:51213",
        &["C< 227 Entering Passive Mode (127,0,0,1,200,13)."],
    );
    bench.client("RETR f", &["S> RETR f"]);
    bench.server("425 nobody came", &["! close 1", "C< 425 nobody came"]);
}

#[test]
fn q71_a_noop_answered_before_the_transfers_end() {
    let mut bench = Bench::local();
    bench.passive_connected(1);
    bench.client("RETR f", &["S> RETR f"]);
    bench.server("150 here it comes", &["C< 150 here it comes"]);
    bench.client("NOOP", &["S> NOOP"]);
    bench.server("200 NOOP ok", &["C< 200 NOOP ok"]);
    bench.server("226 done", &[]);
    bench.event(1, ForwardEvent::Drained, &["C< 226 done"]);
}

#[test]
fn q42_200_then_150_then_226() {
    let mut bench = Bench::local();
    bench.passive_connected(1);
    bench.client("LIST", &["S> LIST"]);
    bench.server("200 starting", &["C< 200 starting"]);
    bench.server("150 here it comes", &["C< 150 here it comes"]);
    bench.server("226 done", &[]);
    bench.event(1, ForwardEvent::Drained, &["C< 226 done"]);
}

#[test]
fn q44_abor_answered_by_two_replies() {
    let mut bench = Bench::local();
    bench.passive_connected(1);
    bench.client("RETR f", &["S> RETR f"]);
    bench.server("150 here it comes", &["C< 150 here it comes"]);
    bench.client("ABOR", &["S> ABOR"]);
    bench.event(1, ForwardEvent::Ended, &[]);
    bench.server("426 transfer aborted", &["C< 426 transfer aborted"]);
    bench.server("226 abort successful", &["C< 226 abort successful"]);
    bench.client("NOOP", &["S> NOOP"]);
    bench.server("200 ok", &["C< 200 ok"]);
}

#[test]
fn q44_abor_answered_by_one_reply() {
    let mut bench = Bench::local();
    bench.passive_connected(1);
    bench.client("RETR f", &["S> RETR f"]);
    bench.server("150 here it comes", &["C< 150 here it comes"]);
    bench.client("ABOR", &["S> ABOR"]);
    bench.event(1, ForwardEvent::Ended, &[]);
    bench.server("226 done", &["C< 226 done"]);
    // The next replies still find their requests, and ferryline's own answers their place.
    bench.passive_connected(2);
    bench.client("NOOP", &["S> NOOP"]);
    bench.server("200 ok", &["C< 200 ok"]);
}

#[test]
fn q44_an_answer_of_ours_does_not_wait_for_a_reply_that_never_comes() {
    let mut bench = Bench::local();
    bench.passive_connected(1);
    bench.client("RETR f", &["S> RETR f"]);
    bench.server("150 here it comes", &["C< 150 here it comes"]);
    bench.client("ABOR", &["S> ABOR"]);
    bench.event(1, ForwardEvent::Ended, &[]);
    bench.server("226 done", &["C< 226 done"]);
    bench.client("LPSV", &[]);
    bench.wait(
        5,
        &["C< 502 ferryline: LPSV is not carried; use PASV or EPSV"],
    );
}

#[test]
fn q73_a_kept_data_connection_serves_the_next_transfer() {
    let mut bench = Bench::local();
    bench.client("MODE B", &["S> MODE B"]);
    bench.server("200 block mode", &["C< 200 block mode"]);
    bench.passive_connected(1);
    for _ in 0..2 {
        bench.client("RETR f", &["S> RETR f"]);
        bench.server("150 here it comes", &["C< 150 here it comes"]);
        bench.server("250 done, connection stays", &["! drain 1"]);
        bench.event(1, ForwardEvent::Drained, &["C< 250 done, connection stays"]);
    }
}

#[test]
fn a_226_is_kept_when_the_server_closes_behind_it() {
    let mut bench = Bench::local();
    bench.passive_connected(1);
    bench.client("RETR f", &["S> RETR f"]);
    bench.client("QUIT", &["S> QUIT"]);
    bench.server("150 here it comes", &["C< 150 here it comes"]);
    bench.server("226 done", &[]);
    bench.server("221 bye", &[]);
    bench.server_ended(Ending::Eof, &[]);
    bench.event(
        1,
        ForwardEvent::Drained,
        &["C< 226 done", "C< 221 bye", "! end"],
    );
}

#[test]
fn two_transfers_pipelined() {
    let mut bench = Bench::local();
    bench.client("PASV", &["S> PASV"]);
    bench.client("RETR a", &["S> RETR a"]);
    bench.client("PASV", &["S> PASV"]);
    bench.client("RETR b", &["S> RETR b"]);
    bench.server("227 =10,0,0,9,156,64", &["! local 1 localhost:40000"]);
    bench.ready(
        1,
        "127.0.0.1:51213",
        &["C< 227 Entering Passive Mode (127,0,0,1,200,13)."],
    );
    bench.connected(1);
    bench.server("150 a", &["C< 150 a"]);
    bench.server("226 a", &[]);
    bench.server("227 =10,0,0,9,156,65", &["! local 2 localhost:40001"]);
    bench.ready(2, "127.0.0.1:51214", &[]);
    bench.event(
        1,
        ForwardEvent::Drained,
        &[
            "C< 226 a",
            "C< 227 Entering Passive Mode (127,0,0,1,200,14).",
        ],
    );
    bench.event(1, ForwardEvent::Ended, &[]);
    bench.connected(2);
    bench.server("150 b", &["C< 150 b"]);
    bench.server("226 b", &[]);
    bench.event(2, ForwardEvent::Drained, &["C< 226 b"]);
}

#[test]
fn q72_the_default_data_port_is_the_servers_to_refuse() {
    let mut bench = Bench::local();
    bench.client("RETR f", &["S> RETR f"]);
    bench.server(
        "425 Use PORT or PASV first.",
        &["C< 425 Use PORT or PASV first."],
    );
}

#[test]
fn q43_a_226_that_overtakes_the_word_that_the_channel_is_open() {
    let mut bench = Bench::local();
    bench.client("PASV", &["S> PASV"]);
    bench.server("227 =10,0,0,9,156,64", &["! local 1 localhost:40000"]);
    bench.ready(
        1,
        "127.0.0.1:51213",
        &["C< 227 Entering Passive Mode (127,0,0,1,200,13)."],
    );
    bench.event(1, ForwardEvent::Claimed, &[]);
    bench.client("RETR f", &["S> RETR f"]);
    bench.server("150 here it comes", &["C< 150 here it comes"]);
    bench.server("226 done", &[]);
    bench.event(1, ForwardEvent::Connected { target: 0 }, &[]);
    bench.event(1, ForwardEvent::Drained, &["C< 226 done"]);
}

#[test]
fn q44_nobody_waits_for_data_that_was_aborted() {
    let mut bench = Bench::local();
    bench.passive_connected(1);
    bench.client("RETR f", &["S> RETR f"]);
    bench.server("150 here it comes", &["C< 150 here it comes"]);
    bench.client("ABOR", &["S> ABOR"]);
    bench.server("426 aborted", &["C< 426 aborted"]);
    bench.server("226 abort successful", &["C< 226 abort successful"]);
}

#[test]
fn q44_abor_lets_a_reply_go_that_waits_for_data() {
    let mut bench = Bench::local();
    bench.passive_connected(1);
    bench.client("RETR f", &["S> RETR f"]);
    bench.server("150 here it comes", &["C< 150 here it comes"]);
    bench.server("226 done", &[]);
    bench.client("ABOR", &["S> ABOR", "C< 226 done"]);
    bench.server("225 nothing to abort", &["C< 225 nothing to abort"]);
}

#[test]
fn q44_after_abor_is_answered_no_transfer_runs() {
    let mut bench = Bench::local();
    bench.passive_connected(1);
    bench.client("RETR f", &["S> RETR f"]);
    bench.server("150 here it comes", &["C< 150 here it comes"]);
    bench.client("ABOR", &["S> ABOR"]);
    bench.server("225 aborted", &["C< 225 aborted"]);
    bench.client(
        "LPSV",
        &["C< 502 ferryline: LPSV is not carried; use PASV or EPSV"],
    );
}

#[test]
fn mode_z_ends_a_file_as_stream_mode_does() {
    let mut bench = Bench::local();
    bench.client("MODE Z", &["S> MODE Z"]);
    bench.server("200 deflate", &["C< 200 deflate"]);
    bench.passive_connected(1);
    bench.client("RETR f", &["S> RETR f"]);
    bench.server("150 here it comes", &["C< 150 here it comes"]);
    bench.server("226 done", &[]);
    bench.event(1, ForwardEvent::Drained, &["C< 226 done"]);
}

#[test]
fn a_download_that_was_cut_is_no_success() {
    let mut bench = Bench::local();
    bench.passive_connected(1);
    bench.client("RETR f", &["S> RETR f"]);
    bench.server("150 here it comes", &["C< 150 here it comes"]);
    bench.server("226-Options: -l", &[]);
    bench.server("226 done", &[]);
    bench.event(1, ForwardEvent::Cut, &[CUT]);

    bench.passive_connected(2);
    bench.client("RETR f", &["S> RETR f"]);
    bench.event(2, ForwardEvent::Cut, &[]);
    bench.server("150 here it comes", &["C< 150 here it comes"]);
    bench.server("226-Options: -l", &[CUT]);
    bench.server("226 done", &[]);

    bench.passive_connected(3);
    bench.client("RETR f", &["S> RETR f"]);
    bench.server("150 here it comes", &["C< 150 here it comes"]);
    bench.event(3, ForwardEvent::Cut, &[]);
    bench.server("451 local error", &["C< 451 local error"]);
}

#[test]
fn an_upload_that_broke_ends_the_session_before_the_server_sees_an_end_of_file() {
    let mut bench = Bench::local();
    bench.passive_connected(1);
    bench.client("STOR f", &["S> STOR f"]);
    bench.server("150 go on", &["C< 150 go on"]);
    bench.event(
        1,
        ForwardEvent::Broken,
        &[
            "C< 421 ferryline: the data connection of an upload broke; the session ends, so that the FTP server does not take what it has for the whole file",
            "! end, abort, then close 1",
        ],
    );
}

#[test]
fn a_download_that_the_client_breaks_off_is_closed() {
    let mut bench = Bench::local();
    bench.passive_connected(1);
    bench.client("RETR f", &["S> RETR f"]);
    bench.server("150 here it comes", &["C< 150 here it comes"]);
    bench.event(1, ForwardEvent::Broken, &["! close 1"]);
    bench.server("426 what", &["C< 426 what"]);
}

#[test]
fn the_refusal_of_an_upload_needs_no_wait() {
    let mut bench = Bench::local();
    bench.passive_connected(1);
    bench.client("STOR f", &["S> STOR f"]);
    bench.server("150 go on", &["C< 150 go on"]);
    bench.server("452 disk full", &["C< 452 disk full"]);
}

#[test]
fn q54_a_226_that_overtakes_the_word_that_the_listener_is_bound() {
    let mut bench = Bench::local();
    bench.passive_connected(1);
    bench.client("PASV", &["S> PASV"]);
    bench.client("RETR f", &["S> RETR f"]);
    bench.server("227 =10,0,0,9,156,65", &["! local 2 localhost:40001"]);
    bench.server("150 soon", &[]);
    bench.ready(
        2,
        "127.0.0.1:51214",
        &[
            "! close 1",
            "C< 227 Entering Passive Mode (127,0,0,1,200,14).",
            "C< 150 soon",
        ],
    );
    bench.connected(2);
    bench.server("226 done", &[]);
    bench.event(2, ForwardEvent::Drained, &["C< 226 done"]);
}

#[test]
fn q54_the_server_decides_which_request_was_the_last() {
    let mut bench = Bench::local();
    bench.client("PASV", &["S> PASV"]);
    bench.client(
        "PORT 127,0,0,1,200,13",
        &["! remote 1 127.0.0.1 to 127.0.0.1:51213"],
    );
    bench.ready(1, "127.0.0.1:40000", &["S> PORT 127,0,0,1,156,64"]);
    bench.client("RETR f", &["S> RETR f"]);
    bench.server("227 =10,0,0,9,156,65", &["! local 2 localhost:40001"]);
    bench.ready(
        2,
        "127.0.0.1:51214",
        &["C< 227 Entering Passive Mode (127,0,0,1,200,14)."],
    );
    bench.server("200 ok", &["! close 2", "C< 200 ok"]);
    bench.server("150 here it comes", &["C< 150 here it comes"]);
    bench.server("226 done", &[]);
    bench.connected(1);
    bench.event(1, ForwardEvent::Drained, &["C< 226 done"]);
}

#[test]
fn q24_a_transfer_over_a_data_connection_that_leads_nowhere_is_not_asked_for() {
    let mut bench = Bench::local();
    bench.client("PASV", &["S> PASV"]);
    bench.server("227 =10,0,0,9,156,64", &["! local 1 localhost:40000"]);
    bench.ready(
        1,
        "127.0.0.1:51213",
        &["C< 227 Entering Passive Mode (127,0,0,1,200,13)."],
    );
    bench.event(1, ForwardEvent::Claimed, &[]);
    bench.event(1, ForwardEvent::Unreachable("no way".into()), &[]);
    bench.client("RETR f", &["C< 425 ferryline: no way"]);
    bench.client("NOOP", &["S> NOOP"]);
    bench.server("200 ok", &["C< 200 ok"]);
    // The next data connection is another one.
    bench.passive_connected(2);
    bench.client("RETR f", &["S> RETR f"]);
}

#[test]
fn q56_a_client_may_connect_before_or_after_the_150() {
    for early in [true, false] {
        let mut bench = Bench::local();
        bench.client("PASV", &["S> PASV"]);
        bench.server("227 =10,0,0,9,156,64", &["! local 1 localhost:40000"]);
        bench.ready(
            1,
            "127.0.0.1:51213",
            &["C< 227 Entering Passive Mode (127,0,0,1,200,13)."],
        );
        if early {
            bench.connected(1);
        }
        bench.client("RETR f", &["S> RETR f"]);
        bench.server("150 here it comes", &["C< 150 here it comes"]);
        if !early {
            bench.connected(1);
        }
        bench.server("226 done", &[]);
        bench.event(1, ForwardEvent::Drained, &["C< 226 done"]);
    }
}
