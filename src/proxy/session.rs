//! One FTP client: pumps lines into the state machine and carries out what it asks.

use std::{
    collections::HashMap,
    net::SocketAddr,
    sync::Arc,
    time::{Duration, SystemTime},
};

use ferryline_grammar::{Frame, LineCodec, is_loopback};
use tokio::{
    net::{
        TcpStream,
        tcp::{OwnedReadHalf, OwnedWriteHalf},
    },
    sync::mpsc,
    time::Instant,
};
use tokio_util::sync::CancellationToken;
use tracing::Instrument;

use super::{
    context::Context,
    data::{
        carried,
        context::DataContext,
        handle::Handle,
        local,
        look::{Look, look},
        prefetch::ForwardPrefetch,
        remote,
        report::Reporter,
    },
    dial_server::{ControlConnections, dial_server},
    greeter::greet,
    io::{
        farewell::{FAREWELL, linger},
        line_reader::{LineReader, give_way},
        socket,
        write_queue::WriteQueue,
    },
    moved::Moved,
    policy::owner::Owner,
    trace::{
        books::{EndedBy, Entry, SessionEnd},
        journal::Journal,
        live::Shown,
        observe::{Direction, Lines},
        record::Record,
        session_facts::SessionFacts,
    },
};
use crate::{
    control::{Control, DataAtEnd, Ending, ForwardEvent, ForwardId, Output, Settings},
    ssh::{ChannelReader, ChannelWriter},
    transcript::{self, Header},
};

/// Serves one client, from its connection to the last byte of its last data connection.
pub(super) async fn run(stream: TcpStream, peer: SocketAddr, owner: Owner, context: Arc<Context>) {
    let number = context.next_session();
    tracing::info!("#{number} {peer} → {}", context.spec.destination());
    let local = match socket::control(&stream).and_then(|()| stream.local_addr()) {
        Ok(local) => local,
        Err(error) => {
            tracing::debug!("#{number} was gone at once: {error}");
            return;
        }
    };
    let shown = show(number, peer, owner, &context);
    let dialing = async {
        match context.spec.is_user_routed() {
            true => greet(stream, peer, number, &context).await,
            false => dial_server(stream, peer, number, &context).await,
        }
    };
    let ended = shown.end_token().clone();
    let standing = tokio::select! {
        standing = dialing => standing,
        () = ended.cancelled() => None,
    };
    let Some(standing) = standing else {
        tracing::info!("#{number} {peer} ended without a control connection to an FTP server");
        book_unserved(&shown, &context);
        return;
    };
    if let Some(named) = &standing.routed {
        shown.set_server(named);
    }
    shown.set_ssh_server(context.ssh.server_facts());
    let data = Arc::new(DataContext {
        session: number,
        ssh: context.ssh.clone(),
        client_peer: peer,
        client_local: local,
        server: standing.server.clone(),
        gateway: context.options.gateway.clone(),
        only_hosts: standing
            .routed
            .is_some()
            .then(|| context.options.allow_hosts.clone()),
        owner,
        warnings: Arc::clone(&context.warnings),
        prefetch: ForwardPrefetch::new(context.options.ready_time),
        early_data: context.options.limits.early_data,
        still_data: context.options.limits.still_data,
        last_word: context.options.last_word,
    });
    Session::new(number, standing, data, shown, Arc::clone(&context))
        .run()
        .await;
}

/// Shows the session to those who look from outside, and enters it into the books.
fn show(number: u64, peer: SocketAddr, owner: Owner, context: &Context) -> Shown {
    let facts = Arc::new(SessionFacts {
        number,
        tunnel: Arc::clone(&context.tunnel),
        peer,
        local_user: match owner {
            Owner::User(user) => Some(user),
            Owner::Unknown | Owner::Untold => None,
        },
        server: context.spec.destination(),
        ssh: context.ssh.destination().to_owned(),
        ssh_server: context.ssh.server_facts(),
        began: SystemTime::now(),
    });
    context.book(&Entry::SessionBegan(&facts));
    context.options.live.show(facts)
}

