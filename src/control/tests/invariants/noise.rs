//! Arbitrary lines, replies and events: nothing leaks, nothing grows, nothing spins, nothing panics.

use std::time::Duration;

use proptest::prelude::*;

use super::world::{Kind, Stage, Tape, World};
use crate::control::{
    Ending, ForwardEvent, ForwardId, Settings,
    tests::{active::third_host, bench::settings},
};

/// What goes in next.
#[derive(Clone, Debug)]
enum Input {
    Client(Vec<u8>),
    Forward(u16, u8),
    Server(Vec<u8>),
    Wait(u16),
}

const COMMANDS: &[&str] = &[
    "ABOR",
    "AUTH TLS",
    "EPRT |1|127.0.0.1|30001|",
    "EPRT |2|::1|30001|",
    "EPSV",
    "EPSV ALL",
    "EPSV 2",
    "FEAT",
    "LIST",
    "LPRT 4,4,127,0,0,1,2,117,48",
    "MODE B",
    "MODE S",
    "MODE Z",
    "NOOP",
    "PASV",
    "PORT 127,0,0,1,117,48",
    "PORT 10,0,0,1,117,48",
    "QUIT",
    "REIN",
    "RETR f",
    "STOR f",
    "",
    "USER me@ftp.example",
    "USER me@other.example",
    "PASS x",
    "USER x\rPORT 127,0,0,1,117,48",
    "\u{0}",
    "PORT 127,0,0,1,117,48,9",
    "PORT",
    "PASV x",
    "SPOR 127,0,0,1,117,48",
    "MPRT 127,0,0,1,117,48",
    "GET path=/a;port=127,0,0,1,117,48;",
    "\u{feff}PORT 127,0,0,1,117,48",
    "\u{feff}PASV",
    "\u{14}\u{7f}ABOR",
    "pasv \t",
];

const REPLIES: &[&str] = &[
    "120 wait",
    "150 here",
    "150-",
    "200 ok",
    "200-",
    "202 no",
    "211-x",
    "211 end",
    "220 hello",
    "221 bye",
    "225 no",
    "226 done",
    "226-",
    "227 here (203,0,113,77,78,40)",
    "227-here (203,0,113,77,78,40)",
    "227 nowhere",
    "227 (203,0,113,77,0,25)",
    "228 x (4,4,203,0)",
    "229 (|||20008|)",
    "229-",
    "229 (|1|203.0.113.77|20008|)",
    "227.here (203,0,113,77,78,40)",
    "200 ok (203,0,113,77,78,40)",
    "200-ok (203,0,113,77,78,40)",
    "257-\"x\"",
    "257 \"x\"",
    "250 (203,0,113,77,78,40)",
    "350-(|||20008|)",
    "250 ok",
    "331 pass",
    "421 out",
    "425 no",
    "426 cut",
    "450 busy",
    "500 what",
    "500-what",
    "501 no",
    "502 no",
    "522 no (2)",
    "530 log in",
    "550 no",
    "550-",
    "553-",
    " 227 (203,0,113,77,78,40)",
    "227: (203,0,113,77,78,40)",
    "227Entering (203,0,113,77,-178,40)",
    " 227-here (203,0,113,77,78,40)",
    " 200 ok (203,0,113,77,78,40)",
    " 211 end",
    " 211-x",
    "211: end",
    "200: ok",
    "2279 (203,0,113,77,78,40)",
    "127 PORT (203,0,113,77,78,40)",
    "what?",
    "",
    "99 x",
];

fn line(known: &'static [&'static str]) -> impl Strategy<Value = Vec<u8>> {
    let end = prop_oneof![
        18 => Just("\r\n"),
        2 => Just("\n"),
        1 => prop::sample::select(vec!["\n\r", "\0\r\n", "\r\n\0", "\r"]),
    ];
    (prop::sample::select(known), end).prop_map(|(text, end)| format!("{text}{end}").into_bytes())
}

fn hostile() -> impl Strategy<Value = Vec<u8>> {
    let byte = prop_oneof![
        4 => any::<u8>(),
        4 => prop::sample::select(b"\r\n\0\xff\xfd\xfb\xfa\xf0 -(|,)2790".to_vec()),
    ];
    prop::collection::vec(byte, 0..24)
}

fn inputs() -> impl Strategy<Value = Vec<Input>> {
    let input = prop_oneof![
        12 => line(COMMANDS).prop_map(Input::Client),
        1 => hostile().prop_map(Input::Client),
        12 => line(REPLIES).prop_map(Input::Server),
        1 => hostile().prop_map(Input::Server),
        10 => (any::<u16>(), 0_u8..11).prop_map(|(which, what)| Input::Forward(which, what)),
        2 => (0_u16..70).prop_map(Input::Wait),
    ];
    prop::collection::vec(input, 0..120)
}

fn apply(world: &mut World, input: &Input) {
    if world.ended.is_some() {
        return;
    }
    match input {
        Input::Client(bytes) => world.client_bytes(bytes),
        Input::Forward(which, what) => happen(world, *which, *what),
        Input::Server(bytes) => world.server_bytes(bytes),
        Input::Wait(seconds) => world.wait(Duration::from_secs(u64::from(*seconds))),
    }
}

