//! Passive ports that are asked for before the client asks.

use super::bench::{Bench, settings};
use crate::control::{Ending, ForwardEvent, Knowledge, Settings};

const NAMED: &[&str] = &["! local 2 localhost:40001"];
const REPLY: &[&str] = &["C< 229 Entering Extended Passive Mode (|||51214|)"];

fn asking() -> Settings {
    Settings {
        passive_ahead: true,
        ..settings()
    }
}

/// A first EPSV with its forward and the client on it.
#[track_caller]
fn epsv(bench: &mut Bench) {
    bench.client("EPSV", &["S> EPSV"]);
    bench.server("229 (|||40000|)", &["! local 1 localhost:40000"]);
    bench.ready(
        1,
        "127.0.0.1:51213",
        &["C< 229 Entering Extended Passive Mode (|||51213|)"],
    );
    bench.connected(1);
}

/// A file over forward 1; `after` is what goes on when it is over.
#[track_caller]
fn fetch(bench: &mut Bench, after: &[&str]) {
    bench.client("RETR f", &["S> RETR f"]);
    bench.server("150 here", &["C< 150 here"]);
    bench.event(1, ForwardEvent::Drained, &[]);
    bench.event(1, ForwardEvent::Ended, &[]);
    bench.server("226 done", &[&["C< 226 done"], after].concat());
}

/// The server has been asked ahead.
fn asked() -> Bench {
    let mut bench = Bench::greeted(asking());
    epsv(&mut bench);
    fetch(&mut bench, &["S> EPSV"]);
    bench
}

/// It has answered.
fn named() -> Bench {
    let mut bench = asked();
    bench.server("229 (|||40001|)", NAMED);
    bench
}

/// And the forward stands.
fn ready() -> Bench {
    let mut bench = named();
    bench.ready(2, "127.0.0.1:51214", &[]);
    bench
}

/// Everything is as it was: the next EPSV goes to the server, and its answer to the client.
#[track_caller]
fn goes_on(bench: &mut Bench, number: u32) {
    bench.client("EPSV", &["S> EPSV"]);
    let open = format!("! local {number} localhost:40009");
    bench.server("229 (|||40009|)", &[&open]);
    bench.ready(
        number,
        "127.0.0.1:51219",
        &["C< 229 Entering Extended Passive Mode (|||51219|)"],
    );
}

/// Then a transfer that must not be followed by a request of ferryline's own.
#[track_caller]
fn is_off(bench: &mut Bench, number: u32) {
    goes_on(bench, number);
    bench.connected(number);
    bench.client("RETR g", &["S> RETR g"]);
    bench.server("150 here", &["C< 150 here"]);
    bench.event(number, ForwardEvent::Drained, &[]);
    bench.event(number, ForwardEvent::Ended, &[]);
    bench.server("226 done", &["C< 226 done"]);
}

#[test]
fn without_the_option_nothing_is_asked() {
    let mut bench = Bench::local();
    epsv(&mut bench);
    fetch(&mut bench, &[]);
}

#[test]
fn the_next_epsv_is_answered_at_once_and_so_is_the_one_after() {
    let mut bench = ready();
    bench.client("EPSV", REPLY);
    bench.connected(2);
    bench.client("RETR g", &["S> RETR g"]);
    bench.server("150 here", &["C< 150 here"]);
    bench.event(2, ForwardEvent::Drained, &[]);
    bench.event(2, ForwardEvent::Ended, &[]);
    bench.server("226 done", &["C< 226 done", "S> EPSV"]);
    bench.server("229 (|||40002|)", &["! local 3 localhost:40002"]);
    bench.ready(3, "127.0.0.1:51215", &[]);
    bench.client(
        "EPSV 1",
        &["C< 229 Entering Extended Passive Mode (|||51215|)"],
    );
}

#[test]
fn the_answer_waits_for_the_forward() {
    let mut bench = named();
    bench.client("EPSV", &[]);
    bench.ready(2, "127.0.0.1:51214", REPLY);
    bench.connected(2);
    bench.client("RETR g", &["S> RETR g"]);
}

#[test]
fn a_pasv_gets_a_227_of_what_epsv_was_asked_for() {
    let mut bench = ready();
    bench.client(
        "PASV",
        &["C< 227 Entering Passive Mode (127,0,0,1,200,14)."],
    );
}

