//! Where the commands of a document run: a home whose ssh configuration knows the names that documents use.
//!
//! | in a document | here |
//! |---|---|
//! | `me@ssh.example`, and `jump.example` on the way | the embedded SSH server |
//! | the FTP server on the SSH host (`localhost:21`), at `ftp.internal:21`, `ftp.example.com` | the embedded FTP server, which has `a.csv`; its password is `secret` |
//! | ports 2121, 2122, 9121, and 21 to listen on | free ports |
//! | `/etc/ferryline` | the home |
//! | `cargo run --release --`, `/usr/local/bin/ferryline` | the program that is tested |
//!
//! The search path has what the documents use, and no `ssh`: it would look for the configuration in the home of the
//! user who runs the tests, whatever HOME says.

use std::fs;
use std::net::{SocketAddr, TcpListener};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU32, Ordering};

use ferryline::demo::ftp_server::FtpServer;
use ferryline::demo::ssh_server::{self, KeyPair, SshServer};
use tempfile::TempDir;

use super::{door, top};
use crate::common::{noise, write_private};

pub(super) struct Stage {
    folder: TempDir,
    ssh_server: SshServer,
    _ftp_server: FtpServer,
    /// The address of the FTP server's door.
    ftp: SocketAddr,
    /// In place of 2121, 2122, 21 and 9121.
    ports: [u16; 4],
}

impl Stage {
    pub(super) async fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let key = KeyPair::generate(None).unwrap();
        let ssh_server = SshServer::start(ssh_server::Options {
            user: "me".to_owned(),
            authorized_keys: vec![key.public.clone()],
            ..ssh_server::Options::default()
        });
        let ssh_server = ssh_server.await.unwrap();
        let site = folder.path().join("site");
        fs::create_dir(&site).unwrap();
        fs::write(site.join("a.csv"), noise(5000)).unwrap();
        let ftp_server = FtpServer::start(&site).unwrap();
        let stage = Self {
            folder,
            ssh_server,
            ftp: door::open(ftp_server.address()).await,
            _ftp_server: ftp_server,
            ports: free_ports(),
        };
        stage.furnish(&key);
        stage
    }

    /// Writes what a user has at home.
    fn furnish(&self, key: &KeyPair) {
        let home = self.home();
        let address = self.ssh_server.address();
        fs::create_dir(home.join(".ssh")).unwrap();
        write_private(&home.join("key"), &key.private);
        write_private(&home.join(".ssh/id_ed25519"), &key.private);
        for file in ["known_hosts", ".ssh/known_hosts"] {
            fs::write(home.join(file), self.ssh_server.known_hosts()).unwrap();
        }
        let config = format!(
            "Host ssh.example jump.example\n  HostName {}\n  Port {}\n  User me\n  GlobalKnownHostsFile none\n",
            address.ip(),
            address.port()
        );
        fs::write(home.join(".ssh/config"), config).unwrap();
        write_private(&home.join("ftp-password"), &format!("{}\n", door::PASSWORD));
        fs::write(home.join("b.csv"), noise(700)).unwrap();
        let programs = home.join("bin");
        fs::create_dir(&programs).unwrap();
        let ferryline = Path::new(env!("CARGO_BIN_EXE_ferryline"));
        std::os::unix::fs::symlink(ferryline, programs.join("ferryline")).unwrap();
        for (name, candidates) in PROGRAMS {
            if let Some(found) = candidates.iter().find_map(|name| program(name)) {
                std::os::unix::fs::symlink(found, programs.join(name)).unwrap();
            }
        }
    }

    pub(super) fn home(&self) -> &Path {
        self.folder.path()
    }

    /// Whether this program can be run here.
    pub(super) fn has(&self, program: &str) -> bool {
        self.home().join("bin").join(program).exists()
    }

    /// Checks the files that this command may have carried, byte for byte, and takes them away. Returns their number.
    pub(super) fn whole_files(&self, command: &str) -> usize {
        let (home, site) = (self.home(), self.home().join("site"));
        let mut whole = 0;
        for (arrived, sent) in [
            (home.join("a.csv"), site.join("a.csv")),
            (home.join("copy.csv"), site.join("a.csv")),
            (site.join("b.csv"), home.join("b.csv")),
        ] {
            let Ok(came) = fs::read(&arrived) else {
                continue;
            };
            let differs = came != fs::read(sent).unwrap();
            assert!(!differs, "{command}: {} differs", arrived.display());
            fs::remove_file(arrived).unwrap();
            whole += 1;
        }
        whole
    }

    /// A command, with the names of this stage.
    pub(super) fn here(&self, command: &str) -> String {
        let ftp = self.ftp;
        let [first, second, third, metrics] = self.ports.map(|port| port.to_string());
        let names = [
            ("cargo run --release -- ", "ferryline ".to_owned()),
            ("2121", first),
            ("2122", second),
            ("9121", metrics),
            ("-L 21:", format!("-L {third}:")),
            ("localhost:21 ", format!("localhost:{} ", ftp.port())),
            ("ftp.internal:21 ", format!("{ftp} ")),
            (":*:21", format!(":*:{}", ftp.port())),
            ("'*.example.com'", "localhost".to_owned()),
            ("ftp.example.com", "localhost".to_owned()),
            ("/usr/local/bin/ferryline", "ferryline".to_owned()),
            ("/etc/ferryline", self.home().display().to_string()),
        ];
        // By way of characters that no command has: one number may be found in another.
        let mark = |index: usize| {
            char::from_u32(0xE000 + u32::try_from(index).unwrap())
                .unwrap()
                .to_string()
        };
        let names = || names.iter().enumerate();
        let marked = names().fold(command.to_owned(), |text, (index, (there, _))| {
            text.replace(there, &mark(index))
        });
        names().fold(marked, |text, (index, (_, here))| {
            text.replace(&mark(index), here)
        })
    }

    /// A line that was printed, with the names of the documents.
    pub(super) fn there(&self, line: &str) -> String {
        let ftp = self.ftp;
        let ssh = format!("me@{}", self.ssh_server.address());
        [
            (ssh, "me@ssh.example"),
            (format!("localhost:{}", ftp.port()), "localhost:21"),
            (ftp.to_string(), "ftp.internal:21"),
            (self.home().display().to_string(), "/etc/ferryline"),
        ]
        .into_iter()
        .fold(line.to_owned(), |text, (here, there)| {
            text.replace(&here, there)
        })
    }
}

