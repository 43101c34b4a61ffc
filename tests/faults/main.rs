//! No fault, at any moment, makes a truncated file look complete to a peer, or leaves anything behind. Whole
//! sessions run through a relay that cuts, stalls, delays and drips at chosen bytes.
//!
//! Each test runs a hundred cases and more, some 2,600 together. A case that fails is printed with the text
//! that runs it alone:
//!
//! ```text
//! FERRYLINE_FAULT="PASV RETR 3000 lane down 1234 cut-rst-rst" cargo test --test faults one_case
//! ```
//!
//! with `RUST_LOG=ferryline=debug` and `-- --nocapture` the test shows how it went.
//! `FERRYLINE_FAULTS=N` makes each sweep N times as fine.
//!
//! A binary of its own: its sessions have time limits of milliseconds and occupy every core, so no other test
//! runs beside.

// Helpers are outside #[test], where clippy's exemption for tests does not reach.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::string_slice
)]
#![allow(unreachable_pub)]
#![cfg(feature = "demo")]

mod case;
mod client;
#[path = "../it/common/mod.rs"]
#[allow(
    dead_code,
    unused_imports,
    reason = "it is used in part; tests/it uses the rest"
)]
mod common;
mod ftp_server;
mod held;
mod relay;
mod sweep;
mod trial;
mod world;

use case::Aim;
use relay::{End, Harm};
use sweep::Sweep;

/// Cuts that both sides see, or only ferryline.
const CUTS: [Harm; 5] = [
    Harm::Cut(End::Rst, End::Rst),
    Harm::Cut(End::Fin, End::Fin),
    Harm::Cut(End::Rst, End::Silent),
    Harm::Cut(End::Fin, End::Rst),
    Harm::Cut(End::Fin, End::Silent),
];
/// Cuts that only the SSH server sees, or neither side.
const SILENT_CUTS: [Harm; 3] = [
    Harm::Cut(End::Silent, End::Rst),
    Harm::Cut(End::Silent, End::Silent),
    Harm::Cut(End::Silent, End::Fin),
];
const NUISANCES: [Harm; 3] = [Harm::Delay, Harm::Drip, Harm::Stall];

#[test]
fn a_lane_that_is_cut() {
    Sweep::of(Aim::Lane, &CUTS).points(2).run();
}

#[test]
fn a_lane_that_is_cut_while_it_is_opened() {
    Sweep::of(Aim::NewLane, &CUTS).points(1).run();
}

#[test]
fn the_control_connection_is_cut() {
    Sweep::of(Aim::Control, &CUTS).points(2).run();
}

#[test]
fn a_lane_that_falls_silent() {
    Sweep::of(Aim::Lane, &SILENT_CUTS).points(1).silent().run();
}

#[test]
fn the_control_connection_falls_silent() {
    Sweep::of(Aim::Control, &SILENT_CUTS)
        .points(1)
        .silent()
        .run();
}

#[test]
fn delays_drips_and_stalls_harm_nobody() {
    Sweep::of(Aim::Lane, &NUISANCES).points(5).run();
    Sweep::of(Aim::Control, &NUISANCES).points(5).run();
    Sweep::of(Aim::NewLane, &NUISANCES).points(1).run();
}

/// More than the sockets hold is under way: no task may wait for ever to write it.
#[test]
fn a_lane_falls_silent_under_a_large_transfer() {
    for case in [
        "PASV STOR 8000000 lane up 1000000 cut-silent-silent",
        "EPRT STOR 8000000 lane up 3000000 cut-silent-rst",
        "EPSV RETR 8000000 lane down 1000000 cut-silent-silent",
        "PORT RETR 8000000 lane down 3000000 cut-silent-fin",
    ] {
        sweep::run_one(case.parse().unwrap());
    }
}

#[test]
fn the_only_connection_is_cut() {
    Sweep::of(Aim::Control, &CUTS)
        .without_lanes()
        .points(1)
        .run();
}

#[test]
fn delays_drips_and_stalls_of_the_only_connection_harm_nobody() {
    Sweep::of(Aim::Control, &NUISANCES)
        .without_lanes()
        .points(2)
        .run();
}

#[test]
fn clients_that_break_off() {
    client::run(1);
}

#[test]
fn clients_that_break_off_where_all_is_one_connection() {
    client::run(0);
}

#[test]
fn control_stalls_when_an_upload_is_broken_off() {
    sweep::runtime().block_on(held::control_stalls_when_an_upload_is_broken_off());
}

#[test]
fn a_lane_stalls_and_is_lost_when_both_have_ended_their_side() {
    sweep::runtime().block_on(held::a_lane_stalls_and_is_lost_when_both_have_ended_their_side());
}

/// Runs the case that the environment asks for, if it does.
#[test]
fn one_case() {
    if let Ok(case) = std::env::var("FERRYLINE_FAULT") {
        sweep::run_one(case.parse().unwrap());
    }
}
