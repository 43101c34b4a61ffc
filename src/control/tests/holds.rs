//! Commands that wait for a transfer before them.

use super::{
    bench::{Bench, frame, id},
    cuts::port_sent,
};
use crate::control::{Ending, ForwardEvent};

/// A session with a data port that the client knows of and has not connected to.
fn listening() -> Bench {
    let mut bench = Bench::local();
    bench.client("PASV", &["S> PASV"]);
    bench.server("227 =10,0,0,9,156,64", &["! local 1 localhost:40000"]);
    bench.ready(
        1,
        "127.0.0.1:51213",
        &["C< 227 Entering Passive Mode (127,0,0,1,200,13)."],
    );
    bench
}

/// A session with an upload that has begun.
fn uploading() -> Bench {
    let mut bench = listening();
    bench.connected(1);
    bench.client("STOR f", &["S> STOR f"]);
    bench.server("150 go on", &["C< 150 go on"]);
    bench
}

/// pyftpdlib closes its port on QUIT, and on the next PASV.
#[test]
fn q112_a_command_behind_a_transfer_waits_until_its_data_connection_is_open() {
    for command in ["NOOP", "PASV", "RETR g", "QUIT", ""] {
        let mut bench = listening();
        bench.client("RETR f", &["S> RETR f"]);
        bench.client(command, &[]);
        bench.event(1, ForwardEvent::Claimed, &[]);
        bench.server("150 here it comes", &["C< 150 here it comes"]);
        let sent = format!("S> {command}");
        bench.event(1, ForwardEvent::Connected { target: 0 }, &[&sent]);
    }
}

#[test]
fn q112_a_data_connection_that_fails_holds_nothing_up() {
    let mut bench = listening();
    bench.client("STOR f", &["S> STOR f"]);
    bench.client("NOOP", &[]);
    bench.event(1, ForwardEvent::Claimed, &[]);
    bench.event(1, ForwardEvent::Unreachable("refused".into()), &["S> NOOP"]);
    bench.wait(5, &["C< 425 ferryline: refused"]);
}

#[test]
fn q112_a_transfer_that_is_refused_holds_nothing_up() {
    let mut bench = listening();
    bench.client("RETR f", &["S> RETR f"]);
    bench.client("NOOP", &[]);
    bench.server("550 no such file", &["S> NOOP", "C< 550 no such file"]);
}

#[test]
fn q112_abor_and_stat_wait_for_no_data_connection() {
    let mut bench = listening();
    bench.event(1, ForwardEvent::Claimed, &[]);
    bench.client("STOR f", &["S> STOR f"]);
    bench.client("STAT", &["S> STAT"]);
    bench.client("NOOP", &[]);
    // Nothing waits for a transfer that the client does not want any more.
    bench.client("ABOR", &["S> ABOR", "S> NOOP"]);
}

#[test]
fn q112_a_client_that_does_not_connect_is_waited_for_for_a_while() {
    let mut bench = listening();
    bench.client("STOR f", &["S> STOR f"]);
    bench.client("NOOP", &[]);
    bench.wait(2, &[]);
    bench.wait(1, &["S> NOOP"]);
    bench.client("NOOP", &["S> NOOP"]);
}

#[test]
fn q112_an_ssh_server_that_says_nothing_is_waited_for_for_a_minute() {
    let mut bench = listening();
    bench.client("STOR f", &["S> STOR f"]);
    bench.event(1, ForwardEvent::Claimed, &[]);
    bench.client("NOOP", &[]);
    bench.wait(59, &[]);
    bench.wait(1, &["S> NOOP"]);
}

/// pure-ftpd breaks an upload off as soon as it can read its control connection.
#[test]
fn q111_quit_waits_for_the_final_reply_of_an_upload() {
    let mut bench = uploading();
    bench.client("QUIT", &[]);
    bench.event(1, ForwardEvent::Drained, &[]);
    bench.event(1, ForwardEvent::Ended, &[]);
    bench.server("226 stored", &["S> QUIT", "C< 226 stored"]);
    bench.server("221 bye", &["C< 221 bye"]);
}

/// It may be over before the server has replied to it.
#[test]
fn q111_quit_waits_for_a_small_upload_that_is_over() {
    let mut bench = listening();
    bench.client("STOR f", &["S> STOR f"]);
    bench.client("QUIT", &[]);
    bench.connected(1);
    bench.event(1, ForwardEvent::Drained, &[]);
    bench.event(1, ForwardEvent::Ended, &[]);
    bench.server("150 go on", &["C< 150 go on"]);
    bench.server("226 stored", &["S> QUIT", "C< 226 stored"]);
}

#[test]
fn q111_the_clients_end_waits_for_the_final_reply_of_an_upload() {
    for quit in [false, true] {
        let mut bench = uploading();
        if quit {
            bench.client("QUIT", &[]);
        }
        bench.client_ended(Ending::Eof, &[]);
        bench.event(1, ForwardEvent::Drained, &[]);
        bench.event(1, ForwardEvent::Ended, &[]);
        let all = ["S> QUIT", "C< 226 stored", "! finish server"];
        bench.server("226 stored", &all[usize::from(!quit)..]);
    }
}

