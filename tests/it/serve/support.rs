//! A service, and what stands in for systemd.

use std::collections::BTreeMap;
use std::fs;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};

use tokio::net::{TcpStream, UnixDatagram};
use tokio::time::timeout;

use crate::common::{Ended, PATIENCE, Running, Shore};

/// A running service, its file, and its service manager.
pub struct Service {
    pub running: Running,
    pub manager: Manager,
    file: PathBuf,
    /// Where each tunnel was last announced.
    addresses: BTreeMap<String, SocketAddr>,
}

impl Service {
    /// Starts a service of this file. It is in `home` with all else.
    pub fn start(home: &Path, text: &str) -> Self {
        Self::start_with(home, text, &[])
    }

    /// As [`start`](Self::start), with these variables in its environment.
    pub fn start_with(home: &Path, text: &str, variables: &[(&str, &str)]) -> Self {
        let (file, manager, variables) = prepared(home, text, variables);
        let running = Running::start_with_all(home, &variables, &arguments(&file));
        Self::of(running, manager, file)
    }

    /// As [`start`](Self::start), with a socket that the service manager passes.
    pub fn activated(home: &Path, text: &str, socket: std::net::TcpListener) -> Self {
        let (file, manager, variables) = prepared(home, text, &[]);
        let running = Running::start_with_socket(home, socket, &variables, &arguments(&file));
        Self::of(running, manager, file)
    }

    fn of(running: Running, manager: Manager, file: PathBuf) -> Self {
        Self {
            running,
            manager,
            file,
            addresses: BTreeMap::new(),
        }
    }

    /// Reads the next line of its output, which says where a tunnel listens.
    pub async fn announced(&mut self, tunnel: &str) -> SocketAddr {
        let line = self.running.line().await;
        let rest = line.strip_prefix(&format!("{tunnel} ftp://"));
        let rest = rest.unwrap_or_else(|| panic!("no line of {tunnel}: {line}"));
        let address = rest.split(' ').next().unwrap().parse().unwrap();
        self.addresses.insert(tunnel.to_owned(), address);
        address
    }

    /// Waits until the service manager knows that it is ready.
    pub async fn ready(&self) {
        self.manager.says("READY=1").await;
    }

    /// Writes another file, and has it read.
    pub async fn reload(&self, text: &str) {
        fs::write(&self.file, text).unwrap();
        self.running.signal("HUP").await;
        self.manager.says("RELOADING=1").await;
        self.ready().await;
    }

    /// Has it stop, and waits for its end.
    pub async fn stop(self) -> Ended {
        self.running.signal("TERM").await;
        self.running.ended().await
    }
}

fn prepared(
    home: &Path,
    text: &str,
    variables: &[(&str, &str)],
) -> (PathBuf, Manager, Vec<(String, String)>) {
    let file = home.join("ferryline.toml");
    fs::write(&file, text).unwrap();
    let socket = home.join("notify");
    let manager = Manager::at(&socket);
    let given = variables
        .iter()
        .map(|(name, value)| ((*name).to_owned(), (*value).to_owned()));
    let own = ("NOTIFY_SOCKET".to_owned(), socket.display().to_string());
    (file, manager, [own].into_iter().chain(given).collect())
}

fn arguments(file: &Path) -> Vec<String> {
    ["serve", "-c", file.to_str().unwrap()]
        .map(str::to_owned)
        .to_vec()
}

/// What the service manager is told.
pub struct Manager {
    socket: UnixDatagram,
}

impl Manager {
    fn at(path: &Path) -> Self {
        Self {
            socket: UnixDatagram::bind(path).unwrap(),
        }
    }

    /// The next message, the whole datagram.
    pub async fn next(&self) -> String {
        let mut buffer = [0; 4096];
        let received = timeout(PATIENCE, self.socket.recv(&mut buffer)).await;
        let len = received
            .expect("the service manager is told nothing")
            .unwrap();
        String::from_utf8(buffer[..len].to_vec()).unwrap()
    }

    /// Waits for a message that contains this; returns it.
    pub async fn says(&self, part: &str) -> String {
        loop {
            let message = self.next().await;
            if message.contains(part) {
                return message;
            }
        }
    }
}

/// The table of an SSH connection to this server.
pub fn ssh_table(name: &str, shore: &Shore) -> String {
    ssh_table_at(name, shore, shore.ssh_server.address().port())
}

/// The same, at this port.
pub fn ssh_table_at(name: &str, shore: &Shore, port: u16) -> String {
    format!(
        "[ssh.{name}]\n\
        destination = \"tester@127.0.0.1\"\n\
        port = {port}\n\
        identity = \"{}\"\n\
        option.UserKnownHostsFile = \"{}\"\n\
        option.GlobalKnownHostsFile = \"none\"\n",
        shore.key.display(),
        shore.known_hosts.display()
    )
}

/// The table of a tunnel over `dc1`, at any free port.
pub fn tunnel(name: &str, server: SocketAddr) -> String {
    tunnel_at(name, "127.0.0.1:0", server)
}

/// The table of a tunnel over `dc1`, at this address.
pub fn tunnel_at(name: &str, address: &str, server: SocketAddr) -> String {
    tunnel_over("dc1", name, address, server)
}

/// The table of a tunnel over this SSH connection, at this address.
pub fn tunnel_over(ssh: &str, name: &str, address: &str, server: SocketAddr) -> String {
    format!(
        "[tunnel.{name}]\nssh = \"{ssh}\"\nlocal-forward = \"{address}:127.0.0.1:{}\"\n",
        server.port()
    )
}

/// Whether nobody listens there any more.
pub async fn is_refused(address: SocketAddr) -> bool {
    let connected = TcpStream::connect(address).await;
    connected.is_err_and(|error| error.kind() == std::io::ErrorKind::ConnectionRefused)
}
