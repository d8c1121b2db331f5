"""How the operations of `networks.conv` and `networks.products` run on CPUs."""
