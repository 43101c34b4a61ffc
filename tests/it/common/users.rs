//! Another local user.

use nix::unistd::{Uid, getuid, setfsuid};

use super::skip::skipped;

/// Does something as user 65534, as far as its sockets are concerned. `None` where the tests do not run as
/// root and so cannot act as another user.
///
/// The kernel gives a socket the user of the thread that makes it (setfsuid(2)), so a thread of its own is
/// enough.
pub fn as_nobody<T: Send>(what: impl FnOnce() -> T + Send) -> Option<T> {
    if !getuid().is_root() {
        skipped("not root: what another user could do is not tested");
        return None;
    }
    std::thread::scope(|scope| {
        let thread = scope.spawn(|| {
            let nobody = Uid::from_raw(65534);
            setfsuid(nobody);
            // setfsuid reports a failure only in this way.
            assert_eq!(setfsuid(nobody), nobody);
            what()
        });
        Some(thread.join().unwrap())
    })
}
