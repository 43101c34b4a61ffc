//! Data connections that are lost before a line names them, and downloads that no client receives.

use super::bench::Bench;
use crate::control::ForwardEvent;

const ENDED: &str = "the data connection has ended before its transfer began";
const BROKE: &str = "the client's side of the data connection broke; not all of the data has come";
const CUT: &str =
    "the data connection was cut on its way through SSH; not all of the data has come";

fn told(code: u16, reason: &str) -> String {
    format!("C< {code} ferryline: {reason}")
}

/// A PORT whose remote forward stands and whose line is on its way to the server.
pub(super) fn port_sent() -> Bench {
    let mut bench = Bench::local();
    bench.client(
        "PORT 127,0,0,1,200,13",
        &["! remote 1 127.0.0.1 to 127.0.0.1:51213"],
    );
    bench.ready(1, "127.0.0.1:40000", &["S> PORT 127,0,0,1,156,64"]);
    bench
}

#[test]
fn a_download_whose_client_breaks_off_is_no_success() {
    for before in [true, false] {
        let mut bench = Bench::local();
        bench.passive_connected(1);
        bench.client("RETR f", &["S> RETR f"]);
        bench.server("150 here it comes", &["C< 150 here it comes"]);
        if before {
            bench.server("226 done", &[]);
            bench.event(1, ForwardEvent::Broken, &["! close 1", &told(426, BROKE)]);
        } else {
            bench.event(1, ForwardEvent::Broken, &["! close 1"]);
            bench.server("226 done", &[&told(426, BROKE)]);
        }
        bench.client("NOOP", &["S> NOOP"]);
        bench.server("200 ok", &["C< 200 ok"]);
    }
}

#[test]
fn a_client_that_breaks_off_when_it_has_all_has_its_success() {
    let mut bench = Bench::local();
    bench.passive_connected(1);
    bench.client("RETR f", &["S> RETR f"]);
    bench.server("150 here it comes", &["C< 150 here it comes"]);
    bench.event(1, ForwardEvent::Drained, &[]);
    bench.event(1, ForwardEvent::Broken, &["! close 1"]);
    bench.server("226 done", &["C< 226 done"]);
}

/// A file that fits the buffers on the way has been sent, for the server, before ferryline can know that the
/// client does not listen.
#[test]
fn a_download_to_a_client_that_does_not_listen_is_no_success() {
    let mut bench = port_sent();
    bench.server("200 ok", &["C< 200 ok"]);
    bench.client("RETR f", &["S> RETR f"]);
    bench.event(1, ForwardEvent::Claimed, &[]);
    bench.server("150 here it comes", &["C< 150 here it comes"]);
    bench.server("226 done", &[]);
    bench.event(1, ForwardEvent::Broken, &["! close 1", &told(426, BROKE)]);
}

#[test]
fn q44_of_an_aborted_download_the_servers_word_passes() {
    let mut bench = Bench::local();
    bench.passive_connected(1);
    bench.client("RETR f", &["S> RETR f"]);
    bench.server("150 here it comes", &["C< 150 here it comes"]);
    bench.client("ABOR", &["S> ABOR"]);
    bench.event(1, ForwardEvent::Broken, &["! close 1"]);
    bench.server("226 closing", &["C< 226 closing"]);
    bench.server("226 aborted", &["C< 226 aborted"]);
}

/// The server would see an EOF there, and store an empty file over a good one.
#[test]
fn a_data_connection_that_broke_before_its_upload_is_not_used() {
    let mut bench = Bench::local();
    bench.passive_connected(1);
    bench.event(1, ForwardEvent::Broken, &["! close 1"]);
    bench.client("STOR f", &[&told(425, BROKE)]);
    bench.passive_connected(2);
    bench.client("STOR f", &["S> STOR f"]);
}

#[test]
fn a_remote_forward_that_is_lost_before_its_port_is_accepted_is_not_used() {
    for event in [ForwardEvent::Cut, ForwardEvent::Ended] {
        let mut bench = port_sent();
        bench.event(1, ForwardEvent::Claimed, &[]);
        let cut = event == ForwardEvent::Cut;
        bench.event(1, event, &[]);
        bench.server("200 ok", &["C< 200 ok"]);
        if cut {
            bench.client("RETR f", &[&told(425, CUT)]);
        } else {
            // A small file can be faster than a reply.
            bench.client("RETR f", &["S> RETR f"]);
        }
    }
}