#[test]
fn the_form_is_the_one_that_worked() {
    let mut bench = Bench::knowing(
        asking(),
        Knowledge {
            no_epsv: true,
            ..Knowledge::default()
        },
    );
    bench.server("220 ready", &["C< 220 ready"]);
    bench.client("EPSV", &["S> PASV"]);
    bench.server("227 =10,0,0,9,156,64", &["! local 1 localhost:40000"]);
    bench.ready(
        1,
        "127.0.0.1:51213",
        &["C< 229 Entering Extended Passive Mode (|||51213|)"],
    );
    bench.connected(1);
    fetch(&mut bench, &["S> PASV"]);
    bench.server("227 =10,0,0,9,156,65", NAMED);
    bench.ready(2, "127.0.0.1:51214", &[]);
    bench.client("EPSV", REPLY);
}

#[test]
fn a_request_on_its_way_is_taken_over() {
    let mut bench = asked();
    bench.client("EPSV", &[]);
    bench.server("229 (|||40001|)", NAMED);
    bench.ready(2, "127.0.0.1:51214", REPLY);
    bench.connected(2);
    bench.client("RETR g", &["S> RETR g"]);
    bench.server("150 here", &["C< 150 here"]);
    bench.event(2, ForwardEvent::Drained, &[]);
    bench.event(2, ForwardEvent::Ended, &[]);
    bench.server("226 done", &["C< 226 done", "S> EPSV"]);
}

#[test]
fn taken_over_its_refusal_is_the_clients() {
    let mut bench = asked();
    bench.client("EPSV", &[]);
    bench.server("425 no more ports", &["C< 425 no more ports"]);
    let mut bench = asked();
    bench.client("EPSV", &[]);
    // As always, the other form is tried.
    bench.server("500 what", &["S> PASV"]);
    bench.server("227 =10,0,0,9,156,65", NAMED);
    bench.ready(2, "127.0.0.1:51214", REPLY);
}

#[test]
fn taken_over_its_silence_is_an_epsvs() {
    let mut bench = asked();
    bench.client("EPSV", &[]);
    bench.wait(10, &["S> PASV"]);
}

#[test]
fn other_commands_go_their_way_before_the_answer_and_after_it() {
    let mut bench = asked();
    bench.client("TYPE I", &["S> TYPE I"]);
    bench.server("229 (|||40001|)", NAMED);
    bench.server("200 type", &["C< 200 type"]);
    bench.ready(2, "127.0.0.1:51214", &[]);
    for (command, reply) in [
        ("SIZE g", "213 5"),
        ("MDTM g", "550 no"),
        ("CWD d", "250 ok"),
        ("NOOP", "200 ok"),
        ("RNFR a", "350 go on"),
        ("RNTO b", "250 ok"),
        ("REST 9", "350 go on"),
    ] {
        bench.client(command, &[&format!("S> {command}")]);
        bench.server(reply, &[&format!("C< {reply}")]);
    }
    bench.client("EPSV", REPLY);
}

#[test]
fn a_reply_too_many_does_not_give_it_to_the_client() {
    let mut bench = asked();
    bench.server("226 done twice", &["C< 226 done twice"]);
    bench.client("NOOP", &["S> NOOP"]);
    bench.server("229 (|||40001|)", NAMED);
    bench.server("200 ok", &["C< 200 ok"]);
    bench.ready(2, "127.0.0.1:51214", &[]);
    bench.client("EPSV", REPLY);
}

#[test]
fn an_answer_of_ferrylines_own_does_not_wait_for_it() {
    let mut bench = asked();
    bench.client(
        "AUTH TLS",
        &["C< 502 ferryline: AUTH is refused: this connection is already inside SSH"],
    );
    bench.server("229 (|||40001|)", NAMED);
}

#[test]
fn behind_a_pipelined_command_the_epsv_goes_to_the_server() {
    let mut bench = asked();
    bench.client("SIZE g", &["S> SIZE g"]);
    bench.client("EPSV", &["S> EPSV"]);
    bench.server("229 (|||40001|)", &[]);
    bench.server("213 5", &["C< 213 5"]);
    bench.server("229 (|||40002|)", &["! local 2 localhost:40002"]);
    bench.ready(2, "127.0.0.1:51214", REPLY);

    let mut bench = ready();
    bench.client("SIZE g", &["S> SIZE g"]);
    bench.client("EPSV", &["! close 2", "S> EPSV"]);
    bench.server("213 5", &["C< 213 5"]);
    bench.server("229 (|||40002|)", &["! local 3 localhost:40002"]);
}