/// Programs that documents use, each by the names that it has on some systems.
const PROGRAMS: [(&str, &[&str]); 16] = [
    ("cat", &["cat"]),
    ("chmod", &["chmod"]),
    ("curl", &["curl"]),
    ("ftp", &["inetutils-ftp", "ftp", "tnftp"]),
    ("grep", &["grep"]),
    ("lftp", &["lftp"]),
    ("ls", &["ls"]),
    ("mkdir", &["mkdir"]),
    ("mkfifo", &["mkfifo"]),
    ("mktemp", &["mktemp"]),
    ("mv", &["mv"]),
    ("rm", &["rm"]),
    ("sed", &["sed"]),
    ("sha256sum", &["sha256sum"]),
    ("sh", &["sh"]),
    ("wget", &["wget"]),
];

/// Finds a program in the search path, or among those that the suite with real software has installed.
pub(super) fn program(name: &str) -> Option<PathBuf> {
    let path = std::env::var_os("PATH").unwrap_or_default();
    let installed = fs::read_dir(top().join("target/interop/root")).into_iter();
    let installed = installed
        .flatten()
        .filter_map(Result::ok)
        .map(|entry| entry.path().join("usr/bin"));
    std::env::split_paths(&path)
        .chain(installed)
        .map(|folder| folder.join(name))
        .find(|file| file.is_file())
}

/// Ports that are free. They are below those that systems give to sockets by themselves, so that no other test gets one
/// between two commands.
fn free_ports() -> [u16; 4] {
    static NEXT: AtomicU32 = AtomicU32::new(0);
    // Processes that run at the same time begin at different places.
    let mut candidates = std::iter::from_fn(|| {
        let next = std::process::id() * 16 + NEXT.fetch_add(1, Ordering::Relaxed);
        u16::try_from(20_000 + next % 12_000).ok()
    });
    [(); 4].map(|()| {
        let free = candidates.find(|port| TcpListener::bind(("127.0.0.1", *port)).is_ok());
        free.expect("a free port")
    })
}