/// Enters the end of a session that had no FTP server into the books.
fn book_unserved(shown: &Shown, context: &Context) {
    let session = shown.facts();
    let end = SessionEnd {
        user: None,
        logged_in: false,
        by: EndedBy::NotConnected,
        reason: "no control connection with the FTP server",
        time: session.began.elapsed().unwrap_or_default(),
        transfers: 0,
        failed: 0,
        moved: Moved::default(),
    };
    context.book(&Entry::SessionEnded {
        session: &session,
        end: &end,
    });
}

struct Session {
    number: u64,
    context: Arc<Context>,
    data: Arc<DataContext>,
    control: Control,
    record: Record,
    journal: Journal,
    lines: Lines,
    began: Instant,
    client: LineReader<OwnedReadHalf>,
    server: LineReader<ChannelReader>,
    to_client: WriteQueue<OwnedWriteHalf>,
    to_server: WriteQueue<ChannelWriter>,
    events: mpsc::UnboundedReceiver<(ForwardId, ForwardEvent)>,
    event_sender: mpsc::UnboundedSender<(ForwardId, ForwardEvent)>,
    /// The handle of each forward that is not known to be gone.
    forwards: HashMap<ForwardId, Handle>,
    /// Cuts the clients' sides of all data connections.
    cut: CancellationToken,
    /// Whether the client's side is known to have ended, or to be about to.
    client_left: bool,
    /// Is cancelled when the session is asked to end at once.
    ended: CancellationToken,
    stopping: bool,
}

/// How the session ends: what becomes of the data connections, and the forwards that are to close after the
/// server's control connection.
type End = (DataAtEnd, Vec<ForwardId>);

/// What the session waits for.
enum Input {
    Abort,
    Client(Result<Frame, Ending>),
    /// The client has ended its side, and is not read at present.
    ClientLeft,
    Forward(ForwardId, ForwardEvent),
    Server(Result<Frame, Ending>),
    Stop,
    Timeout,
    /// Something was written.
    Written,
    /// One side cannot be written to any more.
    WriteToClientFailed,
    WriteToServerFailed,
}

impl Input {
    /// The length of the line, if the input is one.
    fn bytes(&self) -> usize {
        match self {
            Self::Client(Ok(Frame::Line(line))) | Self::Server(Ok(Frame::Line(line))) => {
                line.text().len()
            }
            _ => 0,
        }
    }
}

impl Session {
    fn new(
        number: u64,
        standing: ControlConnections,
        data: Arc<DataContext>,
        shown: Shown,
        context: Arc<Context>,
    ) -> Self {
        let channel = standing.channel;
        let (event_sender, events) = mpsc::unbounded_channel();
        let settings = Settings {
            client_peer: data.client_peer,
            client_local: data.client_local,
            server_host: data.server.host.clone(),
            server_addresses: standing.server_addresses,
            data_host: context.options.data_host,
            lowest_data_port: context.options.lowest_data_port,
            active: context.options.active,
            server_on_ssh_host: is_loopback(&data.server.host),
            remote_bind: context.options.remote_bind,
            routed: standing.routed,
            limits: context.options.limits,
        };
        let ended = shown.end_token().clone();
        let journal = Journal::new(
            shown,
            settings.routed.is_some(),
            context.options.books.clone(),
            Arc::clone(&context.warnings),
        );
        let knowledge = context.servers.knowledge(&data.server);
        let record = Record::begin(
            context.recording.as_ref(),
            number,
            journal.server(),
            Header::new(&settings, knowledge),
        );
        Self {
            number,
            control: Control::new(settings, knowledge),
            record,
            journal,
            lines: Lines::default(),
            context,
            data,
            began: standing.began,
            client: standing.client,
            server: LineReader::new(channel.reader, LineCodec::replies()),
            to_client: WriteQueue::new(standing.to_client),
            to_server: WriteQueue::new(channel.writer),
            events,
            event_sender,
            forwards: HashMap::new(),
            cut: CancellationToken::new(),
            client_left: false,
            ended,
            stopping: false,
        }
    }

