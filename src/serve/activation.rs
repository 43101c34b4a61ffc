//! The sockets that the service manager passes (sd_listen_fds(3)).

use crate::proxy::Listener;

/// Takes the sockets that were passed to this process. Call it in a tokio runtime, once, before anything else
/// opens a file: the sockets are named by their numbers.
///
/// # Errors
///
/// One of them is no TCP socket that listens.
#[cfg(unix)]
pub fn passed_sockets() -> Result<Vec<Listener>, String> {
    let mut passed = listenfd::ListenFd::from_env();
    let mut listeners = Vec::new();
    for number in 0..passed.len() {
        let taken = passed.take_tcp_listener(number);
        let listener = taken.and_then(|socket| socket.map(Listener::passed).transpose());
        match listener {
            Ok(listener) => listeners.extend(listener),
            Err(error) => {
                return Err(format!(
                    "socket {} of those that the service manager passed cannot be used: {error}; the socket unit \
                     needs ListenStream= with an address and a port, and Accept=no",
                    number + 1
                ));
            }
        }
    }
    Ok(listeners)
}

/// There is no such thing here.
#[cfg(not(unix))]
pub fn passed_sockets() -> Result<Vec<Listener>, String> {
    Ok(Vec::new())
}
