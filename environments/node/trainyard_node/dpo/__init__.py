"""Direct preference optimisation on verl's model engine: `torchrun ... -m trainyard_node.dpo`."""
