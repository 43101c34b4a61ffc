//! The language of FTP's control connection: bytes in, meaning out.
//!
//! Nothing here does I/O, knows the time or decides a policy. This crate says what a line
//! *means*; the caller decides what to do about it. Everything works on bytes, because the
//! encoding of FTP's text is unknown (Q62). Nothing that a peer sends makes a parser here panic
//! or grow without bound.
//!
//! `ftp.abnf` has the grammar; `QUIRKS.md` says how real peers deviate from it, and the comments
//! and tests name its Q-numbers.
//!
//! # Layout
//!
//! * `codec`: the byte stream cut into [`Frame`]s by [`LineCodec`], with [`Line`] in `line` and
//!   the Telnet inside it ([`Negotiation`]) in `telnet`
//! * `command`, `verb`: a client's commands ([`Command`], [`Verb`], [`EpsvArgument`])
//! * `address`: the addresses in PORT and EPRT ([`HostPort`], [`ExtendedAddress`])
//! * `reply`: a reply line by itself ([`ReplyCode`], [`ReplyLine`]); `framing`: where a reply begins
//!   and ends ([`ReplyFraming`], [`Place`])
//! * `passive`: the endpoint in a passive reply ([`parse_passive_reply`]), and its canonical forms
//!   ([`render_227`], [`render_229`])
//! * `lax`: the meaning of a line for readers that are less strict ([`lax_code`],
//!   [`may_name_endpoint`], [`lax_verbs`], [`is_disguised`], [`is_address`],
//!   [`holds_active_request`])
//! * `loopback`: hosts that mean the loopback of the machine that resolves them ([`is_loopback`],
//!   [`loopback_addresses`])
//! * `mask`: commands and replies without their secrets ([`masked`], [`masked_reply`])
//! * `lexical`: the nom parsers that the others share

#![deny(clippy::disallowed_types, clippy::disallowed_methods)]

mod address;
mod codec;
mod command;
mod directory;
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
pub use directory::quoted_directory;
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
pub use verb::{TransferDirection, Verb};