#[test]
fn a_client_that_pipelines_is_not_asked_for() {
    for next in ["REST 9", "RNFR a", "RETR g", "QUIT", "NOOP"] {
        let mut bench = Bench::greeted(asking());
        epsv(&mut bench);
        bench.client("RETR f", &["S> RETR f"]);
        bench.client(next, &[&format!("S> {next}")]);
        bench.server("150 here", &["C< 150 here"]);
        bench.event(1, ForwardEvent::Drained, &[]);
        bench.event(1, ForwardEvent::Ended, &[]);
        bench.server("226 done", &["C< 226 done"]);
        bench.server("350 more", &["C< 350 more"]);
    }
}

#[test]
fn it_waits_until_the_client_has_its_file() {
    let mut bench = Bench::greeted(asking());
    epsv(&mut bench);
    bench.client("RETR f", &["S> RETR f"]);
    bench.server("150 here", &["C< 150 here"]);
    bench.server("226 done", &[]);
    bench.event(1, ForwardEvent::Drained, &["C< 226 done", "S> EPSV"]);

    // A command that comes meanwhile may be the first of a pair.
    let mut bench = Bench::greeted(asking());
    epsv(&mut bench);
    bench.client("RETR f", &["S> RETR f"]);
    bench.server("150 here", &["C< 150 here"]);
    bench.server("226 done", &[]);
    bench.client("REST 9", &["S> REST 9"]);
    bench.event(1, ForwardEvent::Drained, &["C< 226 done"]);
    bench.server("350 more", &["C< 350 more"]);
}

#[test]
fn only_a_success_is_followed_by_it() {
    for reply in ["550 no such file", "425 nobody came", "426 cut"] {
        let mut bench = Bench::greeted(asking());
        epsv(&mut bench);
        bench.client("RETR f", &["S> RETR f"]);
        bench.event(1, ForwardEvent::Ended, &[]);
        bench.server(reply, &[&format!("C< {reply}")]);
    }
}

#[test]
fn after_epsv_all_and_in_block_mode_nothing_is_asked() {
    for (command, reply) in [("EPSV ALL", "200 ok"), ("MODE B", "200 ok")] {
        let mut bench = Bench::greeted(asking());
        bench.client(command, &[&format!("S> {command}")]);
        bench.server(reply, &["C< 200 ok"]);
        epsv(&mut bench);
        bench.client("RETR f", &["S> RETR f"]);
        bench.server("150 here", &["C< 150 here"]);
        bench.event(1, ForwardEvent::Drained, &[]);
        bench.event(1, ForwardEvent::Ended, &[]);
        bench.server("226 done", &["C< 226 done"]);
    }
}

#[test]
fn not_while_it_is_stopping_nor_behind_the_clients_end() {
    let mut bench = Bench::greeted(asking());
    epsv(&mut bench);
    bench.client("RETR f", &["S> RETR f"]);
    bench.server("150 here", &["C< 150 here"]);
    bench.client_ended(Ending::Eof, &["! finish server"]);
    bench.event(1, ForwardEvent::Ended, &[]);
    bench.server("226 done", &["C< 226 done"]);

    let mut bench = Bench::greeted(asking());
    epsv(&mut bench);
    bench.client("RETR f", &["S> RETR f"]);
    bench.server("150 here", &["C< 150 here"]);
    bench.stop(&[]);
    bench.event(1, ForwardEvent::Ended, &[]);
    bench.server(
        "226 done",
        &[
            "C< 226 done",
            "C< 421 ferryline: the tunnel is being shut down",
            "! end, abort",
        ],
    );
}

#[test]
fn active_mode_is_neither_asked_for_nor_in_its_way() {
    let mut bench = ready();
    bench.client(
        "PORT 127,0,0,1,200,13",
        &["! close 2", "! remote 3 127.0.0.1 to 127.0.0.1:51213"],
    );
    bench.ready(3, "127.0.0.1:45000", &["S> PORT 127,0,0,1,175,200"]);
    bench.server("200 ok", &["C< 200 ok"]);
    bench.client("RETR f", &["S> RETR f"]);
    bench.server("150 here", &["C< 150 here"]);
    bench.connected(3);
    bench.event(3, ForwardEvent::Drained, &[]);
    bench.event(3, ForwardEvent::Ended, &[]);
    bench.server("226 done", &["C< 226 done"]);

    // On its way: the answer is nobody's.
    let mut bench = asked();
    bench.client(
        "PORT 127,0,0,1,200,13",
        &["! remote 2 127.0.0.1 to 127.0.0.1:51213"],
    );
    bench.server("229 (|||40001|)", &[]);
    bench.ready(2, "127.0.0.1:45000", &["S> PORT 127,0,0,1,175,200"]);
    bench.server("200 ok", &["C< 200 ok"]);
}

