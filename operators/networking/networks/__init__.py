"""Networks: their segment, public address, router, ledger of addresses, and their part on every host."""