    async fn run(mut self) {
        // The length of the last line.
        let mut done_for = 0;
        let end = loop {
            if let Some(end) = self.carry_out() {
                break end;
            }
            give_way(done_for).await;
            let input = self.next_input().await;
            done_for = input.bytes();
            let now = self.began.elapsed();
            match input {
                Input::Abort => {
                    self.record.input(now, &transcript::Input::Cut);
                    self.control.cut();
                }
                Input::Client(Ok(frame)) => {
                    self.observe(Direction::FromClient, &frame);
                    if let Frame::Line(line) = &frame {
                        self.journal.client_line(line.text());
                    }
                    self.record.input(now, &transcript::Input::Client(&frame));
                    self.control.client(now, frame);
                }
                Input::Client(Err(ending)) => self.client_ended(now, ending),
                Input::ClientLeft => {
                    self.client_left = true;
                    self.record.input(now, &transcript::Input::ClientLeft);
                    self.control.client_left(now);
                }
                Input::Forward(id, event) => self.forward_event(now, id, event),
                Input::Server(Ok(frame)) => {
                    self.observe(Direction::FromServer, &frame);
                    if let Some(end) = self.look_at_data().await {
                        break end;
                    }
                    let now = self.began.elapsed();
                    self.record.input(now, &transcript::Input::Server(&frame));
                    self.control.server(now, frame);
                }
                Input::Server(Err(ending)) => {
                    self.journal.server_ended(ending);
                    self.record
                        .input(now, &transcript::Input::ServerEnded(ending));
                    self.control.server_ended(now, ending);
                }
                Input::Stop => {
                    self.stopping = true;
                    self.record.input(now, &transcript::Input::Stop);
                    self.control.stop(now);
                    if !self.control.is_over() {
                        self.journal.waits_at_stop(self.context.options.grace);
                    }
                }
                Input::Timeout => {
                    self.record.input(now, &transcript::Input::Timeout);
                    self.control.timeout(now);
                }
                Input::Written => {}
                Input::WriteToClientFailed => self.client_ended(now, Ending::Lost),
                // The server's last lines are still to be read. How the server ended comes from there.
                Input::WriteToServerFailed => {}
            }
        };
        self.end(end).await;
    }

    fn client_ended(&mut self, now: Duration, ending: Ending) {
        self.client_left = true;
        self.journal.client_ended(ending);
        self.record
            .input(now, &transcript::Input::ClientEnded(ending));
        self.control.client_ended(now, ending);
    }

    fn forward_event(&mut self, now: Duration, id: ForwardId, event: ForwardEvent) {
        if matches!(
            event,
            ForwardEvent::Cut
                | ForwardEvent::Ended
                | ForwardEvent::Failed(_)
                | ForwardEvent::Unreachable(_)
        ) {
            self.forwards.remove(&id);
            self.journal.forward_gone(id);
        }
        self.record
            .input(now, &transcript::Input::Forward(id, &event));
        self.control.forward(now, id, event);
    }

    /// Finds out who owns the connections that wait at data ports, before a line of the FTP server passes.
    /// The line may be the 150 on which a client sends its few bytes and closes, and the owner of a closed
    /// socket cannot be found out (Q114).
    async fn look_at_data(&mut self) -> Option<End> {
        let looks: Vec<Look> = self
            .forwards
            .values()
            .filter_map(|forward| forward.look.clone())
            .collect();
        for look in looks {
            look.at().await;
        }
        while let Ok((id, event)) = self.events.try_recv() {
            self.forward_event(self.began.elapsed(), id, event);
            if let Some(end) = self.carry_out() {
                return Some(end);
            }
        }
        None
    }

