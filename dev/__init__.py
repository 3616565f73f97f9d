"""A local cluster of several hypervisor hosts on one Linux machine, for development and for tests.

What belongs here: everything that makes a machine look like a small data centre (a Kubernetes control
plane, worker nodes with libvirt of their own, the networks between them, the project's image). Nothing
here is part of the product, and the product knows nothing of it: any other cluster does as well.

Only the standard library is used, so that `python3 -m dev up` runs before anything is installed.
"""
