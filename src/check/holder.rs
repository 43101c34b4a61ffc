//! Which program listens on a port of this host. Only Linux tells, and only of the own user's programs, or root
//! of all.

use std::{fs, path::Path};

/// A program that listens.
#[derive(Debug, Eq, PartialEq)]
pub(super) struct Holder {
    pub(super) pid: u32,
    pub(super) name: String,
}

/// The name that this program has in the kernel's list.
pub(super) const OWN: &str = "ferryline";

/// The program that listens on this port; `None` where that cannot be found out.
pub(super) fn of_port(port: u16) -> Option<Holder> {
    let tables = ["/proc/net/tcp", "/proc/net/tcp6"];
    let text: String = tables
        .into_iter()
        .filter_map(|table| fs::read_to_string(table).ok())
        .collect();
    let sockets: Vec<String> = listening(&text, port)
        .map(|inode| format!("socket:[{inode}]"))
        .collect();
    if sockets.is_empty() {
        return None;
    }
    let processes = fs::read_dir("/proc").ok()?.filter_map(Result::ok);
    processes
        .filter_map(|entry| Some((entry.file_name().to_str()?.parse().ok()?, entry.path())))
        .find(|(_, folder): &(u32, _)| has_one_of(folder, &sockets))
        .and_then(|(pid, folder)| {
            let name = fs::read_to_string(folder.join("comm")).ok()?;
            Some(Holder {
                pid,
                name: name.trim().escape_debug().to_string(),
            })
        })
}

/// The inodes of the sockets that listen on this port, on any address (proc_net_tcp in the kernel's
/// documentation).
fn listening(table: &str, port: u16) -> impl Iterator<Item = &str> {
    let end = format!(":{port:04X}");
    table.lines().filter_map(move |line| {
        let mut fields = line.split_ascii_whitespace();
        let local = fields.nth(1)?;
        let state = fields.nth(1)?;
        let inode = fields.nth(5)?;
        (local.ends_with(&end) && state == LISTEN).then_some(inode)
    })
}

fn has_one_of(process: &Path, sockets: &[String]) -> bool {
    let Ok(descriptors) = fs::read_dir(process.join("fd")) else {
        return false;
    };
    let mut links = descriptors
        .filter_map(Result::ok)
        .filter_map(|entry| fs::read_link(entry.path()).ok());
    links.any(|link| {
        sockets
            .iter()
            .any(|socket| link.as_os_str() == socket.as_str())
    })
}

/// `TCP_LISTEN` of the kernel.
const LISTEN: &str = "0A";

#[cfg(all(test, target_os = "linux"))]
mod tests {
    use super::*;

    #[test]
    fn the_program_that_listens_is_found() {
        let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        let port = listener.local_addr().unwrap().port();
        let holder = of_port(port).unwrap();
        assert_eq!(holder.pid, std::process::id());
        drop(listener);
        assert_eq!(of_port(port), None);
    }
}
