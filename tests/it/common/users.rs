//! Another local user.

use nix::unistd::{Uid, getuid, setfsuid};

use super::skip::skipped;

/// Does something as user 65534, as far as its sockets are concerned; `None` where the tests do not
/// run as root and nobody can be somebody else.
///
/// The kernel gives a socket the user of the thread that makes it (setfsuid(2)), so a thread is all
/// that it takes.
pub fn as_nobody<T: Send>(what: impl FnOnce() -> T + Send) -> Option<T> {
    if !getuid().is_root() {
        skipped("not root: what another user could do is not tested");
        return None;
    }
    std::thread::scope(|scope| {
        let thread = scope.spawn(|| {
            let nobody = Uid::from_raw(65534);
            setfsuid(nobody);
            // It reports no failure but this way.
            assert_eq!(setfsuid(nobody), nobody);
            what()
        });
        Some(thread.join().unwrap())
    })
}
