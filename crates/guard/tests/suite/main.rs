//! The program as a user runs it, with a real Redis and real proxies.

#![allow(
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic,
    clippy::print_stderr,
    clippy::unwrap_used,
    reason = "tests may panic, their helpers too"
)]

mod browser;
mod exchange;
mod front;
mod front_cases;
mod front_denials;
mod front_exchanges;
mod front_outages;
mod page;
mod program;
mod programs;
mod proxy_process;
mod site;
mod upstream;
mod world;

mod baseline;
mod basics;
mod caddy;
mod check_connections;
mod checks;
mod envoy;
mod haproxy;
mod kubernetes;
mod library_settings;
mod manual;
mod nginx;
mod ops;
mod packages;
mod policy;
mod proxy;
mod receipts;
mod reloads;
mod settings_page;
mod single_use;
mod spoe;
mod status;
mod traefik;
mod trial;