#[test]
fn q54_a_transfer_behind_a_port_that_is_cut_before_it_is_accepted_is_no_success() {
    for sent_before in [true, false] {
        let mut bench = port_sent();
        if sent_before {
            bench.client("STOR f", &["S> STOR f"]);
        }
        bench.event(1, ForwardEvent::Claimed, &[]);
        bench.event(1, ForwardEvent::Connected { target: 0 }, &[]);
        bench.event(1, ForwardEvent::Cut, &[]);
        if !sent_before {
            bench.client("STOR f", &["S> STOR f"]);
        }
        bench.server("200 ok", &["C< 200 ok"]);
        bench.server("150 go on", &["C< 150 go on"]);
        bench.server("226 done", &[&told(426, CUT)]);
        bench.client("NOOP", &["S> NOOP"]);
    }
}

#[test]
fn q54_an_upload_that_broke_before_its_port_is_accepted_ends_the_session() {
    let mut bench = port_sent();
    bench.client("STOR f", &["S> STOR f"]);
    bench.event(1, ForwardEvent::Claimed, &[]);
    bench.event(1, ForwardEvent::Connected { target: 0 }, &[]);
    bench.event(
        1,
        ForwardEvent::Broken,
        &[
            "C< 421 ferryline: the data connection of an upload broke; the session ends, so that the FTP server does not take what it has for the whole file",
            "! end, abort, then close 1",
        ],
    );
}

/// The data connection still stands if the server was only busy: its next transfer is watched too.
#[test]
fn after_a_refusal_the_data_connection_is_the_next_transfers() {
    for refusal in ["450 busy", "550 no such file"] {
        let mut bench = Bench::local();
        bench.passive_connected(1);
        bench.client("STOR f", &["S> STOR f"]);
        bench.server(refusal, &[&format!("C< {refusal}")]);
        bench.client("STOR f", &["S> STOR f"]);
        bench.server("150 go on", &["C< 150 go on"]);
        bench.server("226 done", &[]);
        bench.event(1, ForwardEvent::Cut, &[&told(426, CUT)]);
    }
}

/// Not earlier: then its 226 would belong to no request, and pass also where the data was lost.
#[test]
fn q71_a_transfer_is_watched_over_also_when_the_next_port_is_asked_for_meanwhile() {
    for event in [ForwardEvent::Cut, ForwardEvent::Drained] {
        let mut bench = Bench::local();
        bench.passive_connected(1);
        bench.client("RETR f", &["S> RETR f"]);
        bench.server("150 here it comes", &["C< 150 here it comes"]);
        bench.client("PASV", &["S> PASV"]);
        bench.server("227 =10,0,0,9,156,65", &["! local 2 localhost:40001"]);
        bench.ready(
            2,
            "127.0.0.1:51214",
            &["C< 227 Entering Passive Mode (127,0,0,1,200,14)."],
        );
        bench.server("226 done", &[]);
        let told = match event {
            ForwardEvent::Cut => told(426, CUT),
            _ => "C< 226 done".into(),
        };
        bench.event(1, event, &[&told]);
    }
}

/// No file can have come over a server's direction that ended before the server was asked for anything.
#[test]
fn a_data_connection_that_ended_before_its_transfer_is_not_used() {
    for command in ["RETR f", "STOR f"] {
        let mut bench = Bench::local();
        bench.passive_connected(1);
        bench.event(1, ForwardEvent::Drained, &[]);
        let refusal = "the data connection has ended before its transfer began";
        bench.client(command, &[&told(425, refusal)]);
        bench.client("PASV", &["S> PASV"]);
        bench.server("227 =10,0,0,9,156,65", &["! local 2 localhost:40001"]);
        bench.ready(
            2,
            "127.0.0.1:51214",
            &[
                "! close 1",
                "C< 227 Entering Passive Mode (127,0,0,1,200,14).",
            ],
        );
        bench.client(command, &[&format!("S> {command}")]);
    }
}

/// A command that is pipelined behind a PORT is for the PORT's data connection, not for the lost one before.
#[test]
fn q54_a_transfer_behind_a_new_port_goes_its_way() {
    let mut bench = Bench::local();
    bench.passive_connected(1);
    bench.event(1, ForwardEvent::Broken, &["! close 1"]);
    bench.client(
        "PORT 127,0,0,1,200,13",
        &["! remote 2 127.0.0.1 to 127.0.0.1:51213"],
    );
    bench.client("RETR f", &[]);
    bench.ready(
        2,
        "127.0.0.1:40000",
        &["S> PORT 127,0,0,1,156,64", "S> RETR f"],
    );
}

