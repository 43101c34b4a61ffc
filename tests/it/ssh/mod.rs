//! SSH sessions, with the embedded server and with OpenSSH's.

mod channels;
mod lanes;
mod login;
mod many;
#[cfg(unix)]
mod openssh;
mod outage;
mod path;
mod patience;
mod rekey;
mod support;
mod way;