    async fn next_input(&mut self) -> Input {
        // A forward's events are older than the replies that speak of it. (A wait may yield to other tasks
        // although there is something to receive.)
        if let Ok((id, event)) = self.events.try_recv() {
            return Input::Forward(id, event);
        }
        let deadline = self.control.poll_timeout();
        let timeout = async {
            match deadline {
                Some(at) => tokio::time::sleep_until(self.began + at).await,
                None => std::future::pending().await,
            }
        };
        // A client that does not read its replies is not read either: it could ask for more of them.
        let read_client =
            self.control.wants_client() && !self.to_server.is_full() && !self.to_client.is_full();
        let read_server = self.control.wants_server() && !self.to_client.is_full();
        let (client, server) = (&mut self.client, &mut self.server);
        let client_left = self.client_left;
        let heard = async {
            if read_client {
                return Input::Client(client.next().await);
            }
            if client_left {
                return std::future::pending().await;
            }
            client.wait_for_client_eof().await;
            Input::ClientLeft
        };
        let said = async {
            match read_server {
                true => server.next().await,
                false => Err(server.buffer_unread().await),
            }
        };
        let lines = async {
            // Neither side may keep the other from being read.
            tokio::select! {
                input = heard => input,
                line = said => Input::Server(line),
            }
        };
        tokio::select! {
            biased;
            () = self.context.abort.cancelled() => Input::Abort,
            () = self.ended.cancelled() => Input::Abort,
            () = self.context.stop.cancelled(), if !self.stopping => Input::Stop,
            Some((id, event)) = self.events.recv() => Input::Forward(id, event),
            written = self.to_client.progress() => match written {
                Ok(()) => Input::Written,
                Err(_) => Input::WriteToClientFailed,
            },
            written = self.to_server.progress() => match written {
                Ok(()) => Input::Written,
                Err(_) => Input::WriteToServerFailed,
            },
            () = timeout => Input::Timeout,
            input = lines => input,
        }
    }

    /// Carries out what the machine asks. Returns how the session ends, when it does.
    fn carry_out(&mut self) -> Option<End> {
        while let Some(output) = self.control.poll_output() {
            self.record.output(&output);
            match output {
                Output::Ask(id) => {
                    if let Some(forward) = self.forwards.get(&id) {
                        forward.asked.notify_one();
                    }
                }
                Output::Close(id) => {
                    if let Some(forward) = self.forwards.remove(&id) {
                        forward.close.cancel();
                        self.journal.forward_gone(id);
                    }
                }
                Output::Join(id) => {
                    if let Some(forward) = self.forwards.get(&id) {
                        forward.join.cancel();
                    }
                }
                Output::OpenJoined {
                    id,
                    targets,
                    deliver_to,
                } => {
                    let handle = Handle::new(self.journal.wants_hashes());
                    let (data, reporter) = (Arc::clone(&self.data), self.reporter(id, &handle));
                    let join = handle.join.clone();
                    let task = carried::run(data, reporter, targets, deliver_to, join);
                    self.spawn(id, handle, task);
                }
                // Nothing is buffered between an SSH channel and the client's socket.
                Output::Drain(id) => {
                    let _ = self.event_sender.send((id, ForwardEvent::Drained));
                }
                Output::End {
                    data,
                    close_after_control,
                } => return Some((data, close_after_control)),
                Output::FinishServer => self.to_server.finish(),
                Output::Learned(knowledge) => {
                    self.context.servers.learn(&self.data.server, knowledge);
                }
                Output::Notice(notice) => self.context.warnings.notice(self.number, &notice),
                Output::OpenLocal { id, targets } => {
                    let (look, looks) = look();
                    let handle = Handle {
                        look: Some(look),
                        ..Handle::new(self.journal.wants_hashes())
                    };
                    let (data, reporter) = (Arc::clone(&self.data), self.reporter(id, &handle));
                    self.spawn(id, handle, local::run(data, reporter, targets, looks));
                }
                Output::OpenRemote {
                    id,
                    bind,
                    deliver_to,
                } => {
                    let handle = Handle::new(self.journal.wants_hashes());
                    let (data, reporter) = (Arc::clone(&self.data), self.reporter(id, &handle));
                    let task = remote::run(data, reporter, bind, deliver_to);
                    self.spawn(id, handle, task);
                }
                Output::Settle(id) => {
                    if let Some(forward) = self.forwards.get(&id) {
                        forward.settle.cancel();
                    }
                }
                Output::ToClient(bytes) => {
                    self.observe_bytes(Direction::ToClient, &bytes);
                    self.journal.reply(&bytes);
                    self.to_client.push(&bytes);
                }
                Output::ToServer(bytes) => {
                    self.observe_bytes(Direction::ToServer, &bytes);
                    self.to_server.push(&bytes);
                }
                Output::Transferred(report) => {
                    self.journal.transferred(self.began.elapsed(), &report);
                }
            }
        }
        self.journal
            .show(self.began.into_std(), self.control.running_transfer());
        for (id, forward) in &self.forwards {
            // Set before the output that lets the data go.
            let keeps_end = self.control.keeps_end(*id);
            forward
                .keeps_end
                .send_if_modified(|before| std::mem::replace(before, keeps_end) != keeps_end);
            if !forward.begun.is_cancelled() && self.control.takes_data(*id) {
                forward.begun.cancel();
            }
        }
        None
    }