#[test]
fn carried_as_passive_is_not_asked_for_ahead() {
    let mut bench = Bench::greeted(Settings {
        active: crate::control::ActiveMode::Passive,
        ..asking()
    });
    bench.client("PORT 127,0,0,1,200,13", &["S> EPSV"]);
    bench.server(
        "229 (|||40000|)",
        &["! joined 1 localhost:40000 to 127.0.0.1:51213"],
    );
    bench.ready(
        1,
        "127.0.0.1:51213",
        &["C< 200 ferryline: active mode, carried as passive"],
    );
    bench.client("RETR f", &["S> RETR f"]);
    bench.server("150 here", &["! join 1", "C< 150 here"]);
    bench.connected(1);
    bench.event(1, ForwardEvent::Drained, &[]);
    bench.event(1, ForwardEvent::Ended, &[]);
    bench.server("226 done", &["C< 226 done"]);
}

#[test]
fn a_refusal_is_swallowed_and_ends_it() {
    for reply in ["425 no ports", "450 busy", "500 what", "530 log in"] {
        let mut bench = asked();
        bench.server(reply, &[]);
        is_off(&mut bench, 2);
    }
    // Of several lines, with the next command between them.
    let mut bench = asked();
    bench.server("500-what", &[]);
    bench.client("EPSV", &["S> EPSV"]);
    bench.server("500 what", &[]);
    bench.server("229 (|||40001|)", NAMED);
    bench.ready(2, "127.0.0.1:51214", REPLY);
}

#[test]
fn a_malformed_answer_is_swallowed_and_ends_it() {
    for reply in [
        "229 nowhere",
        "229 (|||25|)",
        "227 (10,0,0,1,0,0)",
        "228 (4,4,1,2,3,4)",
        "200 ok",
    ] {
        let mut bench = asked();
        bench.server(reply, &[]);
        is_off(&mut bench, 2);
    }
}

#[test]
fn a_200_too_many_leaves_nothing_behind() {
    let mut bench = asked();
    bench.server("200 for something else", &[]);
    bench.server("229 (|||40001|)", &[]);
    is_off(&mut bench, 2);
}

#[test]
fn an_answer_that_is_late_is_swallowed() {
    let mut bench = asked();
    bench.wait(9, &[]);
    bench.wait(1, &[]);
    bench.client("NOOP", &["S> NOOP"]);
    bench.server("200 ok", &["C< 200 ok"]);
    bench.server("229 (|||40001|)", &[]);
    is_off(&mut bench, 2);

    let mut bench = asked();
    bench.wait(10, &[]);
    bench.server("500 what", &[]);
    is_off(&mut bench, 2);
}

#[test]
fn a_farewell_in_answer_is_the_clients() {
    let mut bench = asked();
    bench.server("421 out of time", &["C< 421 out of time"]);
    bench.server_ended(Ending::Eof, &["! end"]);

    let mut bench = asked();
    bench.server("221 bye", &["C< 221 bye"]);
    bench.server_ended(Ending::Eof, &["! end"]);
}

#[test]
fn a_server_that_has_taken_its_leave_is_asked_nothing_more() {
    let mut bench = Bench::greeted(asking());
    epsv(&mut bench);
    bench.server("221 going down soon", &["C< 221 going down soon"]);
    fetch(&mut bench, &[]);
}

#[test]
fn a_421_while_the_port_lies_unused_counts_only_if_the_server_goes() {
    let mut bench = ready();
    bench.server("421 Passive data channel timed out.", &[]);
    bench.client("NOOP", &["S> NOOP"]);
    bench.server("200 ok", &["C< 200 ok"]);
    bench.server_ended(Ending::Eof, &["! close 2", "! end"]);

    let mut bench = ready();
    bench.wait(10, &["! close 2"]);
    bench.server("421 Timeout.", &[]);
    bench.server_ended(Ending::Eof, &["C< 421 Timeout.", "! end"]);

    // Nobody's port: as ever.
    let mut bench = ready();
    bench.client("EPSV", REPLY);
    bench.server("421 Timeout.", &["C< 421 Timeout."]);
}

