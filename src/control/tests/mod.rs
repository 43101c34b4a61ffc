//! Tests of the state machine: scripted peers, forwards that come when the test says, no clock.

mod abandoned;
mod active;
mod bench;
mod bounds;
mod cuts;
mod doubts;
mod framing;
mod gate;
mod guard;
mod holds;
mod invariants;
mod order;
mod passive;
mod quiet;
mod remote_bind;
mod routed;
mod security;
mod session;
mod silence;
mod tls;
mod transfers;
mod unknown;
mod unreached;
