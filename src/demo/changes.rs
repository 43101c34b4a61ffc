//! What ferryline changed on a control connection, derived from the lines on its two sides.
//!
//! The observer of a proxy sees a line of a command up to twice: as the client sent it, and as the server got
//! it. The same holds for replies. [`Pairing`] finds which lines belong together, and keeps what differs.

use std::{collections::VecDeque, mem};

pub use crate::proxy::{Direction, Observer};

/// A line that is not the same on both sides.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum Change {
    /// A command that the client sent and the server did not get.
    CommandWithheld {
        /// As the client sent it.
        client: Vec<u8>,
    },
    /// A command of ferryline's own.
    CommandAdded {
        /// As the server got it.
        server: Vec<u8>,
    },
    /// A command that the server got in another form.
    CommandRewritten {
        /// As the client sent it.
        client: Vec<u8>,
        /// As the server got it.
        server: Vec<u8>,
    },
    /// A reply line that the server sent and the client did not get.
    ReplyWithheld {
        /// As the server sent it.
        server: Vec<u8>,
    },
    /// A reply line of ferryline's own.
    ReplyAdded {
        /// As the client got it.
        client: Vec<u8>,
    },
    /// A reply line that the client got in another form.
    ReplyRewritten {
        /// As the server sent it.
        server: Vec<u8>,
        /// As the client got it.
        client: Vec<u8>,
    },
}

/// Pairs the lines that go in with those that come out, for one control connection.
///
/// A line that comes out belongs to the first waiting line that is the same, otherwise to one that begins
/// with the same word, otherwise to one of the same kind (class of the reply code; PASV and EPSV, PORT and
/// EPRT), otherwise to none. The lines that waited before it were withheld: order is kept on both sides.
#[derive(Debug, Default)]
pub struct Pairing {
    commands: VecDeque<Vec<u8>>,
    replies: VecDeque<Vec<u8>>,
}

impl Pairing {
    /// Takes a line that was seen. Returns the changes that it brought to light, oldest first. The line end
    /// is not looked at.
    pub fn observe(&mut self, direction: Direction, line: &[u8]) -> Vec<Change> {
        let line = line.trim_ascii_end().to_vec();
        match direction {
            Direction::FromClient => {
                wait(&mut self.commands, line);
                Vec::new()
            }
            Direction::FromServer => {
                wait(&mut self.replies, line);
                Vec::new()
            }
            Direction::ToServer => {
                let (withheld, original) = take(&mut self.commands, &line, command_kind);
                let withheld = withheld
                    .into_iter()
                    .map(|client| Change::CommandWithheld { client });
                let change = match original {
                    None => Some(Change::CommandAdded { server: line }),
                    Some(client) if client == line => None,
                    Some(client) => Some(Change::CommandRewritten {
                        client,
                        server: line,
                    }),
                };
                withheld.chain(change).collect()
            }
            Direction::ToClient => {
                let (withheld, original) = take(&mut self.replies, &line, reply_kind);
                let withheld = withheld
                    .into_iter()
                    .map(|server| Change::ReplyWithheld { server });
                let change = match original {
                    None => Some(Change::ReplyAdded { client: line }),
                    Some(server) if server == line => None,
                    Some(server) => Some(Change::ReplyRewritten {
                        server,
                        client: line,
                    }),
                };
                withheld.chain(change).collect()
            }
        }
    }
}

/// Lets a line wait for its other side. Where far too many wait, lines are no longer passed on, and they are
/// forgotten: the queue must not grow with a session.
fn wait(queue: &mut VecDeque<Vec<u8>>, line: Vec<u8>) {
    if queue.len() >= MAX_WAITING {
        queue.clear();
    }
    queue.push_back(line);
}

/// Takes the line that became `line` off the queue, with those that waited before it.
fn take(
    queue: &mut VecDeque<Vec<u8>>,
    line: &[u8],
    kind: fn(&[u8]) -> &[u8],
) -> (Vec<Vec<u8>>, Option<Vec<u8>>) {
    let place = queue
        .iter()
        .position(|waiting| waiting == line)
        .or_else(|| {
            let word = first_word(line);
            queue
                .iter()
                .position(|w| first_word(w).eq_ignore_ascii_case(word))
        })
        .or_else(|| queue.iter().position(|w| kind(w) == kind(line)));
    let Some(place) = place else {
        return (Vec::new(), None);
    };
    let mut later = queue.split_off(place);
    let original = later.pop_front();
    let withheld = mem::replace(queue, later);
    (withheld.into(), original)
}

/// The verb of a command, or the code of a reply.
fn first_word(line: &[u8]) -> &[u8] {
    line.split(|b| matches!(b, b' ' | b'-'))
        .next()
        .unwrap_or(line)
}

fn command_kind(line: &[u8]) -> &[u8] {
    match first_word(line).to_ascii_uppercase().as_slice() {
        b"PASV" | b"EPSV" => b"passive",
        b"PORT" | b"EPRT" => b"active",
        _ => first_word(line),
    }
}

fn reply_kind(line: &[u8]) -> &[u8] {
    line.get(..1).unwrap_or(line)
}

/// Number of lines that may wait for their other side; no client sends more commands ahead.
const MAX_WAITING: usize = 1024;

#[cfg(test)]
mod tests {
    use Direction::{FromClient, FromServer, ToClient, ToServer};

