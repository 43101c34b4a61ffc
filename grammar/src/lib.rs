//! The language of FTP's control connection: bytes in, meaning out.
//!
//! Nothing here does I/O, knows the time or decides a policy. What a line *means* is said here;
//! what to do about it is the caller's. Everything works on bytes: FTP's text is in no known
//! encoding (Q62), and nothing a peer sends makes a parser here panic or grow without bound.
//!
//! The grammar is written down in `ftp.abnf`; how real peers deviate from it in `QUIRKS.md`,
//! whose Q-numbers the comments and tests name.
//!
//! # Layout
//!
//! * `codec`: the byte stream cut into [`Frame`]s by [`LineCodec`], with [`Line`] in `line` and the
//!   Telnet that hides in it ([`Negotiation`]) in `telnet`
//! * `command`, `verb`: what a client says ([`Command`], [`Verb`], [`EpsvArgument`])
//! * `address`: the addresses in PORT and EPRT ([`HostPort`], [`ExtendedAddress`])
//! * `reply`: a reply line by itself ([`ReplyCode`], [`ReplyLine`]); `framing`: where a reply begins
//!   and ends ([`ReplyFraming`], [`Place`])
//! * `passive`: the endpoint in a passive reply ([`parse_passive_reply`]), and its canonical forms
//!   ([`render_227`], [`render_229`])
//! * `lax`: what readers that are less strict make of a line ([`lax_code`], [`may_name_endpoint`],
//!   [`lax_verbs`], [`is_disguised`], [`is_address`], [`holds_active_request`])
//! * `loopback`: hosts that mean the loopback of whoever resolves them ([`is_loopback`],
//!   [`loopback_addresses`])
//! * `mask`: what of a command and a reply others may see ([`masked`], [`masked_reply`])
//! * `lexical`: the nom parsers the others share

#![deny(clippy::disallowed_types, clippy::disallowed_methods)]

mod address;
mod codec;
mod command;
mod framing;
#[cfg(test)]
mod growth;
mod lax;
mod lexical;
mod line;
mod loopback;
mod mask;
mod passive;
mod reply;
mod telnet;
mod verb;

pub use address::{ExtendedAddress, ExtendedAddressError, HostPort};
pub use codec::{COMMAND_LIMIT, Frame, LineCodec, LineError, REPLY_LIMIT};
pub use command::{Command, EpsvArgument, behind_signal};
pub use framing::{Place, ReplyFraming};
pub use lax::{
    holds_active_request, is_address, is_disguised, is_longer_number, lax_code, lax_verbs,
    may_name_endpoint, telnet_readings,
};
pub use line::{Line, LineEnd};
pub use loopback::{is_loopback, loopback_addresses};
pub use mask::{masked, masked_reply};
pub use passive::{
    PassiveEndpoint, PassiveReplyError, parse_passive_reply, render_227, render_229,
};
pub use reply::{ReplyCode, ReplyLine};
pub use telnet::Negotiation;
pub use verb::Verb;
