//! The service: `ferryline serve`, from its file to its end, with a service manager of the tests' own.

mod activation;
mod audit;
mod check;
mod load;
mod manager;
mod metrics;
mod outage;
mod reload;
mod support;
mod tunnels;
