//! What must hold for any peers, as properties of arbitrary sessions.
//!
//! - `world`: a driver on the bench: carries out what the machine asks, and checks each step
//! - `client`, `server`: a client with a script, and a server that answers each command properly
//! - `sessions`: properties of plausible sessions
//! - `lax`: clients that read replies otherwise than RFC 959 says
//! - `noise`: properties of arbitrary lines, replies and events

mod client;
mod lax;
mod noise;
mod server;
mod sessions;
mod world;
