//! The service: many tunnels over several SSH connections, which change while it runs.
//!
//! # Layout
//!
//! - `configuration`: what is to be served, [`Configuration`]
//! - `prepare`: what can fail of a configuration: folders and sockets, before anything changes
//! - `supervisor`: what is served, and how one configuration takes the place of another
//! - `service`: the loop: reloads, the state that is told, the end, [`run`]
//! - `loops`: what has to show that it runs
//! - `shown`: what the monitor shows of it
//! - `watchdog`: whether the loops run
//! - `notify`: what the service manager is told; `activation`: the sockets that it passes

mod activation;
mod configuration;
mod loops;
mod notify;
mod prepare;
mod service;
mod shown;
mod supervisor;
mod watchdog;

pub use self::{
    activation::passed_sockets,
    configuration::{Configuration, Reopen, TunnelSettings},
    service::{Door, Service, StartError, run},
};
