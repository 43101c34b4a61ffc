//! `ferryline check`, with the real program.

mod ftp_server;
mod support;
mod way;