/// A refused transfer's data connection is not that of a command that is pipelined behind the next PORT.
#[test]
fn q54_an_old_data_connection_that_breaks_is_none_of_a_pipelined_transfers() {
    for command in ["STOR g", "RETR g"] {
        let mut bench = Bench::local();
        bench.passive_connected(1);
        bench.client("RETR f", &["S> RETR f"]);
        bench.server("450 busy", &["C< 450 busy"]);
        bench.client(
            "PORT 127,0,0,1,200,13",
            &["! remote 2 127.0.0.1 to 127.0.0.1:51213"],
        );
        bench.client(command, &[]);
        let sent = format!("S> {command}");
        bench.ready(2, "127.0.0.1:40000", &["S> PORT 127,0,0,1,156,64", &sent]);
        bench.event(1, ForwardEvent::Broken, &["! close 1"]);
        bench.server("200 ok", &["C< 200 ok"]);
        bench.connected(2);
        bench.server("150 here it comes", &["C< 150 here it comes"]);
        bench.event(2, ForwardEvent::Drained, &[]);
        bench.event(2, ForwardEvent::Ended, &[]);
        bench.server("226 done", &["C< 226 done"]);
    }
}

/// Also among several that are pipelined, each transfer has the data connection of its own PORT.
#[test]
fn q54_a_port_that_is_accepted_too_late_spoils_its_own_transfer_only() {
    let mut bench = port_sent();
    bench.client("LIST", &["S> LIST"]);
    bench.client(
        "PORT 127,0,0,1,200,14",
        &["! remote 2 127.0.0.1 to 127.0.0.1:51214"],
    );
    bench.ready(2, "127.0.0.1:40001", &["S> PORT 127,0,0,1,156,65"]);
    bench.client("RETR g", &["S> RETR g"]);
    bench.connected(1);
    bench.event(1, ForwardEvent::Broken, &["! close 1"]);
    bench.server("200 ok", &["C< 200 ok"]);
    bench.server("150 a list", &["C< 150 a list"]);
    bench.server("226 listed", &[&told(426, BROKE)]);
    bench.server("200 ok", &["C< 200 ok"]);
    bench.connected(2);
    bench.server("150 here it comes", &["C< 150 here it comes"]);
    bench.event(2, ForwardEvent::Drained, &[]);
    bench.server("226 done", &["C< 226 done"]);
}

/// The server has accepted the next data connection, and the local one is still being made.
#[test]
fn a_transfer_behind_a_passive_request_waits_for_no_ones_word_on_the_one_before() {
    let mut bench = Bench::local();
    bench.passive_connected(1);
    bench.event(1, ForwardEvent::Broken, &["! close 1"]);
    bench.client("PASV", &["S> PASV"]);
    bench.server("227 =10,0,0,9,156,65", &["! local 2 localhost:40001"]);
    bench.client("RETR f", &["S> RETR f"]);
    let own = "C< 227 Entering Passive Mode (127,0,0,1,200,14).";
    bench.ready(2, "127.0.0.1:51214", &[own]);
}

/// Some servers send no reply to a transfer whose data connection was reset, or one 200 for the transfer and
/// for ABOR (Q44): the client has waited, and goes on with the next command.
#[test]
fn q23_a_transfer_that_is_never_answered_leaves_the_next_alone() {
    for (passive, abort) in [(true, false), (true, true), (false, false)] {
        let mut bench = Bench::local();
        bench.passive_connected(1);
        bench.client("RETR f", &["S> RETR f"]);
        bench.server("150 here it comes", &["C< 150 here it comes"]);
        bench.event(1, ForwardEvent::Broken, &["! close 1"]);
        if abort {
            bench.client("ABOR", &["S> ABOR"]);
            bench.server("200 ok", &["C< 200 ok"]);
        }
        if passive {
            bench.passive_connected(2);
        } else {
            bench.client(
                "PORT 127,0,0,1,200,13",
                &["! remote 2 127.0.0.1 to 127.0.0.1:51213"],
            );
            bench.ready(2, "127.0.0.1:40000", &["S> PORT 127,0,0,1,156,64"]);
            bench.server("200 ok", &["C< 200 ok"]);
            bench.connected(2);
        }
        bench.client("RETR g", &["S> RETR g"]);
        bench.server("150 here it comes", &["C< 150 here it comes"]);
        bench.server("226 done", &[]);
        bench.event(2, ForwardEvent::Drained, &["C< 226 done"]);
        // Nothing is awaited any more.
        bench.client("FEAT", &["S> FEAT"]);
        bench.server("502 no", &["C< 502 no"]);
        bench.client(
            "PORT 10,0,0,9,4,1",
            &["C< 501 ferryline: 10.0.0.9 is not the address of this control connection (127.0.0.1)"],
        );
    }
}

