//! A bound on the kernel's retransmission timer.
//!
//! TCP sends unacknowledged data again after pauses that double up to two minutes. A path that was silent
//! for 30 s therefore often carries nothing for as long again after it has come back. Linux 6.15 and later
//! bound the pause for each socket.

use nix::sys::socket::SetSockOpt as _;
// The macro names the others and the crate as if they were here.
use nix::{getsockopt_impl, libc, setsockopt_impl, sockopt_impl};
use tokio::net::TcpStream;

sockopt_impl!(
    /// The longest pause, in milliseconds.
    LongestPause,
    Both,
    libc::IPPROTO_TCP,
    TCP_RTO_MAX_MS,
    u32
);

/// Makes the kernel send unacknowledged data again at least this often. Older kernels do not know the option
/// and keep their own pauses.
///
/// The kernel gives a connection up after a number of retransmissions. With the bound that takes less time
/// than without. So this is only for sockets with a `TCP_USER_TIMEOUT`, which takes the place of that number.
pub(super) fn bound(tcp: &TcpStream) {
    if let Err(error) = LongestPause.set(tcp, &LONGEST_PAUSE) {
        tracing::debug!(%error, "cannot set TCP_RTO_MAX_MS on the SSH socket (Linux before 6.15?)");
    }
}

/// From Linux's `include/uapi/linux/tcp.h`; the `libc` crate does not have it yet.
const TCP_RTO_MAX_MS: libc::c_int = 44;
/// In milliseconds. A fresh attempt is made within this time after the path's return.
const LONGEST_PAUSE: u32 = 3000;

#[cfg(test)]
mod tests {
    use nix::{errno::Errno, sys::socket::GetSockOpt as _};
    use tokio::net::TcpListener;
    use tokio_util::sync::CancellationToken;

    use super::*;
    use crate::ssh::transport::stream::{self, Stream};

    /// Q125.
    #[tokio::test]
    async fn q125_an_ssh_socket_with_a_time_limit_has_the_bound_and_others_have_not() {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let at = listener.local_addr().unwrap();
        let unbounded = TcpStream::connect(at).await.unwrap();
        let before = match LongestPause.get(&unbounded) {
            Err(Errno::ENOPROTOOPT) => {
                eprintln!("skipped: this kernel does not know TCP_RTO_MAX_MS");
                return;
            }
            before => before.unwrap(),
        };
        assert!(before > LONGEST_PAUSE, "{before}");
        let cut = CancellationToken::new();
        for (patience, pause) in [
            (None, before),
            (Some(std::time::Duration::from_secs(60)), LONGEST_PAUSE),
        ] {
            let tcp = TcpStream::connect(at).await.unwrap();
            let same = tcp.into_std().unwrap();
            let tcp = TcpStream::from_std(same.try_clone().unwrap()).unwrap();
            let _transport = stream::over(Stream::Tcp(tcp), &cut, patience);
            assert_eq!(LongestPause.get(&same).unwrap(), pause, "{patience:?}");
        }
    }
}
