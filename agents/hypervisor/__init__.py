"""The hypervisor agent: makes the Instances of its host true in libvirt and QEMU, and says how they are.

`driver` is the port to the hypervisor; `libvirt_driver` and `simulated` are what stands behind it. Everything else
decides or reports and knows neither.
"""