#[test]
fn q44_an_aborted_upload_whose_end_was_not_seen_is_no_success() {
    let mut bench = Bench::local();
    bench.passive_connected(1);
    bench.client("STOR f", &["S> STOR f"]);
    bench.server("150 go on", &["C< 150 go on"]);
    bench.server("226 stored", &[]);
    let aborted = "aborted, before it was seen that all of the data had arrived";
    bench.client("ABOR", &["S> ABOR", &told(426, aborted)]);
    bench.server("225 nothing to abort", &["C< 225 nothing to abort"]);
}

/// An SSH server turns a cut into an EOF: the FTP server has stored what had come.
#[test]
fn q110_a_cut_upload_that_the_client_aborts_is_no_success() {
    for cut_first in [true, false] {
        let mut bench = Bench::local();
        bench.passive_connected(1);
        bench.client("STOR f", &["S> STOR f"]);
        bench.server("150 go on", &["C< 150 go on"]);
        if cut_first {
            bench.event(1, ForwardEvent::Cut, &[]);
        }
        bench.client("ABOR", &["S> ABOR"]);
        if !cut_first {
            bench.event(1, ForwardEvent::Cut, &[]);
        }
        bench.server("226 stored", &[&told(426, CUT)]);
        bench.server("226 aborted", &["C< 226 aborted"]);
        bench.client("NOOP", &["S> NOOP"]);
        bench.server("200 ok", &["C< 200 ok"]);
    }
}

#[test]
fn q110_an_upload_that_is_aborted_before_its_end_was_seen_is_no_success() {
    let aborted = "aborted, before it was seen that all of the data had arrived";
    let mut bench = Bench::local();
    bench.passive_connected(1);
    bench.client("STOR f", &["S> STOR f"]);
    bench.server("150 go on", &["C< 150 go on"]);
    bench.client("ABOR", &["S> ABOR"]);
    bench.server("226 stored", &[&told(426, aborted)]);
    bench.server("225 nothing to abort", &["C< 225 nothing to abort"]);
}

/// It had ended before, in order.
#[test]
fn q110_an_upload_that_was_whole_before_it_is_aborted_keeps_its_success() {
    let mut bench = Bench::local();
    bench.passive_connected(1);
    bench.client("STOR f", &["S> STOR f"]);
    bench.server("150 go on", &["C< 150 go on"]);
    bench.event(1, ForwardEvent::Drained, &[]);
    bench.event(1, ForwardEvent::Ended, &[]);
    bench.client("ABOR", &["S> ABOR"]);
    bench.server("226 stored", &["C< 226 stored"]);
    bench.server("225 nothing to abort", &["C< 225 nothing to abort"]);
}

/// A server may answer PASV before it replies to the transfer before.
#[test]
fn a_transfer_keeps_its_data_connection_when_the_next_is_named() {
    let mut bench = Bench::local();
    bench.passive_connected(1);
    bench.client("STOR f", &["S> STOR f"]);
    bench.passive_connected(2);
    bench.event(
        1,
        ForwardEvent::Broken,
        &[
            "C< 421 ferryline: the data connection of an upload broke; the session ends, so that the FTP server does not take what it has for the whole file",
            "! end, abort, then close 1, then close 2",
        ],
    );
}

/// Its data connection is kept, and the client may still read it.
#[test]
fn q73_a_kept_data_connection_is_not_cut_by_the_next_request() {
    let mut bench = Bench::local();
    bench.client("MODE B", &["S> MODE B"]);
    bench.server("200 ok", &["C< 200 ok"]);
    bench.passive_connected(1);
    bench.client("RETR f", &["S> RETR f"]);
    bench.server("150 here", &["C< 150 here"]);
    bench.server("226 done", &["! drain 1"]);
    bench.event(1, ForwardEvent::Drained, &["C< 226 done"]);
    bench.passive_connected(2);
}

