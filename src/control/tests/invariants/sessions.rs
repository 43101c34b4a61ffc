//! Plausible sessions: scripted clients, a proper server, forwards that come or fail at any time.

use std::{collections::VecDeque, time::Duration};

use proptest::prelude::*;

use super::{
    client::{Ask, Client, scripts},
    server::{Profile, Server, forward_of, profiles},
    world::{Kind, Stage, Tape, World},
};
use crate::control::{DataAtEnd, Ending, ForwardEvent, ForwardId, tests::bench::settings};

struct Session {
    world: World,
    client: Client,
    server: Server,
    tape: Tape,
    /// Forwards may fail, and be lost.
    trouble: bool,
    aborts: bool,
    /// The client sends more before it has its answer.
    pipelines: bool,
}

impl Session {
    fn new(script: Vec<Ask>, window: usize, profile: Profile, tape: Vec<u16>) -> Self {
        Self {
            world: World::new(settings()),
            aborts: script.contains(&Ask::Abor) || script.contains(&Ask::ModeB),
            pipelines: window > 1,
            client: Client::new(script, window),
            server: Server::new(profile),
            tape: Tape::new(tape),
            trouble: false,
        }
    }

    fn run(&mut self) {
        while let Some(choice) = self.tape.choose(10) {
            match choice {
                0 => drop(self.client.step()),
                1 | 2 => drop(self.server.step(&mut self.world, &mut self.tape)),
                3 => self.deliver_client(),
                4 | 5 => self.deliver_server(),
                6 | 7 => {
                    if let Some(id) = self.any_forward() {
                        self.advance(id, true);
                    }
                }
                8 => {
                    if let Some(id) = self.any_forward().filter(|_| self.trouble) {
                        self.lose(id);
                    }
                }
                _ if self.server.is_slow(&self.world) => {}
                _ => {
                    let seconds = self.tape.choose(4).unwrap_or(0);
                    self.world.wait(Duration::from_secs(seconds as u64));
                }
            }
            self.read();
        }
        self.rest();
    }

    /// Lets everything happen that can, until nothing is left.
    fn rest(&mut self) {
        for _ in 0..10_000 {
            let mut progress = self.client.step();
            progress |= self.server.step(&mut self.world, &mut self.tape);
            progress |= !self.client.wire.is_empty() || !self.server.wire.is_empty();
            self.deliver_client();
            self.deliver_server();
            let ids: Vec<ForwardId> = self.world.forwards.keys().copied().collect();
            for id in ids {
                progress |= self.advance(id, self.server.uses(&self.world) == Some(id));
            }
            self.read();
            if self.server.closed && self.server.wire.is_empty() && self.world.ended.is_none() {
                self.world.server_ends(Ending::Eof);
            }
            if progress {
                continue;
            }
            let next = self.world.control.poll_timeout();
            if let Some(next) = next {
                self.world.wait(next.saturating_sub(self.world.now));
            }
            self.read();
            if next.is_none() {
                return;
            }
        }
        panic!("it never comes to rest");
    }

    fn deliver_client(&mut self) {
        let bytes = some(&mut self.client.wire, &mut self.tape);
        self.world.client_bytes(&bytes);
    }

    fn deliver_server(&mut self) {
        let bytes = some(&mut self.server.wire, &mut self.tape);
        self.world.server_bytes(&bytes);
    }

    fn any_forward(&mut self) -> Option<ForwardId> {
        let count = self.world.forwards.len();
        let index = self.tape.choose(count)?;
        self.world.forwards.keys().nth(index).copied()
    }

    /// Takes the next step of a forward, if it may come now. `connect`: the client may connect.
    fn advance(&mut self, id: ForwardId, connect: bool) -> bool {
        let forward = &self.world.forwards[&id];
        let may = match forward.stage {
            Stage::Asked | Stage::Claimed | Stage::Drained => true,
            Stage::Ready => match forward.kind {
                Kind::Joined(_) => forward.told || self.has_sent_all(id),
                Kind::Local => forward.told && connect,
                // The server connects to it.
                Kind::Remote => false,
            },
            Stage::Connected => self.has_sent_all(id),
            Stage::Gone | Stage::Closed => false,
        };
        let leaves_open = forward.stage == Stage::Connected && forward.asked && !forward.answered;
        // The SSH server answers a keepalive request also on a data connection that the FTP server makes no use of.
        let unused = leaves_open && !may && self.server.uses(&self.world) != Some(id);
        if unused && self.world.ended.is_none() {
            self.world.answer(id);
            return true;
        }
        if may && self.world.ended.is_none() {
            if leaves_open && self.tape.choose(2) == Some(1) {
                self.world.answer(id);
            } else {
                self.world.advance(id);
            }
        }
        may && self.world.ended.is_none()
    }