    /// Writes what is left to write, and closes both sides.
    async fn end(mut self, (data, close_after_control): End) {
        self.journal.ended(self.began.elapsed());
        self.data.prefetch.end();
        let closing: Vec<Handle> = close_after_control
            .iter()
            .filter_map(|id| self.forwards.remove(id))
            .collect();
        if data == DataAtEnd::Abort {
            // This comes first: a server that sees its control connection end may end a download by itself,
            // in order. The client would take what it has for the whole file.
            self.cut.cancel();
        }
        self.to_client.finish();
        let written = async {
            tokio::join!(
                tokio::time::timeout(FAREWELL, self.to_client.drain()),
                tokio::time::timeout(FAREWELL, self.to_server.drain()),
            )
        };
        let (to_client, to_server) = tokio::select! {
            written = written => written,
            () = self.server.discard() => return,
        };
        let written = matches!(to_client, Ok(Ok(())));
        if !matches!(to_server, Ok(Ok(()))) {
            tracing::debug!("#{} not all was written to the server", self.number);
        }
        // A write that is still under way ends here: it would keep the end of file back.
        drop(self.to_server);
        let channel = self.server.into_source();
        let leaving = async {
            if closing.is_empty() {
                channel.leave().await;
            } else {
                channel.leave_and_wait(NOTICE).await;
            }
        };
        let given_up = async {
            self.context.abort.cancelled().await;
            tokio::time::sleep(FAREWELL).await;
        };
        tokio::select! {
            () = leaving => {}
            () = given_up => {}
        }
        // An end of file on a data connection says that the file is complete, and sshd can pass on no other
        // end. By now the server has lost its control connection.
        for forward in &closing {
            forward.close.cancel();
        }
        if written {
            linger(&mut self.client.into_source()).await;
        }
    }

    fn reporter(&self, id: ForwardId, handle: &Handle) -> Reporter {
        let events = self.event_sender.clone();
        Reporter::new(&self.data, id, events, handle, self.cut.clone())
    }

    /// Starts a forward's task. Closing the forward, or the end of everything, drops the task where it
    /// stands. Its sockets are dropped with it, which resets them.
    fn spawn(
        &mut self,
        id: ForwardId,
        handle: Handle,
        task: impl Future<Output = ()> + Send + 'static,
    ) {
        let close = handle.close.clone();
        self.journal.forward(id, Arc::clone(&handle.tally));
        self.forwards.insert(id, handle);
        let context = Arc::clone(&self.context);
        let events = self.event_sender.clone();
        let orphaned = async move {
            context.abort.cancelled().await;
            // A session that is not over ends its forwards itself, in the right order.
            events.closed().await;
        };
        let running = async move {
            tokio::select! {
                () = task => {}
                () = close.cancelled() => {}
                () = orphaned => {}
            }
        };
        let span = self.context.span.clone();
        self.context.tasks.spawn(running.instrument(span));
    }

    fn observe(&mut self, direction: Direction, frame: &Frame) {
        if let Frame::Line(line) = frame {
            self.observe_bytes(direction, line.text());
        }
    }

    fn observe_bytes(&mut self, direction: Direction, bytes: &[u8]) {
        self.lines
            .show(self.context.observer(), self.number, direction, bytes);
    }
}

/// How long the SSH server may take to notice that a control connection has ended. The path of the control
/// connection may stand still for as long as its keepalive replies are waited for, while that of the data does
/// not.
const NOTICE: Duration = Duration::from_secs(60);
