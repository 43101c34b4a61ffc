//! Tests of the state machine: scripted peers, forwards that come when the test says so, no clock.

mod abandoned;
mod active;
mod bench;
mod bounds;
mod cuts;
mod doubts;
mod final_reply;
mod framing;
mod greeter;
mod guard;
mod holds;
mod idle;
mod invariants;
mod order;
mod overdue;
mod passive;
mod remote_bind;
mod reports;
mod routed;
mod security;
mod session;
mod silence;
mod tls;
mod transfers;
mod unknown;
mod unreached;