    use super::*;

    fn changes(lines: &[(Direction, &str)]) -> Vec<Change> {
        let mut pairing = Pairing::default();
        lines
            .iter()
            .flat_map(|(direction, line)| pairing.observe(*direction, line.as_bytes()))
            .collect()
    }

    fn rewritten_reply(server: &str, client: &str) -> Change {
        Change::ReplyRewritten {
            server: server.into(),
            client: client.into(),
        }
    }

    #[test]
    fn lines_that_pass_unchanged_are_no_change() {
        let lines = [
            (FromServer, "220 ready\r\n"),
            (ToClient, "220 ready\r\n"),
            (FromClient, "USER a\r\n"),
            (ToServer, "USER a"),
            (FromServer, "331-a\n"),
            (FromServer, "331 b\n"),
            (ToClient, "331-a\r\n"),
            (ToClient, "331 b\r\n"),
        ];
        assert_eq!(changes(&lines), []);
    }

    #[test]
    fn a_passive_reply_is_shown_with_both_addresses() {
        let lines = [
            (FromClient, "PASV"),
            (ToServer, "PASV"),
            (FromServer, "227 At (127,0,0,1,155,66)."),
            (
                ToClient,
                "227 Entering Passive Mode (127,0,0,1,200,13).\r\n",
            ),
        ];
        assert_eq!(
            changes(&lines),
            [rewritten_reply(
                "227 At (127,0,0,1,155,66).",
                "227 Entering Passive Mode (127,0,0,1,200,13)."
            )]
        );
    }

    #[test]
    fn an_eprt_that_becomes_a_port_keeps_its_answer() {
        let lines = [
            (FromClient, "EPRT |1|127.0.0.1|2000|"),
            (ToServer, "EPRT |1|127.0.0.1|3000|"),
            (FromServer, "500 not implemented"),
            (ToServer, "PORT 127,0,0,1,11,184"),
            (FromServer, "200 fine"),
            (ToClient, "200 fine"),
            (FromClient, "RETR a"),
            (ToServer, "RETR a"),
            (FromServer, "150 here"),
            (ToClient, "150 here"),
        ];
        assert_eq!(
            changes(&lines),
            [
                Change::CommandRewritten {
                    client: "EPRT |1|127.0.0.1|2000|".into(),
                    server: "EPRT |1|127.0.0.1|3000|".into(),
                },
                Change::CommandAdded {
                    server: "PORT 127,0,0,1,11,184".into()
                },
                Change::ReplyWithheld {
                    server: "500 not implemented".into()
                },
            ]
        );
    }

    #[test]
    fn an_epsv_that_is_asked_again_as_pasv_pairs_229_with_227() {
        let lines = [
            (FromClient, "EPSV"),
            (ToServer, "EPSV"),
            (FromServer, "502 no"),
            (ToServer, "PASV"),
            (FromServer, "227 (127,0,0,1,155,66)"),
            (ToClient, "229 Extended (|||4000|)"),
        ];
        assert_eq!(
            changes(&lines),
            [
                Change::CommandAdded {
                    server: "PASV".into()
                },
                Change::ReplyWithheld {
                    server: "502 no".into()
                },
                rewritten_reply("227 (127,0,0,1,155,66)", "229 Extended (|||4000|)"),
            ]
        );
    }

    #[test]
    fn the_other_verb_for_the_same_thing_is_a_rewritten_command() {
        let lines = [
            (FromClient, "eprt |1|127.0.0.1|2000|"),
            (ToServer, "PORT 127,0,0,1,11,184"),
        ];
        assert_eq!(
            changes(&lines),
            [Change::CommandRewritten {
                client: "eprt |1|127.0.0.1|2000|".into(),
                server: "PORT 127,0,0,1,11,184".into(),
            }]
        );
    }

    #[test]
    fn a_command_answered_by_the_ferry_is_withheld_and_its_reply_added() {
        let lines = [
            (FromClient, "AUTH TLS"),
            (ToClient, "502 ferryline: already inside SSH"),
            (FromClient, "USER a"),
            (ToServer, "USER a"),
        ];
        assert_eq!(
            changes(&lines),
            [
                Change::ReplyAdded {
                    client: "502 ferryline: already inside SSH".into()
                },
                Change::CommandWithheld {
                    client: "AUTH TLS".into()
                },
            ]
        );
    }

    #[test]
    fn pipelined_commands_keep_their_order() {
        let lines = [
            (FromClient, "PORT 1,1,1,1,8,1"),
            (FromClient, "PORT 1,1,1,1,8,2"),
            (ToServer, "PORT 2,2,2,2,8,1"),
            (ToServer, "PORT 2,2,2,2,8,2"),
        ];
        let change = |port| Change::CommandRewritten {
            client: format!("PORT 1,1,1,1,8,{port}").into(),
            server: format!("PORT 2,2,2,2,8,{port}").into(),
        };
        assert_eq!(changes(&lines), [change(1), change(2)]);
    }

    #[test]
    fn lines_nobody_passes_on_are_forgotten_in_the_end() {
        let mut pairing = Pairing::default();
        for _ in 0..10 * MAX_WAITING {
            pairing.observe(FromServer, b"200 x");
        }
        assert!(pairing.replies.len() <= MAX_WAITING);
    }
}
