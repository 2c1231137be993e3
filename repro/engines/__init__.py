"""What runs steps: each engine a module, and the protocol they keep."""