    fn has_sent_all(&self, id: ForwardId) -> bool {
        let mut finished = self.server.finished.values();
        finished.any(|port| forward_of(&self.world, *port) == Some(id))
    }

    fn lose(&mut self, id: ForwardId) {
        let event = match self.world.forwards[&id].stage {
            Stage::Asked => ForwardEvent::Failed("no".into()),
            Stage::Gone | Stage::Closed => return,
            Stage::Connected if self.tape.choose(2) == Some(0) => ForwardEvent::Cut,
            _ => ForwardEvent::Ended,
        };
        if self.world.ended.is_none() {
            self.world.lose(id, event);
        }
    }

    fn read(&mut self) {
        let (world, server, aborts) = (&self.world, &self.server, self.aborts);
        let pipelines = self.pipelines;
        let uploads = |tag: &str| {
            let stor = format!("STOR {tag}");
            self.client.sent.contains(&stor)
        };
        let uploads: Vec<String> = server
            .finished
            .keys()
            .filter(|tag| uploads(tag))
            .cloned()
            .collect();
        self.client.read(world, |tag| {
            let Some(port) = server.finished.get(tag) else {
                return false;
            };
            let forward = forward_of(world, *port).map(|id| &world.forwards[&id]);
            let undrained = forward.is_some_and(|forward| {
                matches!(forward.stage, Stage::Claimed | Stage::Connected) && !forward.answered
            });
            // There is no success for an upload that was cut, whether or not its client has aborted it. (An
            // upload that is sent before its PASV is answered may use the data connection of the PORT before,
            // where the PASV is then refused: its client has no part in that.)
            let cut = !pipelines && forward.is_some_and(|forward| forward.cut);
            undrained && !aborts || cut && (!aborts || uploads.iter().any(|upload| upload == tag))
        });
    }

    fn check(&self) {
        assert_eq!(self.world.ended, Some(DataAtEnd::Finish));
        self.client.check();
        let mut lines = self.client.lines.iter();
        let mut withdrawn = 0;
        for line in &self.server.passing {
            // Of a transfer that was cut, ferryline may have told the client before the server did, and may say so
            // in place of its success.
            let instead = line.starts_with("226 ") || line.starts_with("426 ");
            let found =
                lines.find(|&seen| seen == line || instead && seen.starts_with("426 ferryline: "));
            let found = found.unwrap_or_else(|| panic!("{line:?} is lost or out of place"));
            withdrawn += usize::from(found != line);
        }
        // Also for an upload that the client aborts.
        let cut = self.world.forwards.values().filter(|forward| forward.cut);
        let most = self.world.unconfirmed + cut.count();
        assert!(self.aborts || withdrawn <= most);
        self.check_what_the_server_was_sent();
        self.check_reports();
    }

    /// Checks that each transfer is reported once, with what its client was told.
    fn check_reports(&self) {
        let is_transfer = |line: &&String| line.starts_with("RETR ") || line.starts_with("STOR ");
        let mut asked: Vec<&str> = self
            .client
            .sent
            .iter()
            .filter(is_transfer)
            .map(String::as_str)
            .collect();
        let reports = &self.world.reports;
        let mut reported: Vec<&str> = reports
            .iter()
            .map(|report| std::str::from_utf8(&report.command).unwrap())
            .collect();
        asked.sort_unstable();
        reported.sort_unstable();
        assert_eq!(reported, asked);
        for report in reports {
            if let Some(answer) = &report.answer {
                let answer = std::str::from_utf8(answer).unwrap().trim_end();
                assert!(
                    self.client.finals.iter().any(|seen| seen == answer),
                    "{answer}"
                );
            }
        }
    }