#[test]
fn a_port_that_lay_unused_is_not_used() {
    let mut bench = ready();
    bench.wait(9, &[]);
    bench.wait(1, &["! close 2"]);
    goes_on(&mut bench, 3);

    // The deadline has not been looked at yet.
    let mut bench = ready();
    bench.now += std::time::Duration::from_secs(10);
    bench.client("EPSV", &["! close 2", "S> EPSV"]);
}

#[test]
fn the_forward_stands_no_longer_than_any_other() {
    let mut bench = ready();
    bench.wait(9, &[]);
    bench.client("EPSV", REPLY);
    bench.wait(50, &[]);
    bench.wait(1, &["! close 2"]);
}

#[test]
fn a_transfer_without_a_request_does_not_find_it() {
    let refusal = &["C< 425 ferryline: no data connection: send PASV, EPSV, PORT or EPRT first"];
    let mut bench = ready();
    bench.client("STOR f", refusal);
    bench.client("EPSV", REPLY);
    bench.client("STOR f", &["S> STOR f"]);

    let mut bench = asked();
    bench.client("STOR f", refusal);
    bench.server("229 (|||40001|)", NAMED);

    // The server has it for longer than ferryline.
    let mut bench = ready();
    bench.wait(10, &["! close 2"]);
    bench.client("STOR f", refusal);
    // Refused, there is none.
    let mut bench = asked();
    bench.server("500 what", &[]);
    bench.client("STOR f", &["S> STOR f"]);
}

#[test]
fn what_ends_a_port_ends_it() {
    for command in ["QUIT", "REIN", "USER me", "ABOR", "MODE S", "EPSV ALL"] {
        let mut bench = ready();
        bench.client(command, &["! close 2", &format!("S> {command}")]);
        bench.server("200 ok", &["C< 200 ok"]);
        bench.client("EPSV", &["S> EPSV"]);
    }
}

#[test]
fn a_forward_that_fails_ends_it() {
    let mut bench = named();
    bench.failed(2, "all data ports are taken", &[]);
    is_off(&mut bench, 3);
}

#[test]
fn a_stranger_on_the_port_has_it_closed() {
    let mut bench = ready();
    bench.event(2, ForwardEvent::Claimed, &["! close 2"]);
    goes_on(&mut bench, 3);
}

#[test]
fn a_lost_forward_is_not_used() {
    let mut bench = ready();
    bench.event(2, ForwardEvent::Ended, &[]);
    goes_on(&mut bench, 3);
}

#[test]
fn where_the_port_cannot_be_reached_the_client_sees_it_and_it_ends() {
    let mut bench = ready();
    bench.client("EPSV", REPLY);
    bench.event(2, ForwardEvent::Claimed, &[]);
    bench.event(2, ForwardEvent::Unreachable("refused".into()), &[]);
    bench.client("RETR g", &["C< 425 ferryline: refused"]);
    is_off(&mut bench, 3);
}

#[test]
fn the_end_of_a_session_closes_it() {
    let mut bench = ready();
    bench.client_ended(Ending::Lost, &["! close 2", "! end, abort"]);
    let mut bench = ready();
    bench.server_ended(Ending::Eof, &["! close 2", "! end"]);
    let mut bench = named();
    bench.client("EPSV", &[]);
    bench.server_ended(
        Ending::Eof,
        &[
            "C< 425 ferryline: the FTP server closed the control connection",
            "! close 2",
            "! end",
        ],
    );
}

/// The server would take the port away that the client has.
#[test]
fn a_client_that_has_its_next_port_is_not_asked_for() {
    let mut bench = Bench::greeted(asking());
    epsv(&mut bench);
    bench.client("RETR f", &["S> RETR f"]);
    bench.server("150 here", &["C< 150 here"]);
    bench.client("EPSV", &["S> EPSV"]);
    bench.server("229 (|||40001|)", NAMED);
    bench.ready(2, "127.0.0.1:51214", REPLY);
    bench.event(1, ForwardEvent::Drained, &[]);
    bench.event(1, ForwardEvent::Ended, &[]);
    bench.server("226 done", &["C< 226 done"]);
}