#[test]
fn q85_finished_downloads_whose_clients_do_not_hang_up_stop_nobody() {
    let mut bench = Bench::local();
    for number in 1..=20 {
        bench.client("PASV", &["S> PASV"]);
        let open = format!("! local {number} localhost:40000");
        bench.server("227 =10,0,0,9,156,64", &[&open]);
        let close = format!("! close {}", number.max(9) - 8);
        let answer = "C< 227 Entering Passive Mode (127,0,0,1,200,13).";
        let expected = [close.as_str(), answer];
        let expected = &expected[usize::from(number < 9)..];
        bench.ready(number, "127.0.0.1:51213", expected);
        bench.connected(number);
        bench.client("RETR f", &["S> RETR f"]);
        bench.server("150 here", &["C< 150 here"]);
        bench.event(number, ForwardEvent::Drained, &[]);
        bench.server("226 done", &["C< 226 done"]);
    }
}

/// pyftpdlib sends 150 before it has a data connection, and goes on to take commands.
#[test]
fn q24_what_the_server_says_of_a_transfer_that_was_answered_swallows_nothing_else() {
    let reason = "no way";
    let mut bench = Bench::local();
    bench.client("PASV", &["S> PASV"]);
    bench.server("227 =10,0,0,9,156,64", &["! local 1 localhost:40000"]);
    bench.ready(
        1,
        "127.0.0.1:51213",
        &["C< 227 Entering Passive Mode (127,0,0,1,200,13)."],
    );
    bench.client("RETR f", &["S> RETR f"]);
    bench.event(1, ForwardEvent::Claimed, &[]);
    bench.event(1, ForwardEvent::Unreachable(reason.into()), &[]);
    bench.server("150 soon", &[]);
    bench.wait(1, &[&told(425, reason)]);
    bench.client("TYPE I", &["S> TYPE I"]);
    bench.server("200 ok", &["C< 200 ok"]);
    bench.passive_connected(2);
    bench.client("RETR f", &["S> RETR f"]);
    bench.server("150 here", &["C< 150 here"]);
    bench.event(2, ForwardEvent::Drained, &[]);
    bench.server("226 done", &["C< 226 done"]);
    // The server's own reply to the first one, late.
    bench.server("425 nobody came", &[]);
    bench.client("NOOP", &["S> NOOP"]);
    bench.server("200 ok", &["C< 200 ok"]);
}

/// A server that leaves a request unanswered and goes on still answers in order: its replies after a 150 are
/// about that transfer (Q23).
#[test]
fn q23_a_success_behind_an_unanswered_request_is_that_of_the_transfer_which_has_begun() {
    for before in ["", "PASV"] {
        for between in ["", "NOOP", "ABOR"] {
            for success in ["226 done", "250 done"] {
                let begin = || {
                    let mut bench = Bench::local();
                    if !before.is_empty() {
                        bench.client(before, &["S> PASV"]);
                    }
                    bench.passive_connected(1);
                    if !between.is_empty() {
                        bench.client(between, &[&format!("S> {between}")]);
                    }
                    bench.client("STOR f", &["S> STOR f"]);
                    bench
                };
                let mut bench = begin();
                bench.server("150 go ahead", &["C< 150 go ahead"]);
                bench.event(1, ForwardEvent::Cut, &[]);
                bench.server(success, &[&told(426, CUT)]);

                let mut bench = begin();
                bench.event(1, ForwardEvent::Cut, &[]);
                bench.server("150 go ahead", &["C< 150 go ahead"]);
                let reason = if before.is_empty() { CUT } else { ENDED };
                bench.server(success, &[&told(426, reason)]);
            }
        }
    }
}

/// A client sends a PASV and its STOR at once. A server that refuses the PASV uses the data connection of the
/// PORT before, and ends it in order, before it has said a word (Q23).
#[test]
fn q23_a_transfer_behind_a_refused_request_may_end_before_its_150_has_come() {
    let mut bench = Bench::local();
    bench.client(
        "PORT 127,0,0,1,117,48",
        &["! remote 1 127.0.0.1 to 127.0.0.1:30000"],
    );
    bench.ready(1, "127.0.0.1:50000", &["S> PORT 127,0,0,1,195,80"]);
    bench.server("200 active", &["C< 200 active"]);
    bench.client("PASV", &["S> PASV"]);
    bench.client("STOR f", &["S> STOR f"]);
    bench.connected(1);
    bench.event(1, ForwardEvent::Drained, &[]);
    bench.event(1, ForwardEvent::Ended, &[]);
    bench.server("500 no", &["S> EPSV"]);
    bench.server("150 here", &[]);
    bench.server("226 done", &[]);
    bench.server("500 no", &["C< 500 no", "C< 150 here", "C< 226 done"]);
}
