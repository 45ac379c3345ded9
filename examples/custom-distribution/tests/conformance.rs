//! Both plugins keep the contract, tried by the SDK's kit against their stand-ins.

use ledger as _;
use shop_socket as _;
use sluice_sdk::conformance;

#[tokio::test(flavor = "multi_thread")]
async fn the_ledger_keeps_the_contract() {
    conformance::sink("ledger").await.assert();
}

#[tokio::test(flavor = "multi_thread")]
async fn the_shop_socket_keeps_the_contract() {
    conformance::source("shop_socket").await.assert();
}
