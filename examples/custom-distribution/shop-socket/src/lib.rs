//! The source `shop_socket`: events of our shop, one JSON object a line over a Unix socket.
//!
//! Each line is answered when it is safe, never before:
//!
//! ```text
//! shop    {"event_type":"shop.order.placed","id":"o-1","time":1788264000,"order":{…}}
//! sluice  ok 1
//! ```
//!
//! | answer to line N | what the shop does |
//! | --- | --- |
//! | `ok N` | forgets it |
//! | `full N` | sends it again, some seconds later |
//! | `later N` | sends it again: the disk refuses, or sluice is about to stop |
//! | none, and the connection ends | sends it again |
//!
//! | file | what it knows |
//! | --- | --- |
//! | `config` | the settings |
//! | `source` | the socket and its connections |
//! | `split` | where in the bytes each event stands (pure) |
//! | `feed` | sends events as the shop would, for `demo` and tests |
//! | `catalogue.yaml` | the shop's event types |

mod config;
mod feed;
mod source;
mod split;

use std::sync::OnceLock;

use sluice_sdk::catalogue::Catalogue;

pub use config::ShopSocketConfig;
pub use feed::feed;
pub use source::ShopSocket;

/// The event types of the shop.
pub fn catalogue() -> &'static Catalogue {
    static CATALOGUE: OnceLock<Catalogue> = OnceLock::new();
    CATALOGUE.get_or_init(|| {
        serde_yaml::from_str(include_str!("../catalogue.yaml"))
            .expect("catalogue.yaml is part of the program and read by a test")
    })
}

sluice_sdk::register_source!("shop_socket", ShopSocketConfig => ShopSocket::new,
    summary: "Events of our shop, over a Unix socket.",
    example: "path: /run/shop/events.sock\n",
    catalogue: catalogue,
    feed: feed,
    upstream: feed::upstream);