    /// Checks that lines which are no business of ferryline's have come unchanged, and that there are no more
    /// requests for data connections than the client's, each at most once more.
    fn check_what_the_server_was_sent(&self) {
        let sent = String::from_utf8_lossy(&self.world.to_server).into_owned();
        let sent: Vec<&str> = sent.lines().collect();
        assert_eq!(
            passing(&sent),
            passing(
                &self
                    .client
                    .sent
                    .iter()
                    .map(String::as_str)
                    .collect::<Vec<_>>()
            ),
        );
        let is_passive = |line: &&&str| matches!(**line, "EPSV" | "PASV");
        let passive = sent.iter().filter(is_passive).count();
        let asked = |line: &&String| {
            let verb = line.split(' ').next();
            verb.is_some_and(|verb| matches!(verb, "EPRT" | "EPSV" | "PASV" | "PORT"))
        };
        let asked = self.client.sent.iter().filter(asked).count();
        assert!(passive <= 2 * asked, "{sent:#?}");
    }
}

impl Drop for Session {
    fn drop(&mut self) {
        if std::thread::panicking() {
            println!("{:#?}", self.world.log);
        }
    }
}

/// Lines that always pass.
fn passing<'a>(lines: &[&'a str]) -> Vec<&'a str> {
    let passes = |line: &&&str| {
        let verb = line.split(' ').next().unwrap_or_default();
        matches!(verb, "FEAT" | "MODE" | "NOOP" | "QUIT" | "REIN" | "STAT") || **line == "EPSV ALL"
    };
    lines.iter().filter(passes).copied().collect()
}

fn some(wire: &mut VecDeque<u8>, tape: &mut Tape) -> Vec<u8> {
    let count = tape
        .choose(64)
        .map_or(wire.len(), |count| count.min(wire.len()));
    wire.drain(..count).collect()
}

fn windows() -> impl Strategy<Value = usize> {
    prop::sample::select(vec![1, 1, 2, 5, 100])
}

fn tapes() -> impl Strategy<Value = Vec<u16>> {
    prop::collection::vec(any::<u16>(), 0..400)
}

proptest! {
    /// For any timing, nothing is lost, nothing comes twice, and nothing comes out of order.
    #[test]
    fn every_command_has_its_one_answer(
        script in scripts(), window in windows(), profile in profiles(), tape in tapes(),
    ) {
        let mut session = Session::new(script, window, profile, tape);
        session.run();
        session.check();
    }

    #[test]
    fn every_command_has_its_one_answer_also_when_forwards_fail(
        script in scripts(), window in windows(), profile in profiles(), tape in tapes(),
    ) {
        let mut session = Session::new(script, window, profile, tape);
        session.trouble = true;
        session.run();
        session.check();
    }

    /// For any end of a session, nothing stays open: the world checks that.
    #[test]
    fn an_end_at_any_time_leaves_nothing_open(
        script in scripts(), window in windows(), profile in profiles(), tape in tapes(), end in 0..5,
    ) {
        let mut session = Session::new(script, window, profile, tape);
        session.trouble = true;
        while !session.tape.is_used_up() {
            session.client.step();
            session.server.step(&mut session.world, &mut session.tape);
            session.deliver_client();
            session.deliver_server();
            if let Some(id) = session.any_forward() {
                session.advance(id, true);
            }
        }
        if session.world.ended.is_none() {
            match end {
                0 => session.world.client_ends(Ending::Eof),
                1 => session.world.client_ends(Ending::Lost),
                2 => session.world.server_ends(Ending::Eof),
                3 => session.world.server_ends(Ending::Lost),
                _ => session.world.stop(),
            }
        }
        for _ in 0..1000 {
            let ids: Vec<ForwardId> = session.world.forwards.keys().copied().collect();
            for id in ids {
                session.advance(id, false);
            }
            session.server.step(&mut session.world, &mut session.tape);
            session.deliver_server();
            session.world.wait(Duration::from_secs(60));
        }
        // The driver decides how long a transfer may still run when ferryline stops. Whatever else may be
        // silent, nothing waits for what never comes.
        let running = end == 4 && session.server.uses(&session.world).is_some();
        assert!(session.world.ended.is_some() || running);
    }
}
