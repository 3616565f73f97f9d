"""From a VirtualMachine to the Flow that its state asks for; exactly one Flow for each intent."""