/// Nothing waits for a transfer that is lost already, or not wanted.
#[test]
fn q111_quit_waits_for_no_upload_that_was_cut_or_aborted() {
    let mut bench = uploading();
    bench.client("QUIT", &[]);
    bench.event(1, ForwardEvent::Cut, &["S> QUIT"]);
    let mut bench = uploading();
    bench.client("ABOR", &["S> ABOR"]);
    bench.client("QUIT", &["S> QUIT"]);
}

#[test]
fn q69_quit_waits_for_no_download_that_has_its_data_connection() {
    let mut bench = listening();
    bench.connected(1);
    bench.client("RETR f", &["S> RETR f"]);
    bench.client("QUIT", &["S> QUIT"]);
}

#[test]
fn q111_a_server_that_says_nothing_of_an_upload_gets_its_quit_after_a_minute() {
    let mut bench = uploading();
    bench.wait(100, &[]);
    bench.client("QUIT", &[]);
    bench.wait(30, &[]);
    // As long as events come there is something to wait for.
    bench.event(1, ForwardEvent::Drained, &[]);
    bench.event(1, ForwardEvent::Ended, &[]);
    bench.wait(59, &[]);
    bench.wait(1, &["S> QUIT"]);
}

/// The system of a client that ends without having read all replies sends a reset.
#[test]
fn q113_an_upload_that_has_ended_outlives_its_clients_reset() {
    let mut bench = uploading();
    bench.client_ended(Ending::Lost, &["! settle 1"]);
    bench.event(1, ForwardEvent::Drained, &[]);
    bench.event(1, ForwardEvent::Ended, &[]);
    bench.server("226 stored", &["C< 226 stored", "! end, abort"]);
}

#[test]
fn q113_an_upload_that_is_being_opened_outlives_its_clients_reset() {
    let mut bench = listening();
    bench.client("STOR f", &["S> STOR f"]);
    bench.client_ended(Ending::Lost, &[]);
    bench.event(1, ForwardEvent::Claimed, &["! settle 1"]);
    bench.event(1, ForwardEvent::Connected { target: 0 }, &[]);
    bench.server("150 go on", &["C< 150 go on"]);
    bench.event(1, ForwardEvent::Drained, &[]);
    bench.event(1, ForwardEvent::Ended, &[]);
    bench.server("226 stored", &["C< 226 stored", "! end, abort"]);
}

#[test]
fn q113_what_has_not_ended_is_cut_behind_the_control_connection() {
    let mut bench = uploading();
    bench.client_ended(Ending::Lost, &["! settle 1"]);
    bench.event(
        1,
        ForwardEvent::Broken,
        &[
            "C< 421 ferryline: the data connection of an upload broke; the session ends, so that the FTP server does not take what it has for the whole file",
            "! end, abort, then close 1",
        ],
    );
    let mut bench = listening();
    bench.client("STOR f", &["S> STOR f"]);
    bench.client_ended(Ending::Lost, &[]);
    bench.wait(3, &["! end, abort, then close 1"]);
}

#[test]
fn q113_a_download_is_cut_with_its_clients_control_connection() {
    let mut bench = listening();
    bench.connected(1);
    bench.client("RETR f", &["S> RETR f"]);
    bench.server("150 here it comes", &["C< 150 here it comes"]);
    bench.client_ended(Ending::Lost, &["! end, abort, then close 1"]);
}

#[test]
fn q113_a_server_that_says_nothing_of_an_upload_ends_the_session() {
    let mut bench = uploading();
    bench.client_ended(Ending::Lost, &["! settle 1"]);
    bench.event(1, ForwardEvent::Drained, &[]);
    bench.event(1, ForwardEvent::Ended, &[]);
    bench.wait(59, &[]);
    let last = "C< 421 ferryline: the FTP server has been silent for 60 s; the session ends";
    bench.wait(1, &[last, "! end, abort"]);
}

/// pyftpdlib closes a data connection on which data comes before the STOR.
#[test]
fn q118_data_waits_for_the_servers_word_on_its_transfer() {
    for word in ["150 go on", "125 go on", "200 fine", "226 stored"] {
        let mut bench = listening();
        let id = id(1);
        assert!(!bench.control.takes_data(id));
        bench.connected(1);
        assert!(!bench.control.takes_data(id));
        bench.client("STOR f", &["S> STOR f"]);
        assert!(!bench.control.takes_data(id));
        bench.control.server(bench.now, frame(word));
        assert!(bench.control.takes_data(id), "{word}");
    }
}

