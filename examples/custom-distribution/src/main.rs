//! sluice with our own plugins beside the built-in ones, and our rules in it.

use ledger as _; // without these lines the linker leaves the plugins out
use shop_socket as _;

sluice_sdk::register_mappings!(
    "shop_to_ledger",
    summary: "Orders of our shop as entries of the ledger.",
    files: || vec![
        ("orders.yaml", include_str!("../mappings/orders.yaml")),
        ("orders.test.yaml", include_str!("../mappings/orders.test.yaml")),
    ]
);

sluice_sdk::register_demo!(
    "shop_to_ledger",
    summary: "Synthetic orders of our shop to a stand-in of the ledger.",
    config: include_str!("../demo.yaml")
);

fn main() -> std::process::ExitCode {
    sluice::main()
}