/// Lets something happen to one of the forwards that the driver still has.
fn happen(world: &mut World, which: u16, what: u8) {
    let live: Vec<ForwardId> = world
        .forwards
        .iter()
        .filter(|(_, f)| !matches!(f.stage, Stage::Gone | Stage::Closed))
        .map(|(id, _)| *id)
        .collect();
    if live.is_empty() {
        return;
    }
    let id = live[usize::from(which) % live.len()];
    match (world.forwards[&id].stage, what) {
        (Stage::Asked, 0) => world.lose(id, ForwardEvent::Failed("no\r\nway".into())),
        (Stage::Ready, 0) => world.lose(id, ForwardEvent::Ended),
        (Stage::Claimed, 1) if world.forwards[&id].kind == Kind::Local => {
            world.lose(id, ForwardEvent::Unreachable("no\r\nway".into()));
        }
        (Stage::Claimed | Stage::Connected | Stage::Drained, 0) => {
            world.lose(id, ForwardEvent::Ended);
        }
        (Stage::Connected, 1) => world.lose(id, ForwardEvent::Cut),
        (Stage::Connected, 2) => world.event(id, ForwardEvent::Broken),
        (Stage::Connected, 8) => world.event(id, ForwardEvent::Blocked),
        (Stage::Connected, 9) => world.event(id, ForwardEvent::AllReceived),
        (Stage::Connected, 10) => world.event(id, ForwardEvent::AllSent),
        (Stage::Connected, 3) => world.event(id, ForwardEvent::Progress),
        _ => world.advance(id),
    }
}

/// Ends each data connection that runs, or has the driver give it up: none stands without end.
fn data_ends(world: &mut World) {
    let stands = |stage| matches!(stage, Stage::Claimed | Stage::Connected | Stage::Drained);
    let standing = world.forwards.iter().filter(|(_, f)| stands(f.stage));
    let standing: Vec<ForwardId> = standing.map(|(id, _)| *id).collect();
    for id in standing {
        if world.ended.is_none() && stands(world.forwards[&id].stage) {
            world.lose(id, ForwardEvent::Ended);
        }
    }
}

/// A world with an FTP server on the SSH host, one on a third host with remote forwards for it, or one that
/// the client named.
fn world(which: u8) -> World {
    let settings = match which {
        0 => settings(),
        1 => Settings {
            remote_bind: Some("198.51.100.9".parse().unwrap()),
            ..third_host()
        },
        _ => Settings {
            routed: Some("ftp.example".into()),
            ..third_host()
        },
    };
    World::new(settings)
}

fn run(which: u8, inputs: &[Input]) -> World {
    let mut world = world(which);
    for input in inputs {
        apply(&mut world, input);
    }
    world
}

proptest! {
    /// The world checks each step; in the end everything is closed.
    #[test]
    fn whatever_comes_nothing_leaks_and_nothing_spins(which in 0_u8..3, inputs in inputs(), end in 0..4) {
        let mut world = run(which, &inputs);
        if world.ended.is_none() {
            match end {
                0 => world.client_ends(Ending::Lost),
                1 => world.server_ends(Ending::Lost),
                2 => world.server_ends(Ending::Eof),
                _ => world.client_ends(Ending::LineTooLong(1)),
            }
        }
        world.wait(Duration::from_secs(600));
        data_ends(&mut world);
        world.wait(Duration::from_secs(600));
        prop_assert!(world.ended.is_some(), "{:#?}", world.log);
        prop_assert_eq!(world.control.poll_timeout(), None);
    }

    /// The way in which bytes are cut into pieces does not matter.
    #[test]
    fn chunking_does_not_matter(
        which in 0_u8..3,
        inputs in inputs(),
        cuts in prop::collection::vec(1_u16..9, 1..40),
    ) {
        let whole = run(which, &inputs);
        let mut tape = Tape::new(cuts.iter().copied().cycle().take(10_000).collect());
        let mut world = world(which);
        for input in &inputs {
            let (Input::Client(bytes) | Input::Server(bytes)) = input else {
                apply(&mut world, input);
                continue;
            };
            let mut rest = bytes.as_slice();
            while !rest.is_empty() {
                let (piece, more) = rest.split_at(rest.len().min(1 + tape.choose(9).unwrap_or(0)));
                rest = more;
                apply(&mut world, &match input {
                    Input::Client(_) => Input::Client(piece.to_vec()),
                    _ => Input::Server(piece.to_vec()),
                });
            }
        }
        prop_assert_eq!(whole.log, world.log);
        prop_assert_eq!(whole.to_client, world.to_client);
        prop_assert_eq!(whole.to_server, world.to_server);
    }

    /// Lines that are no business of ferryline's pass unchanged, with any content, in both directions.
    #[test]
    fn what_is_no_address_passes_unchanged(
        commands in prop::collection::vec("[A-Z]{3,4}x [ -~\\x80-\\xfe]{0,20}", 0..20),
        // Nothing that could be a port.
        replies in prop::collection::vec("(1|3|4|5)[0-9]{2}[- ][ \"-'*-{}~]{0,20}|[a-z ][ \"-'*-{}~]{0,20}", 0..40),
        order in prop::collection::vec(any::<bool>(), 0..60),
    ) {
        let mut world = World::new(settings());
        let (mut sent, mut said) = (String::new(), String::new());
        let (mut commands, mut replies) = (commands.iter(), replies.iter());
        for client in order {
            if client && let Some(command) = commands.next() {
                sent += &format!("{command}\r\n");
                world.client_bytes(format!("{command}\r\n").as_bytes());
            } else if !client && let Some(reply) = replies.next() {
                said += &format!("{reply}\r\n");
                world.server_bytes(format!("{reply}\r\n").as_bytes());
            }
        }
        prop_assert_eq!(String::from_utf8_lossy(&world.to_client), said);
        prop_assert_eq!(String::from_utf8_lossy(&world.to_server), sent);
    }
}