/// The client sends no data in a download, and its EOF would hide an early end of the channel.
#[test]
fn q130_the_clients_end_of_a_download_waits_for_the_servers() {
    let id = id(1);
    for (verb, kept) in [
        ("RETR f", true),
        ("LIST", true),
        ("NLST", true),
        ("MLSD", true),
        ("STOR f", false),
        ("STOU", false),
        ("APPE f", false),
        ("THMB f", false),
    ] {
        let mut bench = Bench::local();
        bench.passive_connected(1);
        assert!(!bench.control.keeps_end(id));
        bench.client(verb, &[&format!("S> {verb}")]);
        assert_eq!(bench.control.keeps_end(id), kept, "{verb}");
        bench.server("150 now", &["C< 150 now"]);
        assert_eq!(bench.control.keeps_end(id), kept, "{verb}");
        bench.event(1, ForwardEvent::Drained, &[]);
        assert!(!bench.control.keeps_end(id), "{verb}");
    }
}

/// The server may wait for it: in MODE B and C, after an ABOR, and where the server says that it will send
/// nothing or has sent all.
#[test]
fn q130_the_clients_end_is_not_kept_from_a_server_that_may_wait_for_it() {
    let id = id(1);
    let downloading = || {
        let mut bench = Bench::local();
        bench.passive_connected(1);
        bench.client("RETR f", &["S> RETR f"]);
        bench
    };
    let mut bench = downloading();
    bench.server("550 no", &["C< 550 no"]);
    assert!(!bench.control.keeps_end(id));

    let mut bench = downloading();
    bench.client("ABOR", &["S> ABOR"]);
    assert!(!bench.control.keeps_end(id));

    let mut bench = downloading();
    bench.server("150 now", &["C< 150 now"]);
    bench.server("226 done", &[]);
    assert!(bench.control.keeps_end(id));
    bench.wait(1, &["! ask 1"]);
    bench.event(1, ForwardEvent::AllReceived, &["C< 226 done"]);
    assert!(!bench.control.keeps_end(id));

    let mut bench = Bench::local();
    bench.client("MODE B", &["S> MODE B"]);
    bench.server("200 ok", &["C< 200 ok"]);
    bench.passive_connected(1);
    bench.client("RETR f", &["S> RETR f"]);
    assert!(!bench.control.keeps_end(id));
}

/// The client may still notice.
#[test]
fn q130_the_clients_end_waits_also_where_the_reply_has_passed_before_the_data() {
    let mut bench = Bench::local();
    bench.passive_connected(1);
    bench.client("RETR f", &["S> RETR f"]);
    bench.server("150 now", &["C< 150 now"]);
    bench.event(1, ForwardEvent::Blocked, &[]);
    bench.server("226 done", &[]);
    bench.wait(1, &["! ask 1"]);
    bench.wait(60, &["C< 226 done"]);
    assert!(bench.control.keeps_end(id(1)));
}

/// The client has connected before it sends anything, and sends all at once.
#[test]
fn q112_what_comes_in_one_piece_waits_for_a_data_connection_that_is_being_opened() {
    for transfer in ["RETR f", "STOR f", "LIST"] {
        let mut bench = listening();
        bench.event(1, ForwardEvent::Claimed, &[]);
        bench.client(transfer, &[&format!("S> {transfer}")]);
        bench.client("QUIT", &[]);
        bench.client_ended(Ending::Eof, &[]);
        let go_on: &[&str] = match transfer {
            "STOR f" => &[],
            _ => &["S> QUIT", "! finish server"],
        };
        bench.event(1, ForwardEvent::Connected { target: 0 }, go_on);
    }
}

/// The transfer is for the data connection that was asked for last; the server gives up the one before.
#[test]
fn q112_a_data_connection_that_no_transfer_uses_holds_nothing_up() {
    let mut bench = listening();
    bench.event(1, ForwardEvent::Claimed, &[]);
    bench.client("PASV", &["S> PASV"]);
    bench.client("RETR f", &["S> RETR f"]);
    bench.client("QUIT", &["S> QUIT"]);
}

#[test]
fn q112_abor_that_nothing_waits_before_waits_for_no_data_connection() {
    let mut bench = listening();
    bench.event(1, ForwardEvent::Claimed, &[]);
    bench.client("STOR f", &["S> STOR f"]);
    bench.client("ABOR", &["S> ABOR"]);
}

/// The client could not take the file any more.
#[test]
fn q113_a_download_that_is_being_opened_ends_with_its_clients_control_connection() {
    let mut bench = listening();
    bench.event(1, ForwardEvent::Claimed, &[]);
    bench.client("RETR f", &["S> RETR f"]);
    bench.client_ended(Ending::Lost, &["! end, abort, then close 1"]);
}

/// The server has made an active data connection itself, for a command that it has read.
#[test]
fn q118_data_over_an_active_data_connection_waits_for_nothing() {
    let mut bench = port_sent();
    assert!(bench.control.takes_data(id(1)));
    bench.server("200 ok", &["C< 200 ok"]);
    bench.client("STOR f", &["S> STOR f"]);
    bench.connected(1);
    assert!(bench.control.takes_data(id(1)));
}
